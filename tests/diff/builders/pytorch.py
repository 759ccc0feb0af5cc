"""The networks of zoo.py in PyTorch."""

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional as F
from zoo import pads


class BiasedBatchNorm(nn.BatchNorm2d):
    """Keeps the variance of the batch divided by n, as the other three frameworks do."""

    def forward(self, x):
        if not self.training:
            return super().forward(x)
        with torch.no_grad():
            variance, mean = torch.var_mean(x, (0, 2, 3), correction=0)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance, self.momentum)
        return F.batch_norm(x, None, None, self.weight, self.bias, True, 0.0, self.eps)


class Frozen(nn.BatchNorm2d):
    """Stays in evaluation mode."""

    def train(self, mode=True):
        return super().train(False)


class Turned(nn.Conv2d):
    def forward(self, x):
        return F.conv2d(x, self.weight.flip(2, 3), self.bias, self.stride, self.padding, self.dilation, self.groups)


class TurnedTranspose(nn.ConvTranspose2d):
    def forward(self, x):
        return F.conv_transpose2d(x, self.weight.flip(2, 3), self.bias, self.stride, self.padding, self.output_padding)


class Reordered(nn.GRU):
    """Reads its gates as update, reset, new."""

    def forward(self, x):
        weights = [getattr(self, f"{n}_l0") for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        weights = [torch.cat([w.chunk(3)[k] for k in (1, 0, 2)]) for w in weights]
        state = x.new_zeros(1, len(x), self.hidden_size)
        return torch._VF.gru(x, state, weights, True, 1, 0.0, False, False, True)


class ReorderedLSTM(nn.LSTM):
    """Reads its gates as input, new, forget, output."""

    def forward(self, x):
        weights = [getattr(self, f"{n}_l0") for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        weights = [torch.cat([w.chunk(4)[k] for k in (0, 2, 1, 3)]) for w in weights]
        state = x.new_zeros(1, len(x), self.hidden_size)
        found = torch._VF.lstm(x, (state, state), weights, True, 1, 0.0, False, False, True)
        return found[0], found[1:]


class Scaled(nn.MultiheadAttention):
    """Its scores are multiplied by `scale`."""

    def forward(self, query, key, value, need_weights=False):
        parts = F.linear(query, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
        q, k, v = (one.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for one in parts)
        found = F.scaled_dot_product_attention(q, k, v, scale=self.scale)
        return self.out_proj(found.transpose(1, 2).flatten(2)), None


ACTIVATIONS = {
    "relu": nn.ReLU, "relu6": nn.ReLU6, "silu": nn.SiLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "hard_sigmoid": nn.Hardsigmoid, "hard_swish": nn.Hardswish,
    "selu": nn.SELU, "leaky_relu": lambda slope: nn.LeakyReLU(slope), "elu": lambda alpha=1.0: nn.ELU(alpha),
    "gelu": lambda approximate: nn.GELU("tanh" if approximate else "none"), "softplus": lambda beta=1.0: nn.Softplus(beta),
    "softmax": lambda axis: nn.Softmax(axis), "log_softmax": lambda axis: nn.LogSoftmax(axis),
}  # fmt: skip


def layer(op, s, shape):
    """A module, or a plain function."""
    match op:
        case "affine":
            return lambda x: s["factor"] * x + s["shift"]
        case "flow":
            return lambda x: x.detach() if s["factor"] == 0 else x + (s["factor"] - 1) * (x - x.detach())
        case "conv" | "pool" | "conv_transpose":
            return _windowed(op, s, shape)
        case "batch_norm":
            kind = Frozen if s["frozen"] else nn.BatchNorm2d if s["unbiased"] else BiasedBatchNorm
            return kind(shape[0], eps=s["epsilon"], momentum=1 - s["keep"])
        case "group_norm":
            return nn.GroupNorm(s["groups"], shape[0], eps=s["epsilon"])
        case "instance_norm":
            return nn.InstanceNorm2d(shape[0], eps=s["epsilon"], affine=True)
        case "layer_norm":
            return nn.LayerNorm(shape[-1], eps=s["epsilon"])
        case "rms_norm":
            return nn.RMSNorm(shape[-1], eps=s["epsilon"])
        case "activation":
            return ACTIVATIONS[s["name"]](**{k: v for k, v in s.items() if k != "name"})
        case "flatten":
            return nn.Flatten() if s["order"] == "channels_first" else lambda x: x.permute(0, 2, 3, 1).flatten(1)
        case "reshape":
            c, h, w = s["shape"]
            return (lambda x: x.view(-1, c, h, w)) if s["order"] == "channels_first" else (lambda x: x.view(-1, h, w, c).permute(0, 3, 1, 2))  # fmt: skip
        case "dense":
            return nn.Linear(shape[-1], s["out"], bias=s["bias"])
        case "dropout":
            return nn.Dropout(s["rate"])
        case "embedding":
            return nn.Embedding(s["count"], s["out"], padding_idx=s["padding"])
        case "gru":
            return (nn.GRU if s["order"] == "rzn" else Reordered)(shape[-1], s["out"], batch_first=True)
        case "lstm":
            return (nn.LSTM if s["order"] == "ifgo" else ReorderedLSTM)(shape[-1], s["out"], batch_first=True)
        case "attention":
            kind = nn.MultiheadAttention if s["scale"] == "root" else Scaled
            made = kind(shape[-1], s["heads"], batch_first=True)
            made.scale = 1.0 if s["scale"] == "none" else shape[-1] ** -0.5
            return made
        case "resize":
            mode = {"nearest": "nearest", "linear": "bilinear"}[s["mode"]]
            return nn.Upsample(scale_factor=s["scale"], mode=mode, align_corners=None if mode == "nearest" else s["corners"])  # fmt: skip
        case "last":
            return lambda x: x[:, -1]
    raise KeyError(op)


def _windowed(op, s, shape):
    size, stride, padding = s["size"], s["stride"], s["padding"]
    (before, after), ahead = pads(padding, 1)[0], None
    if op != "conv_transpose" and before != after:
        ahead, padding = nn.ZeroPad2d((before, after, before, after)), 0
    match op:
        case "conv":
            made = (Turned if s["turned"] else nn.Conv2d)(shape[0], s["out"], size, stride, padding, s["dilation"], s["groups"], bias=s["bias"])  # fmt: skip
        case "conv_transpose":
            made = (TurnedTranspose if s["turned"] else nn.ConvTranspose2d)(shape[0], s["out"], size, stride, padding, output_padding=s["more"], bias=s["bias"])  # fmt: skip
        case _ if s["op"] == "max":
            made = nn.MaxPool2d(size, stride, padding, ceil_mode=s["ceil"])
        case _:
            made = nn.AvgPool2d(size, stride, padding, ceil_mode=s["ceil"], count_include_pad=s["counted"])
    return made if ahead is None else (ahead, made)


class Net(nn.Module):
    def __init__(self, steps):
        super().__init__()
        self.steps = [(name, of, None if isinstance(made, nn.Module) else made) for name, made, of in steps]
        for name, made, _ in steps:
            if isinstance(made, nn.Module):
                self.add_module(name, made)

    def forward(self, x):
        seen = {}
        for name, of, function in self.steps:
            made = function or getattr(self, name, None)
            if of:
                x = x + seen[of]
            elif isinstance(made, nn.MultiheadAttention):
                x = made(x, x, x, need_weights=False)[0]
            else:
                x = made(x)
                x = x[0] if isinstance(x, tuple) else x
            seen[name] = x
        return x


def build(spec):
    steps = []
    for name, op, s in spec["nodes"]:
        if op == "affine" and (s["factor"], s["shift"]) == (1, 0) or op == "flow" and s["factor"] == 1:
            continue
        if op == "add":
            steps.append((name, None, s["of"]))
            continue
        made = layer(op, s, spec["shapes"][name])
        if isinstance(made, tuple):
            steps.append((f"{name}_pad", made[0], None))
            made = made[1]
        steps.append((name, made, None))
    whole = any(not isinstance(m, nn.Module) or isinstance(m, (nn.RNNBase, nn.MultiheadAttention)) for _, m, _ in steps)
    model = Net(steps) if whole else nn.Sequential(OrderedDict((name, made) for name, made, _ in steps))
    for name in spec.get("frozen", ()):
        getattr(model, name).requires_grad_(False)
    for name, other in spec.get("tied", {}).items():
        getattr(model, name).weight = getattr(model, other).weight
    return {"model": model, "loss": loss(spec["loss"]), "optimizer": optimizer(spec["optimizer"], model.parameters())}


def loss(s):
    reduction = {"batch": "sum"}.get(s["reduction"], s["reduction"])

    def function(output, y):
        match s["name"], s.get("takes"):
            case "cross_entropy", "logits":
                value = F.cross_entropy(output, y, reduction=reduction, label_smoothing=s["smoothing"])
            case "cross_entropy", _:
                value = F.nll_loss(torch.log(output), y, reduction=reduction)
            case "bce", _:
                p = output if s["guard"][0] == "log" else output.clamp(s["guard"][1], 1 - s["guard"][1])
                value = F.binary_cross_entropy(p, y, reduction=reduction)
            case _:
                value = F.mse_loss(output, y, reduction=reduction)
        return s["factor"] * (value / len(output) if s["reduction"] == "batch" else value)

    return function


def optimizer(s, parameters):
    o, rate, decay = torch.optim, s["rate"], s.get("decay", 0.0)
    match s["name"]:
        case "adam":
            kind = o.AdamW if s["decoupled"] else o.Adam
            return kind(parameters, lr=rate, betas=(s["beta1"], s["beta2"]), eps=s["epsilon"], weight_decay=decay, amsgrad=s.get("amsgrad", False))  # fmt: skip
        case "sgd":
            return o.SGD(parameters, lr=rate, momentum=s["momentum"], dampening=s.get("dampening", 0.0), nesterov=s["nesterov"], weight_decay=decay)  # fmt: skip
        case "rmsprop":
            return o.RMSprop(parameters, lr=rate, alpha=s["keep"], eps=s["epsilon"], momentum=s["momentum"], centered=s["centered"], weight_decay=decay)  # fmt: skip
        case "adagrad":
            return o.Adagrad(parameters, lr=rate, eps=s["epsilon"], initial_accumulator_value=s["start"], weight_decay=decay)  # fmt: skip
    raise KeyError(s["name"])
