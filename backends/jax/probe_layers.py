"""Flax's layers, nnx and linen, in canonical terms, for `diff`: kernels (..., in, out) and activations that end with the channels."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import flax.linen as nn
import numpy as np
from flax import nnx


@dataclass(frozen=True)
class Part:
    """One canonical tensor, of the framework's tensors `names`, which `join` makes and `split` takes apart."""

    names: tuple[str, ...]
    join: Callable = lambda *arrays: arrays[0]
    split: Callable = lambda value: [value]


@dataclass
class Known:
    """A module, its kind with settings, {role: Part}, and where its channels are: `axes` {number of axes: (here, canonically)}."""

    module: Any
    kind: str = "unknown"
    settings: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)
    axes: Callable = lambda ndim: (0, 0)

    @property
    def title(self) -> str:
        return f"{'nnx' if isinstance(self.module, nnx.Module) else 'nn'}.{type(self.module).__name__}"

    def canonical(self, value):
        return np.moveaxis(value, *self.axes(value.ndim)) if value.ndim > 1 else value

    def own(self, value):
        return np.ascontiguousarray(np.moveaxis(value, *self.axes(value.ndim)[::-1])) if value.ndim > 1 else value

    def given(self, args, kwargs) -> list[np.ndarray]:
        """The arrays that a call gives to the layer. A cell is given its carry, which may be two."""
        return [self.canonical(value) for value in arrays((args, kwargs))]

    def returned(self, outputs) -> list[np.ndarray]:
        return [self.canonical(value) for value in arrays(self.sequence(outputs))]

    def sequence(self, outputs):
        """Of a recurrent layer the outputs alone, without the carry that may come before them."""
        return outputs[1] if self.kind in ("lstm", "gru") and isinstance(outputs, tuple) else outputs


def arrays(values) -> list[np.ndarray]:
    """Those in a structure, in order, that are numbers and not just being traced."""
    import jax

    leaves = [value for value in jax.tree.leaves(values) if isinstance(value, (jax.Array, np.ndarray))]
    if any(isinstance(value, jax.core.Tracer) for value in leaves):
        raise Traced
    return [np.asarray(value) for value in leaves if not jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key)]


class Traced(Exception):
    """A call inside a transformation, whose values are not there to be seen."""


def of(module, tensors: dict[str, np.ndarray]) -> Known:
    """`module` with its tensors {local name: array}. One whose class has a `__call__` of its own is unknown, as is one with
    settings that no kind has."""
    for kind in type(module).__mro__:
        if kind in READERS and kind.__call__ is type(module).__call__:
            if (found := READERS[kind](module, tensors)) is not None:
                return found
            break
    return Known(module, parts={name: Part((name,)) for name in tensors})


def is_whole(module) -> bool:
    """Whether what is inside is not looked at, though the whole is unknown."""
    return isinstance(module, WHOLE)


# ------------------------------------------------------------------------------------------------- tensors


def _turned(name, flip=False):
    """A kernel (K..., I, O) as (O, I, K...)."""

    def join(value):
        value = value.transpose(-1, -2, *range(value.ndim - 2))
        return np.flip(value, range(2, value.ndim)) if flip else value

    def split(value):
        value = np.flip(value, range(2, value.ndim)) if flip else value
        return [value.transpose(*range(2, value.ndim), 1, 0)]

    return Part((name,), join, split)


def _named(tensors, **roles):
    return {role: Part((name,)) for role, name in roles.items() if name in tensors}


def _stacked(names):
    """Tensors of single gates, kernels (I, H) or biases (H,), one under the other as (gates * H, I) or (gates * H,)."""
    return Part(
        tuple(names),
        lambda *parts: np.concatenate([part.T for part in parts]),
        lambda value: [part.T for part in np.split(value, len(names))],
    )


# -------------------------------------------------------------------------------------------------- layers


def _dense(module, tensors):
    if tensors["kernel"].ndim != 2:  # stacked by nnx.vmap or nn.scan
        return None
    return Known(module, "dense", {}, {"weight": _turned("kernel")} | _named(tensors, bias="bias"))


def _dense_general(module, tensors):
    axis = module.axis if isinstance(module.axis, tuple) else (module.axis,)
    batch = module.batch_axis if isinstance(module, nnx.Module) else module.batch_dims
    return _dense(module, tensors) if axis == (-1,) and not batch else None


def _embedding(module, tensors):
    return Known(module, "embedding", {"padding": None}, {"weight": Part(("embedding",))})


def _sides(value, dims):
    value = 1 if value is None else value
    return [value] * dims if isinstance(value, int) else list(value)


def _size(module):
    return [module.kernel_size] if isinstance(module.kernel_size, int) else list(module.kernel_size)


def _pairs(padding, dims):
    if isinstance(padding, int):
        return [[padding, padding]] * dims
    return [[one, one] if isinstance(one, int) else list(one) for one in padding]


def _conv(module, tensors):
    size = _size(module)
    dims = len(size)
    dilation = _sides(module.kernel_dilation, dims)
    if tensors["kernel"].ndim != dims + 2 or module.mask is not None or set(_sides(module.input_dilation, dims)) != {1}:
        return None
    mode, padding = {}, module.padding
    match padding:
        case "SAME" | "SAME_LOWER" | "CAUSAL":
            padding = padding.lower()
        case "VALID":
            padding = [[0, 0]] * dims
        case "CIRCULAR" | "REFLECT":
            mode, lengths = {"mode": padding.lower()}, [(k - 1) * d + 1 for k, d in zip(size, dilation, strict=True)]
            padding = [[(length - 1) // 2, length // 2] for length in lengths]
        case _:
            padding = _pairs(padding, dims)
    about = {"stride": _sides(module.strides, dims), "padding": padding, "dilation": dilation, "groups": module.feature_group_count}  # fmt: skip
    parts = {"weight": _turned("kernel")} | _named(tensors, bias="bias")
    return Known(module, "conv", about | mode, parts, lambda ndim: (-1, -1 - dims))


def _conv_transpose(module, tensors):
    size = _size(module)
    dims = len(size)
    stride, dilation = _sides(module.strides, dims), _sides(module.kernel_dilation, dims)
    if tensors["kernel"].ndim != dims + 2 or module.mask is not None or module.padding == "CIRCULAR":
        return None
    full = [(k - 1) * d for k, d in zip(size, dilation, strict=True)]
    match module.padding:  # what is added to the input spread by the stride (jax.lax.conv_transpose)
        case "SAME":
            added = [(k if s > k else -(-(k + s - 1) // 2), k + s - 1) for k, s in zip(full, stride, strict=True)]
            added = [(before, total - before) for before, total in added]
        case "VALID":
            added = [(k, max(k, s - 1)) for k, s in zip(full, stride, strict=True)]
        case _:
            added = _pairs(module.padding, dims)
    about = {
        "stride": stride, "padding": [[k - before, k - after] for k, (before, after) in zip(full, added, strict=True)],
        "dilation": dilation, "groups": 1, "turned": not module.transpose_kernel,
    }  # fmt: skip
    # JAX correlates with the kernel as it lies, where a transposed convolution has it turned; canonical is the latter.
    weight = _turned("kernel")
    if not module.transpose_kernel:
        flipped = _turned("kernel", flip=True)
        weight = Part(
            ("kernel",), lambda v: flipped.join(v).swapaxes(0, 1), lambda v: flipped.split(np.swapaxes(v, 0, 1))
        )
    parts = {"weight": weight} | _named(tensors, bias="bias")
    return Known(module, "conv_transpose", about, parts, lambda ndim: (-1, -1 - dims))


def _batch_norm(module, tensors):
    if not isinstance(module.axis, int) or module.axis_name is not None:
        return None
    about = {"epsilon": module.epsilon, "keep": module.momentum, "unbiased": False}
    parts = _named(tensors, weight="scale", bias="bias", mean="mean", variance="var")
    return Known(module, "batch_norm", about, parts, lambda ndim: (module.axis, 1))


def _norm(kind, **more):
    def read(module, tensors):
        if module.axis_name is not None:
            return None
        about, axes = {"epsilon": module.epsilon}, lambda ndim: (0, 0)
        if kind in ("layer_norm", "rms_norm"):
            reduced, scaled = (
                sorted(one) if isinstance(one, (tuple, list)) else [one]
                for one in (module.reduction_axes, module.feature_axes)
            )
            if reduced != scaled or reduced != list(range(-len(reduced), 0)):
                return None
            about["axes"] = len(reduced)
        else:
            if getattr(module, "reduction_axes", None) is not None or getattr(module, "feature_axes", -1) != -1:
                return None
            axes = lambda ndim: (-1, 1)  # noqa: E731
        if kind == "group_norm":
            about["groups"] = module.num_groups
            if (
                module.num_groups is None
            ):  # linen knows the size of a group, and the channels only from the scale or the shift
                channels = [value.size for value in tensors.values()]
                about["groups"] = channels[0] // module.group_size if channels else None
        return Known(module, kind, about, _named(tensors, weight="scale", bias="bias"), axes)

    return read


def _dropout(module, tensors):
    # Of an image the channels are last here, of a sequence everywhere.
    more = {"shared": list(module.broadcast_dims)} if module.broadcast_dims else {}
    return Known(module, "dropout", {"rate": module.rate} | more, {}, lambda ndim: (-1, 1) if ndim > 3 else (0, 0))


WHOLE = (nnx.Bidirectional, nn.Bidirectional, nnx.MultiHeadAttention, nn.MultiHeadDotProductAttention)

READERS = {
    nnx.Linear: _dense, nn.Dense: _dense, nnx.LinearGeneral: _dense_general, nn.DenseGeneral: _dense_general,
    nnx.Embed: _embedding, nn.Embed: _embedding, nnx.Conv: _conv, nn.Conv: _conv,
    nnx.ConvTranspose: _conv_transpose, nn.ConvTranspose: _conv_transpose,
    nnx.BatchNorm: _batch_norm, nn.BatchNorm: _batch_norm, nnx.Dropout: _dropout, nn.Dropout: _dropout,
} | {
    getattr(library, name): _norm(kind)
    for library in (nnx, nn)
    for name, kind in (("LayerNorm", "layer_norm"), ("RMSNorm", "rms_norm"), ("GroupNorm", "group_norm"), ("InstanceNorm", "instance_norm"))
}  # fmt: skip
