"""Canonical names and axes to those of nnx and back; arrays in and out."""

from dataclasses import dataclass

import jax
import numpy as np
from flax import nnx
from jax import numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from backends.jax import process  # noqa: F401
from common.specs import layers

RANKS = "ranks"  # the axis of the mesh of several processes

# (layer, canonical parameter or statistic): its name in the nnx layer, and the order in which nnx keeps the canonical axes.
LAYOUTS = {
    (layers.Dense, "weight"): ("kernel", (1, 0)),  # (out, in) -> (in, out)
    (layers.Dense, "bias"): ("bias", (0,)),
    (layers.Conv, "weight"): ("kernel", (2, 3, 1, 0)),  # (out, in, k, k) -> (k, k, in, out)
    (layers.Conv, "bias"): ("bias", (0,)),
    (layers.ConvTranspose, "weight"): ("kernel", (2, 3, 1, 0)),  # (in, out, k, k) -> (k, k, out, in)
    (layers.ConvTranspose, "bias"): ("bias", (0,)),
    (layers.BatchNorm, "weight"): ("scale", (0,)),
    (layers.BatchNorm, "bias"): ("bias", (0,)),
    (layers.BatchNorm, "mean"): ("mean", (0,)),
    (layers.BatchNorm, "variance"): ("var", (0,)),
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


@dataclass(frozen=True)
class Spread:
    """Where arrays lie: on the `device` of this process and, with a `mesh` of one device of each rank, as arrays of all ranks, of
    which each holds a copy ("same") or its rows ("dealt")."""

    device: jax.Device
    mesh: Mesh | None = None

    @property
    def alone(self) -> "Spread":
        """Of this process alone."""
        return Spread(self.device)

    def same(self, tree):
        """Arrays on the device, of which every rank has the same, as those of all ranks."""
        return self._joined(tree, None)

    def dealt(self, tree, axis: int = 0):
        """Arrays on the device, each rank's rows along `axis`, as those of all ranks."""
        return self._joined(tree, axis)

    def _joined(self, tree, axis):
        if self.mesh is None:
            return tree
        sharding = NamedSharding(self.mesh, PartitionSpec() if axis is None else PartitionSpec(*[None] * axis, RANKS))

        def joined(array):
            shape = tuple(n * self.mesh.size if k == axis else n for k, n in enumerate(array.shape))
            return jax.make_array_from_single_device_arrays(shape, sharding, [array])

        return jax.tree.map(joined, tree)

    def own(self, tree):
        """What this process holds of arrays of all ranks, once it is there. Raises JaxRuntimeError where a rank is gone."""
        if self.mesh is None:
            return tree
        try:
            jax.block_until_ready(tree)
        except ValueError as error:  # as which jaxlib passes on what gloo says, and much else
            raise jax.errors.JaxRuntimeError(str(error)) from None
        return jax.tree.map(lambda array: array.addressable_data(0), tree)

    def kept_same(self, tree):
        """In a compiled function: the tree, of which every rank is to have a copy."""
        return self._kept(tree, PartitionSpec())

    def kept_dealt(self, tree):
        """In a compiled function: the tree, of which every rank is to have its rows."""
        return self._kept(tree, PartitionSpec(RANKS))

    def _kept(self, tree, parts):
        return tree if self.mesh is None else jax.lax.with_sharding_constraint(tree, NamedSharding(self.mesh, parts))


def put(tree, dtype, device: jax.Device):
    """NumPy arrays on the device, copied: a device array of the CPU may be a view of what it is given, which may change."""
    return jax.device_put(jax.tree.map(lambda array: np.array(array, dtype), tree), device)


def arrays(tensors) -> dict[str, np.ndarray]:
    return {name: np.array(tensor) for name, tensor in tensors.items()}


def floats(tensors) -> dict[str, float]:
    return {name: float(tensor) for name, tensor in tensors.items()}
