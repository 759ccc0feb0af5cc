"""Activations of Keras's in canonical terms, for `diff`: functions, and the layers that are nothing else."""

import functools
import inspect

import numpy as np
from keras import layers as kl

from backends.tensorflow.probe.known import Known, Weight

NAMES = {"swish": "silu", "hard_silu": "hard_swish", "linear": "identity"}


def activation(function) -> dict:
    """Its name and numbers: what the user bound, else the function's own defaults."""
    bound = {}
    while isinstance(function, functools.partial):
        function, bound = function.func, function.keywords | bound
    if isinstance(function, kl.Layer):
        return activation_layer(function) or {"name": type(function).__name__}
    try:
        found = inspect.signature(function).parameters.items()
    except (TypeError, ValueError):
        found = ()
    values = {name: one.default for name, one in found if one.default is not one.empty} | bound
    name = getattr(function, "__name__", type(function).__name__)
    match name := NAMES.get(name, name):
        case "relu":
            return _relu(values.get("negative_slope", 0.0), values.get("max_value"), values.get("threshold", 0.0))
        case "leaky_relu":
            return _leaky(values.get("negative_slope", values.get("alpha")))
        case "elu":
            return {"name": name, "alpha": values.get("alpha", 1.0)}
        case "gelu":
            approximate = values.get("approximate", False)
            return {"name": name, "approximate": approximate, "float32": ["cube" if approximate else "root"]}
        case "celu":
            return {"name": name, "alpha": values.get("alpha", 1.0)}
        case "softplus":
            return {"name": name, "beta": 1}
        case "softmax" | "log_softmax":
            return {"name": name, "axis": -1 if values.get("axis") is None else values["axis"]}
        case "hard_sigmoid" | "hard_swish":
            return {"name": name, "slope": 1 / 6, "offset": 0.5}
    return {"name": name}


def _leaky(slope):
    """TensorFlow has the slope in float32, and so it has gelu's numbers."""
    slope = float(slope)
    return {"name": "leaky_relu", "slope": slope} | (
        {} if float(np.float32(slope)) == slope else {"float32": ["slope"]}
    )


def _relu(slope, most, threshold):
    if threshold or slope and most is not None or most not in (None, 6):
        return {"name": "bounded_relu", "slope": slope, "most": most, "threshold": threshold}
    return {"name": "relu6"} if most is not None else _leaky(slope) if slope else {"name": "relu"}


def activation_layer(layer) -> dict | None:
    match layer:
        case kl.Activation():
            return activation(layer.activation)
        case kl.ReLU():
            return _relu(float(layer.negative_slope), layer.max_value, layer.threshold)
        case kl.LeakyReLU():
            return _leaky(layer.negative_slope)
        case kl.ELU():
            return {"name": "elu", "alpha": layer.alpha}
        case kl.Softmax():
            return {"name": "softmax", "axis": layer.axis}
        case kl.Identity():
            return {"name": "identity"}
    return None


def read(layer):
    if isinstance(layer, kl.PReLU):
        if set(layer.alpha.shape[:-1]) - {1}:
            return None
        weight = Weight(layer.alpha, "alpha", lambda whole: whole.reshape(-1), lambda whole, value: value.reshape(whole.shape))  # fmt: skip
        return Known(layer, "activation", {"name": "prelu"}, {"weight": weight}, follows=True)
    about = activation_layer(layer)
    return about and Known(layer, "activation", about, follows=True)
