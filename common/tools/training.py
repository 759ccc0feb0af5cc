"""The training loop, the same for every backend: many updates per call, metrics, figures, checkpoints, progress.

A run's folder holds
    run.json                 what was run: model, data, options, specification; and for every session (the first and each
                             resumption) command, backend, versions, hardware, git commit, time and peak memory
    metrics.jsonl            one line per step {"step", losses} and one per evaluation {"step", "epoch", "test"}
    checkpoint.safetensors   everything that training changes, as of the last checkpoint
    figures/*.png            reconstructions and samples at each evaluation, loss curves at the end
    kept/STEP.safetensors    with --keep N: at each evaluation `samples` (100, 28, 28) uint8, and `codes` (N, ...) of the
                             first N test images
    .tetrapla.lock           held by the process that writes

Whatever a checkpoint depends on (metrics up to its step, figures) is on disk before it, so that resuming from it, however
the process ended, leaves the folder as if it had never stopped.
"""

import dataclasses
import json
import math
import os
import shlex
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import filelock
import numpy as np
import safetensors.numpy

import backends
from common import checkpoint, environment, workers
from common.contract import STEPS_PER_CALL, Column, Snapshot
from common.data import Dataset
from common.data.batches import batch_indices, batches_per_epoch, in_batches, model_inputs, row_sets, to_bytes
from common.errors import NonFiniteLoss, UsageError
from common.noise import draw, draw_steps
from common.parameters import initial_parameters
from common.specs.records import Spec
from common.terminal import progress_bar
from common.tools import figures, logs
from common.workers import ALONE, World

EVALUATION_BATCH = 1000
FIGURE_IMAGES = 10
LOCK = ".tetrapla.lock"
OURS = ("run.json", "report.json", LOCK)  # one of them is in every folder that we wrote


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
    checkpoint_every: int | None = None  # steps; None: at each evaluation
    evaluate_every: int | None = None  # steps; None: every epoch, or every 200 steps where epochs are shorter
    keep: int = 0  # test images whose codes are kept at each evaluation, with samples
    log: str | None = None  # of LOGS: what is written besides


def batch_size(spec: Spec, data: Dataset) -> int:
    """The specification's batch size, or all images where there are fewer."""
    return min(spec.training.batch_size, len(data.train_images))


def steps_of(spec: Spec, data: Dataset, batch_size: int, epochs: int | None, steps: int | None) -> int:
    """The number of training steps asked for: `steps`, else `epochs`, else the specification's own length."""
    per_epoch = batches_per_epoch(len(data.train_images), batch_size)
    if steps is not None:
        return steps
    if epochs is not None:
        return epochs * per_epoch
    return spec.training.steps or spec.training.epochs * per_epoch


def train(
    spec: Spec,
    data: Dataset,
    options: Options,
    out: Path,
    *,
    resume: bool = False,
    quiet: bool = False,
    world: World = ALONE,
) -> tuple[Column, dict]:
    """Train into the folder `out`, which may exist only with `resume`, and goes on from what it holds. Returns (column, row of the
    last evaluation).

    The training images are handed to the device and forgotten here: `data.train_images` is empty afterwards. In a `world` of
    several processes, of `backends.joined`, rank 0 alone evaluates and writes; the others return (column, {}).
    Raises NonFiniteLoss at the first loss that is not finite; the last checkpoint stays. Raises UsageError where the ranks are not
    given the same.
    """
    world.check_batch(options.batch_size)
    if world.count > 1:
        world.agree(_identity(spec, data, options))
    if not world.leads:
        return _follow(spec, data, options, world), {}
    out.mkdir(parents=True, exist_ok=resume)
    with _lock(out):
        column = _column(spec, options, world)
        run = _Run(spec, data, options, out, world)
        run.start() if _is_new(out) else run.resume(column)
        _go_on_from(column, world)
        column.upload(data.train)
        data.forget_training_images()
        result = run.last_evaluation()
        with progress_bar(f"{spec.name} {options.backend}", quiet) as progress:
            task = progress.add_task("", total=options.steps, completed=column.step, note="")
            while column.step < options.steps:
                row = run.advance(column)
                progress.update(task, completed=column.step, note=_note(row))
                if run.evaluation_due(column.step):
                    with column.alone():
                        result = run.evaluate(column)
                if run.checkpoint_due(column.step):
                    run.save(column)
        figures.loss_curves(spec, {options.backend: run.metrics()}, out / "figures" / "losses.png")
        run.finish(column.step)
    return column, result


def _follow(spec, data, options, world):
    """The share of a rank that does not lead."""
    column = _column(spec, options, world)
    _go_on_from(column, world)
    plan = _Plan(spec, data, options)
    plan.begin(column.step)
    column.upload(data.train)
    data.forget_training_images()
    while column.step < options.steps:
        _, losses = plan.steps(column)
        if not all(np.isfinite(values).all() for values in losses.values()):
            raise NonFiniteLoss(f"{spec.name} in {options.backend}: a loss is not finite; rank 0 says more")
    return column


def _column(spec, options, world):
    kind = {"dtype": options.dtype, "device": options.device, "seed": options.seed, "world": world}
    return backends.create(options.backend, spec, initial_parameters(spec, options.seed), **kind)


def _go_on_from(column, world):
    """Give every rank what the leading one has read from a checkpoint."""
    if world.count > 1 and world.gather(np.array(float(column.step)))[0] > 0:
        column.restore(world.led(Snapshot.of(column)))


def _identity(spec, data, options):
    """What must be the same in every rank."""
    return {
        "model": spec.name,
        "specification": spec.fingerprint()[:12],
        "data set": data.digest[:12],
        "number of labelled images": spec.training.labelled,
        **{name: getattr(options, name) for name in ("seed", "steps", "batch_size", "dtype", "noise", "device")},
        "evaluation interval": options.evaluate_every,
        "checkpoint interval": options.checkpoint_every,
        "versions": ", ".join(f"{name} {one}" for name, one in (backends.versions(options.backend) or {}).items()),
        "commit": environment.describe()["commit"],
    }


def call_lengths(first: int, last: int, *every: int | None) -> tuple[int, ...]:
    """The lengths, three at most, of the calls that lead from step `first` to step `last` over all multiples of `every`.

    Each length is compiled. STEPS_PER_CALL, and what is left before each stop where that is one of two numbers; else tens and
    ones.
    """
    multiples = [np.arange((first // each + 1) * each, last, each) for each in every if each]
    stops = np.unique(np.concatenate([[first, last], *multiples]))
    left = set((np.diff(stops) % STEPS_PER_CALL).tolist()) - {0}
    return (STEPS_PER_CALL, *sorted(left, reverse=True)) if len(left) <= 2 else (STEPS_PER_CALL, 10, 1)


def _lock(out):
    """The folder for this process alone; the system lifts the lock of a process that dies."""
    try:
        return filelock.FileLock(out / LOCK, timeout=0).acquire()
    except filelock.Timeout as error:
        raise UsageError(f"{out}: another process is training into this folder; choose another --out") from error


def evaluate(column: Column, data: Dataset, seed: int) -> dict[str, float]:
    """Mean losses per image on the test images; the noise is the same in every backend."""
    spec, totals, count = column.spec, {}, len(data.test_images)
    for number, start in enumerate(range(0, count, EVALUATION_BATCH)):
        inputs = model_inputs(spec, {name: part[start : start + EVALUATION_BATCH] for name, part in data.test.items()})
        size = min(EVALUATION_BATCH, count - start)
        values = column.losses(inputs, draw(spec.noise, size, seed, "evaluation", number))
        for name, value in values.items():
            totals[name] = totals.get(name, 0.0) + value * (1 if spec.reduction == "sum" else size)
    return {name: total / count for name, total in totals.items()}


def pictures(column: Column, data: Dataset, seed: int) -> dict[str, np.ndarray]:
    """{"originals", "reconstructions", "samples"}: (N, 784) in the model's range, from the same inputs in every backend."""
    spec = column.spec
    inputs = model_inputs(spec, {name: part[:FIGURE_IMAGES] for name, part in data.test.items()})
    count = len(inputs[spec.images.name])
    result = {"originals": inputs[spec.images.name]}
    if spec.reconstruct:
        result["reconstructions"] = column.reconstruct(inputs, draw(spec.noise, count, seed, "evaluation", 0))
    if spec.sample:
        result["samples"] = column.sample(draw(spec.sampling_noise, FIGURE_IMAGES**2, seed, "sampling", 0))
    return result


def codes(column: Column, images: np.ndarray) -> np.ndarray:
    """(N, ...) float32: what `encode` makes of uint8 images (N, ...)."""
    return in_batches(lambda part: column.encode(model_inputs(column.spec, {"images": part})), images)


class _Plan:
    """Which steps a call makes, and on what: the same in every process of a run."""

    def __init__(self, spec, data, options):
        self.spec, self.data, self.options = spec, data, options
        self.rows = row_sets(spec, data.train, options.seed)
        self.per_epoch = batches_per_epoch(len(data.train_images), options.batch_size)
        # Every epoch, unless epochs are short: then every so many epochs as make 200 steps.
        self.interval = options.evaluate_every or self.per_epoch * math.ceil(200 / self.per_epoch)

    def begin(self, step):
        """At `step`."""
        self.lengths = call_lengths(step, self.options.steps, self.interval, self.options.checkpoint_every)

    def call(self, step):
        """How many steps the next call makes."""
        every = (self.interval, self.options.checkpoint_every)
        stop = min(self.options.steps, *((step // each + 1) * each for each in every if each))
        return max(length for length in self.lengths if length <= stop - step)

    def steps(self, column):
        """One call of `train_steps`, up to the next evaluation or checkpoint at most: (its steps, their losses)."""
        options, first = self.options, column.step
        steps = range(first, first + self.call(first))
        indices = batch_indices(self.rows, options.batch_size, options.seed, steps)
        noise = None
        if options.noise == "replayed":
            noise = draw_steps(self.spec.noise, options.batch_size, options.seed, "training", steps)
        return steps, column.train_steps(indices, noise)


class _Run(_Plan):
    """The folder of one run, and the parts of the loop that write to it."""

    def __init__(self, spec, data, options, out, world: World = ALONE):
        super().__init__(spec, data, options)
        self.out, self.world = out, world
        self.started, self.count = time.perf_counter(), len(data.train_images)
        self.checkpoint, self.metrics_path = out / "checkpoint.safetensors", out / "metrics.jsonl"
        self.log = logs.Nothing()
        # What a run depends on; the backend may change at a checkpoint, and the length.
        self.about = {
            "data": data.name,
            "batch_size": options.batch_size,
            "seed": options.seed,
            "dtype": options.dtype,
            "noise": options.noise,
            "labelled": spec.training.labelled,
        }

    def start(self):
        (self.out / "figures").mkdir(exist_ok=True)
        self.description = {
            "model": self.spec.name,
            "title": self.spec.about.title,
            "data": {"name": self.data.name, "description": self.data.description, "digest": self.data.digest},
            "options": dataclasses.asdict(self.options) | {"labelled": self.spec.training.labelled},
            "fingerprint": self.spec.fingerprint(),
            "specification": self.spec.described(),
            "sessions": [],
        }
        self.metrics_path.touch()
        self._begin_session(0)

    def resume(self, column):
        self.description = read_run(self.out)
        before = self.description["options"] | {"data": self.description["data"].get("name")}
        if self.description["model"] != self.spec.name:
            raise UsageError(f"{self.out}: the run to resume is of {self.description['model']}, not {self.spec.name}")
        for key, value in self.about.items():
            if before.get(key) != value:
                raise UsageError(
                    f"{self.out}: the run to resume has {key} {before.get(key)!r}, not {value!r}; use the same"
                )
        check_data(self.out, self.data)
        if self.checkpoint.exists():
            column.restore(checkpoint.load_checkpoint(self.checkpoint, self.spec))
        if column.step > self.options.steps:
            raise UsageError(
                f"{self.out}: the run is at step {column.step} already; ask for more than {self.options.steps}"
            )
        kept = [row for row in self.metrics() if row["step"] <= column.step]
        checkpoint.write_atomically(self.metrics_path, "".join(json.dumps(row) + "\n" for row in kept).encode())
        self.description["options"]["steps"] = self.options.steps
        self._begin_session(column.step)

    def _begin_session(self, step):
        self.begin(step)
        self.log = logs.begin(self.options.log, self.out, step)
        session = {
            "from_step": step,
            "backend": self.options.backend,
            "device": self.options.device,
            "workers": self.world.count,
            "batch_norm": self._batch_norm(),
            "command": shlex.join(sys.argv),
            "environment": environment.describe(backends.versions(self.options.backend)),
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }
        self.description["sessions"].append(session)
        checkpoint.write_json(self.out / "run.json", self.description)

    def _batch_norm(self):
        """Whether batch norms see all rows or each worker's, "global" or "per replica"; None where there are none."""
        if self.world.count == 1:
            return workers.batch_norm_of(self.spec, "global")
        return workers.batch_norm_of(
            self.spec, backends.engine(self.options.backend, "workers").BATCH_NORM[self.options.device]
        )

    def finish(self, step):
        self.log.close()
        memory = environment.peak_memory()
        self.description["sessions"][-1] |= {
            "to_step": step,
            "seconds": round(time.perf_counter() - self.started, 3),
            "peak_memory_mib": memory and round(memory / 2**20),
        }
        checkpoint.write_json(self.out / "run.json", self.description)

    def metrics(self):
        return read_metrics(self.metrics_path)

    def last_evaluation(self):
        return next((row for row in reversed(self.metrics()) if "test" in row), {})

    def evaluation_due(self, step):
        return step % self.interval == 0 or step == self.options.steps

    def checkpoint_due(self, step):
        every = self.options.checkpoint_every
        return self.evaluation_due(step) if every is None else step % every == 0 or step == self.options.steps

    def save(self, column):
        self.log.flush()
        with open(self.metrics_path, "a") as file:
            os.fsync(file.fileno())  # the checkpoint must not reach the disk before the steps that led to it
        checkpoint.save_checkpoint(self.checkpoint, self.spec, Snapshot.of(column), self.about)

    def advance(self, column):
        """One call of `train_steps`, up to the next evaluation or checkpoint at most; writes and returns the losses."""
        steps, losses = self.steps(column)
        options, first = self.options, steps.start
        finite = np.all([np.isfinite(values) for values in losses.values()], axis=0)
        good = len(steps) if finite.all() else int(np.argmin(finite))
        rows = [{"step": first + k + 1} | {n: float(v[k]) for n, v in losses.items()} for k in range(good)]
        self._write(rows)
        if good < len(steps):
            bad = ", ".join(f"{name} = {values[good]}" for name, values in losses.items())
            kept = (
                f"the last checkpoint is kept in {self.checkpoint}" if self.checkpoint.exists() else "nothing was saved"
            )
            raise NonFiniteLoss(f"{self.spec.name} in {options.backend}: at step {first + good + 1} {bad}; {kept}")
        return rows[-1]

    def _write(self, rows):
        with open(self.metrics_path, "a") as file:
            file.write("".join(json.dumps(row) + "\n" for row in rows))
        self.log.rows(rows)

    def evaluate(self, column):
        epoch = column.step / self.per_epoch
        row = {"step": column.step, "epoch": round(epoch, 3), "test": evaluate(column, self.data, self.options.seed)}
        row["seconds"] = round(time.perf_counter() - self.started, 3)
        self._write([row])
        images = pictures(column, self.data, self.options.seed)
        if "reconstructions" in images:
            path = self.out / "figures" / f"reconstructions-{column.step:07d}.png"
            figures.reconstructions(self.spec, images, path)
            self.log.picture(path, column.step)
        if "samples" in images:
            path = self.out / "figures" / f"samples-{column.step:07d}.png"
            figures.grid(self.spec, images["samples"], path)
            self.log.picture(path, column.step)
        if self.options.keep:
            self._keep(column, images)
        return row

    def _keep(self, column, images):
        kept = {}
        if "samples" in images:
            kept["samples"] = to_bytes(self.spec, images["samples"])
        if self.spec.encode:
            kept["codes"] = codes(column, self.data.test_images[: self.options.keep])
        path = self.out / "kept" / f"{column.step:07d}.safetensors"
        path.parent.mkdir(exist_ok=True)
        checkpoint.write_atomically(path, safetensors.numpy.save(kept))


def prepare_folder(out: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse an output folder that exists, unless it is to be resumed, and holds a run or none yet, or overwritten. Raises
    UsageError."""
    if resume:
        if not _is_new(out):
            read_run(out)
    elif out.exists():
        if not overwrite:
            raise UsageError(f"{out}: the folder exists; choose another --out, or add --resume or --overwrite")
        if not out.is_dir() or (any(out.iterdir()) and not any((out / name).exists() for name in OURS)):
            raise UsageError(f"{out}: not a folder that tetrapla wrote, so it is not overwritten; choose another --out")
        with _lock(out):
            shutil.rmtree(out)


def _is_new(out):
    """Whether no run has begun in a folder: there is none, or it holds no more than a process leaves that dies before its
    run.json is whole."""
    partly, empty = (LOCK, ".run.json.tmp"), ("metrics.jsonl", "figures")

    def is_left(path):
        content = any(path.iterdir()) if path.is_dir() else path.stat().st_size
        return path.name in partly or (path.name in empty and not content)

    return not out.exists() or (out.is_dir() and all(map(is_left, out.iterdir())))


def read_run(out: Path) -> dict:
    """run.json of a run's folder. Raises UsageError if it is not one."""
    try:
        description = json.loads((out / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{out}: expected the folder of a run with a run.json ({error})") from error
    expected = {"model": str, "data": dict, "options": dict, "sessions": list}
    found = description if isinstance(description, dict) else {}
    wrong = sorted(key for key, kind in expected.items() if not isinstance(found.get(key), kind) or not found[key])
    if wrong:
        raise UsageError(f"{out}: expected the run.json of a run, found one without {', '.join(wrong)}")
    return description


def check_data(out: Path, data: Dataset) -> None:
    """Raises UsageError if the run in a folder was trained on other images or labels, under the same name or another."""
    before = read_run(out)["data"]
    if before.get("digest") != data.digest:
        raise UsageError(
            f"{out}: the run has other images of {before.get('name')!r} (digest {str(before.get('digest'))[:12]}) than "
            f"{data.name!r} now (digest {data.digest[:12]}); use the same, or another --out"
        )


def finished(out: Path, steps: int) -> bool:
    """Whether the run in a folder ended at so many steps. Raises UsageError if it holds a checkpoint and is no run."""
    return (out / "checkpoint.safetensors").exists() and read_run(out)["sessions"][-1].get("to_step") == steps


def read_metrics(path: Path) -> list[dict]:
    """The rows of a metrics.jsonl; from a line that a kill cut short they are left out."""
    rows = []
    for line in path.read_text().splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            break
        if not isinstance(row, dict) or "step" not in row:
            break
        rows.append(row)
    return rows


def read_kept(out: Path) -> dict[int, dict[str, np.ndarray]]:
    """{step: {"samples", "codes"}} of a run that was trained with `keep`, in the order of steps."""
    return {int(path.stem): safetensors.numpy.load_file(path) for path in sorted((out / "kept").glob("*.safetensors"))}


def _note(row):
    return "  ".join(f"{name} {value:.4g}" for name, value in row.items() if name != "step")
