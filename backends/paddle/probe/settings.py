"""The numbers of Paddle's layers in canonical terms, for `diff`. What Paddle does beyond its documentation was measured, and
stands in the settings."""

import numpy as np
import paddle
from paddle import nn
from paddle.nn.layer import conv, norm


def last(module):
    layout = next((getattr(module, n) for n in ("_data_format", "data_format", "_data_layout") if hasattr(module, n)), None)  # fmt: skip
    return isinstance(layout, str) and len(layout) > 2 and layout.endswith("C")


def _sides(value, dims):
    return list(value) if isinstance(value, (tuple, list)) else [value] * dims


def padding(value, dims: int, last: bool):
    """[[before, after], ...] or "same" of the five ways in which Paddle's users write a padding."""
    if isinstance(value, str):
        return "same" if value.upper() == "SAME" else [[0, 0]] * dims
    value = _sides(value, dims)
    if len(value) == dims + 2 and isinstance(value[0], (tuple, list)):
        return [list(pair) for pair in (value[1:-1] if last else value[2:])]
    if len(value) == 2 * dims:
        return [list(value[2 * k : 2 * k + 2]) for k in range(dims)]
    return [[one, one] for one in value]


def _embedding(module):
    row = module._padding_idx
    if row is None:
        return "embedding", {"padding": None}
    return "embedding", {
        "padding": row % module._num_embeddings,
        "zeros": True,
    }  # the row that is read, whatever it holds


def _conv(module):
    dims = len(module._kernel_size)
    pads = padding(module._padding, dims, last(module))
    return "conv", {
        "stride": list(module._stride), "padding": pads, "groups": module._groups,
        "dilation": [1] * dims if pads == "same" else list(module._dilation),  # Paddle then leaves it out
    } | ({} if module._padding_mode == "zeros" else {"mode": module._padding_mode})  # fmt: skip


def _conv_transpose(module):
    sides, strides = module._kernel_size, list(module._stride)
    pads, dilation = padding(module._padding, len(sides), last(module)), list(module._dilation)
    if pads == "same":
        dilation = [1] * len(sides)
        if strides == dilation:
            pads = [[(k - 1) // 2, k - 1 - (k - 1) // 2] for k in sides]
    if pads != "same":
        more = _sides(module.output_padding, len(sides))
        pads = [[before, after - extra] for (before, after), extra in zip(pads, more, strict=True)]
    return "conv_transpose", {"stride": strides, "padding": pads, "dilation": dilation, "groups": module._groups}


def _batch_norm(module):
    # It normalises with the running statistics in training too.
    more = {"frozen": True} if module._use_global_stats else {}
    return "batch_norm", {"epsilon": module._epsilon, "keep": module._momentum, "unbiased": False, "float32": ["epsilon", "keep"]} | more  # fmt: skip


# Before 3.3.1 a group norm rounds its ε.
OF_GROUPS = {"float32": ["epsilon"]} if "3.0.0" <= np.lib.NumpyVersion(paddle.__version__) < "3.3.1" else {}
SOFT = {"float32": ["gradient"]}  # one over the size of the window is a float32 number in an average's gradient


def _pool(op, dims):
    def read(module):
        size = _sides(getattr(module, "ksize", getattr(module, "kernel_size", None)), dims)
        stride = size if module.stride is None else _sides(module.stride, dims)
        pads = padding(module.padding, dims, last(module))
        counted = op == "average" and not module.exclusive
        about = {
            "op": op,
            "size": size,
            "stride": stride,
            "padding": pads,
            "counted": counted,
            "ceil": module.ceil_mode,
        }
        if module.ceil_mode:
            about["beyond"] = True  # a window that begins after the input makes an output too: NaN, 0 or -3.4e38
        if counted and (pads == "same" or any(before != after for before, after in pads)):
            about["counted_after"] = "as before"  # as many places after the input count as are padded before it
        if getattr(module, "divisor", None):
            about["divisor"] = module.divisor
        return "pool", about | (SOFT if op == "average" else {})

    return read


def _adaptive(op, dims):
    def read(module):
        size = module.output_size if hasattr(module, "output_size") else module._output_size
        return "adaptive_pool", {"op": op, "size": _sides(size, dims)} | (SOFT if op == "average" else {})

    return read


def _resize(module):
    name = {nn.UpsamplingNearest2D: "nearest", nn.UpsamplingBilinear2D: "bilinear"}.get(type(module)) or module.mode
    corners = type(module) is nn.UpsamplingBilinear2D or getattr(module, "align_corners", False)
    if name == "area":
        return "unknown", {}
    mode = {"nearest": "nearest", "bicubic": "cubic"}.get(name, "linear")
    about = {"size": module.size, "scale": module.scale_factor, "mode": mode, "corners": corners}
    if mode == "linear" and getattr(module, "align_mode", 0) == 1 and not corners:
        about["half_pixel"] = False  # place k lies at k · (input / output)
    # Where a place lies is found in float32, in an order that is the compiler's: up to 1e-6 of the largest value.
    return "resize", about | ({} if mode == "nearest" else {"float32": ["positions"]})


def _recurrent(kind):
    def read(module):
        if module.num_layers > 1 or module.num_directions > 1 or module.proj_size:
            return "unknown", {}
        more = {"reset_after": True} if kind == "gru" else {}
        return kind, {"layers": 1, "both_ways": False} | more | ({"batch": 1} if module.time_major else {})

    return read


def _attention(module):
    if {module.kdim, module.vdim} != {module.embed_dim}:
        return "unknown", {}
    return "attention", {"heads": module.num_heads} | ({"dropout": module.dropout} if module.dropout else {})


def _dropout(axes=None):
    def read(module):
        axis = axes or getattr(module, "axis", None)
        # Left as it is in training, and multiplied by 1 - rate in evaluation.
        late = {"scaled": "in evaluation"} if getattr(module, "mode", "") == "downscale_in_infer" else {}
        return "dropout", {"rate": module.p} | late | ({} if axis is None else {"axis": axis})

    return read


def _pad(module):
    pairs = np.array(module.padding).reshape(-1, 2)[::-1].tolist()  # Paddle's begin with the last axis
    return "pad", {"padding": pairs, "mode": module._mode, "value": module.value}


def _selu(module):
    alike = (module._scale, module._alpha) == (1.0507009873554805, 1.6732632423543772)
    more = {} if alike else {"scale": module._scale, "alpha": module._alpha}
    return "activation", {"name": "selu"} | more | {"float32": ["scale", "alpha"]}


def _named(name, **numbers):
    """An activation; `numbers` {setting: attribute, or the number}."""

    def read(module):
        settings = {key: getattr(module, one) if isinstance(one, str) else one for key, one in numbers.items()}
        return "activation", {"name": name} | settings

    return read


READERS = [
    (nn.Linear, lambda m: ("dense", {})),
    (nn.Embedding, _embedding),
    ((nn.Conv1DTranspose, nn.Conv2DTranspose, nn.Conv3DTranspose), _conv_transpose),
    (conv._ConvNd, _conv),
    ((norm._BatchNormBase, nn.BatchNorm), _batch_norm),
    (nn.LayerNorm, lambda m: ("layer_norm", {"epsilon": m._epsilon, "axes": len(m._normalized_shape), "float32": ["epsilon"]})),
    (nn.GroupNorm, lambda m: ("group_norm", {"epsilon": m._epsilon, "groups": m._num_groups} | OF_GROUPS)),
    (norm._InstanceNormBase, lambda m: ("instance_norm", {"epsilon": m._epsilon, "float32": ["epsilon"]})),
    *((getattr(nn, f"MaxPool{d}D"), _pool("max", d)) for d in (1, 2, 3)),
    *((getattr(nn, f"AvgPool{d}D"), _pool("average", d)) for d in (1, 2, 3)),
    *((getattr(nn, f"AdaptiveAvgPool{d}D"), _adaptive("average", d)) for d in (1, 2, 3)),
    *((getattr(nn, f"AdaptiveMaxPool{d}D"), _adaptive("max", d)) for d in (1, 2, 3)),
    (nn.Dropout, _dropout()),
    (nn.Dropout2D, _dropout([0, 1])),
    (nn.Dropout3D, _dropout([0, 1])),
    (nn.ReLU, _named("relu")),
    (nn.ReLU6, _named("relu6")),
    (nn.LeakyReLU, _named("leaky_relu", slope="_negative_slope")),
    (nn.ELU, _named("elu", alpha="_alpha", float32=["alpha"])),
    (nn.SELU, _selu),
    (nn.GELU, lambda m: ("activation", {"name": "gelu", "approximate": m._approximate in (True, "tanh")})),
    ((nn.Silu, nn.Swish), _named("silu")),
    (nn.Softplus, _named("softplus", beta="_beta", threshold="_threshold")),
    (nn.Sigmoid, _named("sigmoid")),
    (nn.Tanh, _named("tanh")),
    (nn.Softmax, _named("softmax", axis="_axis")),
    (nn.Softmax2D, _named("softmax", axis=-3)),
    (nn.LogSoftmax, _named("log_softmax", axis="_axis")),
    (nn.Hardsigmoid, _named("hard_sigmoid", slope=0.1666667, offset=0.5, float32=["slope"])),  # not a sixth
    (nn.Hardswish, _named("hard_swish", slope=1 / 6, offset=0.5)),
    (nn.Identity, _named("identity")),
    (nn.LSTM, _recurrent("lstm")),
    (nn.GRU, _recurrent("gru")),
    (nn.MultiHeadAttention, _attention),
    ((nn.Upsample, nn.UpsamplingNearest2D, nn.UpsamplingBilinear2D), _resize),
    (nn.Flatten, lambda m: ("flatten", {"first": m.start_axis} | ({} if m.stop_axis == -1 else {"last": m.stop_axis}))),
    ((nn.Pad1D, nn.Pad2D, nn.Pad3D), _pad),
]  # fmt: skip
