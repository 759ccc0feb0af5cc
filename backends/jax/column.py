"""One JAX model behind the contract of `common.contract.Column`: NumPy in, NumPy out."""

import contextlib
from collections import OrderedDict
from functools import partial

import jax
import numpy as np
from flax import nnx
from jax import numpy as jnp

from backends.jax import noise as native
from backends.jax import optimizer, process, workers
from backends.jax.layouts import Places, Spread, arrays, floats, put
from backends.jax.steps import Compiled, Steps
from common.contract import Snapshot
from common.workers import ALONE


class Column:
    def __init__(self, spec, module, parameters, *, dtype, device, seed, world=ALONE):
        process.check_device(device)
        self.spec, self.module, self.world = spec, module, world
        self.dtype, self.device = jnp.dtype(dtype), jax.local_devices(backend=device)[0]
        # Where the state lies, and where is computed: of several ranks each can do that alone, on its own copy.
        self.home = self.spread = Spread(self.device, workers.mesh(world, device))
        self.places = Places(spec)
        # Built in the abstract, without drawing nnx's initial values: `restore` sets every variable.
        self.state = nnx.eval_shape(partial(module.build, spec, self.dtype))
        self.key = native.key(seed, self.device)
        self.compiled = Compiled(spec, module, nnx.graphdef(self.state), self.dtype, self.home)
        self.steps = Steps(self.compiled, self.key, self.device)
        self.restore(Snapshot.start(spec, parameters))

    # ------------------------------------------------------------------------- parameters and moments

    def parameters(self):
        return self._read(nnx.state(self.state.model, nnx.Param))

    def statistics(self):
        return self._read(nnx.state(self.state.model, nnx.BatchStat))

    def moments(self):
        return {prefix + name: array for prefix, v in self._moments() for name, array in self._read(v).items()}

    def _read(self, values):
        return self.places.read(self.home.own(values))

    def restore(self, snapshot):
        self.step = snapshot.step
        kind = {"dtype": self.dtype, "device": self.device}
        self.places.write(nnx.state(self.state.model), snapshot.parameters | snapshot.statistics, **kind)
        for prefix, values in self._moments():
            self.places.write(values, snapshot.moments, prefix=prefix, **kind)
        for one in self.state.optimizers.values():
            optimizer.begin(one, snapshot.step, self.device)
        if self.home.mesh:
            nnx.update(self.state, self.home.same(nnx.state(self.state)))

    def _moments(self):
        return optimizer.moments(self.spec.updates, self.state.optimizers)

    # -------------------------------------------------------------------------------- one call, one job

    def forward(self, inputs, noise):
        return arrays(self._call("forward", inputs, noise))

    def losses(self, inputs, noise):
        return floats(self._call("losses", inputs, noise))

    def gradients(self, inputs, noise):
        objectives = tuple((one.name, one.objective) for one in self.spec.updates)
        split = self._split(self.state, self.spread)
        found = _gradients(self.module.losses, objectives, self.spread, *split, *self._put(self.spread, inputs, noise))
        found = self.spread.own(found)
        return {f"{update}.{name}": g for update in found for name, g in self.places.read(found[update]).items()}

    def train_step(self, inputs, noise):
        return floats(self._moved(1, *self.compiled.step(nnx.state(self.state), *self._put(self.home, inputs, noise))))

    def encode(self, inputs):
        return np.array(self._call("encode", inputs, training=False))

    def reconstruct(self, inputs, noise):
        return np.array(self._call("reconstruct", inputs, noise, training=False))

    def sample(self, noise):
        return np.array(self._call("sample", noise, training=False))

    def _call(self, name, *given, training=True):
        function, spread = getattr(self.module, name), self.spread if training else self.home.alone
        split = self._split(self.state.model, spread)
        return spread.own(_call(function, training, spread, *split, *self._put(spread, *given)))

    def _split(self, node, spread):
        graphdef, values = nnx.split(node)
        return graphdef, values if spread == self.home else self.home.own(values)

    def _moved(self, count, values, losses):
        """The losses of `count` steps that left these values."""
        nnx.update(self.state, values)
        self.step += count
        return self.home.own(losses)

    def _put(self, spread, *given):
        if spread.mesh:
            given = [self.world.rows(one) for one in given]  # of the global batch
        return spread.dealt(put(given, self.dtype, self.device))

    @contextlib.contextmanager
    def alone(self):
        self.spread = self.home.alone
        try:
            yield
        finally:
            self.spread = self.home

    # ------------------------------------------------------------------------------------- many steps

    def upload(self, data):
        self.steps.upload(data)

    def train_steps(self, indices, noise=None):
        count, size = next(iter(indices.values())).shape
        own = self.world.own(size)
        indices = {name: rows[:, own] for name, rows in indices.items()}
        noise = None if noise is None else put(self.world.rows(noise, axis=1), self.dtype, self.device)
        # Taken apart and put together once a call: nnx needs 2 ms for it.
        result = self.steps(nnx.state(self.state), self._numbers(count), indices, noise)
        return arrays(self._moved(count, *result))

    def native_noise(self, count, batch):
        numbers = put(self._numbers(count), np.uint32, self.device)
        return arrays(native.many(self.spec.noise, self.key, numbers, batch, self.dtype))

    def _numbers(self, count):
        return np.arange(self.step, self.step + count)


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _call(function, training, spread, graphdef, values, *given):
    """function(model, *given), compiled. A dict would leave jit with its keys sorted, an OrderedDict does not."""
    model = nnx.merge(graphdef, values)
    if not training:
        model.eval()  # this copy of it
    result = function(model, *given)
    return spread.kept_same(OrderedDict(result) if isinstance(result, dict) else result)


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _gradients(losses, objectives, spread, graphdef, values, inputs, noise):
    """{update: of its objective, in what its optimiser moves} for every (update, objective)."""
    state, found = nnx.merge(graphdef, values), OrderedDict()
    for update, objective in objectives:

        def of_model(model, objective=objective):
            return losses(model, inputs, noise)[objective]

        wrt = nnx.DiffState(0, state.optimizers[update].wrt)
        found[update] = nnx.grad(of_model, argnums=wrt)(state.model)
    return spread.kept_same(found)
