"""What PyTorch's modules are, in canonical terms (common.probing.KINDS): PyTorch's own, so little is translated."""

from torch import nn
from torch.nn.modules import batchnorm, conv, instancenorm

NOT = "unknown", {}
STATISTICS = {"running_mean": "mean", "running_var": "variance"}


def roles(kind: str) -> dict[str, str]:
    """{attribute: role} of the tensors that PyTorch calls otherwise."""
    if kind in ("lstm", "gru"):
        return {f"{name}_l0": name for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    return STATISTICS if kind == "batch_norm" else {}


def read(module: nn.Module) -> tuple[str, dict]:
    """(kind, settings)"""
    return next((reader(module) for classes, reader in READERS if isinstance(module, classes)), NOT)


def _sides(value, dims):
    return list(value) if isinstance(value, (tuple, list)) else [value] * dims


def _pairs(value, dims):
    return [[one, one] for one in _sides(value, dims)]


def _conv(module):
    dims = len(module.kernel_size)
    padding = module.padding
    if padding == "same":
        totals = [d * (k - 1) for k, d in zip(module.kernel_size, module.dilation, strict=True)]
        padding = [[total // 2, total - total // 2] for total in totals]
    else:
        padding = [[0, 0]] * dims if padding == "valid" else _pairs(padding, dims)
    about = {
        "stride": list(module.stride),
        "padding": padding,
        "dilation": list(module.dilation),
        "groups": module.groups,
    }
    return "conv", about | ({} if module.padding_mode == "zeros" else {"mode": module.padding_mode})


def _conv_transpose(module):
    ends = zip(module.padding, module.output_padding, strict=True)
    return "conv_transpose", {
        "stride": list(module.stride), "padding": [[p, p - more] for p, more in ends],
        "dilation": list(module.dilation), "groups": module.groups,
    }  # fmt: skip


def _batch_norm(module):
    # With a momentum of None the running value is the mean of all batches, without statistics each batch has its own.
    if module.momentum is None or module.running_mean is None:
        return NOT
    return "batch_norm", {"epsilon": module.eps, "keep": 1 - module.momentum, "unbiased": True}


def _instance_norm(module):
    return NOT if module.track_running_stats else ("instance_norm", {"epsilon": module.eps})


def _rms_norm(module):
    """Without an ε it is that of the float type."""
    return "rms_norm", {"epsilon": module.eps, "axes": len(module.normalized_shape)}


def _pool(op, dims):
    def read(module):
        if getattr(module, "return_indices", False):
            return NOT
        dilation, divisor = _sides(getattr(module, "dilation", 1), dims), getattr(module, "divisor_override", None)
        more = {"dilation": dilation} if max(dilation) > 1 else {}
        return "pool", more | ({"divisor": divisor} if divisor else {}) | {
            "op": op, "size": _sides(module.kernel_size, dims), "stride": _sides(module.stride, dims),
            "padding": _pairs(module.padding, dims), "counted": op == "average" and module.count_include_pad,
            "ceil": module.ceil_mode,
        }  # fmt: skip

    return read


def _adaptive(op, dims):
    def read(module):
        size = _sides(module.output_size, dims)
        if None in size or getattr(module, "return_indices", False):  # None: as many as there are
            return NOT
        return "adaptive_pool", {"op": op, "size": size}

    return read


def _resize(module):
    mode = "linear" if "linear" in module.mode else "cubic" if module.mode == "bicubic" else module.mode
    size, scale = (list(one) if isinstance(one, tuple) else one for one in (module.size, module.scale_factor))
    return "resize", {"size": size, "scale": scale, "mode": mode, "corners": bool(module.align_corners)}


def _embedding(module):
    """A row's norm that is bounded changes the weights in a forward pass."""
    return (
        NOT
        if module.max_norm is not None or module.scale_grad_by_freq
        else ("embedding", {"padding": module.padding_idx})
    )


def _attention(module):
    if module.bias_k is not None or module.add_zero_attn:
        return NOT
    more = {"dropout": module.dropout} if module.dropout else {}
    return "attention", {"heads": module.num_heads} | more | ({} if module.batch_first else {"batch": 1})


def _recurrent(kind):
    def read(module):
        if module.num_layers > 1 or module.bidirectional or getattr(module, "proj_size", 0):
            return "unknown", {}
        more = {"reset_after": True} if kind == "gru" else {}
        return kind, {"layers": 1, "both_ways": False} | more | ({} if module.batch_first else {"batch": 1})

    return read


def _named(name, **numbers):
    """An activation; `numbers` {setting: attribute}."""
    return lambda module: (
        "activation",
        {"name": name} | {key: getattr(module, attribute) for key, attribute in numbers.items()},
    )


def _pad(mode):
    def read(module):
        its = module.padding  # begins with the last axis
        pairs = [list(its[k : k + 2]) for k in range(0, len(its), 2)][::-1]
        return "pad", {"padding": pairs, "mode": mode, "value": getattr(module, "value", 0.0)}

    return read


READERS = [
    (nn.Linear, lambda m: ("dense", {})),
    (nn.Embedding, _embedding),
    (conv._ConvTransposeNd, _conv_transpose),
    (conv._ConvNd, _conv),
    (batchnorm._BatchNorm, _batch_norm),
    (nn.LayerNorm, lambda m: ("layer_norm", {"epsilon": m.eps, "axes": len(m.normalized_shape)})),
    (nn.GroupNorm, lambda m: ("group_norm", {"epsilon": m.eps, "groups": m.num_groups})),
    (instancenorm._InstanceNorm, _instance_norm),
    (nn.RMSNorm, _rms_norm),
    *((getattr(nn, f"MaxPool{d}d"), _pool("max", d)) for d in (1, 2, 3)),
    *((getattr(nn, f"AvgPool{d}d"), _pool("average", d)) for d in (1, 2, 3)),
    *((getattr(nn, f"AdaptiveAvgPool{d}d"), _adaptive("average", d)) for d in (1, 2, 3)),
    *((getattr(nn, f"AdaptiveMaxPool{d}d"), _adaptive("max", d)) for d in (1, 2, 3)),
    (nn.Dropout, lambda m: ("dropout", {"rate": m.p})),
    (nn.ReLU, _named("relu")),
    (nn.ReLU6, _named("relu6")),  # before Hardtanh, which it is a kind of
    (nn.Hardtanh, _named("hard_tanh", low="min_val", high="max_val")),
    (nn.CELU, _named("celu", alpha="alpha")),
    (nn.PReLU, _named("prelu")),
    (nn.Mish, _named("mish")),
    (nn.LogSigmoid, _named("log_sigmoid")),
    (nn.Softsign, _named("softsign")),
    (nn.LeakyReLU, _named("leaky_relu", slope="negative_slope")),
    (nn.ELU, _named("elu", alpha="alpha")),
    (nn.SELU, _named("selu")),
    (nn.GELU, lambda m: ("activation", {"name": "gelu", "approximate": m.approximate == "tanh"})),
    (nn.SiLU, _named("silu")),
    (nn.Softplus, _named("softplus", beta="beta", threshold="threshold")),
    (nn.Sigmoid, _named("sigmoid")),
    (nn.Tanh, _named("tanh")),
    (nn.Softmax, _named("softmax", axis="dim")),
    (nn.LogSoftmax, _named("log_softmax", axis="dim")),
    (nn.Hardsigmoid, lambda m: ("activation", {"name": "hard_sigmoid", "slope": 1 / 6, "offset": 0.5})),
    (nn.Hardswish, lambda m: ("activation", {"name": "hard_swish", "slope": 1 / 6, "offset": 0.5})),
    (nn.Identity, lambda m: ("activation", {"name": "identity"})),
    (nn.LSTM, _recurrent("lstm")),
    (nn.GRU, _recurrent("gru")),
    (nn.MultiheadAttention, _attention),
    (nn.Upsample, _resize),
    *(
        (getattr(nn, f"{name}Pad{d}d"), _pad(mode))
        for name, mode in (
            ("Constant", "constant"),
            ("Reflection", "reflect"),
            ("Replication", "replicate"),
            ("Circular", "circular"),
        )
        for d in (1, 2, 3)
    ),
    (nn.Flatten, lambda m: ("flatten", {"first": m.start_dim}) if m.end_dim == -1 else NOT),
]
