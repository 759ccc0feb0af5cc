"""Each kind of Keras's layers in canonical terms, for `diff`: kernels and gates in PyTorch's order, channels as axis 1.

A reader gives None for a layer that is not of its kind after all.
"""

import keras
import numpy as np
from keras import layers as kl

from backends.tensorflow.probe.activations import activation
from backends.tensorflow.probe.known import Known, Weight


def _turned(variable, *order):
    """Its axes in the canonical `order`."""
    back = np.argsort(order)
    return Weight(
        variable, variable.name, lambda whole: whole.transpose(order), lambda whole, value: value.transpose(back)
    )


def _tensors(layer, **roles):
    """{role: its Weight} of {role: attribute}, those that there are."""
    found = {role: getattr(layer, name, None) for role, name in roles.items()}
    return {role: Weight(variable, variable.name) for role, variable in found.items() if variable is not None}


def _axis(layer):
    return -1 if layer.data_format == "channels_last" else 1


def _padding(layer, dims):
    return [[0, 0]] * dims if layer.padding == "valid" else layer.padding


def dense(layer):
    return Known(layer, "dense", {}, {"weight": _turned(layer._kernel, 1, 0)} | _tensors(layer, bias="bias"))


def embedding(layer):
    return Known(layer, "embedding", {"padding": None} | ({"mask": 0} if layer.mask_zero else {}), _tensors(layer, weight="_embeddings"))  # fmt: skip


def conv(layer):
    dims = layer.rank
    about = {"stride": list(layer.strides), "padding": _padding(layer, dims), "dilation": list(layer.dilation_rate), "groups": layer.groups}  # fmt: skip
    return Known(layer, "conv", about, {"weight": _turned(layer._kernel, dims + 1, dims, *range(dims))} | _tensors(layer, bias="bias"), _axis(layer))  # fmt: skip


def depthwise(layer, kernel=None):
    kernel, dims = layer.kernel if kernel is None else kernel, layer.rank
    *sides, groups, many = kernel.shape
    weight = Weight(
        kernel, kernel.name,
        lambda whole: whole.transpose(dims, dims + 1, *range(dims)).reshape(groups * many, 1, *sides),
        lambda whole, value: value.reshape(groups, many, *sides).transpose(*range(2, dims + 2), 0, 1),
    )  # fmt: skip
    about = {"stride": list(layer.strides), "padding": _padding(layer, dims), "dilation": list(layer.dilation_rate), "groups": groups}  # fmt: skip
    return Known(layer, "conv", about, {"weight": weight} | _tensors(layer, bias="bias"), _axis(layer))


def separable(layer):
    ones, dims, about = [1] * layer.rank, layer.rank, {"padding": layer.padding, "data_format": layer.data_format}
    first = depthwise(layer, layer.depthwise_kernel)
    first.tensors.pop("bias", None)
    first.run = lambda given: keras.ops.depthwise_conv(
        given[0], layer.depthwise_kernel, layer.strides, dilation_rate=layer.dilation_rate, **about
    )
    weight = _turned(layer.pointwise_kernel, dims + 1, dims, *range(dims))
    second = Known(layer, "conv", {"stride": ones, "padding": [[0, 0]] * dims, "dilation": ones, "groups": 1}, {"weight": weight} | _tensors(layer, bias="bias"), _axis(layer))  # fmt: skip

    def pointwise(given):
        made = keras.ops.conv(given[0], layer.pointwise_kernel, 1, "valid", layer.data_format)
        shape = [1, *ones, -1] if second.channels == -1 else [1, -1, *ones]
        return made if layer.bias is None else made + keras.ops.reshape(layer.bias, shape)

    second.run = pointwise
    return {"depthwise": first, "": second}


def conv_transpose(layer):
    dims = layer.rank

    def cut(size, stride, dilation, more):
        """What TensorFlow cuts off (n - 1) * stride + extent values."""
        extent = (size - 1) * dilation + 1
        if layer.padding == "valid":
            return [0, -(max(stride - extent, 0) if more is None else more)]
        rest = extent - stride if more is None else extent - extent % 2 - more
        return [max(rest, 0) // 2, rest - max(rest, 0) // 2]

    more = layer.output_padding or [None] * dims
    sides = zip(layer.kernel_size, layer.strides, layer.dilation_rate, more, strict=True)
    about = {"stride": list(layer.strides), "padding": [cut(*one) for one in sides], "dilation": list(layer.dilation_rate), "groups": 1}  # fmt: skip
    return Known(layer, "conv_transpose", about, {"weight": _turned(layer.kernel, dims + 1, dims, *range(dims))} | _tensors(layer, bias="bias"), _axis(layer))  # fmt: skip


def batch_norm(layer):
    if layer.renorm:
        return None
    about = {"epsilon": layer.epsilon, "keep": layer.momentum, "unbiased": False} | ({} if layer.trainable else {"frozen": True})  # fmt: skip
    return Known(layer, "batch_norm", about, _tensors(layer, weight="gamma", bias="beta", mean="moving_mean", variance="moving_variance"), layer.axis)  # fmt: skip


def _last(layer):
    """How many last axes a norm is over, None if not the last."""
    rank = len(next(iter(layer._build_shapes_dict.values())))
    axes = sorted(axis % rank for axis in layer.axis)
    return len(axes) if axes == list(range(rank - len(axes), rank)) else None


def layer_norm(layer):
    axes = _last(layer)
    if axes is None or layer.rms_scaling:
        return None
    about = {"epsilon": layer.epsilon, "axes": axes}
    return Known(layer, "layer_norm", about, _tensors(layer, weight="gamma", bias="beta"))


def rms_norm(layer):
    axes = _last(layer)
    return axes and Known(layer, "rms_norm", {"epsilon": layer.epsilon, "axes": axes}, _tensors(layer, weight="scale"))


def group_norm(layer):
    # Keras has no layer of its own for a group a channel, which is what PyTorch calls instance norm.
    each = layer.groups == layer.input_spec.axes[layer.axis]
    kind, about = ("instance_norm", {}) if each else ("group_norm", {"groups": layer.groups})
    return Known(
        layer, kind, {"epsilon": layer.epsilon} | about, _tensors(layer, weight="gamma", bias="beta"), layer.axis
    )


def pool(layer):
    dims = len(layer.pool_size)
    about = {"op": layer.pool_mode, "size": list(layer.pool_size), "stride": list(layer.strides), "padding": _padding(layer, dims)}  # fmt: skip
    return Known(layer, "pool", about | {"counted": False, "ceil": False}, channels=_axis(layer))


def adaptive_pool(op):
    def read(layer):
        dims = layer.input_spec.ndim - 2 if hasattr(layer, "keepdims") else len(layer.output_size)
        size = [1] * dims if hasattr(layer, "keepdims") else list(layer.output_size)
        return Known(layer, "adaptive_pool", {"op": op, "size": size}, channels=_axis(layer))

    return read


def _blocks(kernel, order):
    """(I, gates * H) as (gates * H, I), the gates in another `order` that is its own inverse."""

    def swapped(rows):
        return rows.reshape(len(order), -1, *rows.shape[1:])[order].reshape(rows.shape)

    return Weight(kernel, kernel.name, lambda whole: swapped(whole.T), lambda whole, value: swapped(value).T), swapped


def _row(variable, swapped, row=None):
    """A bias of gates; of two in one variable the `row`-th."""
    if row is None:
        return Weight(variable, variable.name, swapped, lambda whole, value: swapped(value))

    def write(whole, value):
        whole = whole.copy()
        whole[row] = swapped(value)
        return whole

    return Weight(variable, f"{variable.name}[{row}]", lambda whole: swapped(whole[row]), write)


def recurrent(kind, order):
    """Keras's LSTM, and its GRU unless reset_after, have one bias: bias_ih."""

    def read(layer):
        cell, about = layer.cell, {"layers": 1, "both_ways": False}
        ih, swapped = _blocks(cell.kernel, order)
        tensors = {"weight_ih": ih, "weight_hh": _blocks(cell.recurrent_kernel, order)[0]}
        if kind == "gru":
            about["reset_after"] = cell.reset_after
        if cell.bias is not None and about.get("reset_after"):
            tensors |= {"bias_ih": _row(cell.bias, swapped, 0), "bias_hh": _row(cell.bias, swapped, 1)}
        elif cell.bias is not None:
            tensors["bias_ih"] = _row(cell.bias, swapped)
        for name, usual in (("activation", "tanh"), ("recurrent_activation", "sigmoid")):
            if (found := activation(getattr(cell, name))) != {"name": usual}:
                about[name] = found
        about |= {name: value for name in ("dropout", "recurrent_dropout") if (value := getattr(cell, name))}
        return Known(layer, kind, about | ({"backwards": True} if layer.go_backwards else {}), tensors)

    return read


def attention(layer):
    if layer._use_gate or len(layer._query_dense.kernel.shape) != 3 or layer._attention_axes != (1,) or len(layer._output_dense.bias_axes or "e") != 1:  # fmt: skip
        return None
    about = {"heads": layer.num_heads} | ({"dropout": layer.dropout} if layer.dropout else {})
    tensors, out = {}, layer._output_dense
    for part in ("query", "key", "value"):
        dense = getattr(layer, f"_{part}_dense")
        tensors[f"{part}_weight"] = _joined(dense.kernel, f"{part}/kernel")
        if dense.bias is not None:
            tensors[f"{part}_bias"] = Weight(dense.bias, f"{part}/bias", lambda whole: whole.reshape(-1), lambda whole, value: value.reshape(whole.shape))  # fmt: skip
    tensors["out_weight"] = Weight(
        out.kernel, "attention_output/kernel", lambda whole: whole.reshape(-1, whole.shape[-1]).T,
        lambda whole, value: value.T.reshape(whole.shape),
    )  # fmt: skip
    if out.bias is not None:
        tensors["out_bias"] = Weight(out.bias, "attention_output/bias")
    return Known(layer, "attention", about, tensors)


def _joined(kernel, name):
    """(E, heads, D) as (heads * D, E)."""
    return Weight(kernel, name, lambda whole: whole.reshape(whole.shape[0], -1).T, lambda whole, value: value.T.reshape(whole.shape))  # fmt: skip


RESIZED = {"nearest": "nearest", "bilinear": "linear", "bicubic": "cubic"}
CUBIC = {"cubic": -0.5, "edge": "dropped"}  # Keys's kernel as TensorFlow has it
EXACT = RESIZED | {"nearest": "nearest-exact"}  # what is resized, and not repeated, takes the nearest centre


def up_sampling(layer):
    size = [layer.size] if isinstance(layer.size, int) else list(layer.size)
    mode = getattr(layer, "interpolation", "nearest")
    channels = _axis(layer) if hasattr(layer, "data_format") else -1
    about = {"size": None, "scale": size, "mode": RESIZED.get(mode, mode), "corners": False}
    return Known(layer, "resize", about | (CUBIC if mode == "bicubic" else {}), channels=channels)


def resizing(layer):
    if layer.crop_to_aspect_ratio or layer.pad_to_aspect_ratio:
        return None
    about = {"size": [layer.height, layer.width], "scale": None, "mode": EXACT.get(layer.interpolation, layer.interpolation), "corners": False}  # fmt: skip
    more = (CUBIC if layer.interpolation == "bicubic" else {}) | ({"antialias": True} if layer.antialias else {})
    return Known(layer, "resize", about | more, channels=_axis(layer))


def zero_padding(layer):
    sides = [layer.padding] if isinstance(layer.padding[0], int) else layer.padding
    return Known(layer, "pad", {"padding": [list(side) for side in sides], "mode": "constant", "value": 0.0}, channels=_axis(layer))  # fmt: skip


def cropping(layer):
    sides = [layer.cropping] if isinstance(layer.cropping[0], int) else layer.cropping
    padding = [[-before, -after] for before, after in sides]
    return Known(layer, "pad", {"padding": padding, "mode": "constant", "value": 0.0}, channels=_axis(layer))


def dropout(layer):
    """Whole channels, or a shape of the mask that the user chose, are not PyTorch's nn.Dropout."""
    usual = type(layer).call is kl.Dropout.call and layer.noise_shape is None
    return Known(layer, "dropout", {"rate": layer.rate}, follows=True) if usual else None


def flatten(layer):
    return Known(layer, "flatten", {"first": 1} | ({"turned": True} if layer.data_format == "channels_first" else {}), follows=True)  # fmt: skip
