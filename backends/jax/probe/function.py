"""A plain function of a dict of arrays as a foreign model, for `diff`."""

import inspect

import jax
import jax.numpy as jnp


class Model:
    """f(parameters, *inputs): a model without layers. Parameters may be nested; a dot joins the keys."""

    known: dict = {}

    def __init__(self, function, parameters, dtype):
        self.function, self.structure = function, parameters
        self.values = {name: cast(value, dtype) for name, value in self.flat(parameters).items()}
        self.trainable = {name for name, value in self.values.items() if jnp.issubdtype(value.dtype, jnp.floating)}

    def flat(self, tree):
        return {".".join(str(key.key if hasattr(key, "key") else key.idx) for key in path): value for path, value in jax.tree_util.tree_leaves_with_path(tree)}  # fmt: skip

    def tree(self, values):
        return jax.tree.unflatten(
            jax.tree.structure(self.structure), [values.get(name) for name in self.flat(self.structure)]
        )

    def look(self, values, inputs):
        pass

    def __call__(self, values, inputs, training, record, drop):
        return self.function(self.tree(values), *inputs), values


def cast(value, dtype):
    value = jnp.asarray(value)
    return value.astype(dtype) if jnp.issubdtype(value.dtype, jnp.floating) else value


# What a model's own call may take to be told how it is run, and whether True means evaluation.
MODES = {"train": False, "training": False, "is_training": False, "deterministic": True, "use_running_average": True, "inference": True}  # fmt: skip


def modes(names, training: bool) -> dict[str, bool]:
    """Of MODES those among `names`."""
    return {name: training != turned for name, turned in MODES.items() if name in names}


def arguments(function):
    return inspect.signature(function).parameters
