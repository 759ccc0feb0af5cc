"""The staged comparison: parameters -> forward -> losses -> gradients -> one update -> many updates.

Two columns of one specification get the same weights, batches and noise; every named tensor of every stage is
compared, and the first stage that fails names the culprit. Nothing here knows the built-in models or backends: it
takes a specification and implementations of `common.contract.Column`, so that it can judge somebody's own port.

Deviation of a tensor: ‖found - expected‖ / ‖expected‖ (Euclidean norms). Names, shapes and dtypes must be equal.
"""

from dataclasses import dataclass

import numpy as np

from common.contract import Column
from common.data.batches import batch_indices, model_input
from common.noise import draw_steps, stream
from common.parameters import initial_parameters
from common.reference.column import Reference
from common.reference.finite_differences import ACCURACY, STEP, directional_derivative, random_direction
from common.specs.records import Spec

MANY = "many updates"
FINITE_DIFFERENCES = "finite differences"
STAGES = ("parameters", "forward", "losses", "gradients", "one update", MANY)

# What may differ, by (stage, dtype). Measured on CPU over all models and backends, float64: forward and losses 3e-15,
# gradients 6e-14 and one update 1.1e-13 (the last bias of a GAN's discriminator: its gradient is what is left of two
# halves), 100 updates 4.6e-14; float32: 1.2e-5 (the same bias), else 1.3e-6. The bars are 8 to 40 times that.
TOLERANCES = {
    ("parameters", "float64"): 0.0,
    ("forward", "float64"): 1e-13,
    ("losses", "float64"): 1e-13,
    ("gradients", "float64"): 1e-12,
    ("one update", "float64"): 2e-12,
    (MANY, "float64"): 2e-12,
    ("parameters", "float32"): 0.0,
    ("forward", "float32"): 1e-5,
    ("losses", "float32"): 1e-5,
    ("gradients", "float32"): 1e-4,
    ("one update", "float32"): 1e-5,
}

Results = dict[str, dict[str, np.ndarray]]  # {stage: {tensor: array}}


@dataclass(frozen=True)
class Case:
    """What every column is given: weights, images (uint8), batch order and noise, all from `seed`."""

    spec: Spec
    images: np.ndarray
    batch: int = 16
    steps: int = 100
    seed: int = 0

    def parameters(self):
        return initial_parameters(self.spec, self.seed)

    def indices(self):
        return batch_indices(len(self.images), self.batch, self.seed, range(self.steps))

    def noise(self):
        return draw_steps(self.spec.noise, self.batch, self.seed, "training", range(self.steps))

    def first_batch(self):
        """(x, noise) of step 0."""
        x = model_input(self.spec, self.images[self.indices()[0]])
        return x, {name: value[0] for name, value in self.noise().items()}

    def sampling_noise(self):
        draws = draw_steps(self.spec.sampling_noise, self.batch, self.seed, "sampling", range(1))
        return {name: value[0] for name, value in draws.items()}


def collect(column: Column, case: Case, dtype: str) -> Results:
    """Every tensor of every stage from one column that starts at `case.parameters()`.

    In float32 the comparison ends after one update, and compares that update's losses only: Adam's first step is the
    sign of the gradient, so that the rounding of a gradient near zero moves a parameter by twice the learning rate.
    """
    x, noise = case.first_batch()
    results = {
        "parameters": column.parameters(),
        "forward": column.forward(x, noise) | _jobs(column, case, x, noise),
        "losses": _arrays(column.losses(x, noise), dtype),
        "gradients": column.gradients(x, noise),
    }
    during = column.train_step(x, noise)
    results["one update"] = _arrays(
        {f"{name} during": value for name, value in during.items()}
        | {f"{name} after": value for name, value in column.losses(x, noise).items()},
        dtype,
    )
    if dtype == "float64":
        results["one update"] |= column.parameters() | column.moments()
        column.restore(case.parameters(), {}, 0)
        column.upload(case.images)
        curves = column.train_steps(case.indices(), case.noise())
        results[MANY] = column.parameters() | column.moments() | {f"{n} curve": v for n, v in curves.items()}
    return results


def expected(case: Case, dtype: str) -> Results:
    """What the oracle says. For float32 it starts from the rounded weights and still computes in float64."""
    parameters = {name: value.astype(dtype) for name, value in case.parameters().items()}
    return collect(Reference(case.spec, parameters), case, dtype)


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


def compare(reference: Results, found: Results, dtype: str, exact_dtype: bool = True) -> list[Stage]:
    """One Stage per stage of `reference`, in order."""
    return [
        _compare_stage(stage, tensors, found.get(stage, {}), TOLERANCES[stage, dtype], dtype if exact_dtype else None)
        for stage, tensors in reference.items()
    ]


def first_failure(stages: list[Stage]) -> Stage | None:
    """The stage at which two columns part, or None if they agree."""
    return next((stage for stage in stages if not stage.passed), None)


def deviation(expected: np.ndarray, found: np.ndarray) -> float:
    """‖found - expected‖ / ‖expected‖; infinite where anything is not finite or a zero tensor is not met exactly."""
    difference = float(np.linalg.norm(np.asarray(found, np.float64) - np.asarray(expected, np.float64)))
    if difference == 0:
        return 0.0
    norm = float(np.linalg.norm(np.asarray(expected, np.float64)))
    return difference / norm if norm > 0 and np.isfinite(difference) else float("inf")


def finite_difference_deviation(case: Case, gradients: dict[str, np.ndarray]) -> Stage:
    """`gradients` (as Column.gradients gives them) against directional derivatives of the oracle's loss values.

    Per tensor, along a random direction. A line that crosses a kink of ReLU says nothing about the gradient; then
    another and shorter one is tried, up to eight. A wrong gradient disagrees along every line.
    """
    x, noise = case.first_batch()
    oracle, parameters = Reference(case.spec, case.parameters()), case.parameters()
    worst = (0.0, "")
    for update in case.spec.updates:
        for name in case.spec.parameter_shapes(update.networks):
            gradient, best = gradients[f"{update.name}.{name}"], float("inf")
            for attempt in range(8):
                direction = random_direction(gradient, stream(case.seed, "checks", name, attempt))
                slope = directional_derivative(
                    lambda value, u=update, n=name: oracle.loss_at(u, {n: value}, x, noise),
                    parameters[name],
                    direction,
                    STEP / 2**attempt,
                )
                best = min(best, abs(float(np.sum(gradient * direction)) / slope - 1))
                if best <= ACCURACY:
                    break
            worst = max(worst, (best, f"{update.name}.{name}"))
    return Stage(FINITE_DIFFERENCES, *worst, tolerance=ACCURACY)


def _jobs(column, case, x, noise):
    """What the model can do besides training, as tensors of the forward stage."""
    jobs = {}
    if case.spec.encode:
        jobs["encode()"] = column.encode(x)
    if case.spec.reconstruct:
        jobs["reconstruct()"] = column.reconstruct(x, noise)
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
    worst = (0.0, "")
    for name, value in reference.items():
        other = found[name]
        if other.shape != value.shape:
            return Stage(stage, float("inf"), name, tolerance, f"shape {other.shape}, expected {value.shape}")
        if dtype and other.dtype != dtype:
            return Stage(stage, float("inf"), name, tolerance, f"dtype {other.dtype}, expected {dtype}")
        worst = max(worst, (deviation(value, other), name))
    return Stage(stage, *worst, tolerance)
