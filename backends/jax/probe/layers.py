"""Flax's layers, nnx and linen, in canonical terms, for `diff`: kernels (..., in, out) and activations that end with the channels."""

import flax.linen as nn
import numpy as np
from flax import nnx

from backends.jax.probe import gates
from backends.jax.probe.parts import Known, Part, those, turned


def of(module, tensors: dict[str, np.ndarray]) -> Known:
    """`module` with its tensors {local name: array}. One with settings that no kind has is unknown."""
    for kind in type(module).__mro__:
        if kind in READERS:
            if (found := READERS[kind](module, tensors)) is not None:
                return found
            break
    return Known(module, parts={name: Part((name,)) for name in tensors})


def is_whole(module) -> bool:
    """Whether what is inside is not looked at, though the whole is unknown."""
    return isinstance(module, gates.WHOLE)


# -------------------------------------------------------------------------------------------------- layers


def _dense(module, tensors):
    if tensors["kernel"].ndim != 2:
        return None
    return Known(module, "dense", {}, {"weight": turned("kernel")} | those(tensors, bias="bias"))


def _dense_general(module, tensors):
    axis = module.axis if isinstance(module.axis, tuple) else (module.axis,)
    batch = module.batch_axis if isinstance(module, nnx.Module) else module.batch_dims
    return _dense(module, tensors) if axis == (-1,) and not batch else None


def stacked(tensors) -> bool:
    """Whether they are those of several layers, as nnx.vmap and nn.scan keep them."""
    return any(value.ndim != 1 for value in tensors.values())


def _embedding(module, tensors):
    if tensors["embedding"].ndim != 2:
        return None
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
    parts = {"weight": turned("kernel")} | those(tensors, bias="bias")
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
    # A kernel (K..., O, I) that is turned by half a circle, or one (K..., I, O) that is used as it lies.
    parts = {"weight": turned("kernel", first=1 if module.transpose_kernel else 0)} | those(tensors, bias="bias")
    return Known(module, "conv_transpose", about, parts, lambda ndim: (-1, -1 - dims))


def _batch_norm(module, tensors):
    if not isinstance(module.axis, int) or module.axis_name is not None or stacked(tensors):
        return None
    about = {"epsilon": module.epsilon, "keep": module.momentum, "unbiased": False}
    parts = those(tensors, weight="scale", bias="bias", mean="mean", variance="var")
    return Known(module, "batch_norm", about, parts, lambda ndim: (module.axis, 1))


def _last(kind):
    """A norm over the last axes, with a weight of each of their numbers."""

    def read(module, tensors):
        reduced, scaled = (
            sorted(axes) if isinstance(axes, (tuple, list)) else [axes]
            for axes in (module.reduction_axes, module.feature_axes)
        )
        count = len(reduced)
        if module.axis_name is not None or reduced != scaled or reduced != list(range(-count, 0)):
            return None
        if any(value.ndim != count for value in tensors.values()):
            return None
        parts = those(tensors, weight="scale", bias="bias")
        return Known(module, kind, {"epsilon": module.epsilon, "axes": count}, parts)

    return read


def _group_norm(module, tensors):
    if module.axis_name is not None or module.reduction_axes is not None or stacked(tensors):
        return None
    groups = module.num_groups
    if groups is None:  # linen may know how large a group is, and tells how many there are only by the weights
        groups = next((value.size // module.group_size for value in tensors.values()), None)
    about, parts = {"epsilon": module.epsilon, "groups": groups}, those(tensors, weight="scale", bias="bias")
    return Known(module, "group_norm", about, parts, lambda ndim: (-1, 1))


def _instance_norm(module, tensors):
    if module.axis_name is not None or module.feature_axes != -1 or stacked(tensors):
        return None
    parts = those(tensors, weight="scale", bias="bias")
    return Known(module, "instance_norm", {"epsilon": module.epsilon}, parts, lambda ndim: (-1, 1))


def _dropout(module, tensors):
    # Of an image the channels are last here, of a sequence everywhere.
    more = {"shared": list(module.broadcast_dims)} if module.broadcast_dims else {}
    return Known(module, "dropout", {"rate": module.rate} | more, {}, lambda ndim: (-1, 1) if ndim > 3 else (0, 0))


READERS = gates.READERS | {
    nnx.Linear: _dense, nn.Dense: _dense, nnx.LinearGeneral: _dense_general, nn.DenseGeneral: _dense_general,
    nnx.Embed: _embedding, nn.Embed: _embedding, nnx.Conv: _conv, nn.Conv: _conv,
    nnx.ConvTranspose: _conv_transpose, nn.ConvTranspose: _conv_transpose,
    nnx.BatchNorm: _batch_norm, nn.BatchNorm: _batch_norm, nnx.LayerNorm: _last("layer_norm"), nn.LayerNorm: _last("layer_norm"),
    nnx.RMSNorm: _last("rms_norm"), nn.RMSNorm: _last("rms_norm"), nnx.GroupNorm: _group_norm, nn.GroupNorm: _group_norm,
    nnx.InstanceNorm: _instance_norm, nn.InstanceNorm: _instance_norm, nnx.Dropout: _dropout, nn.Dropout: _dropout,
}  # fmt: skip
