"""Convolutional autoencoder, TensorFlow: a code of 8 × 2 × 2 and back. Specification: common/specs/conv_autoencoder.py.

Article `autoencoders`; sizes of the article, optimiser of pytorch-beginner 08-AutoEncoder.
"""

import keras
import tensorflow as tf
from keras import layers

from backends.tensorflow.layouts import to_nchw, to_nhwc
from backends.tensorflow.optimizer import Adam, update
from backends.tensorflow.steps import State

# -------------------------------------------------------------------------------------------- networks


# For these sizes "same" means a padding of 1: one pixel at each end. An odd one it would put last.


class Encoder(keras.Model):
    def __init__(self, dtype):
        super().__init__(dtype=dtype)
        self.conv0 = layers.Conv2D(16, 3, strides=3, padding="same", dtype=dtype)
        self.conv1 = layers.Conv2D(8, 3, strides=2, padding="same", dtype=dtype)

    def call(self, x):
        h = tf.nn.relu(self.conv0(x))  # (B, 10, 10, 16)
        h = tf.nn.max_pool2d(h, 2, strides=2, padding="VALID")  # (B, 5, 5, 16)
        h = tf.nn.relu(self.conv1(h))  # (B, 3, 3, 8)
        return tf.nn.max_pool2d(h, 2, strides=1, padding="VALID")  # (B, 2, 2, 8)


class Decoder(keras.Model):
    def __init__(self, dtype):
        super().__init__(dtype=dtype)
        self.conv0 = layers.Conv2DTranspose(16, 3, strides=2, padding="valid", dtype=dtype)
        self.conv1 = layers.Conv2DTranspose(8, 5, strides=3, padding="same", dtype=dtype)
        # "same" would cut nothing here, where a padding of 1 cuts one pixel from each side.
        self.conv2 = layers.Conv2DTranspose(1, 2, strides=2, padding="valid", dtype=dtype)
        self.crop = layers.Cropping2D(1, dtype=dtype)

    def call(self, code):
        h = tf.nn.relu(self.conv0(code))  # (B, 5, 5, 16)
        h = tf.nn.relu(self.conv1(h))  # (B, 15, 15, 8)
        return tf.tanh(self.crop(self.conv2(h)))  # (B, 28, 28, 1)


class ConvAutoencoder(keras.Model):
    def __init__(self, dtype):
        super().__init__(dtype=dtype)
        self.encoder = Encoder(dtype)
        self.decoder = Decoder(dtype)


# ------------------------------------------------------------------------------------- forward, losses


def forward(model, inputs, noise):
    """images (B, 1, 28, 28) in [-1, 1] -> code (B, 8, 2, 2), reconstruction (B, 1, 28, 28)."""
    code = model.encoder(to_nhwc(inputs["images"]))
    return {"code": to_nchw(code), "reconstruction": to_nchw(model.decoder(code))}


def losses(model, inputs, noise):
    """Mean squared error over all elements."""
    reconstruction = forward(model, inputs, noise)["reconstruction"]
    return {"loss": tf.reduce_mean((reconstruction - inputs["images"]) ** 2)}


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype, device):
    with tf.device(device):
        model = ConvAutoencoder(dtype)
        model.encoder(keras.Input((28, 28, 1)))  # Keras creates a network's variables at its first call
        model.decoder(keras.Input((2, 2, 8)))
        return State(model, {"train": Adam(spec.update("train"), model)})


def train_step(state, inputs, noise):
    with tf.GradientTape() as tape:
        values = losses(state.model, inputs, noise)
    update(state.optimizers["train"], values["loss"], tape)
    return values


# ------------------------------------------------------------------------------------ coding, sampling


def encode(model, inputs):
    """images (B, 1, 28, 28) -> code (B, 8, 2, 2)."""
    return to_nchw(model.encoder(to_nhwc(inputs["images"])))


def reconstruct(model, inputs, noise):
    """images (B, 1, 28, 28) -> reconstruction (B, 1, 28, 28) in [-1, 1]."""
    return forward(model, inputs, noise)["reconstruction"]
