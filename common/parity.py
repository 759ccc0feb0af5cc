"""The staged comparison: parameters -> forward -> losses -> gradients -> one update -> many updates.

Two columns of one specification get the same weights, batches and noise; every named tensor of every stage is
compared, and the first stage that fails names the culprit. Nothing here knows the built-in models or backends: it
takes a specification and implementations of `common.contract.Column`, so that it can judge somebody's own port.

Deviation of a tensor: ‖found - expected‖ / ‖expected‖ (Euclidean norms). Names, shapes and dtypes must be equal.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from common.contract import Column, Snapshot
from common.data.batches import batch_indices, model_inputs, row_sets
from common.noise import draw, draw_steps, stream
from common.parameters import initial_parameters
from common.reference.column import Reference
from common.reference.complex_step import ACCURACY, directional_derivative, random_direction
from common.specs.records import Spec

MANY = "many updates"
COMPLEX_STEP = "complex step"
STAGES = ("parameters", "forward", "losses", "gradients", "one update", MANY)

# What may differ, by (stage, dtype). Measured on CPU over all models and backends, float64: forward and losses 2.4e-14,
# gradients 6e-14, one update 5.0e-13 and 100 updates 4.2e-13 (InfoGAN, whose batch norms subtract a mean of thirty
# deviations; without it 3e-15, 6e-14, 1.1e-13 and 4.8e-14); float32: gradients 4.8e-5, else 7e-6. The bars are 2 to 20
# times that, and every planted mistake is far beyond.
TOLERANCES = {
    ("parameters", "float64"): 0.0,
    ("forward", "float64"): 1e-13,
    ("losses", "float64"): 1e-13,
    ("gradients", "float64"): 1e-12,
    ("one update", "float64"): 2e-12,
    (MANY, "float64"): 2e-12,
    ("parameters", "float32"): 0.0,
    ("forward", "float32"): 2e-5,
    ("losses", "float32"): 1e-5,
    ("gradients", "float32"): 1e-4,
    ("one update", "float32"): 1e-5,
}

# With batch norm: the gradient of its bias is a sum of thousands of terms that cancel, in float32 its sign may be
# rounding, and Adam's first step is the sign. Measured 4.8e-5 (Paddle, real MNIST), else 8e-7.
BATCH_NORM = {("one update", "float32"): 2e-4}

Results = dict[str, dict[str, np.ndarray]]  # {stage: {tensor: array}}
Watch = Callable[[int, dict[str, np.ndarray]], None]

SEGMENTS = 10  # of the many updates, after each of which the growth of the deviation is looked at


@dataclass(frozen=True)
class Case:
    """What every column is given: weights, data {"images": uint8, "labels": uint8}, batch order and noise, all from `seed`.

    `spec` is what is compared, rates included: usually `Spec.calmed()` of the model. Without `steps` the last stage,
    many updates, is left out.
    """

    spec: Spec
    data: Mapping[str, np.ndarray]
    batch: int = 16
    steps: int = 100
    seed: int = 0

    def parameters(self):
        return initial_parameters(self.spec, self.seed)

    def indices(self):
        return batch_indices(row_sets(self.spec, self.data), self.batch, self.seed, range(self.steps))

    def noise(self):
        return draw_steps(self.spec.noise, self.batch, self.seed, "training", range(self.steps))

    def first_batch(self):
        """(inputs, noise) of step 0."""
        indices = batch_indices(row_sets(self.spec, self.data), self.batch, self.seed, range(1))
        inputs = model_inputs(self.spec, self.data, {name: rows[0] for name, rows in indices.items()})
        return inputs, draw(self.spec.noise, self.batch, self.seed, "training", 0)

    def sampling_noise(self):
        return draw(self.spec.sampling_noise, self.batch, self.seed, "sampling", 0)


def collect(column: Column, case: Case, dtype: str, watch: Watch | None = None) -> Results:
    """Every tensor of every stage from one column that starts at `case.parameters()`.

    In float32 the comparison ends after one update, and compares that update's objectives only: Adam's first step is the
    sign of the gradient, so that the rounding of a gradient near zero moves a parameter by twice the learning rate, and
    a part of a loss may be a small difference of large terms (InfoGAN's L_I is).

    `watch(step, tensors)` is called with parameters and running statistics along the many updates, in float32 too.
    """
    return dict(stages(column, case, dtype, watch))


def stages(column: Column, case: Case, dtype: str, watch: Watch | None = None) -> Iterator[tuple[str, dict]]:
    """What `collect` gives, stage by stage: nothing is computed for a stage that nobody asks for."""
    inputs, noise = case.first_batch()
    yield "parameters", column.parameters()
    yield "forward", column.forward(inputs, noise) | _jobs(column, case, inputs, noise)
    yield "losses", _arrays(column.losses(inputs, noise), dtype)
    yield "gradients", column.gradients(inputs, noise)
    during, after = column.train_step(inputs, noise), column.losses(inputs, noise)
    names = list(during) if dtype == "float64" else [update.objective for update in case.spec.updates]
    tensors = {f"{name} during": during[name] for name in names} | {f"{name} after": after[name] for name in names}
    tensors = _arrays(tensors, dtype)
    if dtype == "float64":
        tensors |= _state(column)
        # Once more, now that the running statistics of batch norms are no longer what they start from.
        tensors |= {f"{name} after": value for name, value in _jobs(column, case, inputs, noise).items()}
    yield "one update", tensors
    if case.steps and (dtype == "float64" or watch):
        curves = many_updates(column, case, watch)
    if case.steps and dtype == "float64":
        yield MANY, _state(column) | {f"{name} curve": value for name, value in curves.items()}


def many_updates(column: Column, case: Case, watch: Watch | None = None) -> dict[str, np.ndarray]:
    """{loss: (steps,)} of `case.steps` updates from its weights, on the path that training takes, noise replayed."""
    column.restore(Snapshot.start(case.spec, case.parameters()))
    column.upload(case.data)
    indices, noise, rows = case.indices(), case.noise(), []
    length = -(-case.steps // SEGMENTS)
    for first in range(0, case.steps, length):
        part = slice(first, first + length)
        rows.append(
            column.train_steps(
                {name: rows[part] for name, rows in indices.items()},
                {name: value[part] for name, value in noise.items()},
            )
        )
        if watch:
            watch(column.step, column.parameters() | column.statistics())
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def expected(case: Case, dtype: str, watch: Watch | None = None) -> Results:
    """What the oracle says. For float32 it starts from the rounded weights and still computes in float64."""
    parameters = {name: value.astype(dtype) for name, value in case.parameters().items()}
    return collect(Reference(case.spec, parameters), case, dtype, watch)


@dataclass(frozen=True)
class Stage:
    """One row of the report. `tensor` deviates most; `problem` says what is wrong where no number can."""

    name: str
    deviation: float
    tensor: str
    tolerance: float
    problem: str = ""

    @property
    def passed(self) -> bool:
        return not self.problem and self.deviation <= self.tolerance


def compare(reference: Results, found: Results, dtype: str, spec: Spec | None = None) -> list[Stage]:
    """One Stage per stage of `reference`, in order; `spec` says whether the bars of batch norm hold."""
    return [compare_stage(stage, tensors, found.get(stage, {}), dtype, spec) for stage, tensors in reference.items()]


def compare_stage(name: str, reference: dict, found: dict, dtype: str, spec: Spec | None = None) -> Stage:
    """One stage's tensors against those of the reference."""
    bars = TOLERANCES | (BATCH_NORM if spec and spec.statistic_shapes() else {})
    return _compare_stage(name, reference, found, bars[name, dtype], dtype)


def first_failure(stages: Iterable[Stage]) -> Stage | None:
    """The stage at which two columns part, or None if they agree."""
    return next((stage for stage in stages if not stage.passed), None)


def parting(column: Column, reference: Results, case: Case, dtype: str) -> Stage | None:
    """The stage at which `column` parts from the reference, or None; later stages are not computed."""
    found = stages(column, case, dtype)
    return first_failure(compare_stage(name, reference[name], tensors, dtype, case.spec) for name, tensors in found)


def deviation(expected: np.ndarray, found: np.ndarray) -> float:
    """‖found - expected‖ / ‖expected‖; infinite where anything is not finite or a zero tensor is not met exactly."""
    difference = float(np.linalg.norm(np.asarray(found, np.float64) - np.asarray(expected, np.float64)))
    if difference == 0:
        return 0.0
    norm = float(np.linalg.norm(np.asarray(expected, np.float64)))
    return difference / norm if norm > 0 and np.isfinite(difference) else float("inf")


def largest_deviation(expected: dict[str, np.ndarray], found: dict[str, np.ndarray]) -> tuple[float, str]:
    """(deviation, tensor) of the tensor that deviates most."""
    return max(((deviation(value, found[name]), name) for name, value in expected.items()), default=(0.0, ""))


def slopes(case: Case) -> dict[str, tuple[np.ndarray, float]]:
    """{"train.encoder.fc0.weight": (direction, slope)}: a random unit vector per gradient, and the derivative of the
    oracle's objective along it, from values of the objective alone."""
    inputs, noise = case.first_batch()
    oracle, parameters = Reference(case.spec, case.parameters()), case.parameters()
    gradients, result = oracle.gradients(inputs, noise), {}
    for update in case.spec.updates:
        for name in case.spec.parameter_shapes(update.networks):
            key = f"{update.name}.{name}"
            direction = random_direction(gradients[key], stream(case.seed, "checks", name))
            slope = directional_derivative(
                lambda value, u=update, n=name: oracle.loss_at(u, {n: value}, inputs, noise),
                parameters[name],
                direction,
            )
            result[key] = (direction, slope)
    return result


def slope_deviation(slopes: dict[str, tuple[np.ndarray, float]], gradients: dict[str, np.ndarray]) -> Stage:
    """`gradients` (as Column.gradients gives them) along each direction against the slope there."""
    deviations = [
        (abs(float(np.sum(gradients[name] * direction)) / slope - 1), name)
        for name, (direction, slope) in slopes.items()
    ]
    return Stage(COMPLEX_STEP, *max(deviations), tolerance=ACCURACY)


def _state(column):
    return column.parameters() | column.statistics() | column.moments()


def _jobs(column, case, inputs, noise):
    """What the model can do besides training, as tensors of the forward stage."""
    jobs = {}
    if case.spec.encode:
        jobs["encode()"] = column.encode(inputs)
    if case.spec.reconstruct:
        jobs["reconstruct()"] = column.reconstruct(inputs, noise)
    if case.spec.sample:
        jobs["sample()"] = column.sample(case.sampling_noise())
    return jobs


def _arrays(values, dtype):
    return {name: np.asarray(value, dtype) for name, value in values.items()}


def _compare_stage(stage, reference, found, tolerance, dtype):
    if list(reference) != list(found):
        missing, extra = set(reference) - set(found), set(found) - set(reference)
        what = (
            f"missing {sorted(missing)}, unexpected {sorted(extra)}" if missing or extra else "names in another order"
        )
        return Stage(stage, float("inf"), "", tolerance, what)
    for name, value in reference.items():
        other = found[name]
        if other.shape != value.shape:
            return Stage(stage, float("inf"), name, tolerance, f"shape {other.shape}, expected {value.shape}")
        if other.dtype != dtype:
            return Stage(stage, float("inf"), name, tolerance, f"dtype {other.dtype}, expected {dtype}")
    return Stage(stage, *largest_deviation(reference, found), tolerance)
