"""PyTorch's layers and optimisers in canonical terms, for `diff`: PyTorch's own, so little is translated."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn.modules import batchnorm, conv, instancenorm


@dataclass(frozen=True)
class Part:
    """A tensor, or some of its rows: attention has three projections in one."""

    whole: torch.Tensor
    rows: slice | None = None

    def of(self, value: torch.Tensor) -> torch.Tensor:
        """Of a tensor as large as the whole."""
        return value if self.rows is None else value[self.rows]

    @property
    def value(self) -> torch.Tensor:
        return self.of(self.whole.detach())

    @property
    def gradient(self) -> torch.Tensor | None:
        return None if self.whole.grad is None else self.of(self.whole.grad)


@dataclass
class Known:
    """A module, its kind with settings, and {role: tensor} with the attribute that each is."""

    module: nn.Module
    kind: str
    settings: dict[str, Any]
    tensors: dict[str, Part] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    inputs: int = 1  # tensors that it was called with

    @property
    def title(self) -> str:
        return f"nn.{type(self.module).__name__}"

    def call(self, module, given):
        return module(*given)


def layers(model: nn.Module) -> dict[str, Known]:
    """{path: Known} of every module that is a layer of its own: one that has none inside, or one that is known as a whole."""
    found = {}

    def walk(module, path):
        known = of(module)
        if known.kind == "unknown" and any(True for _ in module.children()):
            for name, child in module.named_children():
                walk(child, f"{path}.{name}" if path else name)
        else:
            found[path] = known

    walk(model, "")
    return found


def others(model: nn.Module, known: dict[str, Known]) -> dict[str, Part]:
    """Parameters that a module with others inside has for itself."""
    held = {id(part.whole) for one in known.values() for part in one.tensors.values()}
    return {name: Part(value) for name, value in model.named_parameters() if id(value) not in held}


def of(module: nn.Module) -> Known:
    for kinds, read in READERS:
        if isinstance(module, kinds):
            kind, settings = read(module)
            break
    else:
        kind, settings = "unknown", {}
    one = Known(module, kind, settings)
    roles = {"running_mean": "mean", "running_var": "variance"}
    if kind in ("lstm", "gru"):
        roles = {f"{name}_l0": name for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    for name, value in [*module.named_parameters(), *module.named_buffers()]:
        if value is not None and value.is_floating_point():
            one.tensors[roles.get(name, name)], one.names[roles.get(name, name)] = Part(value), name
    if kind == "attention":
        _split(one)
    return one


def _split(one):
    """The three projections of nn.MultiheadAttention lie in one tensor."""
    size = one.module.embed_dim
    whole = {"weight": one.module.in_proj_weight, "bias": one.module.in_proj_bias}
    out = one.module.out_proj
    one.tensors, one.names = {}, {}
    for what, value in whole.items():
        for k, part in enumerate(("query", "key", "value") if value is not None else ()):
            one.tensors[f"{part}_{what}"] = Part(value, slice(k * size, (k + 1) * size))
            one.names[f"{part}_{what}"] = f"in_proj_{what}[{k * size}:{(k + 1) * size}]"
    for what, value in (("weight", out.weight), ("bias", out.bias)):
        if value is not None:
            one.tensors[f"out_{what}"], one.names[f"out_{what}"] = Part(value), f"out_proj.{what}"
    one.call = lambda module, given: module(*(given * 3 if len(given) == 1 else given), need_weights=False)[0]


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
    keep = None if module.momentum is None else 1 - module.momentum
    return "batch_norm", {"epsilon": module.eps, "keep": keep, "unbiased": True}


def _pool(op, dims):
    def read(module):
        size = _sides(module.kernel_size, dims)
        counted = getattr(module, "count_include_pad", True) if op == "average" else False
        return "pool", {
            "op": op, "size": size, "stride": _sides(module.stride, dims), "padding": _pairs(module.padding, dims),
            "counted": counted, "ceil": module.ceil_mode,
        }  # fmt: skip

    return read


def _adaptive(op, dims):
    return lambda module: ("adaptive_pool", {"op": op, "size": _sides(module.output_size, dims)})


def _resize(module):
    mode = "linear" if "linear" in module.mode else "cubic" if module.mode == "bicubic" else module.mode
    return "resize", {
        "size": module.size,
        "scale": module.scale_factor,
        "mode": mode,
        "corners": bool(module.align_corners),
    }


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
        pairs = [list(module.padding[k : k + 2]) for k in range(0, len(module.padding), 2)][
            ::-1
        ]  # its own begin with the last axis
        return "pad", {"padding": pairs, "mode": mode, "value": getattr(module, "value", 0.0)}

    return read


READERS = [
    (nn.Linear, lambda m: ("dense", {})),
    (nn.Embedding, lambda m: ("embedding", {"padding": m.padding_idx})),
    (conv._ConvTransposeNd, _conv_transpose),
    (conv._ConvNd, _conv),
    (batchnorm._BatchNorm, _batch_norm),
    (nn.LayerNorm, lambda m: ("layer_norm", {"epsilon": m.eps, "axes": len(m.normalized_shape)})),
    (nn.GroupNorm, lambda m: ("group_norm", {"epsilon": m.eps, "groups": m.num_groups})),
    (instancenorm._InstanceNorm, lambda m: ("instance_norm", {"epsilon": m.eps})),
    (nn.RMSNorm, lambda m: ("rms_norm", {"epsilon": m.eps, "axes": len(m.normalized_shape)})),
    *((getattr(nn, f"MaxPool{d}d"), _pool("max", d)) for d in (1, 2, 3)),
    *((getattr(nn, f"AvgPool{d}d"), _pool("average", d)) for d in (1, 2, 3)),
    *((getattr(nn, f"AdaptiveAvgPool{d}d"), _adaptive("average", d)) for d in (1, 2, 3)),
    *((getattr(nn, f"AdaptiveMaxPool{d}d"), _adaptive("max", d)) for d in (1, 2, 3)),
    (nn.Dropout, lambda m: ("dropout", {"rate": m.p})),
    (nn.ReLU, _named("relu")),
    (nn.ReLU6, _named("relu6")),
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
    (nn.MultiheadAttention, lambda m: ("attention", {"heads": m.num_heads} | ({} if m.batch_first else {"batch": 1}))),
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
    (nn.Flatten, lambda m: ("flatten", {"first": m.start_dim})),
]


def optimizer(one: torch.optim.Optimizer) -> dict:
    """Its numbers in canonical terms (common.tools.diff.updates), of the first group."""
    group, title = one.param_groups[0], f"torch.optim.{type(one).__name__}"
    about = {"title": title, "rate": group["lr"], "decay": group.get("weight_decay", 0.0)}
    match type(one).__name__:
        case "Adam" | "AdamW" as name:
            decoupled = name == "AdamW" or group.get("decoupled_weight_decay", False)
            betas = {"beta1": group["betas"][0], "beta2": group["betas"][1]}
            return about | betas | {"name": "adam", "epsilon": group["eps"], "place": "outside", "decoupled": decoupled, "amsgrad": group["amsgrad"]}  # fmt: skip
        case "SGD":
            return about | {"name": "sgd", "momentum": group["momentum"], "dampening": group["dampening"], "nesterov": group["nesterov"], "rate_inside": False}  # fmt: skip
        case "RMSprop":
            return about | {"name": "rmsprop", "keep": group["alpha"], "epsilon": group["eps"], "place": "outside", "start": 0.0, "momentum": group["momentum"], "centered": group["centered"]}  # fmt: skip
        case "Adagrad":
            return about | {"name": "adagrad", "epsilon": group["eps"], "place": "outside", "start": group["initial_accumulator_value"]}  # fmt: skip
    return about | {"name": "unknown"}
