"""The training loop, the same for every backend: many updates per call, metrics, figures, checkpoints, progress.

A run's folder holds
    run.json                 what was run: model, backend, data, seed, precision, specification, versions, hardware
    metrics.jsonl            one line per step {"step", losses} and one per evaluation {"step", "epoch", "test"}
    checkpoint.safetensors   parameters, Adam moments and step of the last evaluation
    figures/*.png            reconstructions and samples at each evaluation, loss curves at the end
"""

import dataclasses
import json
import math
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import backends
from common import checkpoint, environment, figures
from common.console import progress_bar
from common.contract import Column, Snapshot
from common.data import Dataset
from common.data.batches import batch_indices, batches_per_epoch, model_input
from common.errors import CheckpointError, NonFiniteLoss, UsageError
from common.noise import draw, draw_steps
from common.parameters import initial_parameters
from common.specs.records import Spec

STEPS_PER_CALL = 100
EVALUATION_BATCH = 1000
FIGURE_IMAGES = 10


@dataclass(frozen=True)
class Options:
    """How to train; what is to be trained is the Spec, on what is the Dataset."""

    backend: str
    steps: int
    batch_size: int
    seed: int = 0
    dtype: str = "float32"
    device: str = "cpu"
    noise: str = "native"  # "native": drawn on the device; "replayed": from NumPy, the same bits in every backend


def batch_size(spec: Spec, data: Dataset) -> int:
    """The specification's batch size, or all images where there are fewer."""
    return min(spec.batch_size, len(data.train_images))


def steps_of(spec: Spec, data: Dataset, batch_size: int, epochs: int | None, steps: int | None) -> int:
    """The number of training steps asked for: `steps`, else `epochs`, else the specification's own length."""
    per_epoch = batches_per_epoch(len(data.train_images), batch_size)
    if steps is not None:
        return steps
    if epochs is not None:
        return epochs * per_epoch
    return spec.steps or spec.epochs * per_epoch


def train(spec: Spec, data: Dataset, options: Options, out: Path, *, resume: bool = False, quiet: bool = False):
    """Train into the folder `out`, which exists only with `resume`. Returns (column, row of the last evaluation).

    Raises NonFiniteLoss at the first loss that is not finite; the last checkpoint stays.
    """
    column = backends.create(
        options.backend,
        spec,
        initial_parameters(spec, options.seed),
        dtype=options.dtype,
        device=options.device,
        seed=options.seed,
    )
    run = _Run(spec, data, options, out)
    if resume:
        run.resume(column)
    else:
        run.start()
    column.upload(data.train_images)
    result = {}
    with progress_bar(f"{spec.name} {options.backend}", quiet) as progress:
        task = progress.add_task("", total=options.steps, completed=column.step, note="")
        while column.step < options.steps:
            row = run.advance(column)
            progress.update(task, completed=column.step, note=_note(row))
            if run.evaluation_due(column.step):
                result = run.evaluate(column)
    figures.loss_curves(spec, {options.backend: run.metrics()}, out / "figures" / "losses.png")
    return column, result


def evaluate(column: Column, data: Dataset, seed: int) -> dict[str, float]:
    """Mean losses per image on the test images; the noise is the same in every backend."""
    spec, totals, images = column.spec, {}, data.test_images
    for number, start in enumerate(range(0, len(images), EVALUATION_BATCH)):
        x = model_input(spec, images[start : start + EVALUATION_BATCH])
        values = column.losses(x, draw(spec.noise, len(x), seed, "evaluation", number))
        for name, value in values.items():
            totals[name] = totals.get(name, 0.0) + value * (1 if spec.reduction == "sum" else len(x))
    return {name: total / len(images) for name, total in totals.items()}


def pictures(column: Column, data: Dataset, seed: int) -> dict[str, np.ndarray]:
    """{"originals", "reconstructions", "samples"}: (N, 784) in the model's range, from the same inputs in every backend."""
    spec = column.spec
    x = model_input(spec, data.test_images[:FIGURE_IMAGES])
    result = {"originals": x}
    if spec.reconstruct:
        result["reconstructions"] = column.reconstruct(x, draw(spec.noise, len(x), seed, "evaluation", 0))
    if spec.sample:
        result["samples"] = column.sample(draw(spec.sampling_noise, FIGURE_IMAGES**2, seed, "sampling", 0))
    return result


class _Run:
    """The folder of one run, and the parts of the loop that write to it."""

    def __init__(self, spec, data, options, out):
        self.spec, self.data, self.options, self.out = spec, data, options, out
        self.per_epoch = batches_per_epoch(len(data.train_images), options.batch_size)
        # Every epoch, unless epochs are short: then every so many epochs as make 200 steps.
        self.interval = self.per_epoch * math.ceil(200 / self.per_epoch)
        self.checkpoint, self.metrics_path = out / "checkpoint.safetensors", out / "metrics.jsonl"

    def start(self):
        self.started = time.perf_counter()
        (self.out / "figures").mkdir(parents=True)
        checkpoint.write_json(self.out / "run.json", self.description())
        self.metrics_path.touch()

    def description(self):
        return {
            "model": self.spec.name,
            "data": {"name": self.data.name, "description": self.data.description},
            "options": dataclasses.asdict(self.options),
            "fingerprint": self.spec.fingerprint(),
            "environment": environment.describe(self.options.backend),
        }

    def resume(self, column):
        self.started = time.perf_counter()
        before, now = read_run(self.out), self.description()
        for run in (before, now):
            run |= run.pop("options") | {"data": run["data"]["name"]}
        for key in ("model", "data", "backend", "batch_size", "seed", "dtype", "noise"):
            if before[key] != now[key]:
                raise UsageError(
                    f"{self.out}: the run to resume has {key} {before[key]!r}, not {now[key]!r}; use the same"
                )
        column.restore(checkpoint.load_checkpoint(self.checkpoint, self.spec))
        kept = [row for row in self.metrics() if row["step"] <= column.step]
        checkpoint.write_atomically(self.metrics_path, "".join(json.dumps(row) + "\n" for row in kept).encode())

    def metrics(self):
        return read_metrics(self.metrics_path)

    def evaluation_due(self, step):
        return step % self.interval == 0 or step == self.options.steps

    def advance(self, column):
        """Up to STEPS_PER_CALL steps, stopping where an evaluation is due; writes and returns the losses."""
        options, first = self.options, column.step
        stop = min(first + STEPS_PER_CALL, (first // self.interval + 1) * self.interval, options.steps)
        steps = range(first, stop)
        indices = batch_indices(len(self.data.train_images), options.batch_size, options.seed, steps)
        noise = None
        if options.noise == "replayed":
            noise = draw_steps(self.spec.noise, options.batch_size, options.seed, "training", steps)
        losses = column.train_steps(indices, noise)
        finite = np.all([np.isfinite(values) for values in losses.values()], axis=0)
        good = len(steps) if finite.all() else int(np.argmin(finite))
        rows = [{"step": first + k + 1} | {n: float(v[k]) for n, v in losses.items()} for k in range(good)]
        with open(self.metrics_path, "a") as file:
            file.write("".join(json.dumps(row) + "\n" for row in rows))
        if good < len(steps):
            bad = ", ".join(f"{name} = {values[good]}" for name, values in losses.items())
            kept = (
                f"the last checkpoint is kept in {self.checkpoint}" if self.checkpoint.exists() else "nothing was saved"
            )
            raise NonFiniteLoss(f"{self.spec.name} in {options.backend}: at step {first + good + 1} {bad}; {kept}")
        return rows[-1]

    def evaluate(self, column):
        epoch = column.step / self.per_epoch
        row = {"step": column.step, "epoch": round(epoch, 3), "test": evaluate(column, self.data, self.options.seed)}
        row["seconds"] = round(time.perf_counter() - self.started, 3)
        checkpoint.save_checkpoint(self.checkpoint, self.spec, Snapshot.of(column))
        with open(self.metrics_path, "a") as file:
            file.write(json.dumps(row) + "\n")
        images = pictures(column, self.data, self.options.seed)
        if "reconstructions" in images:
            figures.reconstructions(self.spec, images, self.out / "figures" / f"reconstructions-{column.step:07d}.png")
        if "samples" in images:
            figures.grid(self.spec, images["samples"], self.out / "figures" / f"samples-{column.step:07d}.png")
        return row


def prepare_folder(out: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse an output folder that exists, unless it is to be resumed or overwritten. Raises UsageError."""
    if resume and not (out / "checkpoint.safetensors").exists():
        raise CheckpointError(f"{out}: expected a run with a checkpoint to resume, found none; train without --resume")
    if not out.exists() or resume:
        return
    if not overwrite:
        raise UsageError(f"{out}: the folder exists; choose another --out, or add --resume or --overwrite")
    if not out.is_dir() or (
        any(out.iterdir()) and not (out / "run.json").exists() and not (out / "report.json").exists()
    ):
        raise UsageError(f"{out}: not a folder that tetrapla wrote, so it is not overwritten; choose another --out")
    shutil.rmtree(out)


def read_run(out: Path) -> dict:
    """run.json of a run's folder. Raises UsageError if it is not one."""
    try:
        return json.loads((out / "run.json").read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise UsageError(f"{out}: expected the folder of a run with a run.json ({error})") from error


def read_metrics(path: Path) -> list[dict]:
    """The rows of a metrics.jsonl; a last line that a kill cut short is left out."""
    rows = []
    for line in path.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


def _note(row):
    return "  ".join(f"{name} {value:.4g}" for name, value in row.items() if name != "step")
