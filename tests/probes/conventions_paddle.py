"""Paddle's side of test_conventions: its own layers, losses and optimisers, with the settings that they have."""

import contextlib

import numpy as np

from backends.paddle import process  # noqa: F401 - first: it says what may be warned of

import paddle  # isort: skip
from paddle import nn  # isort: skip
from paddle.nn import functional as F  # isort: skip

OPTIMISER = paddle.optimizer


@contextlib.contextmanager
def float64():
    """As the process of a side has it, before the user's function runs."""
    paddle.disable_static()
    before = paddle.get_default_dtype()
    paddle.set_default_dtype("float64")
    try:
        yield
    finally:
        paddle.set_default_dtype(before)


def drawn(rng, shape):
    return rng.normal(size=shape)


def tensor(value):
    return paddle.to_tensor(np.array(value))


def layer(kind, settings, f, tensors=lambda rng: {}, shape=(2, 4, 7, 8), training=True):
    """f: function of an input and {role: tensor}."""

    def case(rng):
        paddle.disable_static()
        t, x = tensors(rng), drawn(rng, shape)
        y = f(tensor(x), {role: tensor(value) for role, value in t.items()})
        return kind, settings, t, [x], training, [y.numpy()]

    return case


def kernel(*shape, bias):
    return lambda rng: {"weight": drawn(rng, shape), "bias": drawn(rng, bias)}


def normal(size, *roles):
    return lambda rng: {role: rng.uniform(0.5, 2, size) for role in roles}


def activation(settings, f):
    return layer("activation", settings, lambda x, t: f(x))


def recurrent(kind):
    def case(rng):
        with float64():
            module = {"lstm": nn.LSTM, "gru": nn.GRU}[kind](4, 6)
            x = drawn(rng, (3, 5, 4))
            y = module(tensor(x))[0].numpy()
        t = {role: getattr(module[0].cell, role).numpy() for role in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
        return kind, {} if kind == "lstm" else {"reset_after": True}, t, [x], True, [y]

    return case


POOL = {"size": [3, 3], "stride": [2, 2], "padding": [[1, 1], [1, 1]], "ceil": False}
EPSILON = {"epsilon": 1e-5, "float32": ["epsilon"]}
LAYERS = {
    "conv": layer("conv", {"stride": [2, 2], "padding": "same"}, lambda x, t: F.conv2d(x, t["weight"], t["bias"], 2, "SAME"), kernel(5, 4, 3, 2, bias=5)),
    "conv in groups": layer("conv", {"padding": 1, "dilation": 2, "groups": 2}, lambda x, t: F.conv2d(x, t["weight"], t["bias"], 1, 1, 2, 2), kernel(6, 2, 3, 3, bias=6)),
    "transposed": layer("conv_transpose", {"stride": [2, 2], "padding": [[1, 0], [1, 0]]}, lambda x, t: F.conv2d_transpose(x, t["weight"], t["bias"], 2, 1, 1), kernel(4, 3, 3, 3, bias=3)),
    "batch norm": layer("batch_norm", EPSILON, lambda x, t: F.batch_norm(x, t["mean"], t["variance"], t["weight"], t["bias"]), normal(4, "weight", "bias", "mean", "variance"), training=False),
    "layer norm": layer("layer_norm", EPSILON | {"axes": 1}, lambda x, t: F.layer_norm(x, [8], t["weight"], t["bias"]), normal(8, "weight", "bias")),
    "group norm": layer("group_norm", {"epsilon": 1e-5, "groups": 2}, lambda x, t: F.group_norm(x, 2, 1e-5, t["weight"], t["bias"]), normal(4, "weight", "bias")),
    "instance norm": layer("instance_norm", EPSILON, lambda x, t: F.instance_norm(x)),
    "max": layer("pool", POOL | {"op": "max"}, lambda x, t: F.max_pool2d(x, 3, 2, 1)),
    "average": layer("pool", POOL | {"op": "average", "counted": False}, lambda x, t: F.avg_pool2d(x, 3, 2, 1)),
    "average, counted": layer("pool", POOL | {"op": "average", "counted": True}, lambda x, t: F.avg_pool2d(x, 3, 2, 1, exclusive=False)),
    "adaptive": layer("adaptive_pool", {"op": "average", "size": [3, 3]}, lambda x, t: F.adaptive_avg_pool2d(x, 3)),
    "nearest": layer("resize", {"size": [9, 5], "mode": "nearest"}, lambda x, t: F.interpolate(x, [9, 5])),
    "relu6": activation({"name": "relu6"}, F.relu6),
    "gelu": activation({"name": "gelu", "approximate": False}, F.gelu),
    "leaky": activation({"name": "leaky_relu", "slope": 0.01}, F.leaky_relu),
    "elu": activation({"name": "elu", "alpha": 0.3, "float32": ["alpha"]}, lambda x: F.elu(x, 0.3)),
    "softplus": activation({"name": "softplus", "beta": 1.0, "threshold": 0.5}, lambda x: F.softplus(x, 1, 0.5)),
    "hard sigmoid": activation({"name": "hard_sigmoid", "slope": 0.1666667, "offset": 0.5, "float32": ["slope"]}, F.hardsigmoid),
    "silu": activation({"name": "silu"}, F.silu),
    "lstm": recurrent("lstm"),
    "gru": recurrent("gru"),
}  # fmt: skip


def embedding(rng):
    paddle.disable_static()
    w, x = drawn(rng, (6, 4)), rng.integers(0, 6, (3, 5))
    return "embedding", {"padding": 1, "zeros": True}, {"weight": w}, [x], True, [F.embedding(tensor(x), tensor(w), 1).numpy()]  # fmt: skip


LAYERS["embedding"] = embedding


def statistics(rng):
    paddle.disable_static()
    t, x = {role: rng.uniform(0.5, 2, 4) for role in ("mean", "variance")}, drawn(rng, (3, 4, 5, 6))
    mean, variance = tensor(t["mean"]), tensor(t["variance"])
    ones, zeros = tensor(np.ones(4)), tensor(np.zeros(4))
    F.batch_norm(tensor(x), mean, variance, ones, zeros, True, 0.7)
    kept = {"mean": mean.numpy(), "variance": variance.numpy()}
    return {"epsilon": 1e-5, "keep": 0.7, "unbiased": False, "float32": ["epsilon", "keep"]}, t, x, kept


def loss(f, wanted, output, target):
    def case(rng):
        x, y = output(rng), target(rng)
        with float64():
            given = paddle.to_tensor(x, stop_gradient=False)
            value = f(given, tensor(y))
            value.backward()
        return x, y, float(value), given.grad.numpy(), wanted

    return case


def logits(rng):
    return drawn(rng, (6, 5))


def labels(rng):
    return rng.integers(0, 5, 6)


def shares(rng):
    return rng.dirichlet(np.ones(5), 6)


def bits(rng):
    return rng.integers(0, 2, (6, 5)).astype(float)


LOSSES = {
    "mse": loss(F.mse_loss, {"name": "squared", "reduction": "mean"}, logits, logits),
    "smooth l1": loss(F.smooth_l1_loss, {"name": "huber", "delta": 1.0, "factor": 1.0}, logits, logits),
    "bce on logits": loss(F.binary_cross_entropy_with_logits, {"name": "bce", "takes": "logits"}, logits, bits),
    "cross entropy": loss(F.cross_entropy, {"name": "cross_entropy", "takes": "logits", "labels": "integers", "reduction": "mean"}, logits, labels),
    "smoothed": loss(nn.CrossEntropyLoss(label_smoothing=0.1), {"name": "cross_entropy", "smoothing": 0.1, "float32": ["labels"], "spread": "even"}, logits, labels),
    "kl": loss(lambda x, y: F.kl_div(x, y, reduction="batchmean"), {"name": "kl", "takes": "log_probabilities", "reduction": "batch"}, lambda rng: np.log(shares(rng)), shares),
}  # fmt: skip


def optimiser(settings, make):
    def run(parameters, gradients, rates):
        paddle.disable_static()
        own = {name: paddle.create_parameter(value.shape, "float64") for name, value in parameters.items()}
        for name, value in parameters.items():
            own[name].set_value(value)
        one, found = make(list(own.values())), []
        rate = one.get_lr()
        for given, factor in zip(gradients, rates, strict=True):
            one.set_lr(rate * factor)
            for name, value in own.items():
                value.grad = tensor(given[name])
            one.step()
            found.append({name: value.numpy().copy() for name, value in own.items()})
        return found

    return settings, run


def momentum(**more):
    return lambda p: OPTIMISER.Momentum(0.1, 0.9, parameters=p, **more)


def rmsprop(**more):
    return lambda p: OPTIMISER.RMSProp(0.1, epsilon=1e-3, parameters=p, **more)


ADAM = {
    "name": "adam",
    "rate": 0.1,
    "beta1": 0.9,
    "beta2": 0.999,
    "epsilon": 1e-3,
    "place": "outside",
    "amsgrad": False,
}
SGD = {"name": "sgd", "rate": 0.1, "momentum": 0.9, "nesterov": False, "rate_inside": False, "float32": ["momentum"]}
RMS = {
    "name": "rmsprop",
    "rate": 0.1,
    "keep": 0.95,
    "epsilon": 1e-3,
    "place": "root",
    "momentum": 0.0,
    "rate_inside": True,
    "float32": ["keep", "epsilon", "momentum"],
}
GLOBAL = {"clip": {"kind": "global_norm", "value": 0.5}}
OPTIMISERS = {
    "adam": optimiser(ADAM, lambda p: OPTIMISER.Adam(0.1, epsilon=1e-3, parameters=p)),
    "adam with L2": optimiser(ADAM | {"decay": 0.1}, lambda p: OPTIMISER.Adam(0.1, epsilon=1e-3, weight_decay=0.1, parameters=p)),
    "adamw": optimiser(ADAM | {"decay": 0.1, "decoupled": True, "float32": ["decay"]}, lambda p: OPTIMISER.AdamW(0.1, epsilon=1e-3, weight_decay=0.1, parameters=p)),
    "amsgrad": optimiser(ADAM | {"amsgrad": True}, lambda p: OPTIMISER.Adam(0.1, epsilon=1e-3, amsgrad=True, parameters=p)),
    "sgd": optimiser(SGD | {"momentum": 0.0}, lambda p: OPTIMISER.SGD(0.1, parameters=p)),
    "momentum": optimiser(SGD, momentum()),
    "nesterov": optimiser(SGD | {"nesterov": True}, momentum(use_nesterov=True)),
    "momentum with L2": optimiser(SGD | {"decay": 0.1, "float32": ["momentum", "decay"]}, momentum(weight_decay=0.1)),
    "rmsprop": optimiser(RMS, rmsprop()),
    "rmsprop with momentum": optimiser(RMS | {"momentum": 0.9}, rmsprop(momentum=0.9)),
    "rmsprop centered": optimiser(RMS | {"centered": True}, rmsprop(centered=True)),
    "adagrad": optimiser({"name": "adagrad", "rate": 0.1, "epsilon": 1e-3, "place": "outside", "start": 0.0, "float32": ["epsilon"]}, lambda p: OPTIMISER.Adagrad(0.1, epsilon=1e-3, parameters=p)),
    "clipped": optimiser(SGD | GLOBAL, momentum(grad_clip=nn.ClipGradByGlobalNorm(0.5))),
    "clipped, then decayed": optimiser(SGD | GLOBAL | {"momentum": 0.0, "decay": 0.1}, lambda p: OPTIMISER.SGD(0.1, weight_decay=0.1, grad_clip=nn.ClipGradByGlobalNorm(0.5), parameters=p)),
    "clipped by value": optimiser(SGD | {"clip": {"kind": "value", "value": 0.5}}, momentum(grad_clip=nn.ClipGradByValue(0.5))),
}  # fmt: skip

FUNCTIONS = [
    (lambda x: F.gelu(tensor(x)).numpy(), [{"kind": "activation", "name": "gelu", "approximate": False}]),
    (lambda x: F.avg_pool2d(tensor(x), 3, 2, 1).numpy(), [{"kind": "pool", "op": "average", "size": [3, 3], "stride": [2, 2], "padding": [[1, 1]] * 2, "counted": False, "ceil": False}]),
    (lambda x: paddle.flatten(tensor(x), 1).numpy(), [{"kind": "flatten", "first": 1, "order": "channels_first"}]),
]  # fmt: skip
