"""One (model, backend, mode) in a process of its own: `python -m benchmarks.worker JOB.json`, which then obeys standard input.

Proves the column first, warms up, and says so in one line of JSON; then answers each line "measure" with the seconds per
update of one repeat, until "quit". Idle between its turns, so that the repeats of several workers can be interleaved.
"""

import dataclasses
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import backends
from benchmarks import floor, peers, yardstick
from benchmarks.cases import Case
from common import environment, parity
from common.contract import STEPS_PER_CALL, Arrays, Column
from common.data.batches import batch_indices, model_inputs, row_sets
from common.data.fitted import fitted_dataset
from common.errors import TetraplaError
from common.noise import draw
from common.parameters import initial_parameters
from common.reference.column import Reference
from common.reference.rounding import InexactReference
from common.specs.records import Spec
from common.truths import kept_truth
from common.workers import ALONE, World
from common.worlds import PER_REPLICA

LOWERED = ("tf32", "bfloat16")  # fast, on a GPU, with products in less than float32
MODES = ("naive", "compiled", "fast", *LOWERED, "sampling")
SAMPLES = 1000  # images per call when sampling is timed
PARITY_BATCH = 16
TWO = "two updates in one call"


def create(spec: Spec, parameters: Arrays, backend: str, mode: str, device: str, world: World = ALONE) -> Column:
    """The column that is proven and timed: in float32; where one compiled update is timed and the framework leaves that to
    its users, compiled."""
    column = backends.create(backend, spec, parameters, dtype="float32", device=device, world=world)
    if mode == "compiled":
        backends.engine(backend, "timing").compile_step(column)
    return column


def prove(spec: Spec, backend: str, mode: str, device: str, data: Arrays, folder: Path, world: World = ALONE) -> dict:
    """The stages up to one update in float32, in this very process, and two updates on the path that is timed if training
    takes it too; {"passed", "stage", "deviation", "tensor"}. What the oracle says is kept in `folder`."""
    spec = spec.in_replicas(world.count) if backend in PER_REPLICA and device == "cpu" else spec
    case = parity.Case(spec.calmed(), data, batch=PARITY_BATCH, steps=0)
    column = create(case.spec, case.parameters(), backend, mode, device, world)
    truth = kept_truth(case, "float32", folder)
    stages = parity.compare(truth, parity.collect(column, case, "float32"), "float32")
    if mode not in ("naive", "sampling") and parity.first_failure(stages) is None:
        two = dataclasses.replace(case, steps=2)
        expected = kept_truth(two, "float32", folder, _two)
        stages.append(parity.compare_stage(TWO, expected, _objectives(column, two), "float32"))
    failed = parity.first_failure(stages)
    last = failed or stages[-1]
    return {"passed": failed is None, "stage": last.name, "deviation": last.deviation, "tensor": last.tensor}


def _two(case, dtype):
    """What the oracle says of the objectives of two updates, with bars as `parity.truth` has them, flips of units included."""
    expected, rounding = _objectives(Reference(case.spec, case.parameters()), case), parity.ROUNDING[dtype]

    def off(roundings, number):
        column = InexactReference(case.spec, case.parameters(), dtype=dtype, error=roundings * rounding, seed=number)
        return {name: parity.deviation(expected[name], curve) for name, curve in _objectives(column, case).items()}

    drawn = [off(parity.FACTOR, number) for number in parity.DRAWS[dtype]]
    bars = {name: max(parity.FACTOR * rounding, *(found[name] for found in drawn)) for name in expected}
    bars, _ = parity.with_flips(bars, off(1, parity.SINGLE), dtype)
    return parity.Truth({TWO: expected}, {TWO: {name: parity.Bar(bar) for name, bar in bars.items()}})


def _objectives(column, case):
    curves = parity.many_updates(column, case)
    return {update.objective: np.asarray(curves[update.objective], np.float32) for update in case.spec.updates}


class Timed:
    """The work that is timed: `run(count)` makes `count` updates, or draws `count` batches of samples; `many` updates a call
    where training would make as many."""

    def __init__(
        self,
        spec: Spec,
        backend: str,
        mode: str,
        device: str,
        batch: int,
        data: Arrays,
        many: int = STEPS_PER_CALL,
        world: World = ALONE,
    ):
        self.spec, self.mode, self.batch, self.data = spec, mode, batch, data
        self.column = create(spec, initial_parameters(spec, 0), backend, mode, device, world)
        self.column.upload(data)
        self.rows = row_sets(spec, data, 0)
        self.chunk = many if mode in ("fast", *LOWERED) else 1
        self.step = backends.engine(backend, "timing").naive(self.column) if mode == "naive" else None
        self.done = 0
        if mode == "sampling":
            self.noise = draw(spec.sampling_noise, SAMPLES, 0, "sampling", 0)

    def run(self, count: int) -> None:
        """`count` must be a multiple of `chunk`."""
        if self.mode == "sampling":
            for _ in range(count):
                self.column.sample(self.noise)
            return
        for _ in range(count // self.chunk):
            steps = range(self.done, self.done + self.chunk)
            indices = batch_indices(self.rows, self.batch, 0, steps)
            self.done += self.chunk
            if self.mode == "naive":
                inputs = model_inputs(self.spec, self.data, {name: rows[0] for name, rows in indices.items()})
                losses = self.step({name: value.astype(np.float32) for name, value in inputs.items()})
            else:
                losses = self.column.train_steps(indices)
            if not np.isfinite(list(losses.values())).all():
                raise TetraplaError(f"{self.spec.name}: a loss is not finite; a number for it would mean nothing")


def main(job: dict, folder: Path) -> None:
    spec, backend, mode, device = Case.of(job).spec, job["backend"], job["mode"], job["device"]
    dataset = fitted_dataset(spec, job["data"], job["data_dir"] and Path(job["data_dir"]))
    data = enough(dataset.train, job["batch"])
    if peer := mode in peers.MODES:
        proof = {"passed": True, "stage": "not one of ours", "deviation": None, "tensor": ""}
    else:
        proof = prove(spec, backend, mode, device, dataset.train, folder)
    if not proof["passed"]:
        return say({"proof": proof})
    if mode in LOWERED:
        backends.engine(backend, "process").lower(mode)
    work = floor.work(spec, job["batch"])
    many = updates_a_call(work.operations)
    start = time.perf_counter()
    if peer:
        timed = peers.Peer(mode, backend, job["batch"], data["images"])
    else:
        timed = Timed(spec, backend, mode, device, job["batch"], data, many)
    built = time.perf_counter()
    timed.run(timed.chunk)
    first = time.perf_counter()
    timed.run(timed.chunk)
    seconds = (time.perf_counter() - first) / timed.chunk
    count = max(1, round(job["seconds"] / seconds / timed.chunk)) * timed.chunk
    products = () if spec.convolutional else work.products
    say(
        {
            "proof": proof,
            "build_seconds": built - start,
            "first_seconds": first - built - seconds * timed.chunk,  # compilation: the first call less a later one
            "yardstick": yardstick.rates(backend, device, products) if job["yardstick"] else None,
            "environment": environment.pools() | ({} if peer else backends.engine(backend, "process").SETTINGS),
        }
    )  # fmt: skip
    for line in sys.stdin:
        if line.strip() != "measure":
            break
        timed.run(timed.chunk)  # the caches still hold another worker's numbers
        start = time.perf_counter()
        timed.run(count)
        say({"seconds": (time.perf_counter() - start) / count})
    say(
        {
            "peak_memory_mib": round((environment.peak_memory() or 0) / 2**20),
            "peak_device_mib": round(backends.engine(backend, "timing").device_memory() / 2**20)
            if device == "gpu"
            else None,
            "updates": count,
        }
    )


def updates_a_call(operations: float) -> int:
    """How many updates of so many operations each are asked for at once: as many as training asks for, but fewer of large
    ones, one of which is enough to hide the call."""
    return STEPS_PER_CALL if operations < 5e9 else STEPS_PER_CALL // 10 if operations < 5e10 else 1


def enough(data: dict[str, np.ndarray], batch: int) -> dict[str, np.ndarray]:
    """The images and labels, repeated where they do not fill a batch."""
    times = -(-batch // len(data["images"]))
    return {name: np.concatenate([values] * times) for name, values in data.items()}


def say(message: dict) -> None:
    print(json.dumps(message), flush=True)


def carry(main: Callable[[dict, Path], None]) -> None:
    """`main(job, folder)` of the job whose path stands on the command line; an error that a user can act on is one line."""
    try:
        path = Path(sys.argv[1])
        main(json.loads(path.read_text()), path.parent)
    except TetraplaError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    carry(main)
