"""The `results` command: the same numbers in four frameworks, decided by a test of equivalence over seeds.

Each model is trained for the length and from the seeds of its plan (common.tools.margins) in every backend, with native noise,
and measured on the test images. A seed gives every backend the same initial values and batches, and other noise.
"""

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common import data as datasets
from common import environment
from common.checkpoint import write_atomically, write_json
from common.data import Dataset
from common.errors import UsageError
from common.processes import Children, in_turn
from common.specs import SPECS, get
from common.specs.records import Spec
from common.terminal import ERR
from common.tools import results_page, training
from common.tools.evaluation.equivalence import ALPHA, POWER
from common.tools.margins import OTHER, PLANS
from common.tools.pages import check_place, put_between
from common.tools.results_page import Row
from common.tools.results_worker import MEASURES, carry_all, folder, options

BEGIN, END = "<!-- results: made by nox -s results -->", "<!-- end of results -->"
BLOCK = 5  # seeds of a process


@dataclass(frozen=True)
class Block:
    """What one process trains, one seed after another."""

    model: str
    backend: str
    steps: int
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Measured:
    """What a finished run left. `failed`: why it has no values, None if it has."""

    model: str
    backend: str
    seed: int
    steps: int
    values: dict[str, float]
    failed: str | None
    seconds: float
    environment: dict


def blocks(
    models: list[str], columns: tuple[str, ...], seeds: int | None, steps: Callable[[str], int], jobs: int
) -> list[Block]:
    """Block by block over all models, so that what is there when one stops early is whole. `seeds` in place of the plans';
    `steps(model)` is a model's length. Small enough that all `jobs` have something to do."""
    count = {model: seeds or PLANS.get(model, OTHER).seeds for model in models}
    size = max(1, min(BLOCK, sum(count.values()) * len(columns) // jobs))
    return [
        Block(model, backend, steps(model), tuple(range(first, min(first + size, count[model]))))
        for first in range(0, max(count.values()), size)
        for model in models
        for backend in columns
        if first < count[model]
    ]


def names(models: list[str], columns: tuple[str, ...], seeds: int | None) -> dict[str, tuple[str, str, int]]:
    """{name of its folder: (model, backend, seed)} of every run, in the order of `blocks`."""
    return {
        folder(Path(), block.model, block.backend, seed).name: (block.model, block.backend, seed)
        for block in blocks(models, columns, seeds, lambda model: 0, jobs=1)
        for seed in block.seeds
    }


def steps_of(model: str, data: Dataset, scale: float) -> int:
    """The planned length, or the specification's own, times `scale`."""
    spec = get(model)
    steps = training.steps_of(spec, data, training.batch_size(spec, data), None, PLANS.get(model, OTHER).steps)
    return max(1, round(steps * scale))


def read(place: Path, spec: Spec, settings: training.Options, data: Dataset) -> Measured | None:
    """What the run in the folder `place` left, or None if it has not been measured at this length.

    Raises UsageError if the folder holds a run of something else.
    """
    try:
        found = json.loads((place / MEASURES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if found.get("steps") != settings.steps:
        return None
    run = training.read_run(place)
    training.check_data(place, data)
    before = run["options"] | {"fingerprint": run.get("fingerprint")}
    wanted = {name: getattr(settings, name) for name in ("backend", "batch_size", "seed", "dtype", "noise")}
    for name, value in (wanted | {"fingerprint": spec.fingerprint()}).items():
        if before.get(name) != value:
            raise UsageError(f"{place}: the run has {name} {before.get(name)!r}, not {value!r}; choose another --out")
    seconds = sum(session.get("seconds", 0.0) for session in run["sessions"])
    about = (spec.name, settings.backend, settings.seed, settings.steps)
    return Measured(*about, found.get("values", {}), found.get("failed"), seconds, run["sessions"][-1]["environment"])


def read_block(out: Path, block: Block, data: Dataset) -> dict[int, Measured | None]:
    """{seed: what its run left}."""
    spec, found = get(block.model), {}
    for seed in block.seeds:
        settings = options(spec, block.backend, block.steps, seed, data)
        found[seed] = read(folder(out, block.model, block.backend, seed), spec, settings, data)
    return found


def train(
    wanted: list[Block], data: Dataset, out: Path, *, data_name: str, data_dir: Path | None, device: str, jobs: int
) -> None:
    """Train and measure into `out` what is not there yet, `jobs` processes at a time, each with its part of the cores.

    Raises TrainingFailed when one does not end well. What it finished stays, and the same command goes on from there.
    """
    out.mkdir(parents=True, exist_ok=True)
    missing = []
    for block in wanted:
        seeds = tuple(seed for seed, one in read_block(out, block, data).items() if one is None)
        missing += [dataclasses.replace(block, seeds=seeds)] if seeds else []
    name, place = datasets.absolute(data_name), data_dir.resolve() if data_dir else ""

    def one(number: int, block: Block, cores: str | None, children: Children) -> None:
        seeds = ",".join(map(str, block.seeds))
        said = (
            f"{number} of {len(missing)}: {block.model} in {block.backend}, seeds {seeds}, {block.steps:,} steps each"
        )
        ERR.print(said, soft_wrap=True)
        words = (block.model, block.backend, block.steps, seeds, name, place, device, out)
        how = {"cores": cores, "alone": jobs == 1, "advice": "mend it, and give the same command again"}
        children.carry_through("common.tools.results_worker", *words, **how)

    in_turn(missing, jobs, one)


def single(model: str, backend: str, seed: int, data: Dataset, out: Path, *, scale: float, device: str) -> Measured:
    """Train and measure one run in this process, unless it is there; what it left.

    Raises UsageError if its folder holds a run of something else.
    """
    block = Block(model, backend, steps_of(model, data, scale), (seed,))
    if (found := read_block(out, block, data)[seed]) is None:
        carry_all(get(model), backend, block.steps, [seed], data, device, out)
        found = read_block(out, block, data)[seed]
    return found


def rows(found: list[Measured]) -> list[Row]:
    """In the order of models; every backend with the values of its seeds."""
    order, result = list(SPECS), {}
    for one in found:
        for measure in one.values:
            result.setdefault((one.model, one.steps, measure), {})
    for (model, _, measure), values in result.items():
        for one in found:
            if one.model == model:
                values.setdefault(one.backend, {})[one.seed] = one.values.get(measure, float("nan"))
    return sorted((Row(*key, values) for key, values in result.items()), key=lambda row: order.index(row.model))


def results(
    models: list[str], columns: tuple[str, ...], seeds: int | None, data: Dataset, out: Path, *,
    data_name: str, data_dir: Path | None, device: str, scale: float, page: Path | None, jobs: int,
) -> str:  # fmt: skip
    """Train, measure and `collect`. Returns the tables."""
    if page:
        check_place(page, BEGIN, END)
    wanted = blocks(models, columns, seeds, lambda model: steps_of(model, data, scale), jobs)
    train(wanted, data, out, data_name=data_name, data_dir=data_dir, device=device, jobs=jobs)
    return collect(models, columns, seeds, data, out, scale=scale, page=page)


def there(
    models: list[str], columns: tuple[str, ...], seeds: int | None, data: Dataset, out: Path, scale: float
) -> dict[str, Measured | None]:
    """{name of its folder: what it left} of every run, None where it has not been measured; in the order of `names`."""
    return {
        folder(out, block.model, block.backend, seed).name: one
        for block in blocks(models, columns, seeds, lambda model: steps_of(model, data, scale), jobs=1)
        for seed, one in read_block(out, block, data).items()
    }


def collect(
    models: list[str], columns: tuple[str, ...], seeds: int | None, data: Dataset, out: Path, *,
    scale: float, page: Path | None,
) -> str:  # fmt: skip
    """Judge the runs that are in `out`, write `out`/results.json and results.md, and put the tables into `page`, with the JSON
    beside it. Returns the tables.

    Raises UsageError if `page` has no place for them, or if no run is there.
    """
    if page:
        check_place(page, BEGIN, END)
    planned = there(models, columns, seeds, data, out, scale)
    found = [one for one in planned.values() if one]
    if not found:
        raise UsageError(f"{out}: no finished run of these models, backends and lengths; train them first")
    table = rows(found)
    value = {
        "data": {"name": data.name, "digest": data.digest, "description": data.description},
        "alpha": ALPHA,
        "power": POWER,
        "judged": environment.describe(),
        "runs": {
            "planned": len(planned),
            "measured": len(found),
            "failed": [f"{one.model} in {one.backend}, seed {one.seed}: {one.failed}" for one in found if one.failed],
            "environments": [json.loads(text) for text in sorted({json.dumps(one.environment) for one in found})],
            "minutes": {b: sum(one.seconds for one in found if one.backend == b) / 60 for b in columns},
        },
        "rows": [results_page.of_row(row, row.verdicts()) for row in table],
    }
    text = results_page.markdown(value, columns)
    write_json(out / "results.json", value)
    drawn = results_page.picture(value["rows"], out / "results.png")
    write_atomically(out / "results.md", (results_page.shown("results.png") * drawn + text).encode())
    if page:
        if drawn:
            images = page.parent / "images"
            images.mkdir(exist_ok=True)
            write_atomically(images / "results.png", (out / "results.png").read_bytes())
        put_between(page, BEGIN, END, results_page.shown("images/results.png") * drawn + text)
        write_json(page.with_suffix(".json"), value)
    return text


def check_models(models: list[str]) -> list[str]:
    """The names as they are, or all models of MNIST's pictures. Raises UsageError for one that is no model, or a variant."""
    for name in models:
        if get(name).name not in SPECS:
            raise UsageError(f"{name} is a variant; choose one of: {', '.join(SPECS)}")
    return list(dict.fromkeys(models)) or [name for name, spec in SPECS.items() if spec.images.picture == (1, 28, 28)]
