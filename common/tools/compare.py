"""The `compare` command: staged parity and a short training in every backend, each in its own process, and a report."""

import contextlib
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from backends import versions
from common import environment, parity
from common.checkpoint import write_atomically, write_json
from common.data import Dataset
from common.errors import TetraplaError
from common.specs.records import Spec
from common.terminal import progress_bar
from common.tools import figures, training
from common.tools.compare_worker import DTYPES, ORACLE, read_slopes
from common.tools.pages import template
from common.truths import read_results, read_truth


@dataclass
class ModelReport:
    """What was found for one model. Keys of `stages` are (dtype, backend), of `pairs` (backend, backend)."""

    spec: Spec
    rate: float = 1.0  # what the learning rates were multiplied by
    stages: dict[tuple[str, str], list[parity.Stage]] = field(default_factory=dict)
    pairs: dict[tuple[str, str], list[parity.Stage]] = field(default_factory=dict)
    crashes: dict[str, str] = field(default_factory=dict)
    growth: dict[tuple[str, str], list] = field(default_factory=dict)  # [step, deviation from the oracle, tensor]
    training: dict[str, dict] = field(default_factory=dict)
    images: list[Path] = field(default_factory=list)
    job: dict = field(default_factory=dict)
    seconds: float = 0.0

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
    proven: Callable[[ModelReport], None] = lambda report: None,
) -> list[ModelReport]:
    """Run everything into `out`: per model and backend a folder, `report.json`, `report.html` and the plots.

    Small models come first, and `proven` is told of each when it is done. The result is in the order of `specs`. The
    oracle goes ahead, while the backends, in turn, are at the model before.
    """
    out.mkdir(parents=True)
    reports = {}
    job = {"data": data_name, "data_dir": str(Path(data_dir).resolve()) if data_dir else None, "device": device}
    job |= {"seed": seed, "steps": steps}
    order = sorted(specs, key=_cost)
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(progress_bar("compare"))
        task = progress.add_task("", total=len(specs) * (len(backends) + 1), note="starting")
        workers = {name: stack.enter_context(Worker(out / f"{name}.log")) for name in (ORACLE, *backends)}
        for spec in order:
            report = reports[spec.name] = ModelReport(spec, spec.training.parity_rate if rate is None else rate)
            batch = training.batch_size(spec, data)
            length = training.steps_of(
                spec, data, batch, train_epochs, None if train_epochs else train_steps or short(spec)
            )
            report.job = job | {"model": spec.name, "rate": report.rate, "train_steps": length}
            workers[ORACLE].give(report.job | {"backend": ORACLE}, out / spec.name / ORACLE)
        for spec in order:
            report, folders, started = reports[spec.name], {}, time.perf_counter()
            progress.update(task, note=f"{spec.name}: oracle")
            if problem := workers[ORACLE].wait(out / spec.name / ORACLE):
                raise TetraplaError(f"the oracle did not finish {spec.name}: {problem}")
            progress.advance(task)
            for backend in backends:
                progress.update(task, note=f"{spec.name} in {backend}")
                folder = out / spec.name / backend
                workers[backend].give(report.job | {"backend": backend}, folder)
                problem = workers[backend].wait(folder)
                if problem:
                    report.crashes[backend] = problem
                else:
                    folders[backend] = folder
                progress.advance(task)
            _judge(report, out / spec.name / ORACLE, folders)
            _draw(report, out, folders)
            for path in (out / spec.name).rglob("*.safetensors"):
                path.unlink()  # gigabytes, for the larger models
            report.seconds = time.perf_counter() - started
            proven(report)
    result = [reports[spec.name] for spec in specs]
    _write_report(result, backends, data, out, seed=seed, steps=steps, rate=rate, device=device)
    return result


def short(spec: Spec) -> int:
    """Steps of the short training, unless asked otherwise: fewer where each takes long."""
    return 60 if spec.convolutional else 300


def _cost(spec):
    """What a model takes, roughly: a weight of a convolution is used at every place of an image."""
    return spec.parameter_count() * (10 if spec.convolutional else 1)


class Worker:
    """A process that does the jobs of one backend, or of the oracle; it ends with the `with` statement. One that dies takes
    the job with it that it was at; the next job starts another."""

    def __init__(self, log: Path):
        # -P: nothing is imported from the user's folder, which stays the folder that relative paths begin at.
        self.command = [sys.executable, "-P", "-m", "common.tools.compare_worker"]
        self.log, self.process = log, None

    def __enter__(self):
        self._start()
        return self

    def __exit__(self, error, *_):
        self._stop(0 if error else 10)

    def give(self, job: dict, folder: Path) -> None:
        """Have `job` done into a new `folder`, after those that were given before."""
        folder.mkdir(parents=True)
        write_json(folder / "job.json", job)
        if self.process.poll() is not None:
            self._stop()
            self._start()
        with contextlib.suppress(BrokenPipeError):  # it died just now: `wait` says so
            self.process.stdin.write(f"{(folder / 'job.json').resolve()}\n")
            self.process.stdin.flush()

    def wait(self, folder: Path) -> str | None:
        """None when the job of `folder` is done, or what went wrong with it."""
        while not (folder / "done").exists():
            if self.process.poll() is not None and not (folder / "done").exists():
                lines = self.log.read_text(errors="replace").strip().splitlines()
                said = lines[-1] if lines else "no output"
                return f"exit code {self.process.returncode}: {said} (all of it in {self.log})"
            time.sleep(0.02)
        return (folder / "done").read_text() or None

    def _start(self):
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, text=True
            )

    def _stop(self, patience: float = 0):
        """End the process: by itself within so many seconds, as one does that has nothing left to read, or else at once."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _judge(report, oracle, folders):
    for dtype in DTYPES:
        truth = read_truth(oracle, dtype)
        found = {backend: read_results(folder / f"{dtype}.safetensors") for backend, folder in folders.items()}
        for backend, results in found.items():
            report.stages[dtype, backend] = parity.compare(truth, results, dtype)
            report.growth[dtype, backend] = json.loads((folders[backend] / "growth.json").read_text())[dtype]
        if dtype == "float64":
            slopes = read_slopes(oracle)
            for backend, results in found.items():
                report.stages[dtype, backend].append(parity.slope_deviation(slopes, results["gradients"]))
            for a, b in itertools.combinations(found, 2):
                report.pairs[a, b] = parity.compare(replace(truth, results=found[a]), found[b], dtype)


def _draw(report, out, folders):
    if not folders:
        return
    metrics = {backend: training.read_metrics(folder / "run" / "metrics.jsonl") for backend, folder in folders.items()}
    pictures = {backend: read_results(folder / "pictures.safetensors")[""] for backend, folder in folders.items()}
    report.training = {backend: rows[-1] for backend, rows in metrics.items()}
    curves = out / f"{report.spec.name}-losses.png"
    figures.loss_curves(report.spec, metrics, curves)
    growth = out / f"{report.spec.name}-growth.png"
    figures.growth(report.spec, report.growth, growth)
    report.images = [growth, curves, *figures.side_by_side(report.spec, pictures, out)]


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
