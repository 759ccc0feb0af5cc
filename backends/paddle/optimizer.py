"""The optimisers of the specification, as Paddle's users have them, and how their state is found."""

from backends.paddle import process  # noqa: F401  # isort: skip

from collections.abc import Iterator

import numpy as np
import paddle

from backends.paddle import workers
from backends.paddle.exact import CoupledL2, ExactMomentum, RMSProp, in_float64, tensor
from common.specs import records
from common.specs.records import Spec

OPTIMIZERS = (records.Adam, records.Momentum, records.RMSProp)  # that are written here
MOMENTS = {
    "first": "moment1",
    "second": "moment2",
    "velocity": "velocity",
    "square": "mean_square",
}  # by Paddle's names


def create(update):
    """The update's optimiser, as the specification has it."""
    return {records.Adam: adam, records.Momentum: momentum, records.RMSProp: rmsprop}[type(update.optimizer)](update)


def adam(update):
    """Paddle's Adam: Algorithm 1, in float64 because its numbers are tensors, which it would else round to float32. In float32
    they are cheaper, being one operator for all parameters, where a Python number is one for each."""
    optimizer = update.optimizer
    l2 = CoupledL2 if in_float64() else paddle.regularizer.L2Decay
    return paddle.optimizer.Adam(
        learning_rate=optimizer.learning_rate,
        beta1=tensor(optimizer.beta1),
        beta2=tensor(optimizer.beta2),
        epsilon=tensor(optimizer.epsilon),
        weight_decay=l2(optimizer.l2) if optimizer.l2 else None,
        grad_clip=workers.clip(),
    )


def momentum(update):
    """Paddle's Momentum, which rounds μ to float32; `rates` has its rate."""
    kind = ExactMomentum if in_float64() else paddle.optimizer.Momentum
    return kind(
        learning_rate=update.optimizer.learning_rate,
        momentum=update.optimizer.momentum,
        use_nesterov=False,
        grad_clip=workers.clip(),
    )


def rmsprop(update):
    """RMSProp with ε outside the root, where Paddle's own has it inside."""
    optimizer = update.optimizer
    return RMSProp(
        learning_rate=optimizer.learning_rate,
        rho=optimizer.decay,
        epsilon=optimizer.epsilon,
        grad_clip=workers.clip(),
    )


def parameters(model, update):
    """The parameters that the update moves: those of its networks, without running statistics."""
    return [p for name in update.networks for p in getattr(model, name).parameters() if p.trainable]


def minimize_all(optimizers, model, values):
    """One step of every {update: optimiser} on its objective among `values`, by its parameters alone; all gradients are taken
    before any of them moves, where `minimize` would move the first's before it takes the next's."""
    block, found = paddle.static.default_main_program().global_block(), {}
    for update in optimizers:
        moved = parameters(model, update)
        others = [p for network in model.children() for p in network.parameters() if all(p is not one for one in moved)]
        before = len(block.ops)
        found[update] = paddle.static.gradients(values[update.objective], moved, no_grad_set=others)
        for operator in block.ops[before:]:  # which the next call would differentiate too, in float64: see `gradients`
            for value in operator.results():
                value.stop_gradient = True
    for update, optimizer in optimizers.items():
        with paddle.utils.unique_name.guard(f"{update.name}."):  # of its moments and rate
            optimizer.apply_gradients(list(zip(parameters(model, update), found[update], strict=True)))


def gradients(model, update, values):
    """{"encoder.fc0.weight": ...}: the gradient of the update's objective among `values`, without L2. One call a Program: where
    an operator assigns to a variable, as batch norms of float64 do, Paddle would differentiate the first call's operators too."""
    moved = parameters(model, update)
    slopes = workers.joined(paddle.static.gradients(values[update.objective], moved))
    return {parameter.name: slope for parameter, slope in zip(moved, slopes, strict=True)}


def moments(spec: Spec) -> dict[str, tuple[str, str]]:
    """{"train.first.encoder.fc0.weight": (Paddle's variable, "encoder.fc0.weight")} of every optimiser."""
    return {
        f"{update.name}.{moment}.{name}": (f"{update.name}.{name}_{key}_0", name)
        for update in spec.updates
        for moment in update.optimizer.moments
        for key in [MOMENTS[moment]]
        for name in spec.parameter_shapes(update.networks)
    }


def powers(spec: Spec, count: int, dtype: str) -> Iterator[tuple[str, np.ndarray]]:
    """(Paddle's variable, βᵗ⁺¹ (1,)) of every optimiser after `count` steps: a running product that Adam keeps beside each
    parameter, and that starts from 0.9 and 0.999 where β is a tensor, whatever β is."""
    for update in spec.updates:
        if not isinstance(update.optimizer, records.Adam):
            continue
        for key, beta in (("beta1", update.optimizer.beta1), ("beta2", update.optimizer.beta2)):
            power = np.cumprod(np.full(count + 1, beta, dtype))[-1:]
            for name in spec.parameter_shapes(update.networks):
                yield f"{update.name}.{name}_{key}_pow_acc_0", power


def rates(spec: Spec, done: int) -> Iterator[tuple[str, float]]:
    """(Paddle's variable, rate) of every optimiser whose rate falls in steps, for the update after `done`."""
    for update in spec.updates:
        if isinstance(update.optimizer, records.Momentum):
            rate = update.optimizer.learning_rate * update.optimizer.steps.factor(done)
            yield f"{update.name}.learning_rate_0", rate
