"""What `results` found, as plain JSON values, and as the picture and the tables of docs/results.md."""

import dataclasses
import itertools
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from backends import TITLES
from common.tools.evaluation.equivalence import (
    ALPHA,
    DIFFERENT,
    EQUIVALENT,
    MOST_SEEDS,
    POWER,
    UNDECIDED,
    Margin,
    Verdict,
    judge,
)
from common.tools.figures import plt, save_figure
from common.tools.margins import MARGINS

# Okabe and Ito's green and vermilion, told apart by colour-blind readers too.
COLOURS = {EQUIVALENT: "#009E73", DIFFERENT: "#D55E00", UNDECIDED: "#888888"}
FRAME = 3.0  # units of δ that are drawn of a difference


@dataclass(frozen=True)
class Row:
    """One measure of one model: its value in every backend with every seed, NaN of a run that failed."""

    model: str
    steps: int
    measure: str
    values: dict[str, dict[int, float]]  # by backend and seed

    @property
    def margin(self) -> Margin | None:
        return MARGINS.get((self.model, self.measure))

    def verdicts(self) -> list[Verdict]:
        return judge(self.values, self.margin)


def of_row(row: Row, verdicts: list[Verdict]) -> dict:
    """A Row with its margin and verdicts; a value that is not finite becomes None."""
    values = {
        backend: {str(seed): value if math.isfinite(value) else None for seed, value in sorted(by_seed.items())}
        for backend, by_seed in row.values.items()
    }
    margin = row.margin and dataclasses.asdict(row.margin)
    found = {"model": row.model, "steps": row.steps, "measure": row.measure, "values": values, "margin": margin}
    return found | {"pairs": [dataclasses.asdict(one) for one in verdicts]}


def markdown(value: dict, columns: tuple[str, ...]) -> str:
    """The tables of means, verdicts and margins, and on what all was measured, of what results.results has put together."""
    parts = [_means(value, columns), _verdicts(value, columns), _margins(value), _conditions(value)]
    return "\n\n".join(parts) + "\n"


def picture(rows: list[dict], path: Path) -> bool:
    """Draw the mean difference of every pair of backends in units of δ, with its interval of 1 - 2·ALPHA, in a band per measure:
    an interval inside ±1 is what a test of equivalence asks for, before Holm's correction. Whether there was any to draw.

    `rows` as `of_row` makes them; pairs that could not be tested are left out. What lies further out than FRAME is drawn at its
    edge, as an arrow.
    """
    drawn = [(row, [one for one in row["pairs"] if one["deviation"]]) for row in rows]
    drawn = [(row, pairs) for row, pairs in drawn if pairs]
    if not drawn:
        return False
    figure, axis = plt.subplots(figsize=(9, 0.42 * len(drawn) + 1.3))
    axis.axvspan(-1, 1, color=COLOURS[EQUIVALENT], alpha=0.1, linewidth=0)
    axis.axvline(0, color="#666666", linewidth=0.8)
    for place, (row, pairs) in enumerate(drawn):
        for k, one in enumerate(pairs):
            height = place + 0.11 * (k - (len(pairs) - 1) / 2)
            _draw_pair(axis, one, Margin(**row["margin"]).width, height)
        if place:
            axis.axhline(place - 0.5, color="#dddddd", linewidth=0.6)
    axis.set_yticks(range(len(drawn)), [f"{row['model']}: {row['measure']}" for row, _ in drawn], fontsize=8)
    axis.set(xlim=(-1.03 * FRAME, 1.03 * FRAME), ylim=(len(drawn) - 0.5, -0.5))
    axis.set_xlabel(
        "difference of two frameworks, in units of δ (of ln δ where δ is a factor), "
        f"with its {100 * (1 - 2 * ALPHA):g}% interval"
    )
    lines = [plt.Line2D([], [], color=colour, marker="o", markersize=4) for colour in COLOURS.values()]
    figure.legend(lines, COLOURS, frameon=False, fontsize=8, ncols=3, loc="upper right")
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.28 / figure.get_figheight()))
    save_figure(figure, path, tight=False)
    return True


def _draw_pair(axis, one, delta, height):
    n, middle, colour = len(one["seeds"]), one["difference"] / delta, COLOURS[one["verdict"]]
    interval = stats.t.interval(1 - 2 * ALPHA, n - 1, middle, one["deviation"] / math.sqrt(n) / delta)
    axis.plot(np.clip(interval, -FRAME, FRAME), [height] * 2, color=colour, linewidth=1.2)
    marker = "o" if abs(middle) <= FRAME else ">" if middle > 0 else "<"
    axis.plot(np.clip(middle, -FRAME, FRAME), height, color=colour, marker=marker, markersize=3.5)


def shown(picture: str) -> str:
    """The Markdown of the picture at the address `picture`."""
    return (
        f"![Mean differences of every pair of frameworks in units of what matters, with intervals]({picture})\n\n"
        f"A line is a pair of frameworks, in the order of the second table. A {100 * (1 - 2 * ALPHA):g}% interval inside the band is "
        "what equivalence asks for before Holm's correction, so that a line that nearly fills it may be undecided all the same.\n\n"
    )


def _means(value, columns):
    lines = [_line("model, steps", f"on the test images of {value['data']['name']}", *(TITLES[c] for c in columns))]
    lines.append("|---" * (2 + len(columns)) + "|")
    for row in value["rows"]:
        cells = [_mean(row["values"].get(column, {})) for column in columns]
        lines.append(_line(f"`{row['model']}`, {row['steps']:,}", row["measure"], *cells))
    minutes = value["runs"]["minutes"]
    lines.append(_line("minutes of training", "", *(f"{minutes[column]:.0f}" for column in columns)))
    return "Mean ± standard deviation over seeds, in brackets how many:\n\n" + "\n".join(lines)


def _mean(by_seed):
    finite = np.array([one for one in by_seed.values() if one is not None])
    if not len(finite):
        return "none"
    deviation = f" ± {finite.std(ddof=1):.2g}" if len(finite) > 1 else ""
    failed = f", {len(by_seed) - len(finite)} failed" if len(finite) < len(by_seed) else ""
    return f"{finite.mean():.5g}{deviation} ({len(finite)}{failed})"


def _verdicts(value, columns):
    pairs = list(itertools.combinations(columns, 2))
    if not pairs:
        return "One framework alone is not compared."
    titles = [f"{TITLES[a]}, {TITLES[b]}" for a, b in pairs]
    lines = [_line("model", "measure", "δ", *titles, "power"), "|---" * (4 + len(pairs)) + "|"]
    for row in value["rows"]:
        found = {(one["a"], one["b"]): one for one in row["pairs"]}
        cells = [shown_verdict(found[pair], row["margin"]) if pair in found else "not trained" for pair in pairs]
        powers = [one["power"] for one in row["pairs"] if one["power"] is not None]
        power = (f"{min(powers):.2f}" if min(powers) < 0.995 else "> 0.99") if powers else ""
        lines.append(_line(f"`{row['model']}`", row["measure"], _delta(row["margin"]), *cells, power))
    counted = [one["verdict"] for row in value["rows"] for one in row["pairs"]]
    counts = ", ".join(f"{counted.count(name)} {name}" for name in (EQUIVALENT, DIFFERENT, UNDECIDED))
    inside = sum(
        one["verdict"] == EQUIVALENT and one["p_different"] <= ALPHA for row in value["rows"] for one in row["pairs"]
    )
    said = (
        f"Of {len(counted)} pairs: {counts}. ≡ is equivalent within δ, ≢ different, ? undecided and about how many seeds would "
        "decide. In brackets the mean difference of the first from the second, as a factor where δ is one; * marks one that "
        f"is equivalent within δ and significantly different all the same ({inside} pairs). Power: the chance that so many seeds "
        f"show equivalence where there is no difference, the least of the row's pairs; enough is {POWER}."
    )
    why = list(dict.fromkeys(
        f"`{row['model']}`, {row['measure']}, {TITLES[one['a']]} and {TITLES[one['b']]}: {one['why']}"
        for row in value["rows"] for one in row["pairs"] if one["verdict"] == UNDECIDED and one["why"]
    ))  # fmt: skip
    return said + "\n\n" + "\n".join(lines) + ("\n\n" + "\n".join(f"- {one}." for one in why) if why else "")


def shown_verdict(one: dict, margin: dict | None) -> str:
    ratio = margin and margin["ratio"]
    shift = one["difference"]
    by = "" if shift is None else f" (×{math.exp(shift):.3g})" if ratio else f" ({shift:+.2g})"
    if one["verdict"] == EQUIVALENT:
        return "≡" + by + ("*" if one["p_different"] <= ALPHA else "")
    if one["verdict"] == DIFFERENT:
        return "**≢**" + by
    if one["deviation"] is None:
        return "?" + by
    return f"? {one['needed']:,}{by}" if one["needed"] else f"? over {MOST_SEEDS:,}{by}"


def _delta(margin):
    if margin is None:
        return "none"
    return f"×{margin['value']:g}" if margin["ratio"] else f"{margin['value']:g}"


def _margins(value):
    lines = [_line("model", "measure", "δ", "why"), "|---|---|---|---|"]
    for row in value["rows"]:
        if row["margin"]:
            lines.append(_line(f"`{row['model']}`", row["measure"], _delta(row["margin"]), row["margin"]["reason"]))
    return "The margins, stated before any of these runs (`common/tools/margins.py`):\n\n" + "\n".join(lines)


def _conditions(value):
    runs = value["runs"]
    versions = {}
    for one in runs["environments"]:
        for name, version in one["versions"].items():
            versions.setdefault(name, set()).add(version)
    places = {f"{one['processor']}, Python {one['python']}, commit {one['commit']}" for one in runs["environments"]}
    said = f"Measured on {'; '.join(sorted(places))}; "
    said += ", ".join(f"{name} {' and '.join(sorted(found))}" for name, found in sorted(versions.items()))
    said += f"; {value['data']['description']} (digest {value['data']['digest'][:12]}). "
    said += f"{runs['measured']} runs of {runs['planned']} planned"
    failed = "".join(f"\n- {one}" for one in runs["failed"])
    return said + (f", of which failed:\n{failed}" if failed else ", none of which failed.")


def _line(*cells):
    return f"| {' | '.join(cells)} |"
