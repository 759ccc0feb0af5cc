"""Keras's side of test_conventions: its own layers, losses and optimisers in float64, with the settings that they have."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers as kl
from keras import losses as kls
from keras import optimizers as ko

from tests.probes.tensorflow import floats


def drawn(rng, shape):
    return rng.normal(size=shape)


def last(x):
    return np.moveaxis(x, 1, -1)


def first(y):
    return np.moveaxis(np.asarray(y), -1, 1)


def layer(kind, settings, make, weights, shape=(2, 4, 7, 8), training=True, images=True):
    """weights: function of a generator -> ({role: canonical}, [Keras's, in its order])."""

    def case(rng):
        tensors, own = weights(rng)
        x = drawn(rng, shape)
        with floats("float64"):
            module = make()
            given = tf.constant(last(x) if images else x)
            module(given)
            module.set_weights(own)
            y = module(given, training=training) if kind == "batch_norm" else module(given)
        return kind, settings, tensors, [x], training, [first(y) if images else np.asarray(y)]

    return case


def nothing(rng):
    return {}, []


def kernel(*order, shape=(5, 4, 3, 2), bias=5):
    def weights(rng):
        t = {"weight": drawn(rng, shape), "bias": drawn(rng, bias)}
        return t, [t["weight"].transpose(order), t["bias"]]

    return weights


def normal(*roles, size=4):
    def weights(rng):
        t = {role: rng.uniform(0.5, 2, size) for role in roles}
        return t, list(t.values())

    return weights


def gates(kind, order, biases=2):
    def weights(rng):
        n, size = len(order), 6
        t = {"weight_ih": drawn(rng, (n * size, 4)), "weight_hh": drawn(rng, (n * size, size)), "bias_ih": drawn(rng, n * size), "bias_hh": drawn(rng, n * size)}  # fmt: skip
        t = {role: value for role, value in t.items() if role != "bias_hh" or biases == 2}
        own = {role: value.reshape(n, size, *value.shape[1:])[order].reshape(value.shape) for role, value in t.items()}
        both = np.stack([own["bias_ih"], own["bias_hh"]]) if biases == 2 else own["bias_ih"]
        return t, [own["weight_ih"].T, own["weight_hh"].T, both]

    return weights


def function(name, f):
    def case(rng):
        x = 3 * drawn(rng, (3, 4, 5))
        return "activation", name, {}, [x], True, [np.asarray(f(tf.constant(x)))]

    return case


SAME = {"stride": [2, 2], "padding": "same"}
POOL = {"size": [3, 3], "stride": [2, 2], "padding": "same", "counted": False, "ceil": False}
A = keras.activations
ROOT, CUBE = float(np.float32(np.sqrt(0.5))), float(np.float32(0.044715))  # of GELU, which TensorFlow rounds
LAYERS = {
    "conv": layer("conv", SAME, lambda: kl.Conv2D(5, (3, 2), 2, "same"), kernel(2, 3, 1, 0)),
    "dilated": layer("conv", {"padding": "same", "dilation": 2}, lambda: kl.Conv2D(5, (3, 2), 1, "same", dilation_rate=2), kernel(2, 3, 1, 0)),
    "transposed": layer("conv_transpose", SAME, lambda: kl.Conv2DTranspose(3, (3, 2), 2, "same"), kernel(2, 3, 1, 0, shape=(4, 3, 3, 2), bias=3)),
    "transposed valid": layer("conv_transpose", {"stride": 3, "padding": "valid"}, lambda: kl.Conv2DTranspose(3, 2, 3), kernel(2, 3, 1, 0, shape=(4, 3, 2, 2), bias=3)),
    "batch norm": layer("batch_norm", {"epsilon": 1e-3, "keep": 0.99}, kl.BatchNormalization, normal("weight", "bias", "mean", "variance")),
    "batch norm frozen": layer("batch_norm", {"epsilon": 1e-3, "frozen": True}, lambda: kl.BatchNormalization(trainable=False), normal("weight", "bias", "mean", "variance")),
    "layer norm": layer("layer_norm", {"epsilon": 1e-3, "axes": 1}, kl.LayerNormalization, normal("weight", "bias", size=8), images=False),
    "rms norm": layer("rms_norm", {"epsilon": 1e-6, "axes": 1}, kl.RMSNormalization, normal("weight", size=8), images=False),
    "group norm": layer("group_norm", {"epsilon": 1e-3, "groups": 2}, lambda: kl.GroupNormalization(2), normal("weight", "bias")),
    "max": layer("pool", POOL | {"op": "max"}, lambda: kl.MaxPooling2D(3, 2, "same"), nothing),
    "average": layer("pool", POOL | {"op": "average"}, lambda: kl.AveragePooling2D(3, 2, "same"), nothing),
    "lstm": layer("lstm", {}, lambda: kl.LSTM(6, return_sequences=True), gates("lstm", [0, 1, 2, 3], 1), (3, 5, 4), images=False),
    "gru": layer("gru", {"reset_after": True}, lambda: kl.GRU(6, return_sequences=True), gates("gru", [1, 0, 2]), (3, 5, 4), images=False),
    "gru before": layer("gru", {"reset_after": False}, lambda: kl.GRU(6, reset_after=False), gates("gru", [1, 0, 2], 1), (3, 5, 4), images=False),
    "up": layer("resize", {"scale": [2, 2], "mode": "nearest"}, lambda: kl.UpSampling2D(2), nothing),
    "nearest": layer("resize", {"size": [3, 5], "mode": "nearest-exact"}, lambda: kl.Resizing(3, 5, interpolation="nearest"), nothing),
    "gelu by tanh": function({"name": "gelu", "approximate": True, "cube": CUBE}, lambda x: A.gelu(x, True)),
    "gelu": function({"name": "gelu", "approximate": False, "root": ROOT}, A.gelu),
    "leaky": function({"name": "leaky_relu", "slope": 0.3, "float32": ["slope"]}, kl.LeakyReLU(dtype="float64")),
    "hard": function({"name": "hard_sigmoid", "slope": 1 / 6, "offset": 0.5}, A.hard_sigmoid),
    "silu": function({"name": "silu"}, A.silu),
}  # fmt: skip


def statistics(rng):
    t, x = {role: rng.uniform(0.5, 2, 4) for role in ("mean", "variance")}, drawn(rng, (3, 4, 5, 6))
    with floats("float64"):
        module = kl.BatchNormalization(momentum=0.75, scale=False, center=False)
        module(tf.constant(last(x)))
        module.set_weights(list(t.values()))
        module(tf.constant(last(x)), training=True)
    return {"epsilon": 1e-3, "keep": 0.75, "unbiased": False}, t, x, dict(zip(t, module.get_weights(), strict=True))


def loss(f, wanted, output, target):
    def case(rng):
        x, y = output(rng), target(rng)
        with floats("float64"), tf.GradientTape() as tape:
            given = tf.Variable(x)
            value = f()(tf.constant(y), given)
        return x, y, float(value), np.asarray(tape.gradient(value, given)), wanted

    return case


def logits(rng):
    return drawn(rng, (6, 5))


def shares(rng):
    return rng.dirichlet(np.ones(5), 6)


def labels(rng):
    return rng.integers(0, 5, 6)


def bits(rng):
    return rng.integers(0, 2, (6, 5)).astype(float)


def certain(rng):
    return np.where(rng.uniform(size=(6, 5)) < 0.2, 1e-9, rng.uniform(0.1, 0.9, (6, 5)))


LOSSES = {
    "mse": loss(lambda: kls.MeanSquaredError(), {"name": "squared", "reduction": "mean"}, logits, logits),
    "huber": loss(lambda: kls.Huber(delta=0.5), {"name": "huber", "delta": 0.5, "factor": 1.0}, logits, logits),
    "bce": loss(lambda: kls.BinaryCrossentropy(), {"name": "bce", "takes": "probabilities", "guard": ["clip", 1e-7]}, certain, bits),
    "bce on logits": loss(lambda: kls.BinaryCrossentropy(from_logits=True), {"name": "bce", "takes": "logits"}, logits, bits),
    "classes": loss(lambda: kls.SparseCategoricalCrossentropy(from_logits=True), {"name": "cross_entropy", "takes": "logits", "labels": "integers"}, logits, labels),
    "probabilities": loss(lambda: kls.SparseCategoricalCrossentropy(), {"name": "cross_entropy", "takes": "probabilities", "normalised": True}, shares, labels),
    "smoothed": loss(lambda: kls.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1), {"name": "cross_entropy", "smoothing": 0.1, "spread": "even"}, logits, lambda rng: np.eye(5)[labels(rng)]),
    "kl": loss(lambda: kls.KLDivergence(), {"name": "kl", "takes": "probabilities", "reduction": "batch"}, shares, shares),
}  # fmt: skip


def optimiser(settings, make):
    def run(parameters, gradients, rates):
        found = []
        with floats("float64"):
            own = {name: keras.Variable(value, dtype="float64") for name, value in parameters.items()}
            one = make()
            one.build(list(own.values()))
            rate = float(one.learning_rate)
            for given, factor in zip(gradients, rates, strict=True):
                one.learning_rate = rate * factor
                one.apply([tf.constant(given[name]) for name in own], list(own.values()))
                found.append({name: np.array(value.numpy()) for name, value in own.items()})
        return found

    return settings, run


ADAM = {
    "name": "adam",
    "rate": 0.1,
    "beta1": 0.9,
    "beta2": 0.999,
    "epsilon": 1e-3,
    "place": "hat",
    "amsgrad": False,
    "float32": ["powers"],
}
SGD = {"name": "sgd", "rate": 0.1, "momentum": 0.9, "nesterov": False, "rate_inside": True, "float32": ["momentum"]}
RMS = {
    "name": "rmsprop",
    "rate": 0.1,
    "keep": 0.9,
    "epsilon": 1e-3,
    "place": "root",
    "momentum": 0.0,
    "centered": False,
    "rate_inside": True,
}
DECAY = {"decay": 0.1, "decoupled": True}
OPTIMISERS = {
    "adam": optimiser(ADAM, lambda: ko.Adam(0.1, epsilon=1e-3)),
    "adamw": optimiser(ADAM | DECAY | {"float32": ["decay", "powers"]}, lambda: ko.AdamW(0.1, 0.1, epsilon=1e-3)),
    "amsgrad": optimiser(ADAM | {"amsgrad": True}, lambda: ko.Adam(0.1, epsilon=1e-3, amsgrad=True)),
    "sgd": optimiser(SGD, lambda: ko.SGD(0.1, 0.9)),
    "nesterov": optimiser(SGD | {"nesterov": True}, lambda: ko.SGD(0.1, 0.9, nesterov=True)),
    "sgd with decay": optimiser(SGD | DECAY | {"float32": ["momentum", "decay"]}, lambda: ko.SGD(0.1, 0.9, weight_decay=0.1)),
    "rmsprop": optimiser(RMS, lambda: ko.RMSprop(0.1, epsilon=1e-3)),
    "rmsprop with momentum": optimiser(RMS | {"momentum": 0.9}, lambda: ko.RMSprop(0.1, epsilon=1e-3, momentum=0.9)),
    "rmsprop centered": optimiser(RMS | {"centered": True}, lambda: ko.RMSprop(0.1, epsilon=1e-3, centered=True)),
    "adagrad": optimiser({"name": "adagrad", "rate": 0.1, "epsilon": 1e-3, "place": "root", "start": 0.1, "float32": ["start"]}, lambda: ko.Adagrad(0.1, epsilon=1e-3)),
    **{f"clipped by {kind}": optimiser(SGD | {"clip": {"kind": kind, "value": 0.5}}, lambda name=name: ko.SGD(0.1, 0.9, **{name: 0.5})) for kind, name in (("norm", "clipnorm"), ("global_norm", "global_clipnorm"), ("value", "clipvalue"))},
}  # fmt: skip

FUNCTIONS = [
    (lambda x: np.asarray(A.gelu(tf.constant(x))), [{"kind": "activation", "name": "gelu", "approximate": False, "root": ROOT}]),
    (lambda x: last(x).reshape(3, -1), [{"kind": "flatten", "first": 1, "order": "channels_last"}]),
    (lambda x: first(tf.nn.avg_pool2d(last(x), 3, 2, "SAME")), [{"kind": "pool", "op": "average", "size": [3, 3], "stride": [2, 2], "padding": "same", "counted": False, "ceil": False}]),
]  # fmt: skip
