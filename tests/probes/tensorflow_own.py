"""What only a probe of Keras's models meets; every function is a check, `make` that of test_probe."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers as kl

from tests import layers_in_numpy
from tests.probes.tensorflow import native, side

RNG = np.random.default_rng(5)


def close(found, expected):
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-12 * max(1.0, np.abs(expected).max())


def held(probe, layer):
    return {role: probe.get()[f"{layer.path}/{role}"] for role in layer.tensors}


def chain(probe, x, training=False):
    """A forward pass of which every call is compared with NumPy, and takes what the call before gave."""
    layers = {one.path: one for one in probe.describe().layers}
    outputs, calls = probe.forward([native(x)], training)
    for call in calls:
        close(call.inputs[0], x)
        x = layers_in_numpy.compute(
            layers[call.path].kind, layers[call.path].settings, held(probe, layers[call.path]), x
        )
        close(call.outputs[0], x)
        if layers[call.path].kind != "dropout":
            close(probe.alone(call.path, call.inputs, training)[0], x)
    return [(call.path, layers[call.path].kind) for call in calls]


def check_activations_and_separable_convolutions_are_layers(make):
    x = RNG.normal(size=(2, 3, 6, 5))
    pieces = [
        kl.SeparableConv2D(4, 3, padding="same", depth_multiplier=2, activation="tanh", name="a"),
        kl.LeakyReLU(0.2),
        kl.PReLU("ones", shared_axes=[1, 2]),
        kl.Softmax(),
        kl.Conv2DTranspose(2, 3, strides=2, padding="same", activation=keras.activations.softmax, name="b"),
        kl.GlobalAveragePooling2D(keepdims=True),
        kl.Flatten(),
        kl.Dense(3, activation="silu", name="c"),
    ]
    found = chain(make(lambda: side(keras.Sequential(rebuilt(pieces))), {"x": native(x)}), x)
    assert [path for path, _ in found if path[:1] in "abc" and len(path.split(":")[0]) == 1] == [
        "a:depthwise", "a", "a:activation", "b", "b:activation", "c", "c:activation",
    ]  # fmt: skip


def check_cubic_resizing(make):
    """Keys's kernel with a slope of -1/2; what lies outside has no weight. In float32, as TensorFlow has it."""
    x = RNG.normal(size=(2, 5, 3))
    probe = make(lambda: side(keras.Sequential([kl.Resizing(8, 3, interpolation="bicubic")])), {"x": x[..., None]})
    (one,) = probe.describe().layers
    assert (one.settings["mode"], one.settings["cubic"], one.settings["edge"]) == ("cubic", -0.5, "dropped")
    place = (np.arange(8) + 0.5) * 5 / 8 - 0.5
    away = abs(place[:, None] - np.arange(5))
    near, far = ((1.5 * away - 2.5) * away**2 + 1), ((-0.5 * away + 2.5) * away - 4) * away + 2
    weights = np.where(away < 1, near, np.where(away < 2, far, 0.0))
    expected = np.einsum("oi,bij->boj", weights / weights.sum(1, keepdims=True), x)[:, None]
    found = probe.alone(one.path, [x[:, None].astype(probe.dtype)], False)[0]
    assert found.shape == expected.shape and abs(found - expected).max() < 1e-2


def rebuilt(pieces):
    """In the float type of now."""
    return [type(one).from_config({k: v for k, v in one.get_config().items() if k != "dtype"}) for one in pieces]


class Residual(keras.Model):
    def __init__(self):
        super().__init__()
        self.conv, self.relu, self.drop = kl.Conv2D(3, 3, padding="same"), kl.ReLU(), kl.Dropout(0.3)
        self.scale = self.add_weight(shape=(3,), name="scale", initializer="ones")

    def call(self, x):
        x = self.conv(x)
        return self.drop(self.relu(self.conv(x) + x)) * self.scale


def check_a_sum_keeps_channels_and_a_shared_layer_is_one(make):
    x = RNG.normal(size=(2, 3, 6, 5))
    probe = make(lambda: side(Residual()), {"x": native(x)})
    assert [one.path for one in probe.describe().layers] == ["conv", "relu", "drop", "scale"]
    assert probe.get()["scale/"].shape == (3,)
    _, calls = probe.forward([native(x)], True)
    assert [call.path for call in calls] == ["conv", "conv", "relu", "drop"]
    close(calls[2].inputs[0], calls[1].outputs[0] + calls[0].outputs[0])
    from common.probing import mask

    close(calls[3].outputs[0], calls[2].outputs[0] * mask(0, (2, 3, 6, 5), 0.3) / 0.7)


def check_losses(make):
    """Keras's take the target first and are averaged; regularisers count for them alone."""
    x, y = RNG.normal(size=(4, 3)), RNG.normal(size=(4, 2))

    def built(loss):
        model = keras.Sequential([kl.Dense(2, kernel_regularizer=keras.regularizers.L2(0.5))])
        return side(model) | {"loss": loss}

    for loss, expected in (
        (keras.losses.Huber(2.0), lambda z: np.where(abs(z - y) < 2, (z - y) ** 2 / 2, 2 * abs(z - y) - 2).mean()),
        (keras.losses.mean_squared_error, lambda z: ((z - y) ** 2).mean()),
        ("mape", lambda z: (abs(z - y) / abs(y)).mean() * 100),
        (lambda output, target: tf.reduce_sum((output - 2 * target) ** 2), lambda z: ((z - 2 * y) ** 2).sum()),
    ):
        probe = make(
            lambda loss=loss: built(keras.losses.Huber(2.0) if isinstance(loss, keras.losses.Loss) else loss), {"x": x}
        )
        output = probe.forward([x], False)[0][""]
        assert abs(probe.loss({"": output}, [y])[0] - expected(output)) < 1e-10
        (weight,) = (value for key, value in probe.get().items() if key.endswith("weight"))
        regularised = (
            0.5 * (weight**2).sum() if loss.__class__.__name__ != "function" or loss.__name__ != "<lambda>" else 0
        )
        assert abs(probe.gradients([x], [y])[0] - expected(output) - regularised) < 1e-10


def check_several_inputs(make):
    x, z = RNG.normal(size=(4, 3)), RNG.normal(size=(4, 2))

    def listed(structure):
        a, b = keras.Input((3,), name="a"), keras.Input((2,), name="b")
        given = {"a": a, "b": b} if structure is dict else [a, b]
        return side(keras.Model(given, [kl.Concatenate()([a, b]), kl.Dense(2)(b)]))

    class Two(keras.Model):
        def call(self, a, b):
            return {"joined": keras.ops.concatenate([a, b], 1)}

    for build in (lambda: listed(list), lambda: listed(dict), lambda: side(Two())):
        outputs = make(build, {"a": x, "b": z}).forward([x, z], False)[0]
        close(outputs["joined" if "joined" in outputs else "0"], np.concatenate([x, z], 1))


def check_recurrent_layers_backwards(make):
    x = RNG.normal(size=(2, 5, 3))
    probe = make(lambda: side(keras.Sequential([kl.Bidirectional(kl.LSTM(4))])), {"x": x})
    there, back = probe.describe().layers
    assert (there.kind, back.kind, back.settings["backwards"]) == ("lstm", "lstm", True)
    outputs, calls = probe.forward([x], False)
    ways = {there.path: (there, x), back.path: (back, x[:, ::-1])}
    for call in calls:
        layer, given = ways[call.path]
        close(call.outputs[0], layers_in_numpy.compute("lstm", layer.settings, held(probe, layer), given))
    close(outputs[""], np.concatenate([call.outputs[0][:, -1] for call in calls], 1))


class Causal(keras.Model):
    def __init__(self):
        super().__init__()
        self.attention = kl.MultiHeadAttention(2, 3)

    def call(self, x, z):
        return self.attention(x, z, key=2 * z, use_causal_mask=True, return_attention_scores=True)[0]


def check_attention_is_called_alone_as_in_the_model(make):
    x, z = RNG.normal(size=(2, 5, 6)), RNG.normal(size=(2, 5, 6))
    probe = make(lambda: side(Causal()), {"x": x, "z": z})
    _, (call,) = probe.forward([x, z], False)
    for found, expected in zip(call.inputs, (x, 2 * z, z), strict=True):
        close(found, expected)
    close(probe.alone("attention", call.inputs, False)[0], call.outputs[0])
    t = {role.removeprefix("attention/"): value for role, value in probe.get().items()}
    first = z[:, 0] @ t["value_weight"].T + t["value_bias"]  # the first step sees itself alone
    close(call.outputs[0][:, 0], first @ t["out_weight"].T + t["out_bias"])


class Doubled(kl.Dense):
    def call(self, inputs):
        return 2 * super().call(inputs)


def check_what_is_not_known_is_said(make):
    x = RNG.normal(size=(2, 4, 6))
    for layer in (lambda: Doubled(3), lambda: kl.PReLU(), lambda: kl.SpatialDropout1D(0.5), lambda: kl.SimpleRNN(3), lambda: kl.LayerNormalization(1)):  # fmt: skip
        probe = make(lambda layer=layer: side(keras.Sequential([layer()])), {"x": x})
        (one,) = probe.describe().layers
        assert one.kind == "unknown"
        outputs, (call,) = probe.forward([x], False)
        close(probe.alone(one.path, [x], False)[0], outputs[""])
        close(call.outputs[0], outputs[""])


def check_a_frozen_batch_norm_keeps_its_statistics(make):
    x = RNG.normal(size=(6, 3))
    probe = make(
        lambda: side(keras.Sequential([kl.BatchNormalization(trainable=False)])) | {"optimizer": None}, {"x": x}
    )
    (one,) = probe.describe().layers
    assert one.settings["frozen"]
    close(probe.forward([x], True)[0][""], x / np.sqrt(1 + 1e-3))


def check_optimizers_that_are_not_known(make):
    x = RNG.normal(size=(6, 3))
    for optimizer in (lambda: keras.optimizers.Adam(use_ema=True), lambda: keras.optimizers.Lion(), lambda: keras.optimizers.SGD(gradient_accumulation_steps=2)):  # fmt: skip
        probe = make(lambda optimizer=optimizer: side(keras.Sequential([kl.Dense(2)]), optimizer()), {"x": x})
        assert probe.describe().optimizer["name"] == "unknown"


def check_a_function_of_parameters(make):
    x, y, w = RNG.normal(size=(6, 3)), RNG.normal(size=(6, 2)), RNG.normal(size=(3, 2))

    def build():
        return {
            "model": lambda p, x: tf.matmul(x, p["w"]),
            "parameters": {"w": tf.constant(w)},
            "loss": lambda output, y: tf.reduce_sum((output - y) ** 2),
            "optimizer": keras.optimizers.SGD(0.1),
        }

    probe = make(build, {"x": x})
    close(probe.gradients([x], [y])[1]["w/"], 2 * x.T @ (x @ w - y))
    close(probe.update([{"w/": w}], [0.5])[0]["w/"], 0.95 * w)


CHECKS = [value for name, value in list(globals().items()) if name.startswith("check_")]
