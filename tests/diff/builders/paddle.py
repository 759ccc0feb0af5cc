"""The networks of zoo.py in Paddle."""

import paddle
from paddle import nn
from paddle.nn import functional as F
from zoo import pads

ACTIVATIONS = {
    "relu": nn.ReLU, "relu6": nn.ReLU6, "silu": nn.Silu, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "hard_sigmoid": nn.Hardsigmoid, "hard_swish": nn.Hardswish,
    "selu": nn.SELU, "leaky_relu": lambda slope: nn.LeakyReLU(slope), "elu": lambda alpha=1.0: nn.ELU(alpha),
    "gelu": lambda approximate: nn.GELU(approximate), "softplus": lambda beta=1.0: nn.Softplus(beta),
    "softmax": lambda axis: nn.Softmax(axis), "log_softmax": lambda axis: nn.LogSoftmax(axis),
}  # fmt: skip


class RMSNorm(nn.Layer):
    """Paddle has it as a function alone, which wants a GPU."""

    def __init__(self, size, epsilon):
        super().__init__()
        self.weight = self.create_parameter([size], default_initializer=nn.initializer.Constant(1.0))
        self.epsilon = epsilon

    def forward(self, x):
        return x * paddle.rsqrt((x * x).mean(-1, keepdim=True) + self.epsilon) * self.weight


def layer(op, s, shape):
    """A layer, or a plain function."""
    bias = {} if s.get("bias", True) else {"bias_attr": False}
    match op:
        case "affine":
            return lambda x: s["factor"] * x + s["shift"]
        case "flow":
            return lambda x: x.detach() if s["factor"] == 0 else x + (s["factor"] - 1) * (x - x.detach())
        case "conv":
            return nn.Conv2D(shape[0], s["out"], s["size"], s["stride"], _padding(s), s["dilation"], s["groups"], **bias)  # fmt: skip
        case "pool":
            if s["op"] == "max":
                return nn.MaxPool2D(s["size"], s["stride"], s["padding"], ceil_mode=s["ceil"])
            return nn.AvgPool2D(s["size"], s["stride"], s["padding"], ceil_mode=s["ceil"], exclusive=not s["counted"])
        case "conv_transpose":
            return nn.Conv2DTranspose(shape[0], s["out"], s["size"], s["stride"], s["padding"], output_padding=s["more"], **bias)  # fmt: skip
        case "batch_norm":
            return nn.BatchNorm2D(shape[0], momentum=s["keep"], epsilon=s["epsilon"], use_global_stats=True if s["frozen"] else None)  # fmt: skip
        case "group_norm":
            return nn.GroupNorm(s["groups"], shape[0], epsilon=s["epsilon"])
        case "instance_norm":
            return nn.InstanceNorm2D(shape[0], epsilon=s["epsilon"])
        case "layer_norm":
            return nn.LayerNorm(shape[-1], epsilon=s["epsilon"])
        case "rms_norm":
            return RMSNorm(shape[-1], s["epsilon"])
        case "activation":
            return ACTIVATIONS[s["name"]](**{k: v for k, v in s.items() if k != "name"})
        case "flatten":
            return nn.Flatten() if s["order"] == "channels_first" else lambda x: x.transpose([0, 2, 3, 1]).flatten(1)
        case "reshape":
            c, h, w = s["shape"]
            return (lambda x: x.reshape([-1, c, h, w])) if s["order"] == "channels_first" else (lambda x: x.reshape([-1, h, w, c]).transpose([0, 3, 1, 2]))  # fmt: skip
        case "dense":
            return nn.Linear(shape[-1], s["out"], **bias)
        case "dropout":
            return nn.Dropout(s["rate"])
        case "embedding":
            return nn.Embedding(s["count"], s["out"], padding_idx=s["padding"])
        case "gru":
            return nn.GRU(shape[-1], s["out"])
        case "lstm":
            return nn.LSTM(shape[-1], s["out"])
        case "attention":
            return nn.MultiHeadAttention(shape[-1], s["heads"])
        case "resize":
            mode = {"nearest": "nearest", "linear": "bilinear"}[s["mode"]]
            return nn.Upsample(scale_factor=s["scale"], mode=mode, align_corners=s["corners"])
        case "last":
            return lambda x: x[:, -1]
    raise KeyError(op)


def _padding(s):
    (before, after) = pads(s["padding"], 1)[0]
    return before if before == after else [[0, 0], [0, 0], [before, after], [before, after]]


class Net(nn.Layer):
    def __init__(self, steps):
        super().__init__()
        self.steps = [(name, of, None if isinstance(made, nn.Layer) else made) for name, made, of in steps]
        for name, made, _ in steps:
            if isinstance(made, nn.Layer):
                self.add_sublayer(name, made)

    def forward(self, x):
        seen = {}
        for name, of, function in self.steps:
            x = x + seen[of] if of else (function or getattr(self, name))(x)
            x = x[0] if isinstance(x, tuple) else x
            seen[name] = x
        return x


def build(spec):
    steps = []
    for name, op, s in spec["nodes"]:
        if op == "affine" and (s["factor"], s["shift"]) == (1, 0) or op == "flow" and s["factor"] == 1:
            continue
        steps.append((name, None, s["of"]) if op == "add" else (name, layer(op, s, spec["shapes"][name]), None))
    whole = any(not isinstance(m, nn.Layer) or isinstance(m, (nn.GRU, nn.LSTM)) for _, m, _ in steps)
    model = Net(steps) if whole else nn.Sequential(*((name, made) for name, made, _ in steps))
    for name in spec.get("frozen", ()):
        for parameter in getattr(model, name).parameters():
            parameter.stop_gradient = True
    for name, other in spec.get("tied", {}).items():
        getattr(model, name).weight = getattr(model, other).weight
    moved = [one for one in model.parameters() if not one.stop_gradient]
    return {"model": model, "loss": loss(spec["loss"]), "optimizer": optimizer(spec["optimizer"], moved)}


def loss(s):
    reduction = {"batch": "sum"}.get(s["reduction"], s["reduction"])

    def function(output, y):
        match s["name"]:
            case "cross_entropy":
                value = F.cross_entropy(output, y, reduction=reduction, use_softmax=s["takes"] == "logits", label_smoothing=s["smoothing"])  # fmt: skip
            case "bce":
                p = output if s["guard"][0] != "clip" else output.clip(s["guard"][1], 1 - s["guard"][1])
                value = F.binary_cross_entropy(p, y, reduction=reduction)
            case _:
                value = F.mse_loss(output, y, reduction=reduction)
        return s["factor"] * (value / len(output) if s["reduction"] == "batch" else value)

    return function


def optimizer(s, parameters):
    o, rate, decay = paddle.optimizer, s["rate"], s.get("decay") or None
    clip = s.get("clip")
    clip = clip and {"norm": nn.ClipGradByNorm, "global_norm": nn.ClipGradByGlobalNorm, "value": nn.ClipGradByValue}[clip["kind"]](clip["value"])  # fmt: skip
    about = {"parameters": parameters, "grad_clip": clip}
    match s["name"]:
        case "adam":
            kind, more = (o.AdamW, {"weight_decay": decay or 0.0}) if s["decoupled"] else (o.Adam, {"weight_decay": decay})  # fmt: skip
            return kind(rate, s["beta1"], s["beta2"], s["epsilon"], amsgrad=s.get("amsgrad", False), **about | more)
        case "sgd" if not s["momentum"]:
            return o.SGD(rate, weight_decay=decay, **about)
        case "sgd":
            return o.Momentum(rate, s["momentum"], use_nesterov=s["nesterov"], weight_decay=decay, **about)
        case "rmsprop":
            return o.RMSProp(rate, rho=s["keep"], epsilon=s["epsilon"], momentum=s["momentum"], centered=s["centered"], weight_decay=decay, **about)  # fmt: skip
        case "adagrad":
            return o.Adagrad(rate, epsilon=s["epsilon"], initial_accumulator_value=s["start"], weight_decay=decay, **about)  # fmt: skip
    raise KeyError(s["name"])
