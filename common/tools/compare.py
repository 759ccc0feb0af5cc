"""The `compare` command: staged parity and a short training in every backend, each in its own process, and a report."""

import contextlib
import functools
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from backends import TITLES, versions
from common import environment, parity
from common.checkpoint import write_atomically, write_json
from common.data import Dataset
from common.errors import TetraplaError
from common.specs.records import Spec
from common.terminal import progress_bar
from common.tools import figures, training
from common.tools.compare_tasks import ORACLE, agenda, work
from common.tools.compare_worker import DTYPES, PICTURES, oracle_of, read_slopes
from common.tools.pages import template
from common.truths import read_results, read_truth
from common.worlds import PER_REPLICA

LARGE = 2e7  # parameters; with their gradients, accumulators and what is compared of them they take gigabytes


@dataclass
class ModelReport:
    """What was found for one model. Keys of `stages` are (dtype, backend), of `pairs` (backend, backend)."""

    spec: Spec
    rate: float = 1.0  # what the learning rates were multiplied by
    replicas: bool = False  # whether some backends' batch norms saw the rows of one worker
    stages: dict[tuple[str, str], list[parity.Stage]] = field(default_factory=dict)
    pairs: dict[tuple[str, str], list[parity.Stage]] = field(default_factory=dict)
    crashes: dict[str, str] = field(default_factory=dict)  # {backend: what it said}, in its proof or its training
    unproven: set[str] = field(default_factory=set)  # those that crashed in their proof
    growth: dict[tuple[str, str], list] = field(default_factory=dict)  # [step, deviation from the oracle, tensor]
    training: dict[str, dict] = field(default_factory=dict)
    images: list[Path] = field(default_factory=list)
    seconds: float = 0.0  # from the start of the comparison to this result

    @property
    def passed(self) -> bool:
        every = itertools.chain(*self.stages.values(), *self.pairs.values())
        return not self.crashes and all(stage.passed for stage in every)

    @property
    def twin(self) -> Spec | None:
        """The specification that many updates ran on, where it is another."""
        return self.spec.training.twin

    def worst(self, backend: str | None = None, dtype: str = "float64") -> tuple[str, parity.Stage]:
        """(whose, stage) of what is nearest to its bar: of any at all, or of one backend's deviations from the oracle.

        The complex step is left out: its deviation is largely its own error.
        """
        rows = [(f"{b} - oracle", stages) for (of, b), stages in self.stages.items() if of == dtype]
        rows = [row for row in rows if backend in (None, row[0].split()[0])]
        if backend is None and dtype == "float64":
            rows += [(f"{a} - {b}", stages) for (a, b), stages in self.pairs.items()]
        flat = [(who, stage) for who, stages in rows for stage in stages if stage.name != parity.COMPLEX_STEP]
        return max(flat, key=lambda row: (not row[1].passed, row[1].share))

    def failures(self) -> list[tuple[str, str, parity.Stage, str]]:
        """(backend, dtype, the stage at which it parts, what to make of it) of every backend that does."""
        rows = []
        for (dtype, backend), stages in self.stages.items():
            if failed := parity.first_failure(stages):
                in_float64 = parity.first_failure(self.stages["float64", backend])
                rows.append((backend, dtype, failed, parity.reading(failed, dtype, in_float64)))
        return rows


def compare(
    specs: list[Spec],
    backends: tuple[str, ...],
    data: Dataset,
    out: Path,
    *,
    data_name: str,
    data_dir: Path | None,
    seed: int,
    steps: int,
    rate: float | None,
    train_steps: int | None,
    train_epochs: int | None,
    device: str,
    workers: int = 1,
    proven: Callable[[ModelReport], None] = lambda report: None,
) -> list[ModelReport]:
    """Run everything into `out`: per model and backend a folder, `report.json`, `report.html` and the plots.

    Small models come first, trainings after all proofs, and `proven` is told of each model that has been proven. The result
    is in the order of `specs`. With several `workers` that many processes of each backend prove and train a model together.
    What an earlier comparison into `out` was told and found alike, and has not judged yet, is not done again.
    """
    out.mkdir(parents=True, exist_ok=True)
    reports = {}
    job = {"data": data_name, "data_dir": str(Path(data_dir).resolve()) if data_dir else None, "device": device}
    job |= {"seed": seed, "steps": steps, "workers": workers}
    unsynchronised = workers > 1 and device == "cpu" and any(backend in PER_REPLICA for backend in backends)
    jobs, begun = {}, time.perf_counter()
    order = sorted(specs, key=_cost)
    for spec in order:
        report = reports[spec.name] = ModelReport(spec, spec.training.parity_rate if rate is None else rate)
        batch = training.batch_size(spec, data)
        length = training.steps_of(
            spec, data, batch, train_epochs, None if train_epochs else train_steps or short(spec)
        )
        jobs[spec.name] = job | {"model": spec.name, "rate": report.rate, "train_steps": length}
        jobs[spec.name]["large"] = spec.parameter_count() > LARGE
        jobs[spec.name]["replicas"] = report.replicas = unsynchronised and bool(spec.statistic_shapes())
    tasks = agenda([spec.name for spec in order], backends, out)
    left = Counter((task.kind, task.model) for task in tasks)
    with progress_bar("compare") as progress, contextlib.closing(work(tasks, jobs, out, workers, device)) as events:
        bar = progress.add_task("", total=len(tasks), note="starting")
        for started, task, problem in events:
            progress.update(bar, note=", ".join(f"{one.kind} {one.model} in {one.party}" for one in started))
            if task is None:
                continue
            progress.advance(bar)
            report = reports[task.model]
            if problem and task.party == ORACLE:
                raise TetraplaError(f"the oracle did not finish {task.model}: {problem}")
            if problem:
                report.crashes[task.party] = problem
                if task.kind == "prove":
                    report.unproven.add(task.party)
                    left["train", task.model] -= 1
            left[task.kind, task.model] -= 1
            if task.kind == "prove" and not left["prove", task.model]:
                _judge(report, backends, out)
                report.seconds = time.perf_counter() - begun
                proven(report)
            if task.party != ORACLE and not left["prove", task.model] and not left["train", task.model]:
                _draw(report, backends, out)
    result = [reports[spec.name] for spec in specs]
    _write_report(result, backends, data, out, seed=seed, steps=steps, rate=rate, device=device, workers=workers)
    return result


def short(spec: Spec) -> int:
    """Steps of the short training, unless asked otherwise: fewer where each takes long."""
    if spec.convolutional:
        return 30
    return 300 if spec.parameter_count() < 1e6 else 100


def _cost(spec):
    """What a model takes, roughly: a weight of a convolution is used at every place of an image."""
    return spec.parameter_count() * (100 if spec.convolutional else 1)


def _folders(report, backends, out, without):
    """{backend: its folder}."""
    return {b: out / report.spec.name / b for b in backends if b not in without}


def _judge(report, backends, out):
    """What has been proven of one model."""
    folders = _folders(report, backends, out, report.unproven)
    for dtype in DTYPES:
        _judge_in(report, folders, out / report.spec.name, dtype)
    for path in (out / report.spec.name).glob("*/*.safetensors"):  # gigabytes, for the larger models
        if path.name != PICTURES:  # of a backend that trains already
            path.unlink()


def _judge_in(report, folders, out, dtype):
    oracles = {backend: oracle_of({"replicas": report.replicas}, backend) for backend in folders}
    truths = {name: read_truth(out / name, dtype) for name in {*oracles.values()}}

    @functools.lru_cache(maxsize=2)  # of a large model a backend's are gigabytes
    def found(backend):
        return read_results(folders[backend] / f"{dtype}.safetensors")

    slopes = {name: read_slopes(out / name) for name in truths} if dtype == "float64" else {}
    for backend, folder in folders.items():
        stages = parity.compare(truths[oracles[backend]], found(backend), dtype)
        if slopes:
            stages.append(parity.slope_deviation(slopes[oracles[backend]], found(backend)["gradients"]))
        report.stages[dtype, backend] = stages
        report.growth[dtype, backend] = json.loads((folder / "growth.json").read_text())[dtype]
    if dtype == "float32":
        return
    for a, b in itertools.combinations(folders, 2):
        if oracles[a] == oracles[b]:
            report.pairs[a, b] = parity.compare(truths[oracles[a]].between(found(a)), found(b), dtype)


def _draw(report, backends, out):
    """What is to be seen of one model, now that it has been trained."""
    folders = _folders(report, backends, out, report.crashes)
    if not folders:
        return
    metrics = {backend: training.read_metrics(folder / "run" / "metrics.jsonl") for backend, folder in folders.items()}
    pictures = {backend: read_results(folder / PICTURES)[""] for backend, folder in folders.items()}
    report.training = {backend: rows[-1] for backend, rows in metrics.items()}
    curves = out / f"{report.spec.name}-losses.png"
    figures.loss_curves(report.spec, metrics, curves)
    growth = out / f"{report.spec.name}-growth.png"
    figures.growth(report.spec, report.growth, growth)
    report.images = [growth, curves, *figures.side_by_side(report.spec, pictures, out)]
    for path in (out / report.spec.name).rglob("*.safetensors"):
        path.unlink()


def _write_report(reports, backends, data, out, **settings):
    value = {
        "passed": all(report.passed for report in reports),
        "data": {"name": data.name, "description": data.description},
        "settings": settings,
        "environment": environment.describe() | {"backends": {b: versions(b) for b in backends}},
        "models": {report.spec.name: _plain(report) for report in reports},
    }
    write_json(out / "report.json", value)
    html = template("compare.html").render(
        reports=reports,
        backends=backends,
        value=value,
        stage_names=_stage_names(settings["steps"]),
        factor=parity.FACTOR,
        per_replica=[backend for backend in backends if backend in PER_REPLICA],
        titles=TITLES,
    )
    write_atomically(out / "report.html", html.encode())


def _stage_names(steps):
    return {parity.MANY: f"{steps} updates"}


def _plain(report):
    def rows(stages):
        return [
            asdict(stage)
            | {"passed": stage.passed, "floor": stage.tolerance / parity.FACTOR, "times_floor": stage.times_floor}
            for stage in stages
        ]

    return {
        "passed": report.passed,
        "rate": report.rate,
        "against_oracle": {f"{b} {dtype}": rows(stages) for (dtype, b), stages in report.stages.items()},
        "between_backends": {f"{a} - {b} float64": rows(stages) for (a, b), stages in report.pairs.items()},
        "growth": {f"{b} {dtype}": rows for (dtype, b), rows in report.growth.items()},
        "crashes": report.crashes,
        "parameters_of_many_updates": (report.twin or report.spec).parameter_count(),
        "failures": [
            {
                "backend": b,
                "dtype": d,
                "stage": stage.name,
                "tensor": stage.tensor,
                "times_floor": stage.times_floor,
                "reading": r,
            }
            for b, d, stage, r in report.failures()
        ],
        "training": report.training,
    }
