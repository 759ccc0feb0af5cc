"""Canonical names and axes to those of nnx and back; arrays in and out."""

import jax
import numpy as np
from flax import nnx
from jax import numpy as jnp

from backends.jax import process  # noqa: F401
from common.specs.layers import BatchNorm, Conv, ConvTranspose, Dense

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


# Flax's natural layout is NHWC: the networks work in it, and these two stand between them and canonical images.


def to_nhwc(x):
    return jnp.transpose(x, (0, 2, 3, 1))


def to_nchw(x):
    return jnp.transpose(x, (0, 3, 1, 2))


class Places:
    """Where nnx keeps what a specification names, and in which order of axes."""

    def __init__(self, spec):
        self.places = {}  # {"encoder.fc0.weight": (("encoder", "fc0", "kernel"), (1, 0))}
        for name, (layer, kind) in spec.owners().items():
            attribute, axes = LAYOUTS[type(layer), kind]
            self.places[name] = ((*name.split(".")[:-1], attribute), axes)

    def read(self, values: nnx.State) -> dict[str, np.ndarray]:
        """Those of `values` by canonical name, in canonical layout and order."""
        return {
            name: np.array(np.transpose(variable[...], np.argsort(axes)), order="C")
            for name, variable, axes in self._variables(values)
        }

    def write(self, values: nnx.State, arrays, dtype, device, prefix: str = "") -> None:
        """Each variable of `values` becomes the array of its canonical name after `prefix`."""
        for name, variable, axes in self._variables(values):
            variable.set_value(put(np.transpose(arrays[prefix + name], axes), dtype, device))

    def _variables(self, values):
        variables = dict(nnx.to_flat_state(values))
        return [(name, variables[path], axes) for name, (path, axes) in self.places.items() if path in variables]


def put(tree, dtype, device: jax.Device):
    """NumPy arrays on the device, copied: a device array of the CPU may be a view of what it is given, which may change."""
    return jax.device_put(jax.tree.map(lambda array: np.array(array, dtype), tree), device)


def arrays(tensors) -> dict[str, np.ndarray]:
    return {name: np.array(tensor) for name, tensor in tensors.items()}


def floats(tensors) -> dict[str, float]:
    return {name: float(tensor) for name, tensor in tensors.items()}
