"""What the probe knows of one layer of Flax: its canonical tensors of which own ones, how it was called, where channels are."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np
from flax import nnx


@dataclass(frozen=True)
class Part:
    """One canonical tensor, of the framework's tensors `names`, which `join` makes and `split` takes apart."""

    names: tuple[str, ...]
    join: Callable = lambda *arrays: arrays[0]
    split: Callable = lambda value: [value]
    written: Callable | None = lambda ndim: ""  # `split` as a user would write it behind an array of so many axes


@dataclass
class Known:
    """A module, its kind with settings, {role: Part}, and where its channels are: `axes` {number of axes: (here, canonically)}."""

    module: Any
    kind: str = "unknown"
    settings: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)
    axes: Callable = lambda ndim: (0, 0)
    structure: Any = None  # of the last call, as are `leaves` and the number of axes of what it was given
    leaves: list = field(default_factory=list)
    ndim: int = 0
    as_called: dict[bool, Any] = field(default_factory=dict)  # {training: the module of the last call}, of linen
    local: dict[str, str] = field(default_factory=dict)  # {name in the layer: name in the model}

    @property
    def title(self) -> str:
        return f"{'nnx' if isinstance(self.module, nnx.Module) else 'nn'}.{type(self.module).__name__}"

    def place(self, local: dict[str, str]) -> None:
        """From the names in the layer to those in the model."""
        self.local = local
        for role, part in self.parts.items():
            self.parts[role] = replace(part, names=tuple(local[name] for name in part.names))

    def canonical(self, value):
        return np.moveaxis(value, *self.axes(value.ndim)) if value.ndim > 1 else value

    def own(self, value):
        return np.ascontiguousarray(np.moveaxis(value, *self.axes(value.ndim)[::-1])) if value.ndim > 1 else value

    def given(self, args, kwargs) -> list[np.ndarray]:
        """The arrays that a call gives to the layer; how it was called is kept for `called`."""
        leaves, self.structure = jax.tree.flatten((args, {k: v for k, v in kwargs.items() if k not in ("rngs", "rng")}))
        self.leaves = [None if is_array(leaf) else leaf for leaf in leaves]
        found = seen(leaves)
        self.ndim = found[0].ndim if found else 0
        return [self.canonical(value) for value in found]

    def called(self, given) -> tuple[tuple, dict]:
        """(args, kwargs) of a call with the arrays `given`: as it was called last, or if it was with more or fewer, one after the
        other."""
        if self.structure is None or self.leaves.count(None) != len(given):
            return tuple(given), {}
        left = iter(given)
        return jax.tree.unflatten(self.structure, [next(left) if leaf is None else leaf for leaf in self.leaves])

    def returned(self, outputs) -> list[np.ndarray]:
        """Of a recurrent layer the sequence alone, without the carry that may come before it."""
        recurrent = self.kind in ("lstm", "gru") and isinstance(outputs, tuple)
        return [self.canonical(value) for value in seen(jax.tree.leaves(outputs[1] if recurrent else outputs))]


def is_array(value) -> bool:
    """Of numbers, not a key of random ones."""
    return isinstance(value, (jax.Array, np.ndarray)) and not jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key)


def seen(leaves) -> list[np.ndarray]:
    """The arrays among them. Raises Traced."""
    found = [value for value in leaves if is_array(value)]
    if any(isinstance(value, jax.core.Tracer) for value in found):
        raise Traced
    return [np.asarray(value) for value in found]


class Traced(Exception):
    """A call inside a transformation, whose values are not there to be seen."""


# ------------------------------------------------------------------------------------------------- tensors


def turned(name, first=1):
    """A kernel (K..., I, O) as (O, I, K...); or, `first` 0, as (I, O, K...)."""
    return Part(
        (name,),
        lambda value: value.transpose(first - 2, -1 - first, *range(value.ndim - 2)),
        lambda value: [value.transpose(*range(2, value.ndim), first, 1 - first)],
        lambda ndim: f".transpose{(*range(2, ndim), first, 1 - first)}",
    )


def those(tensors, **roles):
    return {role: Part((name,)) for role, name in roles.items() if name in tensors}


def stacked(names):
    """Tensors of single gates, kernels (I, H) or biases (H,), one under the other as (gates * H, I) or (gates * H,)."""
    return Part(
        tuple(names),
        lambda *parts: np.concatenate([part.T for part in parts]),
        lambda value: [part.T for part in np.split(value, len(names))],
        None,
    )
