"""The optimisers of the specification, as Optax has them, and how their state is found."""

from collections.abc import Iterable, Iterator
from functools import cache

import jax
import numpy as np
import optax
from flax import nnx
from jax import numpy as jnp

from backends.jax import process  # noqa: F401
from common.specs import records
from common.specs.records import Update

OPTIMIZERS = (records.Adam, records.Momentum, records.RMSProp)  # that are written here
KEPT = {"first": "mu", "second": "nu", "velocity": "trace", "square": "nu"}  # by Optax's names


def create(update, model):
    """The update's optimiser, as the specification has it."""
    rules = {records.Adam: adam, records.Momentum: momentum, records.RMSProp: rmsprop}
    return rules[type(update.optimizer)](update, model)


def adam(update, model):
    """Optax's Adam, restricted to the update's networks."""
    return _restricted(transformation(update.optimizer), update, model)


def momentum(update, model):
    """Optax's SGD, restricted to the update's networks; it follows its rate by a count of its own."""
    return _restricted(descent(update.optimizer), update, model)


def rmsprop(update, model):
    """Optax's RMSProp with ε outside the root, restricted to the update's networks."""
    return _restricted(root_mean_square(update.optimizer), update, model)


def _restricted(rule, update, model):
    """`wrt` also tells nnx.grad what to differentiate by."""
    networks = nnx.Any(*(nnx.PathContains(name) for name in update.networks))
    return nnx.Optimizer(model, rule, wrt=nnx.All(nnx.Param, networks))


@cache  # Optax's transformations compare by identity, and columns that share them share compiled steps
def transformation(adam):
    """Algorithm 1 as it stands, given that eps_root is 0. L2 is coupled by being added before it."""
    rule = optax.adam(adam.learning_rate, b1=adam.beta1, b2=adam.beta2, eps=adam.epsilon, eps_root=0.0, nesterov=False)
    return optax.chain(optax.add_decayed_weights(adam.l2), rule) if adam.l2 > 0 else rule


@cache
def descent(momentum):
    """The rate stands outside of what is kept, and is Optax's from the count on that a step of it names."""
    steps = dict(zip(momentum.steps.at, momentum.steps.factors, strict=True))
    rate = optax.piecewise_constant_schedule(momentum.learning_rate, steps)
    return optax.sgd(rate, momentum=momentum.momentum, nesterov=False)


@cache
def root_mean_square(rmsprop):
    return optax.rmsprop(
        rmsprop.learning_rate,
        decay=rmsprop.decay,
        eps=rmsprop.epsilon,
        initial_scale=0.0,
        eps_in_sqrt=False,
        centered=False,
        momentum=None,
        nesterov=False,
        bias_correction=False,
    )


def update(state, name, losses, objective, inputs, noise):
    """One step of the optimiser `name` on the `objective` among what `losses(model, inputs, noise)` returns, by its networks'
    parameters alone; returns them all."""
    optimizer = state.optimizers[name]

    def of_model(model):
        values = losses(model, inputs, noise)
        return values[objective], values  # the gradient is of the first

    gradient = nnx.grad(of_model, argnums=nnx.DiffState(0, optimizer.wrt), has_aux=True)
    gradients, values = gradient(state.model)
    optimizer.update(state.model, gradients)
    return values


def update_all(state, losses, objectives, inputs, noise):
    """One step of every optimiser on its objective {optimiser: name of a loss} among what `losses(model, inputs, noise)` returns,
    by its networks' parameters alone; all gradients are taken from one pass, before any of them moves; returns the losses."""

    def of_model(model):
        values = losses(model, inputs, noise)
        return {name: values[objective] for name, objective in objectives.items()}, values

    taken, pull, values = nnx.vjp(of_model, state.model, has_aux=True, graph_updates=False)
    gradients = {}
    for name in objectives:
        (gradients[name],) = pull({other: jnp.full_like(value, other == name) for other, value in taken.items()})
    for name, gradient in gradients.items():
        state.optimizers[name].update(state.model, gradient)  # takes of the gradient what `wrt` names
    return values


def begin(optimizer: nnx.Optimizer, count: int, device: jax.Device) -> None:
    """As after `count` steps, with moments to be written."""
    optimizer.step.set_value(jax.device_put(np.uint32(count), device))  # nnx's count, for the reader only
    kept = optax.tree.get(optimizer.opt_state, "count")  # Adam's t, or the schedule's; RMSProp has none
    if kept is not None:
        kept.set_value(jax.device_put(np.int32(count), device))


def moments(updates: Iterable[Update], optimizers) -> Iterator[tuple[str, nnx.State]]:
    """("train.first.", nnx's variables) of every optimiser, in the order of the updates."""
    for one in updates:  # nnx.Dict would give them in alphabetical order
        for moment in one.optimizer.moments:
            yield f"{one.name}.{moment}.", optax.tree.get(optimizers[one.name].opt_state, KEPT[moment])
