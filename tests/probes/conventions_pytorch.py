"""PyTorch's side of test_conventions: its own layers, losses and optimisers, with the settings that they have."""

import warnings

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from common.probing import mask


def tensor(value):
    return torch.from_numpy(np.array(value))


def arrays(outputs):
    return (
        [one.detach().numpy() for one in outputs] if isinstance(outputs, (tuple, list)) else [outputs.detach().numpy()]
    )


def drawn(rng, shape):
    return rng.normal(size=shape)


def pick(rng, *values):
    return values[rng.integers(len(values))]


def dense(rng):
    t, x = {"weight": drawn(rng, (5, 4)), "bias": drawn(rng, 5)}, drawn(rng, (3, 2, 4))
    return "dense", {}, t, [x], True, arrays(F.linear(tensor(x), tensor(t["weight"]), tensor(t["bias"])))


def embedding(rng):
    w, x = drawn(rng, (6, 4)), rng.integers(0, 6, (3, 5))
    return "embedding", {"padding": 1}, {"weight": w}, [x], True, arrays(F.embedding(tensor(x), tensor(w), 1))


def conv(rng):
    dims = int(rng.integers(1, 4))
    size, stride, padding, dilation = (rng.integers(low, 4, dims).tolist() for low in (1, 1, 0, 1))
    groups = pick(rng, 1, 2, 4)
    t, x = (
        {"weight": drawn(rng, (8, 4 // groups, *size)), "bias": drawn(rng, 8)},
        drawn(rng, (2, 4, *rng.integers(8, 11, dims))),
    )
    function = (F.conv1d, F.conv2d, F.conv3d)[dims - 1]
    y = function(tensor(x), tensor(t["weight"]), tensor(t["bias"]), stride, padding, dilation, groups)
    return (
        "conv",
        {"stride": stride, "padding": [[p, p] for p in padding], "dilation": dilation, "groups": groups},
        t,
        [x],
        True,
        arrays(y),
    )


def conv_same(rng):
    size = int(rng.integers(1, 6))
    module = nn.Conv2d(
        3, 4, size, padding="same", padding_mode=pick(rng, "zeros", "reflect", "circular"), dtype=torch.float64
    )
    settings = {"padding": "same", "mode": module.padding_mode}
    t, x = {"weight": module.weight.detach().numpy(), "bias": module.bias.detach().numpy()}, drawn(rng, (2, 3, 8, 9))
    with warnings.catch_warnings(action="ignore"):  # of an even size: it says that it copies
        y = module(tensor(x))
    return "conv", settings, t, [x], True, arrays(y)


def conv_transpose(rng):
    dims = int(rng.integers(1, 4))
    size, stride, padding, dilation = (rng.integers(low, 4, dims).tolist() for low in (2, 1, 0, 1))
    more = [int(rng.integers(0, max(s, d))) for s, d in zip(stride, dilation, strict=True)]
    padding = [min(p, 1) for p in padding]
    groups = pick(rng, 1, 2)
    t, x = {"weight": drawn(rng, (4, 3, *size)), "bias": drawn(rng, 3 * groups)}, drawn(rng, (2, 4, *[6] * dims))
    function = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[dims - 1]
    y = function(tensor(x), tensor(t["weight"]), tensor(t["bias"]), stride, padding, more, groups, dilation)
    cut = [[p, p - m] for p, m in zip(padding, more, strict=True)]
    return (
        "conv_transpose",
        {"stride": stride, "padding": cut, "dilation": dilation, "groups": groups},
        t,
        [x],
        True,
        arrays(y),
    )


def norm_tensors(rng, shape=(6,)):
    return {"weight": drawn(rng, shape), "bias": drawn(rng, shape)}


def batch_norm(rng):
    t = norm_tensors(rng) | {"mean": drawn(rng, 6), "variance": rng.uniform(0.5, 2, 6)}
    x, epsilon, training = (
        drawn(rng, (3, 6, *[4] * int(rng.integers(0, 4)))),
        pick(rng, 1e-5, 1e-3),
        bool(rng.integers(2)),
    )
    y = F.batch_norm(
        tensor(x),
        tensor(t["mean"]),
        tensor(t["variance"]),
        tensor(t["weight"]),
        tensor(t["bias"]),
        training,
        0.1,
        epsilon,
    )
    return "batch_norm", {"epsilon": epsilon, "keep": 0.9, "unbiased": True}, t, [x], training, arrays(y)


def statistics(rng):
    t = {"mean": drawn(rng, 6), "variance": rng.uniform(0.5, 2, 6)}
    x, momentum = drawn(rng, (3, 6, 4, 5)), pick(rng, 0.1, 0.01, 0.3)
    mean, variance = tensor(t["mean"]), tensor(t["variance"])
    F.batch_norm(tensor(x), mean, variance, training=True, momentum=momentum)
    return (
        {"epsilon": 1e-5, "keep": 1 - momentum, "unbiased": True},
        t,
        x,
        {"mean": mean.numpy(), "variance": variance.numpy()},
    )


def layer_norm(rng):
    axes, epsilon, x = int(rng.integers(1, 3)), pick(rng, 1e-5, 1e-12), drawn(rng, (3, 4, 6))
    t = norm_tensors(rng, x.shape[-axes:])
    y = F.layer_norm(tensor(x), x.shape[-axes:], tensor(t["weight"]), tensor(t["bias"]), epsilon)
    return "layer_norm", {"epsilon": epsilon, "axes": axes}, t, [x], True, arrays(y)


def group_norm(rng):
    groups, t, x = pick(rng, 1, 2, 3, 6), norm_tensors(rng), drawn(rng, (3, 6, 4, 4))
    y = F.group_norm(tensor(x), groups, tensor(t["weight"]), tensor(t["bias"]), 1e-4)
    return "group_norm", {"epsilon": 1e-4, "groups": groups}, t, [x], True, arrays(y)


def instance_norm(rng):
    training = bool(rng.integers(2))
    module = nn.InstanceNorm2d(6, affine=True, track_running_stats=bool(rng.integers(2)), dtype=torch.float64)
    t = norm_tensors(rng) | (
        {"mean": drawn(rng, 6), "variance": rng.uniform(0.5, 2, 6)} if module.track_running_stats else {}
    )
    for role, own in (("weight", "weight"), ("bias", "bias"), ("mean", "running_mean"), ("variance", "running_var")):
        if role in t:
            getattr(module, own).data.copy_(tensor(t[role]))
    x = drawn(rng, (3, 6, 4, 4))
    return "instance_norm", {"epsilon": 1e-5}, t, [x], training, arrays(module.train(training)(tensor(x)))


def rms_norm(rng):
    epsilon, t, x = pick(rng, 1e-6, None), {"weight": drawn(rng, 5)}, drawn(rng, (3, 4, 5))
    return (
        "rms_norm",
        {"epsilon": epsilon, "axes": 1},
        t,
        [x],
        True,
        arrays(F.rms_norm(tensor(x), (5,), tensor(t["weight"]), epsilon)),
    )


def pool(rng):
    dims, op = int(rng.integers(1, 4)), pick(rng, "max", "average")
    size = rng.integers(2, 4, dims).tolist()
    stride, padding = rng.integers(1, 4, dims).tolist(), [int(rng.integers(0, k // 2 + 1)) for k in size]
    ceil, counted, x = (
        bool(rng.integers(2)),
        op == "average" and bool(rng.integers(2)),
        drawn(rng, (2, 3, *rng.integers(6, 10, dims))),
    )
    function = getattr(F, f"{'max' if op == 'max' else 'avg'}_pool{dims}d")
    more = {"count_include_pad": counted} if op == "average" else {}
    y = function(tensor(x), size, stride, padding, ceil_mode=ceil, **more)
    about = {
        "op": op,
        "size": size,
        "stride": stride,
        "padding": [[p, p] for p in padding],
        "counted": counted,
        "ceil": ceil,
    }
    return "pool", about, {}, [x], True, arrays(y)


def adaptive_pool(rng):
    op, size, x = pick(rng, "max", "average"), rng.integers(1, 6, 2).tolist(), drawn(rng, (2, 3, 7, 5))
    y = getattr(F, f"adaptive_{'max' if op == 'max' else 'avg'}_pool2d")(tensor(x), size)
    return "adaptive_pool", {"op": op, "size": size}, {}, [x], True, arrays(y)


def dropout(rng):
    """Of the probe, which draws the masks: in evaluation PyTorch's own."""
    x, training = drawn(rng, (3, 4)), bool(rng.integers(2))
    y = x * mask(2, x.shape, 0.3) / 0.7 if training else F.dropout(tensor(x), 0.3, training=False).numpy()
    return "dropout", {"rate": 0.3, "number": 2}, {}, [x], training, [y]


ACTIVATIONS = [
    ({"name": "relu"}, F.relu), ({"name": "relu6"}, F.relu6), ({"name": "selu"}, F.selu), ({"name": "sigmoid"}, torch.sigmoid), ({"name": "tanh"}, torch.tanh),
    ({"name": "leaky_relu", "slope": 0.3}, lambda x: F.leaky_relu(x, 0.3)), ({"name": "elu", "alpha": 0.7}, lambda x: F.elu(x, 0.7)), ({"name": "celu", "alpha": 0.7}, lambda x: F.celu(x, 0.7)),
    ({"name": "gelu", "approximate": False}, F.gelu), ({"name": "gelu", "approximate": True}, lambda x: F.gelu(x, approximate="tanh")), ({"name": "silu"}, F.silu), ({"name": "mish"}, F.mish),
    ({"name": "softplus", "beta": 2.0, "threshold": 1.0}, lambda x: F.softplus(x, 2.0, 1.0)), ({"name": "log_sigmoid"}, F.logsigmoid), ({"name": "softsign"}, F.softsign),
    ({"name": "softmax", "axis": 1}, lambda x: F.softmax(x, 1)), ({"name": "log_softmax", "axis": -1}, lambda x: F.log_softmax(x, -1)),
    ({"name": "hard_sigmoid", "slope": 1 / 6, "offset": 0.5}, F.hardsigmoid), ({"name": "hard_swish", "slope": 1 / 6, "offset": 0.5}, F.hardswish), ({"name": "hard_tanh"}, F.hardtanh),
]  # fmt: skip


def activation(settings, function):
    def case(rng):
        x = 4 * drawn(rng, (3, 4, 5))
        return "activation", settings, {}, [x], True, arrays(function(tensor(x)))

    return case


def recurrent(kind):
    def case(rng):
        first = bool(rng.integers(2))
        module = {"lstm": nn.LSTM, "gru": nn.GRU}[kind](4, 6, batch_first=first, dtype=torch.float64)
        t = {name.removesuffix("_l0"): value.detach().numpy() for name, value in module.named_parameters()}
        x = drawn(rng, (3, 5, 4))
        sequence, state = module(tensor(x))
        settings = (
            {"layers": 1, "both_ways": False}
            | ({} if kind == "lstm" else {"reset_after": True})
            | ({} if first else {"batch": 1})
        )
        return kind, settings, t, [x], True, arrays([sequence, *(state if kind == "lstm" else [state])])

    return case


def attention(rng):
    module = nn.MultiheadAttention(8, pick(rng, 1, 2, 4), batch_first=True, dtype=torch.float64)
    t = {}
    for k, part in enumerate(("query", "key", "value")):
        t[f"{part}_weight"], t[f"{part}_bias"] = (
            getattr(module, f"in_proj_{w}").detach().numpy()[8 * k : 8 * k + 8] for w in ("weight", "bias")
        )
    t |= {f"out_{w}": getattr(module.out_proj, w).detach().numpy() for w in ("weight", "bias")}
    given = [drawn(rng, (3, 5, 8)), *[drawn(rng, (3, 7, 8)) for _ in range(2)]]
    causal = bool(rng.integers(2))
    if causal:
        given = given[:1] * 3
    hidden = torch.triu(torch.ones(5, 5, dtype=torch.bool), 1) if causal else None
    y = module(*map(tensor, given), need_weights=False, attn_mask=hidden)[0]
    return "attention", {"heads": module.num_heads, "causal": causal}, t, given, True, arrays(y)


def resize(rng):
    mode, corners = pick(
        rng,
        ("nearest", False),
        ("nearest-exact", False),
        ("bilinear", False),
        ("bilinear", True),
        ("bicubic", False),
        ("bicubic", True),
        ("area", False),
    )
    by_scale = mode != "area" and bool(rng.integers(2))
    more = {"scale_factor": [1.7, 0.6]} if by_scale else {"size": rng.integers(2, 12, 2).tolist()}
    smooth = bool(rng.integers(2)) and mode.startswith("bi") and not corners
    x = drawn(rng, (2, 3, 6, 7))
    flags = {"align_corners": corners, "antialias": smooth} if mode.startswith("bi") else {}
    y = F.interpolate(tensor(x), mode=mode, **more, **flags)
    name = {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
    about = {"size": more.get("size"), "scale": more.get("scale_factor"), "mode": name, "corners": corners}
    return (
        "resize",
        about | ({"antialias": True} | ({"cubic": -0.5} if name == "cubic" else {}) if smooth else {}),
        {},
        [x],
        True,
        arrays(y),
    )


def pad(rng):
    mode = pick(rng, "constant", "reflect", "replicate", "circular")
    ends, x = rng.integers(0, 3, (2, 2)).tolist(), drawn(rng, (2, 3, 5, 6))
    more = {"value": 1.5} if mode == "constant" else {}
    y = F.pad(tensor(x), [*ends[1], *ends[0]], mode, **more)
    return "pad", {"padding": ends, "mode": mode} | more, {}, [x], True, arrays(y)


def flatten(rng):
    x, first = drawn(rng, (2, 3, 4, 5)), pick(rng, 0, 1, 2)
    return "flatten", {"first": first}, {}, [x], True, arrays(torch.flatten(tensor(x), first))


LAYERS = {
    one.__name__: one
    for one in (dense, embedding, conv, conv_same, conv_transpose, batch_norm, layer_norm, group_norm, instance_norm, rms_norm, pool, adaptive_pool, dropout, attention, resize, pad, flatten)
}  # fmt: skip
LAYERS |= {f"activation {settings}": activation(settings, function) for settings, function in ACTIVATIONS}
LAYERS |= {kind: recurrent(kind) for kind in ("lstm", "gru")}


# ------------------------------------------------------------------------------- losses and optimisers


def loss(function, wanted, output=lambda rng: drawn(rng, (6, 5)), target=lambda rng: drawn(rng, (6, 5))):
    def case(rng):
        x, y = output(rng), target(rng)
        given = tensor(x).requires_grad_()
        value = function(given, tensor(y))
        value.backward()
        return x, y, value.item(), given.grad.numpy(), wanted

    return case


def labels(rng):
    return rng.integers(0, 5, 6)


def shares(rng):
    return rng.dirichlet(np.ones(5), 6)


def bits(rng):
    return rng.integers(0, 2, (6, 5)).astype(float)


def certain(rng):
    """Probabilities of which some are 0 where the target is 1."""
    return np.where(rng.uniform(size=(6, 5)) < 0.2, 0.0, rng.uniform(0.1, 0.9, (6, 5)))


LOSSES = {
    "mse": loss(F.mse_loss, {"name": "squared", "reduction": "mean", "factor": 1.0}),
    "mse sum": loss(nn.MSELoss(reduction="sum"), {"name": "squared", "reduction": "sum", "factor": 1.0}),
    "mse broadcast": loss(lambda x, y: ((x - y) ** 2).mean(), {"name": "squared", "broadcast": True, "reduction": "mean"}, lambda rng: drawn(rng, (6, 1)), lambda rng: drawn(rng, 6)),
    "mae": loss(F.l1_loss, {"name": "absolute", "reduction": "mean"}),
    "huber": loss(nn.HuberLoss(delta=0.5), {"name": "huber", "delta": 0.5, "factor": 1.0}),
    "smooth l1": loss(nn.SmoothL1Loss(beta=0.5), {"name": "huber", "delta": 0.5, "factor": 2.0}),
    "bce": loss(F.binary_cross_entropy, {"name": "bce", "takes": "probabilities", "guard": ["log", -100.0]}, certain, bits),
    "bce on logits": loss(F.binary_cross_entropy_with_logits, {"name": "bce", "takes": "logits", "reduction": "mean", "smoothing": 0.0}, target=bits),
    "cross entropy": loss(F.cross_entropy, {"name": "cross_entropy", "takes": "logits", "labels": "integers", "reduction": "mean", "smoothing": 0.0}, target=labels),
    "cross entropy of an image": loss(F.cross_entropy, {"name": "cross_entropy", "axis": 1, "reduction": "mean"}, lambda rng: drawn(rng, (2, 5, 3, 4)), lambda rng: rng.integers(0, 5, (2, 3, 4))),
    "cross entropy sum": loss(nn.CrossEntropyLoss(reduction="sum"), {"name": "cross_entropy", "reduction": "sum"}, target=labels),
    "smoothed": loss(nn.CrossEntropyLoss(label_smoothing=0.1), {"name": "cross_entropy", "smoothing": 0.1, "spread": "even"}, target=labels),
    "ignored": loss(F.cross_entropy, {"name": "cross_entropy", "ignored": -100, "reduction": "mean"}, target=lambda rng: np.where(np.arange(6) < 2, -100, labels(rng))),
    "nll": loss(F.nll_loss, {"name": "cross_entropy", "takes": "log_probabilities"}, lambda rng: np.log(shares(rng)), labels),
    "soft labels": loss(F.cross_entropy, {"name": "cross_entropy", "labels": "shares"}, target=shares),
    **{f"kl {r}": loss(nn.KLDivLoss(reduction=r) if r != "mean" else lambda x, y: F.kl_div(x, y, reduction="none").mean(), {"name": "kl", "reduction": {"batchmean": "batch"}.get(r, r), "takes": "log_probabilities"}, lambda rng: np.log(shares(rng)), shares) for r in ("mean", "batchmean", "sum")},
    "kl of logarithms": loss(nn.KLDivLoss(reduction="batchmean", log_target=True), {"name": "kl", "against": "log_probabilities"}, lambda rng: np.log(shares(rng)), lambda rng: np.log(shares(rng))),
}  # fmt: skip


def optimiser(settings, make, clip=None):
    def run(parameters, gradients, rates):
        own = {name: nn.Parameter(tensor(value)) for name, value in parameters.items()}
        one = make(list(own.values()))
        rate, found = one.param_groups[0]["lr"], []
        for given, factor in zip(gradients, rates, strict=True):
            for name, value in own.items():
                value.grad = tensor(given[name])
            if clip:
                clip(own.values())
            one.param_groups[0]["lr"] = rate * factor
            one.step()
            found.append({name: value.detach().numpy().copy() for name, value in own.items()})
        return found

    return settings, run


ADAM = {
    "name": "adam",
    "rate": 0.1,
    "beta1": 0.9,
    "beta2": 0.999,
    "epsilon": 1e-3,
    "place": "outside",
    "amsgrad": False,
    "decay": 0.0,
    "decoupled": False,
}
SGD = {
    "name": "sgd",
    "rate": 0.1,
    "momentum": 0.9,
    "dampening": 0.0,
    "nesterov": False,
    "rate_inside": False,
    "decay": 0.0,
}
RMS = {
    "name": "rmsprop",
    "rate": 0.1,
    "keep": 0.99,
    "epsilon": 1e-3,
    "place": "outside",
    "start": 0.0,
    "momentum": 0.0,
    "centered": False,
    "decay": 0.0,
}
ADAGRAD = {"name": "adagrad", "rate": 0.1, "epsilon": 1e-3, "place": "outside", "start": 0.0, "decay": 0.0}
clips = nn.utils
OPTIMISERS = {
    "adam": optimiser(ADAM, lambda p: torch.optim.Adam(p, 0.1, eps=1e-3)),
    "adam with L2": optimiser(ADAM | {"decay": 0.1}, lambda p: torch.optim.Adam(p, 0.1, eps=1e-3, weight_decay=0.1)),
    "adamw": optimiser(ADAM | {"decay": 0.1, "decoupled": True}, lambda p: torch.optim.AdamW(p, 0.1, eps=1e-3, weight_decay=0.1)),
    "amsgrad": optimiser(ADAM | {"amsgrad": True}, lambda p: torch.optim.Adam(p, 0.1, eps=1e-3, amsgrad=True)),
    "sgd": optimiser(SGD, lambda p: torch.optim.SGD(p, 0.1, 0.9)),
    "nesterov": optimiser(SGD | {"nesterov": True, "decay": 0.1}, lambda p: torch.optim.SGD(p, 0.1, 0.9, nesterov=True, weight_decay=0.1)),
    "dampened": optimiser(SGD | {"dampening": 0.5}, lambda p: torch.optim.SGD(p, 0.1, 0.9, dampening=0.5)),
    "rmsprop": optimiser(RMS, lambda p: torch.optim.RMSprop(p, 0.1, eps=1e-3)),
    "rmsprop with momentum": optimiser(RMS | {"momentum": 0.9}, lambda p: torch.optim.RMSprop(p, 0.1, eps=1e-3, momentum=0.9)),
    "rmsprop centered": optimiser(RMS | {"centered": True}, lambda p: torch.optim.RMSprop(p, 0.1, eps=1e-3, centered=True)),
    "adagrad": optimiser(ADAGRAD, lambda p: torch.optim.Adagrad(p, 0.1, eps=1e-3)),
    "adagrad, falling": optimiser(ADAGRAD | {"rate_decay": 0.5, "start": 0.1}, lambda p: torch.optim.Adagrad(p, 0.1, eps=1e-3, lr_decay=0.5, initial_accumulator_value=0.1)),
    "clipped by norm": optimiser(SGD | {"clip": {"kind": "global_norm", "value": 0.5, "guard": 1e-6}}, lambda p: torch.optim.SGD(p, 0.1, 0.9), lambda p: clips.clip_grad_norm_(p, 0.5)),
    "clipped by value": optimiser(SGD | {"clip": {"kind": "value", "value": 0.5}}, lambda p: torch.optim.SGD(p, 0.1, 0.9), lambda p: clips.clip_grad_value_(p, 0.5)),
}  # fmt: skip


def function(f):
    return lambda x: f(tensor(x)).numpy()


POOL = {
    "kind": "pool",
    "op": "max",
    "size": [2, 2],
    "stride": [2, 2],
    "padding": [[0, 0]] * 2,
    "counted": False,
    "ceil": False,
}
FUNCTIONS = [
    (function(F.relu), [{"kind": "activation", "name": "relu"}]),
    (function(lambda x: F.leaky_relu(x, 0.2)), [{"kind": "activation", "name": "leaky_relu", "slope": 0.2}]),
    (function(lambda x: F.max_pool2d(x, 2)), [POOL]),
    (function(lambda x: F.avg_pool2d(x, 3, 2, 1)), [POOL | {"op": "average", "size": [3, 3], "padding": [[1, 1]] * 2, "counted": True}]),
    (function(lambda x: F.avg_pool2d(F.silu(x), 2).flatten(1)), [{"kind": "activation", "name": "silu"}, POOL | {"op": "average"}, {"kind": "flatten", "first": 1, "order": "channels_first"}]),
    (function(lambda x: x.mean((2, 3))), [{"kind": "adaptive_pool", "op": "average", "size": [1, 1]}, {"kind": "flatten", "first": 1, "order": "channels_first"}]),
    (function(lambda x: x.permute(0, 2, 3, 1).flatten(1)), [{"kind": "flatten", "first": 1, "order": "channels_last"}]),
    (function(lambda x: F.interpolate(x, scale_factor=2)), [{"kind": "resize", "size": [12, 12], "mode": "nearest"}]),
    (function(lambda x: F.interpolate(x, scale_factor=2, mode="bilinear")), [{"kind": "resize", "size": [12, 12], "mode": "linear", "corners": False}]),
    (function(lambda x: F.pad(x, (0, 1, 0, 1))), [{"kind": "pad", "padding": [[0, 1], [0, 1]], "mode": "constant", "value": 0.0}]),
]  # fmt: skip
