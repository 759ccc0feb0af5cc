"""How results of steps that several processes share are shown: the table for the terminal and for docs/many-machines.md."""

from pathlib import Path

from backends import TITLES
from benchmarks.cases import Case
from benchmarks.rank import SIZES
from common.checkpoint import write_json
from common.environment import ROOT
from common.tools import bench, scaling
from common.tools.pages import put_between
from common.worlds import PER_REPLICA

PAGE = ROOT / "docs" / "many-machines.md"
BEGIN, END = "<!-- measured: made by tetrapla bench --workers --publish -->", "<!-- end of measured -->"


def write(result: dict, out: Path) -> Path:
    """workers.json; its path."""
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "workers.json", result)
    return out / "workers.json"


def predicted(row: dict) -> float | None:
    """Seconds of a shared step on paper (common.tools.scaling): what a rank takes for its part, and the ring's time for what it
    sends, by the latency and bandwidth of all-reduces that were timed in the same processes."""
    if not row.get("exchanges"):
        return None
    (small, large), count = row["exchanges"], row["workers"]
    hops = 2 * (count - 1)
    bandwidth = hops / count * 8 * (SIZES[1] - SIZES[0]) / max(large - small, 1e-9)
    cost = scaling.cost(Case.of(row).spec, row["backend"] not in PER_REPLICA)
    part = row["apart"]["median"]
    return scaling.step_seconds(
        part * count, 0.0, count, cost.exchange(count, scaling.Link("", bandwidth, small / hops))
    )


def table(result: dict) -> str:
    """Markdown: a row for each model and framework, milliseconds of a step by one process and by several with as many cores."""
    settings, environment = result["settings"], result["environment"]
    lines = [
        f"{environment['processor']}, {settings['device']}, {settings['threads']} cores in all, {result['measured']}, commit "
        f"`{environment['commit']}`; the median of {settings['repeats']} repeats, asked in turn.",
        "",
        "| model, batch | framework | workers | step, ms | of it communication, ms | step on paper, ms | times one worker |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in result["rows"]:
        about = f"| `{row['model']}`, {row['batch']} | {TITLES[row['backend']]} | {row['workers']} |"
        if "problem" in row:
            lines.append(f"{about} {row['problem'].replace('|', chr(92) + '|')} | | | |")
            continue
        step = row["together"]["median"]
        alike = [one for one in result["rows"] if Case.of(one) == Case.of(row) and one["backend"] == row["backend"]]
        (one,) = [other["together"]["median"] for other in alike if other["workers"] == 1 and "together" in other] or [
            None
        ]
        more = f"{1e3 * (step - row['apart']['median']):.3g}" if "apart" in row else ""
        paper = f"{1e3 * predicted(row):.3g}" if row.get("exchanges") else ""
        ratio = f"{step / one:.2f}" if one else ""
        spread = f"{1e3 * row['together']['least']:.3g} to {1e3 * row['together']['most']:.3g}"
        lines.append(f"{about} {1e3 * step:.3g} ({spread}) | {more} | {paper} | {ratio} |")
    return "\n".join(lines) + "\n"


def publish(result: dict, name: str) -> list[Path]:
    """Keep a result in benchmarks/results and put its table into docs/many-machines.md. Raises UsageError for a name that is no
    plain file name."""
    path = bench.kept_as(name, "workers")
    write_json(path, result)
    put_between(PAGE, BEGIN, END, table(result))
    return [path, PAGE]
