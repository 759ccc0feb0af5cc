"""A foreign nnx module as a function of its parameters and statistics, for `diff`."""

from contextlib import contextmanager

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from backends.jax.probe import layers
from backends.jax.probe.function import arguments, cast, modes
from common.probing import Refused

MARK = "tetrapla_path"  # an attribute of layers, which is kept when nnx takes a module apart and puts it together


class Model:
    def __init__(self, model: nnx.Module, dtype: str, wrt):
        self.known = {}
        for path, module in walk(model):
            if dtype == "float64":
                widen(module)
            if any(path.startswith(f"{outer}.") for outer in self.known):
                continue  # inside a layer that is known as a whole
            own = {".".join(map(str, name)): v for name, v in nnx.to_flat_state(nnx.state(module, of_numbers))}
            known = layers.of(module, {name: np.asarray(value[...]) for name, value in own.items()})
            if known.kind == "unknown" and not layers.is_whole(module) and has_children(module):
                continue
            known.place({name: f"{path}.{name}".lstrip(".") for name in own})
            self.known[path] = known
            if path:
                setattr(module, MARK, path)
        self.graph, self.state = nnx.split(model)
        self.values, self.trainable, self.paths = {}, set(), {}
        filtered = nnx.filterlib.to_predicate(wrt)
        for path, variable in nnx.to_flat_state(self.state):
            if of_numbers(path, variable):
                name = ".".join(map(str, path))
                self.paths[name], self.values[name] = path, cast(variable[...], dtype)
                if filtered(path, variable):
                    self.trainable.add(name)

    def tree(self, values):
        return nnx.as_pure(nnx.from_flat_state([(self.paths[name], value) for name, value in values.items()]))

    def flat(self, tree):
        return {".".join(map(str, path)): value for path, value in nnx.to_flat_state(tree)}

    def look(self, values, inputs):
        pass

    def _model(self, values, training):
        state = [
            (path, variable.replace(values.get(".".join(map(str, path)), variable[...])))
            for path, variable in nnx.to_flat_state(self.state)
        ]
        model = nnx.merge(self.graph, nnx.from_flat_state(state))
        model.train() if training else model.eval()
        return model

    def __call__(self, values, inputs, training, record, drop):
        model = self._model(values, training)
        with self._seen(record, drop):
            outputs = model(*inputs, **modes(arguments(type(model).__call__), training))
        self._refuse_draws(model)
        return outputs, self._after(model, values)

    def _after(self, model, values):
        found = {".".join(map(str, path)): variable[...] for path, variable in nnx.to_flat_state(nnx.state(model))}
        return {name: found.get(name, value) for name, value in values.items()}

    def _refuse_draws(self, model):
        """Layers of dropout draw nothing here, so who did is the model itself or a layer that is not known; the state in which a
        recurrent layer starts asks for a draw, of whatever stream it has, and is 0."""
        recurrent = tuple(f"{path}." for path, one in self.known.items() if one.kind in ("lstm", "gru"))
        before = dict(nnx.to_flat_state(nnx.filter_state(self.state, nnx.RngCount)))
        for path, count in nnx.to_flat_state(nnx.state(model, nnx.RngCount)):
            if path not in before or count.tag == "carry" or isinstance(count[...], jax.core.Tracer):
                continue
            if ".".join(map(str, path)).startswith(recurrent):
                continue
            if int(count[...]) != int(before[path][...]):
                raise Refused(
                    f"the model draws from {'.'.join(map(str, path[:-1]))}; no draw may be left to chance: "
                    'take it as an input, or compare with mode = "eval"'
                )

    def alone(self, path, values, given, training, drop):
        module = self._model(values, training)
        for name in path.split(".") if path else ():
            module = module[int(name) if name.isdigit() else name] if isinstance(module, (list, dict, nnx.List, nnx.Dict)) else getattr(module, name)  # fmt: skip
        with self._seen(None, drop):
            args, kwargs = self.known[path].called(given)
            return module(*args, **kwargs)

    @contextmanager
    def _seen(self, record, drop):
        """Inside, the calls of known layers are recorded, and what dropout draws is replayed."""
        classes = {type(one.module) for one in self.known.values() if callable(one.module)}
        before = {kind: (vars(kind).get("__call__"), kind.__call__) for kind in classes}
        inside = set()  # paths: of a user's layer the `__call__` that it has from Flax's own is no call by itself
        for kind, (_, call) in before.items():
            kind.__call__ = self._wrapped(call, record, drop, inside)
        try:
            yield
        finally:
            for kind, (own, _) in before.items():
                if own is None:
                    del kind.__call__
                else:
                    kind.__call__ = own

    def _wrapped(self, call, record, drop, inside):
        def wrapped(module, *args, **kwargs):
            path = vars(module).get(MARK, "" if "" in self.known else None)
            if path not in self.known or path in inside:
                return call(module, *args, **kwargs)
            one = self.known[path]
            inside.add(path)
            try:
                if one.kind == "dropout":
                    outputs = self._dropout(path, one, drop, module, *args, **kwargs)
                else:
                    with jax.disable_jit(False):  # nothing inside is looked at, and a recurrent layer compiles its step
                        outputs = call(module, *args, **kwargs)
            finally:
                inside.remove(path)
            if record:
                record(path, one, (args, kwargs), outputs)
            return outputs

        return wrapped

    @staticmethod
    def _dropout(path, one, drop, module, inputs, *, deterministic=None, rngs=None):
        deterministic = module.deterministic if deterministic is None else deterministic
        return inputs if deterministic or not module.rate else drop(path, one, inputs)


def widen(module) -> None:
    """What Flax does in float32 though nobody said so."""
    if isinstance(module, nnx.Embed) and module.dtype == module.param_dtype == jnp.float32:
        module.dtype = None  # by default that of its parameters when they were made
    if getattr(module, "param_dtype", None) == jnp.float32:
        module.param_dtype = jnp.float64  # in which the state of a recurrent layer starts
    if getattr(module, "attention_fn", None) is nnx.dot_product_attention:
        module.attention_fn = attention


def attention(*args, **kwargs):
    """nnx.dot_product_attention, which takes the softmax in float32 unless a module is there that wants to keep the weights."""
    return nnx.dot_product_attention(*args, **kwargs | {"module": kwargs.get("module") or Nobody()})


class Nobody:
    def sow(self, *values):
        pass


def of_numbers(path, variable) -> bool:
    """A filter: what is learned or counted along, but no state of random numbers."""
    return not isinstance(variable, nnx.RngState) and jnp.issubdtype(variable.dtype, jnp.floating)


def walk(model, path="", seen=None):
    """(path, module) of all modules, in the order in which they were made, a module before what is inside."""
    seen = set() if seen is None else seen
    if id(model) in seen:
        return
    seen.add(id(model))
    if isinstance(model, nnx.Module) and not isinstance(model, (nnx.List, nnx.Dict)):
        yield path, model
    for name, value in children(model):
        yield from walk(value, f"{path}.{name}".lstrip("."), seen)


def children(node):
    """What may hold modules."""
    if isinstance(node, (list, tuple, nnx.List)):
        items = list(enumerate(node))
    elif isinstance(node, (dict, nnx.Dict)):
        items = list(node.items())
    else:
        items = [(name, value) for name, value in vars(node).items() if not name.startswith("_pytree__")]
    return [(name, value) for name, value in items if isinstance(value, (nnx.Module, list, tuple, dict))]


def has_children(module) -> bool:
    return next((True for value in list(walk(module))[1:]), False)
