"""How results are shown: tables for the terminal and for docs/benchmarks.md, plots, and what moved between two of them."""

import json
import re
from pathlib import Path

from rich.table import Table
from rich.text import Text

from backends import TITLES, versions
from benchmarks import peers
from benchmarks.cases import SWEPT, Case
from benchmarks.suite import KEY, PREPARED, Planned, Settings, key_of
from benchmarks.worker import MODES as OURS
from common.checkpoint import write_json
from common.environment import ROOT
from common.errors import UsageError
from common.tools import figures
from common.tools.pages import put_between

MODES = (*OURS, *peers.MODES)

RESULTS, PAGE = ROOT / "benchmarks" / "results", ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- results: made by tetrapla bench --publish -->", "<!-- end of results -->"
NEAR = 2.0  # times the lower bound
BOUNDS = {"floor": "lower bound", "products": "products"}  # keys of a row, and their names in tables


def read(path: Path) -> dict:
    """A result file. Raises UsageError if it is none."""
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        assert all(key in row for row in result["rows"] for key in KEY)
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise UsageError(f"{path}: expected a result of `tetrapla bench` ({error})") from error
    return result


def unfinished(out: Path, settings: dict, here: dict | None = None) -> list[dict]:
    """The rows of an interrupted benchmark in `out`, to go on from; none if there is none, or if it was measured in another
    environment than `here`, where that is given. Raises UsageError if it was measured with other settings."""
    path = out / "result.json"
    if not path.exists():
        return []
    result = read(path)
    if other := [key for key, value in settings.items() if result["settings"].get(key) != value]:
        raise UsageError(f"{path}: measured with another {other[0]}; use the same settings, or another --out")
    return [] if here and result["environment"] != here else result["rows"]


def single(out: Path, settings: dict, wanted: set[tuple]) -> dict | None:
    """The result in `out` of a case that was measured alone, if it has all the rows that are `wanted`, else None. Raises
    UsageError if it was measured with other settings."""
    found = set(map(key_of, unfinished(out, settings)))
    return read(out / "result.json") if found and wanted <= found else None


def write(result: dict, out: Path) -> list[Path]:
    """result.json and a plot; the paths."""
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / "result.json", out / "plot.png"]
    write_json(paths[0], result)
    plot(result, paths[1])
    return paths


def plot(result: dict, path: Path) -> None:
    """Bars of every model and mode; curves for a sweep."""
    if over := swept(result["rows"]):
        figures.sweep(result["rows"], over, path)
    else:
        figures.throughput(result["rows"], MODES, path)


def swept(rows: list[dict]) -> str | None:
    """ "hidden" or "batch" if a model was measured at several, else None."""
    for key in ("hidden", "batch"):
        if any(len({row[key] for row in rows if row["model"] == model}) > 1 for model in _models(rows)):
            return key
    return None


def _models(rows):
    return list(dict.fromkeys(row["model"] for row in rows))


def tables(result: dict) -> list[Table | str]:
    """One table a case: a row per backend, a column per mode; the fastest of each column marked, the others as ratios."""
    shown = [conditions(result)]
    for case in dict.fromkeys(map(Case.of, result["rows"])):
        rows = [row for row in result["rows"] if Case.of(row) == case]
        modes = list(dict.fromkeys(row["mode"] for row in rows))
        least = "".join(f"; {BOUNDS[key]} {1e3 * value:.3g} ms" for key, value in _bounds(rows).items())
        width = f", {case.hidden} hidden" if case.hidden else ""
        table = Table("backend", *modes, title=f"{case.model}{width}, batch {case.batch}: ms per update{least}")
        for backend in dict.fromkeys(row["backend"] for row in rows):
            own = {row["mode"]: row for row in rows if row["backend"] == backend}
            table.add_row(backend, *(_cell(own[mode], rows) if mode in own else "" for mode in modes))
        shown.append(table)
    return shown + near_the_floor(result["rows"]) + doubts(result["rows"])


def _bounds(rows):
    """{"floor": seconds, "products": seconds} of one case, as far as known; what a user reads of them is in BOUNDS."""
    return {key: row[key] for row in rows for key in BOUNDS if key in row}


def doubts(rows: list[dict]) -> list[str]:
    """Rows faster than the lower bound: then the yardstick was disturbed, and the multiples are worth nothing."""
    return [
        f"{' '.join(str(part) for part in key_of(row) if part is not None)}: faster than the lower bound; measure again"
        for row in rows
        if row.get("times_floor", 1) < 1
    ]


def conditions(result: dict) -> str:
    """What it was measured on, in one line."""
    settings, yardstick, environment = result["settings"], result["yardstick"], result["environment"]
    best = (
        f"best matrix product {yardstick['product'] / 1e9:.0f} GFLOP/s, copies {yardstick['copy'] / 1e9:.0f} GB/s"
        if yardstick["product"]
        else "no yardstick"
    )
    return f"{environment['processor']}, {settings['device']}, {settings['threads']} threads, {result['measured']}; {best}."


def _cell(row, rows):
    if "median" not in row:
        return row["problem"]
    best = min(other["median"] for other in rows if other["mode"] == row["mode"] and "median" in other)
    text = f"{1e3 * row['median']:.3g} ({1e3 * row['least']:.3g} to {1e3 * row['most']:.3g})"
    if "times_floor" in row:
        text += f", {row['times_floor']:.1f}× lower bound"
    if row["median"] == best:
        return Text.assemble((text, "bold"), ", fastest")
    return f"{text}, {row['median'] / best:.1f}×"


def near_the_floor(rows: list[dict]) -> list[str]:
    """For a sweep: from where on each backend stays within NEAR of the lower bound; empty for any other result."""
    over, lines = swept(rows), []
    for model in _models(rows) if over else ():
        for backend in dict.fromkeys(row["backend"] for row in rows):
            own = [row for row in rows if (row["model"], row["backend"]) == (model, backend) and "times_floor" in row]
            far = [row[over] for row in own if row["times_floor"] > NEAR]
            near = [row[over] for row in own if row[over] > max(far, default=0)]
            best = min(own, key=lambda row: row["times_floor"])
            where = (
                f"from {over} {min(near)} on"
                if near
                else f"not for good; {best['times_floor']:.1f} at {over} {best[over]}"
            )
            lines.append(f"{model} in {TITLES[backend]}: within {NEAR:g} times the lower bound {where}")
    return lines


def plan(planned: list[Planned], settings: Settings) -> list[Table | str]:
    """What would be measured, a row per case, and how long it would take at a guess."""
    columns = list(dict.fromkeys(backend for one in planned for backend, _ in one.workers))
    table = Table("model", "batch", "hidden", "modes", "processes", "minutes")
    for one in planned:
        modes = ", ".join(dict.fromkeys(mode for _, mode in one.workers))
        width = str(one.case.hidden or "")
        table.add_row(
            one.case.model, str(one.case.batch), width, modes, str(len(one.workers)), f"{one.seconds / 60:.1f}"
        )
    count, seconds = sum(len(one.workers) for one in planned), sum(one.seconds for one in planned)
    gone = [TITLES[backend] for backend in columns if versions(backend) is None]
    return [
        f"{settings.device}, {settings.threads} threads, {settings.repeats} repeats of {settings.seconds:g} s, data "
        f"{settings.data}: {', '.join(TITLES[backend] for backend in columns)}",
        table,
        f"{len(planned)} cases, {count} processes, about {seconds / 60:.0f} minutes: a process takes {PREPARED:g} s for imports and "
        f"proof, what building and the first call took in benchmarks/results, on whatever device, and twice the {settings.seconds:g} s "
        f"of each repeat, or twice what its updates took there on this kind of device, if that was more",
        *([f"not installed here: {', '.join(gone)}"] if gone else []),
        "Nothing was started.",
    ]


def compare(old: dict, new: dict) -> list[str]:
    """What moved beyond the noise: rows of both results whose ranges of repeats do not overlap."""
    before = {key_of(row): row for row in old["rows"] if "median" in row}
    lines = []
    for row in new["rows"]:
        other = before.get(key_of(row))
        if "median" in row and other and (row["least"] > other["most"] or row["most"] < other["least"]):
            ratio = other["median"] / row["median"]
            word = "faster" if ratio > 1 else "slower"
            what = " ".join(str(part) for part in key_of(row) if part is not None)
            lines.append(f"{what}: {max(ratio, 1 / ratio):.2f} times {word}")
    return lines


def publish(result: dict, name: str) -> list[Path]:
    """Keep a result in benchmarks/results and put all that are there into docs/benchmarks.md. Raises UsageError for a
    name that is no plain file name."""
    paths = [kept_as(name), PAGE.parent / "images" / f"bench-{name}.png"]
    write_json(paths[0], result)
    plot(result, paths[1])
    put_between(PAGE, BEGIN, END, published())
    return [*paths, PAGE]


def kept_as(name: str, below: str = "") -> Path:
    """Where a result is kept in benchmarks/results. Raises UsageError for a name that is no plain file name."""
    if not re.fullmatch(r"[a-z0-9-]+", name):
        raise UsageError(f"--publish: {name!r} must be a name of small letters, digits and hyphens, such as cpu-epyc")
    (RESULTS / below).mkdir(parents=True, exist_ok=True)
    return RESULTS / below / f"{name}.json"


def kept() -> dict[str, dict]:
    """{name: result} of benchmarks/results, in order of their names."""
    return {path.stem: read(path) for path in sorted(RESULTS.glob("*.json"), key=lambda path: path.stem)}


def published() -> str:
    """The Markdown of all results that are kept, sweeps last."""
    found = sorted(kept().items(), key=lambda one: swept(one[1]["rows"]) is not None)
    return "\n".join(markdown(result, name) for name, result in found) or "Not run yet.\n"


def markdown(result: dict, name: str) -> str:
    """One result: conditions, a table, the plot."""
    rows, over = result["rows"], swept(result["rows"])
    shown = [b for b in TITLES if any(row["backend"] == b for row in rows)]
    versions = "; ".join(
        f"{TITLES[b]} " + ", ".join(f"{package} {version}" for package, version in found.items())
        for b, found in result["environment"]["backends"].items()
    )
    lines = [
        f"### {_heading(over, result)} (`{name}`)",
        "",
        f"`benchmarks/results/{name}.json`: {conditions(result)} {versions}.",
        "",
    ]
    if over:
        lines += [f"- {line}" for line in near_the_floor(rows)]
    else:
        lines += _matrix(rows, shown)
    lines += [f"- {line}" for line in doubts(rows)]
    lines += ["", f"![{_heading(over, result)}, by framework](images/bench-{name}.png)", ""]
    return "\n".join(lines)


def _heading(over, result):
    device = {"cpu": "CPU", "gpu": "GPU"}[result["settings"]["device"]]
    return {
        None: f"Milliseconds per update, {device}",
        "batch": f"Over the batch size, {device}",
        "hidden": f"Over the hidden units of `{SWEPT}`, {device}",
    }[over]


def _matrix(rows, backends):
    """A row per model and mode, a column per backend: the median, next to it the multiple of the lower bound."""
    lines = [
        f"| model, batch | mode | {' | '.join(BOUNDS.values())} | " + " | ".join(TITLES[b] for b in backends) + " |"
    ]
    lines.append("|---" * (4 + len(backends)) + "|")
    for case in dict.fromkeys(map(Case.of, rows)):
        for mode in MODES:
            own = {row["backend"]: row for row in rows if Case.of(row) == case and row["mode"] == mode}
            if own:
                bounds = _bounds(own.values())
                least = " | ".join(_short(1e3 * bounds[key]) if key in bounds else "" for key in BOUNDS)
                cells = [_markdown_cell(own.get(backend), own) for backend in backends]
                lines.append(f"| `{case.model}`, {case.batch} | {mode} | {least} | " + " | ".join(cells) + " |")
    return lines


def _short(value):
    """Two digits, and none after the point of what has more before it."""
    return f"{value:.2g}" if value < 99.5 else f"{value:.0f}"


def _markdown_cell(row, own):
    if row is None or "median" not in row:
        return "not measured" if row is None else row["problem"].replace("|", "\\|")
    milliseconds = 1e3 * row["median"]
    text = f"{milliseconds:.3g}" if milliseconds < 999.5 else f"{milliseconds:,.0f}"
    if "times_floor" in row:
        text += f" ({row['times_floor']:.1f}×)"
    fastest = row["median"] == min(other["median"] for other in own.values() if "median" in other)
    return f"**{text}**" if fastest else text
