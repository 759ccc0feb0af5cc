"""Many training steps: inputs gathered from a data set that lies on the device, in one loop or one compiled call a step.

The state is made of nnx modules; compiled functions take and return its pure values (`nnx.state` outside, `nnx.merge`
inside).
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType

import jax
import numpy as np
from flax import nnx
from jax import numpy as jnp

from backends.jax.layouts import Spread, put
from backends.jax.noise import draws
from common.specs.inputs import Images
from common.specs.records import Spec


class State(nnx.Module):
    """A model and one optimiser per update of the specification; `train_step` changes both in place."""

    def __init__(self, model, optimizers):
        self.model = model
        self.optimizers = nnx.Dict(optimizers)


def gather(inputs, data, indices, dtype):
    """{name: (B, *shape)}: the declared `inputs` at the rows `indices` {set: (B,)} of `data` {source: uint8 (N, ...)}."""
    return {one.name: _gather(one, data[one.source][indices[one.rows]], dtype) for one in inputs}


def _gather(one, values, dtype):
    if isinstance(one, Images):
        return one.scale(values.astype(dtype)).reshape(len(values), *one.shape)
    return jax.nn.one_hot(values, one.classes, dtype=dtype)


@dataclass(frozen=True)
class Compiled:
    """The compiled steps, and all that they depend on besides their inputs: equal columns share them."""

    spec: Spec = field(hash=False)  # not hashable, but compared
    module: ModuleType
    graphdef: nnx.GraphDef
    dtype: jnp.dtype
    spread: Spread

    @partial(jax.jit, static_argnums=0, donate_argnums=1)
    def step(self, values, inputs, noise):
        """The values after one step, in the donated memory of those before it, and the losses."""
        state = nnx.merge(self.graphdef, values)
        # A dict leaves jit and grad with its keys sorted, so `train_step` no longer knows the model's order.
        names = jax.eval_shape(self._losses, values, inputs, noise)
        losses = self.module.train_step(state, inputs, noise)
        losses = OrderedDict((name, losses[name]) for name in names)
        return self.spread.kept_same((nnx.state(state), losses))

    def _losses(self, values, inputs, noise):
        return OrderedDict(self.module.losses(nnx.merge(self.graphdef, values).model, inputs, noise))

    @partial(jax.jit, static_argnums=0)
    def given(self, data, key, row):
        """(inputs, noise) of one step: `row` holds its number, its indices {set: (B,)} into `data` and its noise, None for
        native."""
        number, indices, noise = row
        size = len(next(iter(indices.values())))
        if noise is None:
            noise = self.spread.kept_dealt(draws(self.spec.noise, key, number, size, self.dtype))
        return gather(self.spec.inputs, data, indices, self.dtype), noise

    @partial(jax.jit, static_argnums=0, donate_argnums=1)
    def steps(self, values, data, key, rows):
        """What `step` gives after many: `rows` holds what `given` takes, stacked."""
        return jax.lax.scan(lambda values, row: self.step(values, *self.given(data, key, row)), values, rows)


class Steps:
    """The compiled step on rows of the uploaded data, again and again."""

    def __init__(self, compiled, key, device):
        self.compiled, self.spread, self.device = compiled, compiled.spread, device
        self.key = self.spread.same(key)
        # XLA brings convolutions into the form that its fast code for a CPU takes, but not those in a loop: the gradient of
        # a kernel takes 30 times as long there.
        self.one_by_one = compiled.spec.convolutional and device.platform == "cpu"

    def upload(self, data):
        wanted = {one.source for one in self.compiled.spec.inputs}
        self.data = self.spread.same(put({name: data[name] for name in wanted}, np.uint8, self.device))

    def __call__(self, values, numbers, indices, noise):
        """The state's values after the steps `numbers` (K,), in the memory of those before it, and their losses {name: (K,)};
        indices {set: (K, B)}, noise {name: (K, B, *shape)} or None for native."""
        numbers, dealt = put(numbers, np.uint32, self.device), (put(indices, np.int32, self.device), noise)
        if not self.one_by_one:
            rows = (self.spread.same(numbers), *self.spread.dealt(dealt, axis=1))
            return self.compiled.steps(values, self.data, self.key, rows)
        losses = []
        for k in range(len(numbers)):
            number, *own = jax.tree.map(lambda array, k=k: array[k], (numbers, *dealt))
            row = (self.spread.same(number), *self.spread.dealt(own))
            values, one = self.compiled.step(values, *self.compiled.given(self.data, self.key, row))
            losses.append(one)
        return values, jax.tree.map(lambda *values: jnp.stack(values), *losses)
