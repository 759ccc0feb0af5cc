"""Keras's part of test_probe: layers, a network, optimisers, and what Keras itself makes of them."""

from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf
from keras import layers as kl

LACKS = ()


@contextmanager
def floats(dtype):
    """Floating-point numbers are `dtype` by default."""
    before = keras.config.floatx()
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_floatx(before)
        keras.config.set_dtype_policy(before)


def native(value):
    """A canonical array as this framework's layers take it."""
    return np.moveaxis(value, 1, -1) if value.ndim > 2 else value


def one(layer, shape, *, images=True, integers=0):
    """A case: a model of this layer; `shape` that of its canonical input, `images` whether axis 1 are channels there."""
    return {"layer": layer, "shape": shape, "images": images, "integers": integers}


IMAGE, LINE, CUBE, TIME = (2, 4, 7, 6), (2, 4, 9), (2, 3, 5, 4, 6), (2, 5, 6)
CASES = {
    "dense": [lambda: one(kl.Dense(5), (3, 4)), lambda: one(kl.Dense(5, use_bias=False), TIME, images=False)],
    "embedding": [lambda: one(kl.Embedding(11, 4), (2, 5), integers=11)],
    "conv": [
        lambda: one(kl.Conv2D(6, 3), IMAGE),
        lambda: one(kl.Conv2D(6, (3, 2), strides=2, padding="same"), IMAGE),
        lambda: one(kl.Conv2D(6, 4, strides=(3, 2), padding="same", groups=2, use_bias=False), IMAGE),
        lambda: one(kl.Conv2D(6, 2, dilation_rate=2, padding="same"), IMAGE),
        lambda: one(kl.Conv1D(6, 3, padding="causal", dilation_rate=2), LINE),
        lambda: one(kl.Conv3D(2, (2, 3, 2), padding="same"), CUBE),
        lambda: one(kl.DepthwiseConv2D(3, depth_multiplier=2, strides=2, padding="same"), IMAGE),
        lambda: one(kl.DepthwiseConv1D(3), LINE),
    ],
    "conv_transpose": [
        lambda: one(kl.Conv2DTranspose(3, 4, strides=2, padding="same"), IMAGE),
        lambda: one(kl.Conv2DTranspose(3, 3, strides=2, padding="same"), IMAGE),
        lambda: one(kl.Conv2DTranspose(3, 3, strides=2, padding="same", output_padding=1), IMAGE),
        lambda: one(kl.Conv2DTranspose(3, 2, strides=3, padding="same"), IMAGE),
        lambda: one(kl.Conv2DTranspose(3, 2, strides=3), IMAGE),
        lambda: one(kl.Conv2DTranspose(3, (5, 3), strides=2), IMAGE),
        lambda: one(kl.Conv1DTranspose(3, 5, strides=2, padding="same"), LINE),
        lambda: one(kl.Conv3DTranspose(2, 3, strides=2, padding="same"), CUBE),
    ],
    "batch_norm": [lambda: one(kl.BatchNormalization(), IMAGE), lambda: one(kl.BatchNormalization(epsilon=0.1), (8, 4))],
    "layer_norm": [
        lambda: one(kl.LayerNormalization(), TIME, images=False),
        lambda: one(kl.LayerNormalization(axis=[1, 2], epsilon=0.1), TIME, images=False),
    ],
    "group_norm": [lambda: one(kl.GroupNormalization(2), IMAGE)],
    "instance_norm": [lambda: one(kl.GroupNormalization(-1, epsilon=0.1), IMAGE)],
    "rms_norm": [lambda: one(kl.RMSNormalization(epsilon=0.1), TIME, images=False)],
    "pool": [
        lambda: one(kl.MaxPooling2D(2), IMAGE),
        lambda: one(kl.MaxPooling2D(3, 2, padding="same"), IMAGE),
        lambda: one(kl.AveragePooling2D((3, 2), 2, padding="same"), IMAGE),
        lambda: one(kl.AveragePooling1D(2), LINE),
        lambda: one(kl.MaxPooling3D(2, padding="same"), CUBE),
    ],
    "adaptive_pool": [
        lambda: one(kl.GlobalAveragePooling2D(), IMAGE),
        lambda: one(kl.GlobalMaxPooling2D(keepdims=True), IMAGE),
        lambda: one(kl.GlobalMaxPooling1D(), LINE),
        lambda: one(kl.AdaptiveAveragePooling2D((3, 2)), IMAGE),
        lambda: one(kl.AdaptiveMaxPooling2D((3, 4)), IMAGE),
    ],
    "dropout": [lambda: one(kl.Dropout(0.4), (3, 4))],
    "activation": [
        *(
            lambda name=name: one(kl.Activation(name), (3, 4))
            for name in (
                "relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "sigmoid", "tanh", "softmax", "log_softmax",
                "hard_sigmoid", "hard_silu", "celu", "linear", keras.ops.gelu, tf.nn.leaky_relu, tf.nn.gelu,
            )
        ),
        lambda: one(kl.ReLU(), (3, 4)),
        lambda: one(kl.ReLU(negative_slope=0.3), (3, 4)),
        lambda: one(kl.ReLU(max_value=6), (3, 4)),
        lambda: one(kl.ReLU(1.5, 0.3, 0.2), (3, 4)),
        lambda: one(kl.LeakyReLU(), (3, 4)),
        lambda: one(kl.ELU(0.7), (3, 4)),
        lambda: one(kl.Softmax(1), TIME, images=False),
    ],
    "lstm": [
        lambda: one(kl.LSTM(3, return_sequences=True), TIME, images=False),
        lambda: one(kl.LSTM(3, return_state=True, use_bias=False), TIME, images=False),
    ],
    "gru": [
        lambda: one(kl.GRU(3), TIME, images=False),
        lambda: one(kl.GRU(3, reset_after=False, return_sequences=True), TIME, images=False),
    ],
    "attention": [lambda: one(Itself(kl.MultiHeadAttention(2, 3)), TIME, images=False), lambda: one(Itself(kl.MultiHeadAttention(2, 4, 5, use_bias=False)), TIME, images=False)],
    "resize": [
        lambda: one(kl.UpSampling2D((2, 3)), IMAGE),
        lambda: one(kl.UpSampling2D(2, interpolation="bilinear"), IMAGE),
        lambda: one(kl.UpSampling1D(2), LINE),
        lambda: one(kl.UpSampling3D(2), CUBE),
        lambda: one(kl.Resizing(5, 9), IMAGE),
        lambda: one(kl.Resizing(5, 9, interpolation="nearest"), IMAGE),
    ],
    "flatten": [lambda: one(kl.Flatten(), TIME, images=False)],
    "reshape": [lambda: one(kl.Reshape((3, 10)), TIME, images=False)],
    "pad": [
        lambda: one(kl.ZeroPadding2D(((1, 2), (0, 3))), IMAGE),
        lambda: one(kl.ZeroPadding1D((1, 2)), LINE),
        lambda: one(kl.ZeroPadding3D(1), CUBE),
    ],
}  # fmt: skip


class Itself(keras.Model):
    """Attention of a sequence to itself."""

    def __init__(self, attention):
        super().__init__()
        self.attention = attention

    def call(self, x):
        return self.attention(x, x)


def model(layer):
    """A model of this layer, not built."""
    return layer if isinstance(layer, Itself) else keras.Sequential([layer])


# ------------------------------------------------------------------------------------------------ a network


def _pieces(rate):
    return [
        kl.Conv2D(5, 3, padding="same", activation="relu"),
        kl.BatchNormalization(momentum=0.9, epsilon=1e-3),
        kl.MaxPooling2D(2),
        kl.Dropout(rate),
        kl.Flatten(),
        kl.Dropout(rate),
        kl.Dense(5),
    ]


def _functional(rate):
    pieces = _pieces(rate)
    x = keras.Input((8, 6, 3))
    y = keras.Sequential(pieces[:3], name="stem")(x)
    for piece in pieces[3:]:
        y = piece(y)
    return keras.Model(x, y)


class Written(keras.Model):
    """In a class of the user's, not built."""

    def __init__(self, rate):
        super().__init__()
        self.conv, self.norm, *self.rest = _pieces(rate)

    def call(self, x):
        x = self.norm(self.conv(x))
        for piece in self.rest:
            x = piece(x)
        return x


def side(model, optimizer=None, **more):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return {
        "model": model,
        "loss": loss,
        "optimizer": optimizer or keras.optimizers.SGD(0.1),
        "layout": {"x": "NHWC"},
    } | more


# {name: function of the dropout's rate that returns a side}; each is conv, relu, batch norm, max pool, dropout, flatten, dropout, dense
NETWORKS = {
    "sequential": lambda rate: side(keras.Sequential(_pieces(rate))),
    "functional": lambda rate: side(_functional(rate)),
    "subclassed": lambda rate: side(Written(rate)),
}


def own(side, x, y):
    """(output, loss, {path/role: gradient}) of Keras's own call in training mode; x in its layout."""
    model = side["model"]
    with tf.GradientTape() as tape:
        output = model(x, training=True)
        value = side["loss"](y, output)
    conv, norm, dense = (next(one for one in model._flatten_layers() if isinstance(one, k)) for k in (kl.Conv2D, kl.BatchNormalization, kl.Dense))  # fmt: skip
    variables = [conv.kernel, conv.bias, norm.gamma, norm.beta, dense.kernel, dense.bias]
    kernel, *middle, last, bias = (g.numpy() for g in tape.gradient(value, [v.value for v in variables]))
    return output.numpy(), float(value), [np.moveaxis(kernel, (3, 2), (0, 1)), *middle, last.T, bias]


def frozen():
    """A side whose batch norm is not trained."""
    pieces = _pieces(0.0)
    pieces[1].trainable = False
    return side(keras.Sequential(pieces))


# Settings that describe them, for what the numbers alone do not say twice
OPTIMIZERS = [
    lambda: keras.optimizers.Adam(0.01, epsilon=1e-3),
    lambda: keras.optimizers.Adam(0.01, amsgrad=True, clipnorm=0.1),
    lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1, global_clipnorm=0.2),
    lambda: keras.optimizers.SGD(0.1),
    lambda: keras.optimizers.SGD(0.1, momentum=0.8, weight_decay=0.2),
    lambda: keras.optimizers.SGD(0.1, momentum=0.8, nesterov=True, clipvalue=0.05),
    lambda: keras.optimizers.RMSprop(0.01, rho=0.8, epsilon=1e-2),
    lambda: keras.optimizers.RMSprop(0.01, momentum=0.7, centered=True),
    lambda: keras.optimizers.Adagrad(0.1),
    lambda: keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 1, 1.0)),
]  # fmt: skip


def network_with(optimizer):
    return side(keras.Sequential(_pieces(0.0)), optimizer())
