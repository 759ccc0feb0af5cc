"""Activations and dropout under every convention of them."""

import math

import numpy as np

from common.probing import Arrays, mask
from common.tools.diff.conventions.base import BOTH, Knob, Unknown, one_of, read

SCALE, ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
ROOT, CUBE = math.sqrt(0.5), 0.044715  # of GELU by erf and by tanh, which TensorFlow rounds to float32
# Defaults are PyTorch's, so that a name alone means something.
NAMES = {
    "relu": {}, "bounded_relu": {"slope": 0.0, "most": None, "threshold": 0.0}, "leaky_relu": {"slope": 0.01}, "elu": {"alpha": 1.0}, "celu": {"alpha": 1.0}, "selu": {"scale": SCALE, "alpha": ALPHA}, "gelu": {"approximate": False, "root": ROOT, "cube": CUBE},
    "silu": {"beta": 1.0}, "mish": {}, "softplus": {"beta": 1.0, "threshold": None}, "sigmoid": {}, "log_sigmoid": {}, "tanh": {}, "softsign": {},
    "softmax": {"axis": -1}, "log_softmax": {"axis": -1}, "hard_sigmoid": {"slope": 1 / 6, "offset": 0.5},
    "hard_swish": {"slope": 1 / 6, "offset": 0.5}, "hard_tanh": {"low": -1.0, "high": 1.0}, "relu6": {}, "prelu": {}, "exponential": {},
    "identity": {},
}  # fmt: skip


def erf(x: np.ndarray) -> np.ndarray:
    """NumPy has none."""
    return np.fromiter(map(math.erf, x.ravel().tolist()), np.float64, x.size).reshape(x.shape)


def sigmoid(x: np.ndarray) -> np.ndarray:
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)


def softplus(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def log_softmax(x: np.ndarray, axis: int) -> np.ndarray:
    x = x - x.max(axis, keepdims=True)
    return x - np.log(np.exp(x).sum(axis, keepdims=True))


def _elu(x, alpha, width=1.0):
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / width))


def _bounded_relu(x, slope, most, threshold):
    """Keras's: from `threshold` on as it is, at most `most`; below, `slope` times what is missing."""
    return np.where(
        x >= threshold, x if most is None else np.minimum(x, most), slope * (x - threshold) if slope else 0.0
    )


def _gelu(x, approximate, root, cube):
    if approximate == "sigmoid":
        return x * sigmoid(1.702 * x)
    if approximate:
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + cube * x**3)))
    return 0.5 * x * (1 + erf(x * root))


def _softplus(x, beta, threshold):
    value = softplus(beta * x) / beta
    return value if threshold is None else np.where(beta * x > threshold, x, value)


def _hard_sigmoid(x, slope, offset):
    return np.clip(slope * x + offset, 0, 1)


FUNCTIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "bounded_relu": _bounded_relu,
    "leaky_relu": lambda x, slope: np.where(x > 0, x, slope * x),
    "elu": _elu,
    "celu": lambda x, alpha: _elu(x, alpha, alpha),
    "selu": lambda x, scale, alpha: scale * _elu(x, alpha),
    "gelu": _gelu,
    "silu": lambda x, beta: x * sigmoid(beta * x),
    "mish": lambda x: x * np.tanh(softplus(x)),
    "softplus": _softplus,
    "sigmoid": sigmoid,
    "log_sigmoid": lambda x: -softplus(-x),
    "tanh": np.tanh,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "softmax": lambda x, axis: np.exp(log_softmax(x, axis)),
    "log_softmax": log_softmax,
    "hard_sigmoid": _hard_sigmoid,
    "hard_swish": lambda x, slope, offset: x * _hard_sigmoid(x, slope, offset),
    "hard_tanh": lambda x, low, high: np.clip(x, low, high),
    "relu6": lambda x: np.clip(x, 0, 6),
    "exponential": np.exp,
    "identity": lambda x: x.copy(),
}


def activate(settings: dict, x: np.ndarray) -> np.ndarray:
    """`x` through the activation {"name", its numbers}. A number of another name means nothing."""
    name = one_of("activation", "name", settings.get("name"), FUNCTIONS)
    name = "bounded_relu" if name == "relu" and "most" in settings else name
    known = {key for numbers in NAMES.values() for key in numbers}
    about = read("activation", {k: v for k, v in settings.items() if k not in known}, {"name": name})
    numbers = {key: settings.get(key, value) for key, value in NAMES[about["name"]].items()}
    if "axis" in numbers and not (isinstance(numbers["axis"], int) and -x.ndim <= numbers["axis"] < x.ndim):
        raise Unknown(f"activation: axis {numbers['axis']} of an input of {x.ndim} axes")
    with np.errstate(over="ignore"):
        return FUNCTIONS[name](x, **numbers)


def activation(settings: dict, tensors: Arrays, inputs: list[np.ndarray], training: bool) -> list[np.ndarray]:
    x = inputs[0]
    if settings.get("name") == "prelu":
        weight = tensors["weight"]
        if weight.size > 1 and weight.ndim == 1:
            weight = weight.reshape((1, -1) + (1,) * (x.ndim - 2))
        return [np.where(x > 0, x, weight * x)]
    return [activate(settings, x)]


def dropout(settings: dict, tensors: Arrays, inputs: list[np.ndarray], training: bool) -> list[np.ndarray]:
    """In training `number` says which dropout of the pass it is (common.probing.mask)."""
    about = read("dropout", settings, DEFAULTS["dropout"])
    one_of("dropout", "scaled", about["scaled"], ("in training", "in evaluation", "never"))
    x, rate = inputs[0], about["rate"]
    if not rate:
        return [x.copy()]
    if not (training or about["always"]):
        return [x * (1 - rate) if about["scaled"] == "in evaluation" else x.copy()]
    if about["number"] is None:
        raise Unknown("dropout in training needs the setting 'number', which dropout of the pass it is")
    kept = x * mask(about["number"], _drawn(about, x.shape), rate)
    return [kept / (1 - rate) if about["scaled"] == "in training" else kept]


DEFAULTS = {
    "activation": {},
    "dropout": {"rate": 0.5, "scaled": "in training", "always": False, "number": None, "axis": None, "shared": None},
}


def _drawn(about, shape):
    """The shape of a mask: `axis` are those along which it differs, `shared` those along which it does not."""
    shared = () if about["shared"] is None else [axis % len(shape) for axis in about["shared"]]
    own = range(len(shape)) if about["axis"] is None else np.atleast_1d(about["axis"]) % len(shape)
    return tuple(n if k in own and k not in shared else 1 for k, n in enumerate(shape))


RUN = {"activation": activation, "dropout": dropout}

SLOPES = (0.01, 0.1, 0.2, 0.3, 1 / 6, 0.1666667, 0.25, 0.0, 0.05)
KNOBS = {
    "activation": {
        "approximate": Knob("whether GELU is computed by erf or by tanh", "GELU: erf or tanh", (False, True, "sigmoid")),
        "slope": Knob("the slope below 0, or of a hard sigmoid", "The default slope of LeakyReLU", SLOPES),
        "offset": Knob("what a hard sigmoid adds", "Hard sigmoid: a slope of 1/6 or 1/5", (0.5, 0.0)),
        "axis": Knob("the axis over which softmax is normalised", "The axis of softmax", (-1, 1, 0, 2, 3, -2)),
        "alpha": Knob("ELU's limit far below 0", "Numbers of ELU, SiLU and softplus", (1.0, 0.1, 0.5, ALPHA)),
        "beta": Knob("the factor inside SiLU or softplus", "Numbers of ELU, SiLU and softplus", (1.0, 1.702, 0.5, 2.0)),
        "threshold": Knob("from where on softplus returns its input", "Softplus gives up early (Paddle)", (None, 20.0, 40.0)),
        "root": Knob("√½ in GELU by erf, or what float32 makes of it", "float64 that is not", (ROOT, float(np.float32(ROOT)))),
        "cube": Knob("0.044715 in GELU by tanh, or what float32 makes of it", "float64 that is not", (CUBE, float(np.float32(CUBE)))),
        "name": Knob("which function it is", "Activations of another name", tuple(NAMES)),
    },
    "dropout": {
        "scaled": Knob("whether what is kept is scaled in training or in evaluation", "Dropout", ("in training", "in evaluation", "never")),
        "rate": Knob("the share that is dropped, not that is kept", "Dropout", lambda s: (1 - s.get("rate", 0.5),)),
        "always": Knob("whether it drops in evaluation too", "Dropout", BOTH),
    },
}  # fmt: skip
