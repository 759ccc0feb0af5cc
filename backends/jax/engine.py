"""The JAX engine: everything about running a model that does not depend on the model.

The state is made of nnx modules; compiled functions take and return its pure values (`nnx.state` outside, `nnx.merge`
inside). Many steps are one `lax.scan`; the data set sits on the device as uint8 and each step gathers and scales its
batch there. nnx has its own names and layouts, so parameters are translated on the way in and out.
"""

import zlib
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cache, partial
from types import ModuleType

import jax
import numpy as np
import optax
from flax import nnx
from jax import numpy as jnp

from common.contract import Snapshot
from common.errors import UsageError
from common.specs.draws import Bernoulli, Normal, OneHot, Uniform
from common.specs.layers import BatchNorm, Conv, ConvTranspose, Dense
from common.specs.records import Spec

# Without x64 JAX silently turns float64 into float32. It is on for float32 columns too. They stay float32, every dtype
# here being explicit, except for 1 - β^t inside Optax, which float32 gets wrong by 1.3e-5 and more at β = 0.999. And
# switching it on later, for a float64 column, would recompile the float32 ones and change their results.
jax.config.update("jax_enable_x64", True)
# On recent GPUs JAX multiplies float32 matrices in TF32, which rounds them to 10 bits of mantissa.
jax.config.update("jax_default_matmul_precision", "highest")

# (layer, canonical parameter or statistic): its name in the nnx layer, and the order in which nnx keeps the canonical axes.
LAYOUTS = {
    (Dense, "weight"): ("kernel", (1, 0)),  # (out, in) -> (in, out)
    (Dense, "bias"): ("bias", (0,)),
    (Conv, "weight"): ("kernel", (2, 3, 1, 0)),  # (out, in, kernel, kernel) -> (kernel, kernel, in, out)
    (Conv, "bias"): ("bias", (0,)),
    (ConvTranspose, "weight"): ("kernel", (2, 3, 1, 0)),  # (in, out, kernel, kernel) -> (kernel, kernel, out, in)
    (ConvTranspose, "bias"): ("bias", (0,)),
    (BatchNorm, "weight"): ("scale", (0,)),
    (BatchNorm, "bias"): ("bias", (0,)),
    (BatchNorm, "mean"): ("mean", (0,)),
    (BatchNorm, "variance"): ("var", (0,)),
}


class State(nnx.Module):
    """A model and one optimiser per update of the specification; `train_step` changes both in place."""

    def __init__(self, model, optimizers):
        self.model = model
        self.optimizers = nnx.Dict(optimizers)


def adam(update, model):
    """Optax's Adam, restricted to the update's networks; `wrt` also tells nnx.grad what to differentiate by."""
    networks = nnx.Any(*(nnx.PathContains(name) for name in update.networks))
    return nnx.Optimizer(model, _transformation(update.optimizer), wrt=nnx.All(nnx.Param, networks))


@cache  # Optax's transformations compare by identity, and columns that share them share compiled steps
def _transformation(adam):
    # Algorithm 1 as it stands, given that eps_root is 0. L2 is coupled by being added before it.
    rule = optax.adam(adam.learning_rate, b1=adam.beta1, b2=adam.beta2, eps=adam.epsilon, eps_root=0.0, nesterov=False)
    return optax.chain(optax.add_decayed_weights(adam.l2), rule) if adam.l2 > 0 else rule


def has_gpu():
    try:
        return bool(jax.devices("gpu"))
    except RuntimeError:
        return False


class Column:
    """One model in JAX, behind the contract of `common.contract.Column`."""

    def __init__(self, spec, module, parameters, *, dtype, device, seed):
        if device == "gpu" and not has_gpu():
            raise UsageError("device 'gpu' was asked for, but JAX finds no CUDA device; use --device cpu")
        self.spec, self.module = spec, module
        self.dtype, self.device = jnp.dtype(dtype), jax.devices(device)[0]
        self.places = {}  # {"encoder.fc0.weight": (("encoder", "fc0", "kernel"), (1, 0))}
        for name, (layer, kind) in spec.owners().items():
            attribute, axes = LAYOUTS[type(layer), kind]
            self.places[name] = ((*name.split(".")[:-1], attribute), axes)
        # Built in the abstract, without drawing nnx's initial values: `restore` sets every variable.
        self.state = nnx.eval_shape(partial(module.build, spec, self.dtype))
        # In a loop XLA leaves the fast path of convolutions on a CPU: 1.6 s for a weight gradient that takes 40 ms.
        self.one_by_one = spec.convolutional and device == "cpu"
        self.key = jax.device_put(jax.random.key(seed, impl="threefry2x32"), self.device)
        self.compiled = Compiled(spec, module, nnx.graphdef(self.state), self.dtype)
        self.restore(Snapshot.start(spec, parameters))

    # ------------------------------------------------------------------------- parameters and moments

    def parameters(self):
        return self._canonical(nnx.state(self.state.model, nnx.Param))

    def statistics(self):
        return self._canonical(nnx.state(self.state.model, nnx.BatchStat))

    def moments(self):
        return {prefix + name: array for prefix, v in self._moments() for name, array in self._canonical(v).items()}

    def restore(self, snapshot):
        self.step = snapshot.step
        self._write(nnx.state(self.state.model), snapshot.parameters | snapshot.statistics)
        for prefix, values in self._moments():
            self._write(values, snapshot.moments, prefix)
        for optimizer in self.state.optimizers.values():
            optimizer.step.set_value(self._put(self.step, np.uint32))  # nnx's count, for the reader only
            optax.tree.get(optimizer.opt_state, "count").set_value(self._put(self.step, np.int32))  # Adam's t

    def _moments(self):
        for update in self.spec.updates:  # nnx.Dict would give them in alphabetical order
            for moment, name in (("first", "mu"), ("second", "nu")):
                yield f"{update.name}.{moment}.", optax.tree.get(self.state.optimizers[update.name].opt_state, name)

    def _canonical(self, values):
        return {
            name: np.array(np.transpose(variable[...], np.argsort(axes)), order="C")
            for name, variable, axes in self._variables(values)
        }

    def _write(self, values, arrays, prefix=""):
        for name, variable, axes in self._variables(values):
            variable.set_value(self._put(np.transpose(arrays[prefix + name], axes)))

    def _variables(self, values):
        """(canonical name, nnx's variable, its axes in canonical terms) of those that `values` holds, in order."""
        variables = dict(nnx.to_flat_state(values))
        return [(name, variables[path], axes) for name, (path, axes) in self.places.items() if path in variables]

    # -------------------------------------------------------------------------------- one call, one job

    def forward(self, x, noise):
        return _arrays(self._call("forward", x, noise))

    def losses(self, x, noise):
        return _floats(self._call("losses", x, noise))

    def gradients(self, x, noise):
        gradients = self.compiled.gradients(nnx.state(self.state), *self._put((x, noise)))
        return {f"{update}.{name}": g for update in gradients for name, g in self._canonical(gradients[update]).items()}

    def train_step(self, x, noise):
        return _floats(self._train(1, self.compiled.step, *self._put((x, noise))))

    def encode(self, x):
        return np.array(self._call("encode", x, training=False))

    def reconstruct(self, x, noise):
        return np.array(self._call("reconstruct", x, noise, training=False))

    def sample(self, noise):
        return np.array(self._call("sample", noise, training=False))

    def _call(self, name, *inputs, training=True):
        function = getattr(self.module, name)
        return _call(function, training, *nnx.split(self.state.model), *self._put(inputs))

    def _train(self, steps, function, *inputs):
        values, losses = function(nnx.state(self.state), *inputs)
        nnx.update(self.state, values)
        self.step += steps
        return losses

    def _put(self, tree, dtype=None):
        # np.array copies; on the CPU a device array may be a view of what it is given, and the caller's may change.
        return jax.device_put(jax.tree.map(lambda array: np.array(array, dtype or self.dtype), tree), self.device)

    # ------------------------------------------------------------------------------------- many steps

    def upload(self, images):
        self.images = self._put(images, np.uint8)

    def train_steps(self, indices, noise=None):
        rows = (self._numbers(len(indices)), self._put(indices, np.int32), self._put(noise))
        if not self.one_by_one:
            return _arrays(self._train(len(indices), self.compiled.steps, self.images, self.key, rows))
        values, losses = nnx.state(self.state), []  # taken apart once: nnx needs 2 ms for that and for the way back
        for k in range(len(indices)):
            row = jax.tree.map(lambda array, k=k: array[k], rows)
            values, one = self.compiled.one(values, self.images, self.key, row)
            losses.append(one)
        nnx.update(self.state, values)
        self.step += len(indices)
        return _arrays(jax.tree.map(lambda *values: jnp.stack(values), *losses))

    def native_noise(self, count, batch):
        return _arrays(self.compiled.noise(self.key, self._numbers(count), batch))

    def _numbers(self, count):
        return self._put(np.arange(self.step, self.step + count), np.uint32)


@dataclass(frozen=True)
class Compiled:
    """The compiled functions, and all that they depend on besides their inputs: equal columns share them."""

    spec: Spec = field(hash=False)  # not hashable, but compared
    module: ModuleType
    graphdef: nnx.GraphDef
    dtype: jnp.dtype

    @partial(jax.jit, static_argnums=0)
    def gradients(self, values, x, noise):
        state = nnx.merge(self.graphdef, values)
        gradients = OrderedDict()
        for update in self.spec.updates:

            def objective(model, name=update.objective):
                return self.module.losses(model, x, noise)[name]

            wrt = nnx.DiffState(0, state.optimizers[update.name].wrt)
            gradients[update.name] = nnx.grad(objective, argnums=wrt)(state.model)
        return gradients

    @partial(jax.jit, static_argnums=0, donate_argnums=1)
    def step(self, values, x, noise):
        """The values after one step, in the donated memory of those before it, and the losses."""
        state = nnx.merge(self.graphdef, values)
        # A dict leaves jit and grad with its keys sorted, so `train_step` no longer knows the model's order.
        names = jax.eval_shape(partial(_call, self.module.losses, True, *nnx.split(state.model)), x, noise)
        losses = self.module.train_step(state, x, noise)
        return nnx.state(state), OrderedDict((name, losses[name]) for name in names)

    @partial(jax.jit, static_argnums=0, donate_argnums=1)
    def one(self, values, images, key, row):
        """One step: `row` holds its number, its indices into `images` and its noise, None for native."""
        number, batch, noise = row
        x = self.spec.images.scale(images[batch].astype(self.dtype)).reshape(len(batch), *self.spec.images.shape)
        return self.step(values, x, self._draw(key, number, len(batch)) if noise is None else noise)

    @partial(jax.jit, static_argnums=0, donate_argnums=1)
    def steps(self, values, images, key, rows):
        """Many steps: `rows` holds what `one` takes, stacked."""
        return jax.lax.scan(lambda values, row: self.one(values, images, key, row), values, rows)

    @partial(jax.jit, static_argnums=(0, 3))
    def noise(self, key, numbers, batch):
        """What `steps` draws in the steps of these numbers."""
        return jax.vmap(lambda number: self._draw(key, number, batch))(numbers)

    def _draw(self, key, number, batch):
        draws = OrderedDict()
        for noise in self.spec.noise:
            own = jax.random.fold_in(jax.random.fold_in(key, number), zlib.crc32(noise.name.encode()))
            draws[noise.name] = self._draw_one(noise.distribution, own, (batch, *noise.shape))
        return draws

    def _draw_one(self, distribution, key, shape):
        match distribution:
            case Normal(mean, std):
                return jax.random.normal(key, shape, self.dtype) * std + mean
            case Uniform(low, high):
                return jax.random.uniform(key, shape, self.dtype, low, high)
            case Bernoulli(keep):
                return jax.random.bernoulli(key, keep, shape).astype(self.dtype)
            case OneHot():
                return jax.nn.one_hot(jax.random.randint(key, shape[:-1], 0, shape[-1]), shape[-1], dtype=self.dtype)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _call(function, training, graphdef, values, *inputs):
    """function(model, *inputs), compiled. A dict would leave jit with its keys sorted, an OrderedDict does not."""
    model = nnx.merge(graphdef, values)
    if not training:
        model.eval()  # this copy of it
    result = function(model, *inputs)
    return OrderedDict(result) if isinstance(result, dict) else result


def _arrays(tensors):
    return {name: np.array(tensor) for name, tensor in tensors.items()}


def _floats(tensors):
    return {name: float(tensor) for name, tensor in tensors.items()}
