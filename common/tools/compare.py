"""The `compare` command: staged parity and a short training in every backend, each in its own process, and a report."""

import itertools
import json
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from backends import versions
from common import environment, parity
from common.checkpoint import write_atomically, write_json
from common.data import Dataset
from common.specs.records import Spec
from common.terminal import progress_bar
from common.tools import figures, training
from common.tools.compare_worker import oracle_path, read_results, write_results
from common.tools.pages import template


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

    @property
    def passed(self) -> bool:
        every = itertools.chain(*self.stages.values(), *self.pairs.values())
        return not self.crashes and all(stage.passed for stage in every)

    def worst(self, backend: str | None = None) -> tuple[str, parity.Stage]:
        """(whose, stage) of the largest float64 deviation: any at all, or of one backend from the oracle.

        The complex step is left out: its deviation is largely its own error.
        """
        rows = [(f"{b} - oracle", stages) for (dtype, b), stages in self.stages.items() if dtype == "float64"]
        rows = [row for row in rows if backend in (None, row[0].split()[0])]
        if backend is None:
            rows += [(f"{a} - {b}", stages) for (a, b), stages in self.pairs.items()]
        flat = [(who, stage) for who, stages in rows for stage in stages if stage.name != parity.COMPLEX_STEP]
        return max(flat, key=lambda row: row[1].deviation)


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
) -> list[ModelReport]:
    """Run everything into `out`: per model and backend a folder, `report.json`, `report.html` and the plots."""
    out.mkdir(parents=True)
    reports = []
    with progress_bar("compare") as progress:
        task = progress.add_task("", total=len(specs) * (len(backends) + 1), note="")
        for spec in specs:
            report, folders = ModelReport(spec, spec.training.parity_rate if rate is None else rate), {}
            batch = training.batch_size(spec, data)
            training_steps = training.steps_of(spec, data, batch, train_epochs, train_steps)
            case = parity.Case(spec.calmed(report.rate), data.train_images, steps=steps, seed=seed)
            progress.update(task, note=f"{spec.name}: oracle")
            oracle = _ask_oracle(case, out / spec.name)
            progress.advance(task)
            for backend in backends:
                progress.update(task, note=f"{spec.name} in {backend}")
                job = {
                    "model": spec.name,
                    "backend": backend,
                    "data": data_name,
                    "data_dir": str(data_dir) if data_dir else None,
                    "device": device,
                    "seed": seed,
                    "steps": steps,
                    "rate": report.rate,
                    "train_steps": training_steps,
                }
                folder = (out / spec.name / backend).resolve()
                crash = _run_worker(job, folder)
                if crash:
                    report.crashes[backend] = crash
                else:
                    folders[backend] = folder
                progress.advance(task)
            _judge(report, case, oracle, folders)
            _draw(report, out, folders)
            for path in (out / spec.name).rglob("*.safetensors"):
                path.unlink()  # gigabytes, for the larger models
            reports.append(report)
    _write_report(reports, backends, data, out, seed=seed, steps=steps, rate=rate, device=device)
    return reports


def _run_worker(job: dict, folder: Path) -> str | None:
    """None if the worker finished, else the last line that it said; everything it said is in worker.log."""
    folder.mkdir(parents=True)
    write_json(folder / "job.json", job)
    with open(folder / "worker.log", "w") as log:
        command = [sys.executable, "-m", "common.tools.compare_worker", str(folder / "job.json")]
        code = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, cwd=environment.ROOT).returncode
    if code == 0:
        return None
    lines = (folder / "worker.log").read_text(errors="replace").strip().splitlines()
    return f"exit code {code}: {lines[-1] if lines else 'no output'} (all of it in {folder / 'worker.log'})"


def _ask_oracle(case, folder):
    """{dtype: Results} of the oracle; what it passes along the many updates is left in files for the workers."""
    folder.mkdir(parents=True)

    def watch(step, tensors):
        write_results(oracle_path(folder, step), {"": tensors})

    return {"float64": parity.expected(case, "float64", watch), "float32": parity.expected(case, "float32")}


def _judge(report, case, oracle, folders):
    for dtype in ("float64", "float32"):
        found = {backend: read_results(folder / f"{dtype}.safetensors") for backend, folder in folders.items()}
        for backend, results in found.items():
            report.stages[dtype, backend] = parity.compare(oracle[dtype], results, dtype, report.spec)
            report.growth[dtype, backend] = json.loads((folders[backend] / "growth.json").read_text())[dtype]
        if dtype == "float64":
            slopes = parity.slopes(case)
            for backend, results in found.items():
                report.stages[dtype, backend].append(parity.slope_deviation(slopes, results["gradients"]))
            for a, b in itertools.combinations(found, 2):
                report.pairs[a, b] = parity.compare(found[a], found[b], dtype, report.spec)


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
        reports=reports, backends=backends, value=value, stage_names=_stage_names(settings["steps"])
    )
    write_atomically(out / "report.html", html.encode())


def _stage_names(steps):
    return {parity.MANY: f"{steps} updates"}


def _plain(report):
    def rows(stages):
        return [asdict(stage) | {"passed": stage.passed} for stage in stages]

    return {
        "passed": report.passed,
        "rate": report.rate,
        "against_oracle": {f"{b} {dtype}": rows(stages) for (dtype, b), stages in report.stages.items()},
        "between_backends": {f"{a} - {b} float64": rows(stages) for (a, b), stages in report.pairs.items()},
        "growth": {f"{b} {dtype}": rows for (dtype, b), rows in report.growth.items()},
        "crashes": report.crashes,
        "training": report.training,
    }
