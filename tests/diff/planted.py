"""Mistakes planted in networks that are otherwise equal, and what `tetrapla diff` makes of them.

    python -m tests.diff.planted [--only NAME] [--pairs N] [--out docs/diff-planted.json] [--publish docs/diff.md]

Rows are written as they are found, and what is there is not run again. Exit code 1 if a cause is wrong, or a stage.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from common.checkpoint import write_json
from common.tools.diff import judge
from common.tools.pages import check_place
from tests.diff import kept, publish, zoo
from tests.diff.mistakes import MISTAKES

HERE = Path(__file__).parent
FILE = """import sys
sys.path.insert(0, {here!r})
import zoo
def inputs(rng):
    return zoo.inputs({network!r}, rng)
def reference():
    return zoo.build({reference!r}, {network!r}, {both!r})
def port():
    return zoo.build({port!r}, {network!r}, {knobs!r})
"""
OUTCOMES = ("right", "unknown", "wrong", "missed")


@dataclass(frozen=True)
class Planted:
    """`knobs` are turned in the port alone, `both` on both sides. `stage`, `layer`, `cause`: what is to be found; any of `cause`'s
    names is right. `pairs`: "reference>port", the frameworks that can be told so."""

    name: str
    network: str
    knobs: dict
    pairs: tuple[tuple[str, str], ...]
    stage: str
    layer: str
    cause: tuple[str, ...]
    both: dict = field(default_factory=dict)


def file_of(network: str, reference: str, port: str, both: dict, knobs: dict, folder: Path) -> Path:
    """A FILE for `tetrapla diff`."""
    path = folder / "pair.py"
    about = {"here": str(HERE), "network": network, "reference": reference, "port": port, "both": both}
    path.write_text(FILE.format(**about, knobs=both | knobs))
    return path


def layers(one: Planted) -> set[str]:
    """Where it may be found. What has no name in one of the frameworks (a function) shows in what the next layer with parameters is
    given, or in the output."""
    if one.layer in ("loss", "optimizer"):
        return {one.layer}
    nodes = zoo.changed(zoo.NETWORKS[one.network](), one.both)["nodes"]
    names = [name for name, _, _ in nodes]
    place, found = names.index(one.layer), {one.layer}
    has = {"conv", "dense", "conv_transpose", "embedding", "gru", "lstm", "attention", "batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm"}  # fmt: skip
    if nodes[place][1] in has:
        return found
    if nodes[place][1] == "flow":  # what is changed is the gradient of all before it
        return found | {next(name for name, op, _ in nodes[place::-1] if op in has)}
    for name, op, _ in nodes[place + 1 :]:
        found.add(name)
        if op in has:
            return found
    return found | {"the output", "output"}


def run(one: Planted, reference: str, port: str) -> dict:
    """A row: what was found, and what of it is right."""
    start, row = time.perf_counter(), {"name": one.name, "reference": reference, "port": port}
    with tempfile.TemporaryDirectory() as folder:
        try:
            verdict = judge.diff(file_of(one.network, reference, port, one.both, one.knobs, Path(folder)), timeout=300)
        except Exception as error:
            return row | {"failed": str(error), "lines": getattr(error, "lines", []), "cause_is": "missed", "stage_is": False, "layer_is": False}  # fmt: skip
    stage = verdict.parted.name if verdict.parted else ""
    first = next((cause for cause in verdict.causes if cause.stage == stage), None)
    where = first.where if first else verdict.parted.where if verdict.parted else ""
    causes = [{"stage": c.stage, "where": c.where, "words": c.words, "names": sorted(c.settings), "proven": c.proven} for c in verdict.causes]  # fmt: skip
    return row | {
        "stage": stage, "where": where, "causes": causes, "uncovered": verdict.uncovered[:5],
        "stage_is": stage == one.stage or stage.startswith("forward") and one.stage == "forward",
        "layer_is": where.split(".")[0].split(":")[0] in layers(one),
        "cause_is": judged(one, stage, causes),
        "seconds": round(time.perf_counter() - start, 1),
    }  # fmt: skip


def judged(one: Planted, stage: str, causes: list[dict]) -> str:
    """One proven cause that is another than what was planted makes it wrong, whatever else is right."""
    proven = [cause for cause in causes if cause["proven"]]
    if any(not set(cause["names"]) <= set(one.cause) for cause in proven):
        return "wrong"
    return "right" if proven else "unknown" if stage else "missed"


def summary(rows: list[dict]) -> str:
    """The confusion matrix, causes planted against what was found, and the shares."""
    found = {}
    for row in rows:
        found.setdefault(row["name"], Counter())[row["cause_is"]] += 1
    lines = [f"{'planted':34}{''.join(f'{name:>9}' for name in OUTCOMES)}"]
    for name, counts in found.items():
        lines.append(f"{name:34}" + "".join(f"{counts[one] or '.':>9}" for one in OUTCOMES))
    total = Counter(row["cause_is"] for row in rows)
    lines.append(f"{'all':34}{''.join(f'{total[one]:>9}' for one in OUTCOMES)}")
    count = max(len(rows), 1)
    for name in ("stage", "layer"):
        lines.append(f"{name} right: {sum(row[f'{name}_is'] for row in rows)} of {len(rows)}")
    lines.append(", ".join(f"cause {name}: {100 * total[name] / count:.0f}%" for name in OUTCOMES))
    return "\n".join(lines)


def key(row: dict) -> tuple:
    return row["name"], row["reference"], row["port"]


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", help="a mistake's name, or how it begins; repeat for several")
    parser.add_argument("--pairs", type=int, default=100, help="pairs of frameworks of each mistake, the first ones")
    parser.add_argument("--skip", type=int, default=0, help="leave out the first pairs of each mistake")
    parser.add_argument("--out", type=Path, default=Path("runs/diff-planted.json"))
    parser.add_argument("--again", action="store_true", help="run also what is there")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin none after so long")
    parser.add_argument("--publish", type=Path, help="docs/diff.md, which takes the matrix of all rows")
    asked = parser.parse_args(arguments)
    if asked.publish:
        check_place(asked.publish, publish.BEGIN, publish.END)
    rows = json.loads(asked.out.read_text()) if asked.out.exists() else []
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    chosen = [
        (Planted(**one), pair) for one in MISTAKES for pair in one["pairs"][asked.skip : asked.pairs]
        if not asked.only or any(one["name"].startswith(name) for name in asked.only)
    ]  # fmt: skip
    if not chosen:
        parser.error(f"no mistake is called {', '.join(asked.only)}")
    with tempfile.TemporaryDirectory() as folder, kept.keeping(Path(folder) / "log"):  # what the sides say
        rows = every(chosen, rows, asked)
    if asked.publish:
        publish.publish(rows, asked.publish)
    names = {one.name for one, _ in chosen}
    rows = [row for row in rows if row["name"] in names]
    print(summary(rows))
    return int(any(row["cause_is"] == "wrong" or not row["stage_is"] for row in rows))


def every(chosen, rows, asked) -> list[dict]:
    start = time.perf_counter()
    for one, (reference, port) in chosen:
        if time.perf_counter() - start > asked.seconds:
            break
        there = [row for row in rows if key(row) == (one.name, reference, port)]
        if there and not asked.again:
            continue
        kept.between(reference, port)
        row = run(one, reference, port)
        rows = [old for old in rows if old not in there] + [row]
        write_json(asked.out, rows)
        said = row.get("failed") or "; ".join(cause["words"] for cause in row["causes"])
        print(f"{row['cause_is']:8}{one.name} {reference}>{port}: {row.get('stage', '')}{'' if row['stage_is'] else ' (NOT ITS STAGE)'}, {row.get('where', '')}{'' if row['layer_is'] else ' (NOT ITS LAYER)'}: {said}", flush=True)  # fmt: skip
    return rows


if __name__ == "__main__":
    sys.exit(main())
