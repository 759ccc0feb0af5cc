"""Keras's layers and optimisers in canonical terms, for `diff`: what there is in a model.

An activation inside a layer, Dense(activation="relu"), is a layer of its own here, "path:activation"; SeparableConv2D is two
convolutions, "path:depthwise" and "path".
"""

from itertools import count
from typing import Any

import keras
from keras import layers as kl

from backends.tensorflow.probe import activations, kinds
from backends.tensorflow.probe.known import ACTIVATED, Known, Weight


def layers(model) -> tuple[dict[str, Known], dict[str, Weight]]:
    """({path: Known} of every layer of its own, {path: variable that a layer with others inside has for itself})."""
    found, rest, seen = {}, {}, set()

    def free(path, taken):
        return next(name for k in count() if (name := f"{path}_{k}" if k else path) not in taken)

    def walk(layer, path):
        if id(layer) in seen or isinstance(layer, kl.InputLayer):
            return
        seen.add(id(layer))
        parts = of(layer)
        if parts[""].kind == "unknown" and layer._layers and not isinstance(layer, kl.RNN):
            for name, child in children(layer):
                walk(child, f"{path}.{name}" if path else name)
            for variable in [*layer._trainable_variables, *layer._non_trainable_variables]:
                name = free(f"{path}.{variable.name}" if path else variable.name, rest)
                rest[name] = Weight(variable, name)
            return
        path = free(path, found)
        for part, one in parts.items():
            found[f"{path}:{part}" if part else path] = one

    walk(model, "")
    return found, rest


def children(layer) -> list[tuple[str, Any]]:
    """By their names in functional and sequential models, by the attributes that hold them in a class of the user's."""
    if isinstance(layer, keras.Sequential) or hasattr(layer, "operations"):
        return [(child.name, child) for child in layer.layers]
    names = {}
    for attribute, value in vars(layer).items():
        if attribute == "_layers" or attribute.startswith("_self_"):
            continue
        many = (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
        )
        for name, child in [(attribute, value), *((f"{attribute}.{key}", one) for key, one in many)]:
            if isinstance(child, kl.Layer):
                names.setdefault(id(child), name)
    return [(names.get(id(child), child.name), child) for child in layer._layers]


def of(layer) -> dict[str, Known]:
    """{"": the layer, "activation": what it ends with}; of a separable convolution "depthwise" and "": the pointwise one."""
    reader = next((read for kinds, read in READERS if isinstance(layer, kinds)), None)
    changed = getattr(layer, "lora_enabled", False) or layer.quantization_mode or not _computes_as_keras(layer)
    one = None if reader is None or changed else reader(layer)
    if one is None:
        one = Known(layer, "unknown", {}, {}, follows=isinstance(layer, MERGING))
        for variable in layer.weights:
            name = variable.name if variable.name not in one.tensors else f"{variable.name}_{len(one.tensors)}"
            one.tensors[name] = Weight(variable, name)
    parts = {"": one} if isinstance(one, Known) else one
    function = getattr(layer, "activation", None)
    if parts[""].kind in ACTIVATED and function is not None and function is not keras.activations.linear:
        about = activations.activation(function)
        parts["activation"] = Known(
            layer, "activation", about, channels=parts[""].channels, title=f"keras.activations.{about['name']}",
            run=lambda given: function(given[0]),
        )  # fmt: skip
    return parts


def _computes_as_keras(layer):
    """Whether a class of the user's, of one of Keras's, has left `call` as it is."""
    return next(one for one in type(layer).__mro__ if "call" in vars(one)).__module__.startswith("keras.")


def lower(one: Known) -> str:
    """What of a layer is in float32 though its type is float64, "" for nothing."""
    about = one.settings
    if one.layer.compute_dtype in ("float32", "float16", "bfloat16"):
        return f"computes in {one.layer.compute_dtype}"
    if one.kind == "resize" and not about["mode"].startswith("nearest"):
        return "TensorFlow interpolates in float32"
    return ""


def _named(*names: str) -> tuple[type, ...]:
    """Those classes of keras.layers that this version has."""
    return tuple(found for name in names if (found := getattr(kl, name, None)))


def _each(pattern: str) -> tuple[type, ...]:
    return _named(*(pattern.format(dims) for dims in (1, 2, 3)))


MERGING = _named("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract", "Rescaling")
READERS = [
    (kl.Dense, kinds.dense),
    (kl.Embedding, kinds.embedding),
    (_each("SeparableConv{}D"), kinds.separable),
    (_each("DepthwiseConv{}D"), kinds.depthwise),
    (_each("Conv{}DTranspose"), kinds.conv_transpose),
    (_each("Conv{}D"), kinds.conv),
    (kl.BatchNormalization, kinds.batch_norm),
    (kl.LayerNormalization, kinds.layer_norm),
    (kl.GroupNormalization, kinds.group_norm),
    (_named("RMSNormalization"), kinds.rms_norm),
    (_each("MaxPooling{}D") + _each("AveragePooling{}D"), kinds.pool),
    (_each("GlobalAveragePooling{}D") + _each("AdaptiveAveragePooling{}D"), kinds.adaptive_pool("average")),
    (_each("GlobalMaxPooling{}D") + _each("AdaptiveMaxPooling{}D"), kinds.adaptive_pool("max")),
    (kl.Dropout, kinds.dropout),
    ((kl.Activation, kl.ReLU, kl.LeakyReLU, kl.ELU, kl.PReLU, kl.Softmax, kl.Identity), activations.read),
    (kl.LSTM, kinds.recurrent("lstm", [0, 1, 2, 3])),
    (kl.GRU, kinds.recurrent("gru", [1, 0, 2])),
    (kl.MultiHeadAttention, kinds.attention),
    (_each("UpSampling{}D"), kinds.up_sampling),
    (kl.Resizing, kinds.resizing),
    (kl.Flatten, kinds.flatten),
    (kl.Reshape, lambda layer: Known(layer, "reshape", {"shape": list(layer.target_shape)})),
    (_each("ZeroPadding{}D"), kinds.zero_padding),
    (_each("Cropping{}D"), kinds.cropping),
]


def optimizer(one) -> dict:
    """Its numbers in canonical terms (common.tools.diff.updates). Keras's weight decay is always decoupled, and times the rate."""
    kind, plain = type(one).__name__, type(one).__module__.startswith("keras.")
    rate = float(keras.ops.convert_to_tensor(one.learning_rate))
    about = {
        "title": f"keras.optimizers.{kind}" if plain else kind,
        "rate": rate,
        "decay": float(one.weight_decay or 0.0),
    }
    for name, meant in (
        ("clipnorm", "clip_norm"),
        ("global_clipnorm", "clip_global_norm"),
        ("clipvalue", "clip_value"),
    ):
        about |= {meant: float(value)} if (value := getattr(one, name)) else {}
    if one.use_ema or one.gradient_accumulation_steps or one.loss_scale_factor or not plain:
        return about | {"name": "unknown"}
    decoupled = {"decoupled": True}
    match kind:
        case "Adam" | "AdamW":
            betas = {"beta1": one.beta_1, "beta2": one.beta_2}
            return about | betas | {"name": "adam", "epsilon": one.epsilon, "place": "hat", "amsgrad": one.amsgrad} | decoupled  # fmt: skip
        case "SGD":
            return about | {"name": "sgd", "momentum": one.momentum, "dampening": 0.0, "nesterov": one.nesterov, "rate_inside": True} | decoupled  # fmt: skip
        case "RMSprop":
            return about | {"name": "rmsprop", "keep": one.rho, "epsilon": one.epsilon, "place": "root", "start": 0.0, "momentum": one.momentum, "centered": one.centered, "rate_inside": True} | decoupled  # fmt: skip
        case "Adagrad":
            return about | {"name": "adagrad", "epsilon": one.epsilon, "place": "root", "start": one.initial_accumulator_value} | decoupled  # fmt: skip
    return about | {"name": "unknown"}
