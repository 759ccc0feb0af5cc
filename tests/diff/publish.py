"""The confusion matrix of planted.py on a page: its rows as Markdown, put between two lines of docs/diff.md.

Only `planted.py --publish FILE` calls it, so that what stands on the page is what its JSON holds.
"""

from collections import Counter
from pathlib import Path

from common.tools.pages import put_between
from tests.diff.mistakes import MISTAKES

BEGIN = "<!-- planted: made by python -m tests.diff.planted --publish -->"
END = "<!-- planted: end -->"
OUTCOMES = ("right", "unknown", "wrong", "missed")
ABOUT = {one["name"]: one for one in MISTAKES}


def publish(rows: list[dict], page: Path) -> None:
    """Raises UsageError if the page has no place for it."""
    put_between(page, BEGIN, END, written(rows))


def written(rows: list[dict]) -> str:
    """Shares, then the matrix: a row a mistake, by the stage that it was planted for. A mistake that is no longer planted is left out."""
    rows = [row for row in rows if row["name"] in ABOUT]
    total, count = Counter(row["cause_is"] for row in rows), max(len(rows), 1)
    planted = len({row["name"] for row in rows})
    shares = [f"{100 * total[one] / count:.1f}%" for one in OUTCOMES]
    shares += [f"{100 * sum(bool(row[f'{what}_is']) for row in rows) / count:.1f}%" for what in ("stage", "layer")]
    lines = [
        f"{planted} mistakes, each in several pairs of frameworks, {len(rows)} verdicts:", "",
        "| cause right | unknown | wrong | missed | stage right | layer right |",
        "|---:|---:|---:|---:|---:|---:|", f"| {' | '.join(shares)} |", "",
        "| planted | its cause | pairs | " + " | ".join(OUTCOMES) + " | found instead |",
        "|---|---|---:|" + "---:|" * len(OUTCOMES) + "---|",
    ]  # fmt: skip
    for stage in dict.fromkeys(one["stage"] for one in MISTAKES):
        names = dict.fromkeys(row["name"] for row in rows if ABOUT[row["name"]]["stage"] == stage)
        if names:
            lines.append(f"| **{stage}** |" + " |" * (3 + len(OUTCOMES)))
        for name in names:
            own = [row for row in rows if row["name"] == name]
            found = Counter(row["cause_is"] for row in own)
            cells = [str(found[one] or "") for one in OUTCOMES]
            cause = " or ".join(f"`{one}`" for one in ABOUT[name]["cause"])
            lines.append(f"| {name} | {cause} | {len(own)} | {' | '.join(cells)} | {instead(own)} |")
    return "\n".join(lines) + "\n"


def instead(rows: list[dict]) -> str:
    """What was proven other than what was planted, or why there is no verdict, each once."""
    found = {}
    for row in rows:
        if "failed" in row:
            found["no verdict"] = None
        wanted = set(ABOUT[row["name"]]["cause"])
        for cause in row.get("causes", ()):
            if cause["proven"] and not set(cause["names"]) <= wanted:
                found[", ".join(f"`{one}`" for one in cause["names"])] = None
        if not row["stage_is"] and row.get("stage"):
            found[f"stage {row['stage']}"] = None
    return "; ".join(found)
