"""The staged comparison: parameters -> forward -> losses -> gradients -> one update -> many updates.

Two columns of one specification get the same weights, batches and noise; every named tensor of every stage is
compared, and the first stage that fails names the culprit. Nothing here knows the built-in models or backends: it
takes a specification and implementations of `common.contract.Column`, so that it can judge somebody's own port.

Deviation of a tensor: ‖found - expected‖ / ‖expected‖ (Euclidean norms). Names, shapes and dtypes must be equal.
What may deviate, and by how much, is derived from the specification: `truth`, and docs/proof.md.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from common.contract import Column, Snapshot
from common.data.batches import batch_indices, model_inputs, row_sets
from common.data.fitted import fitted
from common.noise import draw, draw_steps, stream
from common.parameters import initial_parameters
from common.reference.column import Reference
from common.reference.complex_step import ACCURACY, directional_derivative, random_direction
from common.reference.rounding import FACTOR, InexactReference
from common.specs.records import Spec

MANY = "many updates"
COMPLEX_STEP = "complex step"
STAGES = ("parameters", "forward", "losses", "gradients", "one update", MANY)

ROUNDING = {"float32": 2.0**-24, "float64": 2.0**-53}  # the largest relative error of one rounding
# Draws of which the largest counts. In float32 few units flip, one may be most of a tensor, and it does not in every draw. There
# the draw SINGLE is of single roundings.
DRAWS, SINGLE = {"float64": (0, 1, 2), "float32": (0, 1, 2, 4, 5, 6)}, 3
COURSES = 1  # a course is long, and most of its tensors are large
FLIPS = 1.5  # times FACTOR single roundings: what FACTOR roundings do where flips of units make most of it
STRAY = 1e-4  # of the elements of a parameter
SHORT = 10  # updates, of which as many courses as draws are computed
# Bars above this prove little: in float32 such a tensor is counted as weakly held, in float64 it fails.
CEILING = {"float32": 1e-3, "float64": 1e-10}
CLEARANCE = 4  # how often the error of FACTOR roundings must fit into a gradient for its sign to be certain

FEW = 32  # elements

MOVED = " moved"  # by the one update: after - before

Results = dict[str, dict[str, np.ndarray]]  # {stage: {tensor: array}}
Watch = Callable[[int, dict[str, np.ndarray]], None]

SEGMENTS = 10  # of the many updates, after each of which the growth of the deviation is looked at


@dataclass(frozen=True)
class Case:
    """What every column is given: weights, data {"images": uint8, "labels": uint8}, batch order and noise, all from `seed`.

    `spec` is what is compared, rates included: usually `Spec.calmed()` of the model. Without `steps` the last stage,
    many updates, is left out. Images that are not of the model's size are brought to it, as nothing that is compared depends
    on what they show.
    """

    spec: Spec
    data: Mapping[str, np.ndarray]
    batch: int = 16
    steps: int = 100
    seed: int = 0

    def __post_init__(self):
        object.__setattr__(self, "data", fitted(self.spec, self.data))

    def parameters(self) -> dict[str, np.ndarray]:
        return initial_parameters(self.spec, self.seed)

    def indices(self) -> dict[str, np.ndarray]:
        return batch_indices(row_sets(self.spec, self.data, self.seed), self.batch, self.seed, range(self.steps))

    def noise(self) -> dict[str, np.ndarray]:
        return draw_steps(self.spec.noise, self.batch, self.seed, "training", range(self.steps))

    def first_batch(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """(inputs, noise) of step 0."""
        indices = batch_indices(row_sets(self.spec, self.data, self.seed), self.batch, self.seed, range(1))
        inputs = model_inputs(self.spec, self.data, {name: rows[0] for name, rows in indices.items()})
        return inputs, draw(self.spec.noise, self.batch, self.seed, "training", 0)

    def sampling_noise(self) -> dict[str, np.ndarray]:
        return draw(self.spec.sampling_noise, self.batch, self.seed, "sampling", 0)


def collect(column: Column, case: Case, dtype: str, watch: Watch | None = None) -> Results:
    """Every tensor of every stage from one column that starts at `case.parameters()`; in float32 they end with one update.

    `watch(step, tensors)` is called with parameters and running statistics along the many updates, in float32 too.
    """
    return dict(stages(column, case, dtype, watch))


def stages(column: Column, case: Case, dtype: str, watch: Watch | None = None) -> Iterator[tuple[str, dict]]:
    """What `collect` gives, stage by stage: nothing is computed for a stage that nobody asks for."""
    inputs, noise = case.first_batch()
    before = column.parameters()
    yield "parameters", before
    yield "forward", column.forward(inputs, noise) | _jobs(column, case, inputs, noise)
    yield "losses", _arrays(column.losses(inputs, noise), before)
    yield "gradients", column.gradients(inputs, noise)
    before = {name: np.array(value) for name, value in before.items()}
    during, after = column.train_step(inputs, noise), column.losses(inputs, noise)
    losses = {f"{name} during": value for name, value in during.items()}
    losses |= {f"{name} after": value for name, value in after.items()}
    # In float64 the parameters themselves are exact enough.
    after_all = column.parameters() if dtype == "float32" else {}
    moved = {f"{name}{MOVED}": value - before[name] for name, value in after_all.items()}
    # Once more, now that the running statistics of batch norms are no longer what they start from.
    jobs = {f"{name} after": value for name, value in _jobs(column, case, inputs, noise).items()}
    yield "one update", _arrays(losses, before) | _state(column) | moved | jobs
    if case.steps and (dtype == "float64" or watch):
        found = course(column, case, watch)
        if dtype == "float64":
            yield MANY, found


def course(column: Column, case: Case, watch: Watch | None = None) -> dict[str, np.ndarray]:
    """The tensors of the stage of many updates."""
    curves = many_updates(column, case, watch)
    return _state(column) | {f"{name} curve": value for name, value in curves.items()}


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
    """What the oracle says, in float64 always. For float32 it starts from the rounded weights and omits many updates."""
    case = case if dtype == "float64" else replace(case, steps=0)
    return collect(Reference(case.spec, _rounded(case, dtype)), case, dtype, watch)


@dataclass(frozen=True)
class Bar:
    """What one tensor may deviate by: FACTOR times its floor. Of parameters after an update only the elements in
    `settled` count, those whose gradient's sign is not up to rounding; None: all."""

    tolerance: float
    settled: np.ndarray | None = None


@dataclass(frozen=True)
class Truth:
    """What the oracle says, and what a column may make of it: {stage: {tensor: ...}} both."""

    results: Results
    bars: dict[str, dict[str, Bar]]
    columns: int = 1  # whose rounding the bars allow for

    def between(self, results: Results) -> "Truth":
        """What another column may make of it where one has `results`: each may be a bar away from the oracle."""
        bars = {
            stage: {name: replace(bar, tolerance=2 * bar.tolerance) for name, bar in tensors.items()}
            for stage, tensors in self.bars.items()
        }
        return Truth(results, bars, columns=2)


def truth(case: Case, dtype: str, watch: Watch | None = None) -> Truth:
    """What the oracle says, with the bars: how far its own results move when every operation is off by up to FACTOR
    roundings of `dtype`, the largest of a few draws. A tensor's floor is a FACTORth of that, and at least the rounding of
    the tensor itself; of a bias of a few elements at least that of its layer's weights.

    In float32 a unit whose input is within rounding of a ReLU's kink flips, and the error is not proportional: FACTOR
    times as many flips make it √FACTOR times as large. So one draw more is off by single roundings. The bar is at least FACTOR
    times what these do, and where that shows that flips make most of a stage (they do so in InfoGAN), or of a tensor (a single
    unit may), √FACTOR times what FACTOR roundings do; and a few of the elements that are settled may move the wrong way all the
    same (STRAY).
    """
    return with_bars(expected(case, dtype, watch), case, dtype)


def with_bars(results: Results, case: Case, dtype: str) -> Truth:
    """`truth`, where `expected` has been asked already."""
    settled = {name: np.ones(value.shape, bool) for name, value in results["parameters"].items()}
    largest = {stage: dict.fromkeys(tensors, FACTOR * ROUNDING[dtype]) for stage, tensors in results.items()}
    largest["parameters"] = dict.fromkeys(results["parameters"], 0.0)
    drawn = []
    for number in DRAWS[dtype]:
        whole = MANY in results and (number < COURSES or case.steps <= SHORT)
        found = _inexact(case if whole else replace(case, steps=0), dtype, FACTOR, number)
        _settle(settled, case.spec, results, found)
        # What is compared where all draws are settled waits for the others; of the rest, gigabytes in a large model, nothing is kept.
        update = found["one update"]
        drawn.append({key: update.pop(key) for name in settled for key in (name, f"{name}{MOVED}") if key in update})
        for stage, tensors in found.items():
            _raise(largest[stage], _distances(results[stage], tensors, {}))
    masks = {"one update": settled | {f"{name}{MOVED}": mask for name, mask in settled.items()}}
    for update in drawn:
        _raise(largest["one update"], _distances(results["one update"], update, masks["one update"]))
        steep = _steep(results["one update"], update, settled)
        if dtype == "float64":  # a tensor that rounding does not move beyond the ceiling is not to fail for this
            steep = {name: min(distance, CEILING[dtype]) for name, distance in steep.items()}
        _raise(largest["one update"], steep)
    if MANY in largest:  # chance decides what one course makes of a tensor of a few elements
        most = max(largest[MANY].values())
        for name, value in results[MANY].items():
            if value.size < FEW:
                largest[MANY][name] = most
    if dtype == "float32":
        single, flips = _inexact(replace(case, steps=0), dtype, 1, SINGLE), False
        for stage in ("gradients", "one update"):
            distances = _distances(results[stage], single[stage], masks.get(stage, {}))
            largest[stage], found = with_flips(largest[stage], distances, dtype)
            flips |= found
            if flips and stage == "one update":  # of units, and so of the signs of gradients
                _raise(largest[stage], _strays(case.spec, results[stage], settled))
        for name, error in _stored(results["one update"], settled).items():
            largest["one update"][name] += error
    for stage, bars in largest.items():  # nor is it left to chance what a few draws make of such a tensor
        for name, bar in bars.items():
            weight = name.replace(".bias", ".weight")
            if results[stage][name].size < FEW and weight in bars:
                bars[name] = max(bar, bars[weight])
    for name in results["losses"]:  # a single number, three times
        places = [("losses", name), *(("one update", f"{name} {when}") for when in ("during", "after"))]
        places = [(stage, place) for stage, place in places if place in results[stage]]
        most = max(largest[stage][place] for stage, place in places)
        for stage, place in places:
            largest[stage][place] = most
    return Truth(
        results,
        {
            stage: {name: Bar(value, masks.get(stage, {}).get(name)) for name, value in tensors.items()}
            for stage, tensors in largest.items()
        },
    )


def with_flips(bars: dict[str, float], single: dict[str, float], dtype: str) -> tuple[dict[str, float], bool]:
    """(bars, whether units flip) of one stage, from what FACTOR roundings and what single ones do to each tensor: see `truth`."""
    least = {name: FACTOR * max(distance, ROUNDING[dtype]) for name, distance in single.items()}
    ratios = {name: bars[name] / least[name] for name in bars}
    found, more = np.array([*ratios.values()]), FACTOR**0.5
    everywhere = np.median(found) > FLIPS
    # A tensor beyond FACTOR is what a flip has made; not so a move, which the optimiser's numbers make longer or shorter.
    there = {name for name in bars if everywhere or (ratios[name] > FACTOR and not name.endswith(MOVED))}
    flips = np.median(np.abs(np.log(found))) > np.log(FLIPS)  # less too: single roundings have flips then
    return {name: max(more * bar if name in there else bar, least[name]) for name, bar in bars.items()}, bool(flips)


def _inexact(case, dtype, roundings, number):
    """What the oracle says when every operation is off by up to so many roundings, in the draw `number`."""
    error, seed = roundings * ROUNDING[dtype], case.seed * 8 + number
    column = InexactReference(case.spec, _rounded(case, dtype), dtype=dtype, error=error, seed=seed)
    return {stage: {n: np.asarray(v) for n, v in tensors.items()} for stage, tensors in stages(column, case, dtype)}


def _settle(settled, spec, expected, found):
    """Take out of `settled` the elements whose gradient, and so the first step of Adam or RMSProp, may have either sign."""
    for update in _by_sign(spec):
        for name in spec.parameter_shapes(update.networks):
            # Adam keeps the gradient that it has seen; RMSProp does not, and it is that of the stage before.
            kept = "first" in update.optimizer.moments
            stage, key = (
                ("one update", f"{update.name}.first.{name}") if kept else ("gradients", f"{update.name}.{name}")
            )
            error = CLEARANCE * np.abs(found[stage][key] - expected[stage][key])
            settled[name] &= (error < np.abs(expected[stage][key])) | (error == 0)


def _steep(expected, found, settled):
    """{parameter: √FACTOR times as far as a draw moves it, if one element makes more than half of that}.

    Where a gradient is of the order of ε, the first step is no longer its sign, and follows it steeply: such an element may
    deviate more than all others together, and three draws of one number do not say how far rounding moves it."""
    moved = {}
    for name, mask in settled.items():
        squares = (found[name][mask] - expected[name][mask]) ** 2
        if squares.sum() < 2 * squares.max(initial=0.0):
            moved[name] = FACTOR**0.5 * _distance(name, expected[name], found[name], mask)
    return moved


def _strays(spec, expected, settled):
    """{parameter, or its move: how far it is off when a share STRAY of its settled elements takes its first step the wrong way}."""
    found = {}
    for update in _by_sign(spec):
        for name in spec.parameter_shapes(update.networks):
            count = int(STRAY * settled[name].sum())
            step = 2 * _first_step(update.optimizer) * count**0.5
            found[name] = step / max(float(np.linalg.norm(expected[name][settled[name]])), 1e-30)
            found[f"{name}{MOVED}"] = 2 * count / max(int(settled[name].sum()), 1)  # all steps are of one length
    return found


def _stored(expected, settled):
    """{move: how far it is off when exact parameters are stored in float32, if all these roundings go one way}.

    They may, as they are no independent draws: a first step moves all elements equally far, and those between the same two
    powers of two are rounded equally."""
    found = {}
    for name, mask in settled.items():
        value, move = expected[name][mask], expected[f"{name}{MOVED}"][mask]
        rounding = np.abs(value.astype(np.float32) - value)
        found[f"{name}{MOVED}"] = float(np.sum(rounding * np.abs(move))) / max(float(np.sum(move**2)), 1e-30)
    return found


def _by_sign(spec):
    """The updates whose first step is the sign of the gradient: Adam's, RMSProp's."""
    return [update for update in spec.updates if {"first", "square"} & {*update.optimizer.moments}]


def _first_step(optimizer):
    """How far it moves a parameter, whatever the gradient: RMSProp's mean square is a part 1 - ρ of it."""
    rms = "square" in optimizer.moments
    return optimizer.learning_rate / (1 - optimizer.decay) ** 0.5 if rms else optimizer.learning_rate


def _distances(expected, found, masks):
    return {name: _distance(name, expected[name], value, masks.get(name)) for name, value in found.items()}


def _raise(largest, distances):
    for name, distance in distances.items():
        largest[name] = max(largest[name], float(distance))


def _rounded(case, dtype):
    return {name: value.astype(dtype) for name, value in case.parameters().items()}


@dataclass(frozen=True)
class Stage:
    """One row of the report. `tensor` is nearest to its bar, or farthest beyond it; `problem` says what is wrong where no
    number can."""

    name: str
    deviation: float
    tensor: str
    tolerance: float
    problem: str = ""
    weak: int = 0  # tensors of the stage whose bar is above the CEILING

    @property
    def passed(self) -> bool:
        return not self.problem and self.deviation <= self.tolerance

    @property
    def times_floor(self) -> float:
        """The deviation in multiples of what one rounding an operation makes of the tensor."""
        return FACTOR * self.share

    @property
    def share(self) -> float:
        """The deviation as a part of its bar."""
        if self.deviation == 0:
            return 0.0
        return self.deviation / self.tolerance if self.tolerance else float("inf")


def compare(truth: Truth, found: Results, dtype: str) -> list[Stage]:
    """One Stage per stage of `truth`, in order."""
    return [compare_stage(stage, truth, found.get(stage, {}), dtype) for stage in truth.results]


def compare_stage(name: str, truth: Truth, found: dict, dtype: str) -> Stage:
    """One stage's tensors against those of the truth."""
    reference, bars, ceiling = truth.results[name], truth.bars[name], truth.columns * CEILING[dtype]
    if list(reference) != list(found):
        missing, extra = set(reference) - set(found), set(found) - set(reference)
        what = (
            f"missing {sorted(missing)}, unexpected {sorted(extra)}" if missing or extra else "names in another order"
        )
        return Stage(name, float("inf"), "", 0.0, what)
    rows, weak = [], 0
    for tensor, value in reference.items():
        other, bar = found[tensor], bars[tensor]
        if other.shape != value.shape:
            return Stage(name, float("inf"), tensor, bar.tolerance, f"shape {other.shape}, expected {value.shape}")
        if other.dtype != dtype:
            return Stage(name, float("inf"), tensor, bar.tolerance, f"dtype {other.dtype}, expected {dtype}")
        distance, problem = _distance(tensor, value, other, bar.settled), ""
        weak += bar.tolerance > ceiling
        if bar.tolerance > ceiling and dtype == "float64":
            problem = f"its bar, {bar.tolerance:.1e}, is above {ceiling:.0e}: rounding alone may move it so far"
        rows.append(Stage(name, distance, tensor, bar.tolerance, problem))
    worst = max(rows, key=lambda row: (bool(row.problem), row.share), default=Stage(name, 0.0, "", 0.0))
    return replace(worst, weak=weak)


def first_failure(stages: Iterable[Stage]) -> Stage | None:
    """The stage at which two columns part, or None if they agree."""
    return next((stage for stage in stages if not stage.passed), None)


def parting(column: Column, truth: Truth, case: Case, dtype: str) -> Stage | None:
    """The stage at which `column` parts from the truth, or None; later stages are not computed."""
    found = stages(column, case, dtype)
    return first_failure(compare_stage(name, truth, tensors, dtype) for name, tensors in found)


def reading(failed: Stage, dtype: str, in_float64: Stage | None) -> str:
    """What to make of a stage that failed: `in_float64` is the one that failed in float64, if any did."""
    beyond = (
        f"{failed.times_floor:.2g} times its expected rounding error"
        if np.isfinite(failed.times_floor)
        else "beyond any rounding"
    )
    if failed.problem:
        return (
            "nothing to do with rounding: mend this first"
            if dtype == "float32" or "bar" not in failed.problem
            else ("the model's own course amplifies rounding too much to be compared: compare at a lower rate (--rate)")
        )
    if dtype == "float32":
        if in_float64 is None:
            return f"{beyond}, and float64 agrees: a matter of rounding; report it, with report.json"
        return f"{beyond}, and float64 differs as well (stage {in_float64.name!r}): a mistake, to be looked for there"
    if failed.deviation < ROUNDING["float32"] * FACTOR:
        return f"{beyond}, but small: look for a number or an operator in float32, or of lower precision than float64"
    return f"{beyond}, in float64: a mistake, in what this stage adds to the one before"


def _distance(name, expected, found, settled):
    """Deviation of one tensor on its settled elements. Of a move it is the error of its length along the expected one: the
    parameters' own rounding, large beside a short move, averages out there, and a wrong rate does not."""
    if settled is not None and not settled.all():
        expected, found = expected[settled], found[settled]
    if name.endswith(MOVED):
        expected, found = np.asarray(expected, np.float64).ravel(), np.asarray(found, np.float64).ravel()
        square = float(expected @ expected)
        if square > 0:
            error = abs(float(found @ expected) / square - 1)
            return error if np.isfinite(error) else float("inf")
    return deviation(expected, found)


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
        (deviation(np.array(slope), np.sum(gradients[name] * direction)), name)
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


def _arrays(values, like):
    """Numbers as arrays in the precision of the parameters; the oracle's is float64 always."""
    dtype = next(iter(like.values())).dtype
    return {name: np.asarray(value, dtype) for name, value in values.items()}
