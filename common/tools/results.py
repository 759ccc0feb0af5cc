"""The `results` command: the same numbers in four frameworks, over several seeds, in one table.

Each model is trained for a part of its article's length in every backend with every seed, with native noise, and measured
on the test images. A seed gives every backend the same initial values and batches, and other noise.
"""

import itertools
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from backends import TITLES
from common import environment
from common.checkpoint import write_atomically, write_json
from common.data import Dataset
from common.errors import UsageError
from common.specs import SPECS, get
from common.tools import reproduction
from common.tools.pages import check_place, put_between
from common.tools.reproduction import infogan, measures
from common.tools.reproduction.results import Result, Run

# Steps: ten epochs where they take seconds, less where an update is dear. A model that is not named here takes its own length.
STEPS = {
    "autoencoder": 4680,
    "conv_autoencoder": 936,
    "vae": 4680,
    "vae_z100": 9370,
    "gan": 1404,
    "gan_two_layer": 4680,
    "aae": 1500,
    "aae_style": 1500,
    "aae_few_labels": 1500,
    "aae_clusters": 1500,
    "infogan": 250,
}
BEGIN, END = "<!-- results: made by nox -s results -->", "<!-- end of results -->"


@dataclass(frozen=True)
class Row:
    """One measure of one model: its value in every backend with every seed."""

    model: str
    steps: int
    measure: str
    values: dict[str, list[float]]  # by backend

    def apart(self) -> list[tuple[str, str]]:
        """Pairs of backends whose ranges do not overlap."""
        return [
            (a, b)
            for a, b in itertools.combinations(self.values, 2)
            if max(self.values[a]) < min(self.values[b]) or max(self.values[b]) < min(self.values[a])
        ]


def runs(models: list[str], backends: tuple[str, ...], seeds: int, scale: float) -> list[Run]:
    """Seed by seed, so that what is there when one stops early is whole."""
    return [
        Run(model, backend, seed, STEPS.get(model), keep=0, scale=scale)
        for seed in range(seeds)
        for model in models
        for backend in backends
    ]


def measure(result: Result, data: Dataset, space) -> dict[str, float]:
    """{measure: value} on the test images."""
    test, spec, found = result.test_rows[-1]["test"], result.spec, {}
    if spec.reconstruct:
        name = spec.updates[0].objective
        unit = "BCE per pixel" if name == "loss_r" else "nats" if spec.sample else "squared error"
        found[f"test loss, {unit}"] = test[name]
    if "info_c1" in test:
        found["L_I(c1), nats"] = test["info_c1"]
        found["error of c1, %"] = 100 * infogan.error(result.probe["codes"], data)
    if spec.sample:
        found["Fréchet distance"] = measures.distance(space, result.probe["samples"], data)
    return found


def rows(results: list[Result], data: Dataset) -> list[Row]:
    """In the order of models; every backend with the values of its seeds."""
    space, found = measures.features(data), {}
    for result in results:
        for name, value in measure(result, data, space).items():
            by_backend = found.setdefault((result.run.model, result.steps, name), {})
            by_backend.setdefault(result.run.backend, []).append(value)
    order = list(SPECS)
    return sorted((Row(*key, values) for key, values in found.items()), key=lambda row: order.index(row.model))


def results(
    models, backends, seeds, data, out: Path, *, data_name, data_dir, device, scale, page: Path | None, jobs=1
) -> str:
    """Train, measure, write `out`/results.json and results.md, and put the table into `page`. Returns the table.

    Raises UsageError if `page` has no place for it.
    """
    if page:
        check_place(page, BEGIN, END)
    found = reproduction.carry_out(
        runs(models, backends, seeds, scale),
        data,
        out,
        data_name=data_name,
        data_dir=data_dir,
        device=device,
        jobs=jobs,
    )
    table = rows(found, data)
    minutes = {b: sum(r.seconds for r in found if r.run.backend == b) / 60 for b in backends}
    text = markdown(table, backends, minutes, seeds, data)
    value = {
        "data": data.name,
        "seeds": seeds,
        "environment": environment.describe(),
        "versions": {b: next(r for r in found if r.run.backend == b).description["sessions"][-1]["environment"]["versions"] for b in backends},
        "minutes": minutes,
        "rows": [asdict(row) | {"apart": row.apart()} for row in table],
    }  # fmt: skip
    write_json(out / "results.json", value)
    write_atomically(out / "results.md", text.encode())
    if page:
        put_between(page, BEGIN, END, text)
    return text


def markdown(table: list[Row], backends, minutes: dict[str, float], seeds: int, data: Dataset) -> str:
    """Mean and range over the seeds; then which ranges do not overlap, and the time that it took."""
    lines = [
        f"| model, steps | on the test images of {data.name} | " + " | ".join(TITLES[b] for b in backends) + " |",
        "|---" * (2 + len(backends)) + "|",
    ]
    for row in table:
        cells = [_cell(row.values[backend]) for backend in backends]
        lines.append(f"| `{row.model}`, {row.steps:,} | {row.measure} | " + " | ".join(cells) + " |")
    lines.append(f"| minutes for {seeds} seeds | | " + " | ".join(f"{minutes[b]:.0f}" for b in backends) + " |")
    pairs = [f"`{row.model}` {row.measure}: {TITLES[a]} and {TITLES[b]}" for row in table for a, b in row.apart()]
    lines += ["", "Ranges that do not overlap: " + ("; ".join(pairs) if pairs else "none") + "."]
    # Of the orders in which 2n draws from one distribution can stand, two keep the first n apart from the others.
    every = len(table) * math.comb(len(backends), 2)
    chance = every * 2 / math.comb(2 * seeds, seeds)
    lines.append(
        f"Those are {len(pairs)} of {every} pairs of ranges; were the frameworks the same but for their draws, "
        f"{chance:.1f} would be expected to stand apart by chance, as a range is that of {seeds} seeds."
    )
    return "\n".join(lines) + "\n"


def _cell(values):
    mean, low, high = sum(values) / len(values), min(values), max(values)
    return f"{mean:.5g} ({low:.5g} to {high:.5g})"


def check_models(models: list[str]) -> list[str]:
    """The names as they are, or all. Raises UsageError for one that is no model, or a variant of one."""
    for name in models:
        if get(name).name not in SPECS:
            raise UsageError(f"{name} is a variant; choose one of: {', '.join(SPECS)}")
    return models or list(SPECS)
