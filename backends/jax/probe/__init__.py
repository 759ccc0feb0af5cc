"""A foreign model of Flax or plain JAX, for `diff`: its gradients by jax.value_and_grad, its updates by its own optax.

The contract is in common.probing. Models are called as functions of {name: array}, their parameters and statistics: an nnx
module by modules, a pair (linen module, variables) by linen, a function with parameters={name: array} by function.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from backends.jax.probe import chains, function, linen, modules, source
from backends.jax.probe.parts import Part, Traced
from common.probing import Call, Description, Layer, Refused, Tensor, mask, structure


class Probe:
    """`side` is what the user's function returned: model, and where there are, loss, optimizer, parameters."""

    def __init__(self, side: dict, dtype: str):
        self.dtype, self.side, self.loss_function = dtype, side, side.get("loss")
        model, self.optimizer = side["model"], side.get("optimizer")
        wrt = nnx.Param
        if isinstance(self.optimizer, nnx.Optimizer):
            self.optimizer, wrt = self.optimizer.tx, self.optimizer.wrt
        if isinstance(model, nnx.Module):
            self.model = modules.Model(model, dtype, wrt)
        elif isinstance(model, tuple):
            self.model = linen.Model(*model, dtype)
        else:
            self.model = function.Model(model, side["parameters"], dtype)
        self.values = dict(self.model.values)
        self.narrow, self.drawn = "", {}  # `drawn`: {dropout: its number in the last pass}
        self.rates = chains.Rates(self.optimizer) if self.optimizer else None

    # -------------------------------------------------------------------------------------- what there is

    def look(self, inputs):
        """A pass before anything is asked: what linen's models are made of is only seen in a call, and so is a type that a model
        computes in whatever it is given."""
        before = dict(self.values)
        self.model.look(self.values, [jnp.asarray(value) for value in inputs])
        _, calls = self.forward(inputs, training=False)
        self.values, self.drawn = before, {}
        made = jax.make_jaxpr(lambda values: jax.tree.leaves(self._run(values, inputs, False)[0]))(before)
        if self.dtype == "float64" and narrows(made):
            narrow = [one.path for one in calls if any(value.dtype == np.float32 for value in one.outputs)][:1]
            where = f"{narrow[0]} ({self.model.known[narrow[0]].title})" if narrow else "something in the model"
            self.narrow = f"{where} computes in float32"

    def describe(self) -> Description:
        moved = self._moved() if self.optimizer else self.model.trainable

        def tensor(part):
            value = part.join(*(np.asarray(self.values[name]) for name in part.names))
            return Tensor(" ".join(part.names), value.shape, moved.issuperset(part.names))

        layers = [
            Layer(path, one.kind, one.title, one.settings, {role: tensor(part) for role, part in one.parts.items()})
            for path, one in self.model.known.items()
        ]
        layers += [Layer(name, "unknown", "", {}, {"": tensor(Part((name,)))}) for name in self._rest()]
        versions = {name: __import__(name).__version__ for name in ("jax", "flax", "optax")}
        return Description(
            "JAX", versions, layers, "float32" if self.narrow else self.dtype, self.narrow,
            loss={"title": structure.title(self.loss_function)} if self.loss_function else None,
            optimizer=chains.optimizer(self.optimizer) if self.optimizer else None,
        )  # fmt: skip

    def _moved(self) -> set[str]:
        """Parameters that one update with gradients of 1 moves: a mask of the optimiser shows nowhere else."""
        parameters = self._tree(self.values)
        steps, _ = self.optimizer.update(
            jax.tree.map(jnp.ones_like, parameters), self.optimizer.init(parameters), parameters
        )
        moved = {name for name, step in self.model.flat(steps).items() if np.asarray(step).any()}
        return moved or self.model.trainable  # a rate that starts at 0 moves nothing

    def _rest(self):
        held = {name for one in self.model.known.values() for part in one.parts.values() for name in part.names}
        return [name for name in self.values if name not in held]

    def _parts(self):
        found = {f"{path}/{role}": part for path, one in self.model.known.items() for role, part in one.parts.items()}
        return found | {f"{name}/": Part((name,)) for name in self._rest()}

    def _tree(self, values):
        """The trainable of them as the optimiser is given them."""
        return self.model.tree({name: values[name] for name in self.model.trainable})

    def put(self, tensors):
        self.values |= self._own(tensors)

    def _own(self, tensors):
        found = {}
        for key, part in self._parts().items():
            if key in tensors:
                for name, value in zip(part.names, part.split(np.asarray(tensors[key])), strict=True):
                    found[name] = jnp.asarray(value, self.values[name].dtype)
        return found

    def _canonical(self, values):
        return {
            key: np.array(part.join(*(np.asarray(values[name]) for name in part.names)), order="C")
            for key, part in self._parts().items()
            if all(name in values for name in part.names)
        }

    def get(self):
        return self._canonical(self.values)

    # ------------------------------------------------------------------------------------------- forward

    def forward(self, inputs, training):
        calls = []

        def record(path, one, given, outputs):
            try:
                calls.append(Call(path, one.given(*given), one.returned(outputs)))
            except Traced:
                pass

        outputs, self.values = self._run(self.values, inputs, training, record)
        return {name: np.array(value) for name, value in named(outputs).items()}, calls

    def _run(self, values, inputs, training, record=None):
        """(outputs, values with the new statistics). Layers are called without jit around them, so that each call is seen."""
        with jax.disable_jit():
            return self.model(values, [jnp.asarray(value) for value in inputs], training, record, self._dropper())

    def _dropper(self, first=0):
        drops = itertools.count(first)

        def drop(path, one, value):
            number = self.drawn[path] = next(drops)
            here, there = one.axes(value.ndim)
            rate, shared = one.settings["rate"], {axis % value.ndim for axis in one.settings.get("shared", [])}
            shape = tuple(1 if axis in shared else size for axis, size in enumerate(value.shape))
            kept = mask(number, one.canonical(np.empty(shape, bool)).shape, rate)
            kept = jnp.asarray(np.moveaxis(kept, there, here), value.dtype)
            return value * kept / (1 - rate) if rate < 1 else jnp.zeros_like(value)

        return drop

    def alone(self, path, arrays, training):
        one = self.model.known[path]
        given = [jnp.asarray(one.own(value)) for value in arrays]
        return one.returned(
            self.model.alone(path, self.values, given, training, self._dropper(self.drawn.get(path, 0)))
        )

    def source(self, path, training):
        one = self.model.known[path]
        axes = {
            role: part.join(*(np.asarray(self.values[n]) for n in part.names)).ndim for role, part in one.parts.items()
        }
        return source.source(one, axes, self.dtype, training)

    # ------------------------------------------------------------------------- loss, gradients and updates

    def loss(self, outputs, rest):
        floats = {name: jnp.asarray(value) for name, value in outputs.items() if value.dtype.kind == "f"}
        others = {name: jnp.asarray(value) for name, value in outputs.items() if name not in floats}

        def value_of(floats):
            return self._loss(structure.structured({name: (floats | others)[name] for name in outputs}), rest)

        value, gradients = jax.value_and_grad(value_of)(floats)
        return float(value), {name: np.array(one) for name, one in gradients.items()}

    def _loss(self, outputs, rest):
        value = jnp.asarray(self.loss_function(outputs, *(jnp.asarray(one) for one in rest)))
        if value.size != 1:
            raise Refused(f"the loss is to return one number, not {value.shape}")
        return value.reshape(())

    def gradients(self, inputs, rest):
        training = self.side.get("mode") != "eval"

        def value_of(trainable):
            outputs, values = self._run(self.values | trainable, inputs, training)
            return self._loss(outputs, rest), {n: v for n, v in values.items() if n not in trainable}

        trainable = {name: self.values[name] for name in self.model.trainable}
        (value, statistics), gradients = jax.value_and_grad(value_of, has_aux=True)(trainable)
        self.values |= statistics
        return float(value), self._canonical(gradients)

    def update(self, gradients, rates):
        state, found = self.optimizer.init(self._tree(self.values)), []
        for one, rate in zip(gradients, rates, strict=True):
            zeros = {name: jnp.zeros_like(self.values[name]) for name in self.model.trainable}
            given = {name: value for name, value in self._own(one).items() if name in zeros}
            state = self._step(zeros | given, state, rate)
            found.append(self.get())
        return found

    def train(self, inputs, rest, steps):
        state, losses = self.optimizer.init(self._tree(self.values)), []
        for _ in range(steps):
            loss, gradients = self.gradients(inputs, rest)
            losses.append(loss)
            state = self._step(self._own(gradients), state, 1.0)
        return losses

    def _step(self, gradients, state, rate):
        parameters = self._tree(self.values)
        steps, state = self.rates.update(self._tree(gradients), state, parameters, rate)
        self.values |= self.model.flat(jax.tree.map(lambda p, u: jnp.asarray(p + u, p.dtype), parameters, steps))
        return state


def narrows(jaxpr) -> bool:
    """Whether something in it makes float32 of float64."""
    for equation in jaxpr.eqns:
        given, made = (
            [str(getattr(one.aval, "dtype", "")) for one in side] for side in (equation.invars, equation.outvars)
        )
        if "float64" in given and "float32" in made:
            return True
        inner = jax.tree.leaves(list(equation.params.values()), is_leaf=lambda one: hasattr(one, "eqns"))
        if any(narrows(one) for one in inner if hasattr(one, "eqns")):
            return True
    return False


def named(outputs) -> dict[str, jax.Array]:
    """As common.probing.structure has them."""
    return structure.named(outputs, lambda one: isinstance(one, (jax.Array, np.ndarray)), "arrays")
