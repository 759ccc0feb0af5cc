"""A foreign linen module with its variables as a function of its parameters and statistics, for `diff`."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import errors, traverse_util

from backends.jax.probe import layers
from backends.jax.probe.function import MODES, arguments, cast, modes
from common.probing import Refused


class Model:
    """`known` is empty until `look` has seen a call."""

    def __init__(self, module: nn.Module, variables, dtype: str):
        if not isinstance(module, nn.Module):
            raise Refused(f"a pair is to be (linen module, variables), not ({type(module).__name__}, ...)")
        self.module, self.known = module, {}
        self.values, self.trainable, self.places, self.fixed = {}, set(), {}, {}
        flat = traverse_util.flatten_dict(nn.meta.unbox(nn.FrozenDict(variables).unfreeze()))
        for place, value in sorted(flat.items(), key=lambda one: one[0][0] != "params"):
            collection, *path = place
            name = ".".join(path)
            if not jnp.issubdtype(value.dtype, jnp.floating):
                self.fixed[place] = value
                continue
            name = f"{collection}.{name}" if name in self.values else name
            self.places[name], self.values[name] = place, cast(value, dtype)
            if collection == "params":
                self.trainable.add(name)
        self.changing = sorted({place[0] for place in (*self.places.values(), *self.fixed)} - {"params"})

    def tree(self, values):
        return traverse_util.unflatten_dict({self.places[name][1:]: value for name, value in values.items()})

    def flat(self, tree):
        return {".".join(path): value for path, value in traverse_util.flatten_dict(tree).items()}

    def _variables(self, values):
        return traverse_util.unflatten_dict(self.fixed | {self.places[name]: value for name, value in values.items()})

    def _mode(self, training):
        names = {field.name for field in dataclasses.fields(self.module)} & MODES.keys()
        return self.module.clone(**modes(names, training)) if names else self.module

    def __call__(self, values, inputs, training, record, drop):
        return self._apply(values, inputs, training, self._interceptor(record, drop, training))

    def _apply(self, values, inputs, training, interceptor):
        module, about = self._mode(training), modes(arguments(type(self.module).__call__), training)
        try:
            with nn.intercept_methods(interceptor):
                outputs, changed = module.apply(self._variables(values), *inputs, mutable=self.changing, **about)
        except errors.InvalidRngError as error:
            raise Refused(f"the model draws: {str(error).split(' (http')[0]}; take it as an input, or compare with mode = \"eval\"") from None  # fmt: skip
        after = traverse_util.flatten_dict(changed)
        return outputs, {name: after.get(self.places[name], value) for name, value in values.items()}

    def _interceptor(self, record, drop, training):
        inside = set()  # paths: of a user's layer the `__call__` that it has from Flax's own is no call by itself

        def intercept(call, args, kwargs, context):
            path = ".".join(context.module.path)
            if context.method_name != "__call__" or path not in self.known or path in inside:
                return call(*args, **kwargs)
            one = self.known[path]
            inside.add(path)
            try:
                if one.kind == "dropout":
                    outputs = self._dropout(path, one, drop, context.module, *args, **kwargs)
                else:
                    with jax.disable_jit(False):  # nothing inside is looked at, and a recurrent layer compiles its step
                        outputs = call(*args, **kwargs)
            finally:
                inside.remove(path)
            if record:
                one.as_called[training] = loose(context.module)
                record(path, one, (args, kwargs), outputs)
            return outputs

        return intercept

    @staticmethod
    def _dropout(path, one, drop, module, inputs, deterministic=None, rng=None):
        deterministic = nn.merge_param("deterministic", module.deterministic, deterministic)
        return inputs if deterministic or not module.rate else drop(path, one, inputs)

    # ------------------------------------------------------------------------------------------- layers

    def look(self, values, inputs):
        """The layers, in the order of their calls: those that are known, and those that call no other."""
        has_children, inside = [False], [False]

        def see(call, args, kwargs, context):
            if context.method_name != "__call__" or inside[0]:
                return call(*args, **kwargs)
            has_children[-1] = True
            path, module = ".".join(context.module.path), context.module
            one = self._known(path, module)
            inside[0] = whole = one.kind != "unknown" or layers.is_whole(module)
            if one.kind == "dropout":  # without a draw
                self.known.setdefault(path, one)
                inside[0] = False
                return args[0]
            has_children.append(False)
            with jax.disable_jit(not whole):
                outputs = call(*args, **kwargs)
            inside[0] = False
            if not has_children.pop() or whole:
                self.known.setdefault(path, one)
            return outputs

        with jax.disable_jit():
            self._apply(values, inputs, False, see)

    def _known(self, path, module):
        # A cell that was made beside its RNN is a layer of the module around both, and has its path.
        cell = ".".join(module.cell.path) if isinstance(module, nn.RNN) else None
        local = {}
        for name in self.values:
            if cell is not None and name.startswith(f"{cell}."):
                local["cell" + name.removeprefix(cell)] = name
            elif cell is None and (not path or name.startswith(f"{path}.")):
                local[name.removeprefix(f"{path}.") if path else name] = name
        one = layers.of(module, {here: np.asarray(self.values[name]) for here, name in local.items()})
        one.module = loose(module)
        one.place(local)
        return one

    def alone(self, path, values, given, training, drop):
        one = self.known[path]
        args, kwargs = one.called(given)
        kwargs |= modes(kwargs.keys(), training)
        # Modules are made in each call of the model, which may tell them the mode when they are made.
        module = one.as_called.get(training, one.module)
        if one.kind == "dropout":
            return self._dropout(path, one, drop, module, *args, **kwargs)
        inner = {(self.places[name][0], *here.split(".")): values[name] for here, name in one.local.items()}
        outputs, _ = module.apply(traverse_util.unflatten_dict(inner), *args, mutable=self.changing, **kwargs)
        return outputs


def loose(module):
    """A copy without the model around it."""
    return module.clone(parent=None, _deep_clone=True, _reset_names=True)
