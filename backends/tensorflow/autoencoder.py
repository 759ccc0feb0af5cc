"""Autoencoder, TensorFlow: 784 pixels to a 3-D code and back. Specification: common/specs/autoencoder.py.

Article `autoencoders`; sizes of the article, optimiser of pytorch-beginner 08-AutoEncoder.
"""

import keras
import tensorflow as tf
from keras import layers

from backends.tensorflow.optimizer import Adam, update
from backends.tensorflow.steps import State

# -------------------------------------------------------------------------------------------- networks


class Encoder(keras.Model):
    def __init__(self, dtype):
        super().__init__(dtype=dtype)
        self.fc0 = layers.Dense(128, dtype=dtype)
        self.fc1 = layers.Dense(64, dtype=dtype)
        self.fc2 = layers.Dense(12, dtype=dtype)
        self.fc3 = layers.Dense(3, dtype=dtype)

    def call(self, x):
        h = tf.nn.relu(self.fc0(x))  # (B, 128)
        h = tf.nn.relu(self.fc1(h))  # (B, 64)
        h = tf.nn.relu(self.fc2(h))  # (B, 12)
        return self.fc3(h)  # (B, 3)


class Decoder(keras.Model):
    def __init__(self, dtype):
        super().__init__(dtype=dtype)
        self.fc0 = layers.Dense(12, dtype=dtype)
        self.fc1 = layers.Dense(64, dtype=dtype)
        self.fc2 = layers.Dense(128, dtype=dtype)
        self.fc3 = layers.Dense(784, dtype=dtype)

    def call(self, code):
        h = tf.nn.relu(self.fc0(code))  # (B, 12)
        h = tf.nn.relu(self.fc1(h))  # (B, 64)
        h = tf.nn.relu(self.fc2(h))  # (B, 128)
        return tf.tanh(self.fc3(h))  # (B, 784)


class Autoencoder(keras.Model):
    def __init__(self, dtype):
        super().__init__(dtype=dtype)
        self.encoder = Encoder(dtype)
        self.decoder = Decoder(dtype)


# ------------------------------------------------------------------------------------- forward, losses


def forward(model, inputs, noise):
    """images (B, 784) in [-1, 1] -> code (B, 3), reconstruction (B, 784)."""
    code = model.encoder(inputs["images"])
    return {"code": code, "reconstruction": model.decoder(code)}


def losses(model, inputs, noise):
    """Mean squared error over all elements."""
    reconstruction = forward(model, inputs, noise)["reconstruction"]
    return {"loss": tf.reduce_mean((reconstruction - inputs["images"]) ** 2)}


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype, device):
    with tf.device(device):
        model = Autoencoder(dtype)
        model.encoder(keras.Input((784,)))  # Keras creates a network's variables at its first call
        model.decoder(keras.Input((3,)))
        return State(model, {"train": Adam(spec.update("train"), model)})


def train_step(state, inputs, noise):
    with tf.GradientTape() as tape:
        values = losses(state.model, inputs, noise)
    update(state.optimizers["train"], values["loss"], tape)
    return values


# ------------------------------------------------------------------------------------ coding, sampling


def encode(model, inputs):
    """images (B, 784) -> code (B, 3)."""
    return model.encoder(inputs["images"])


def reconstruct(model, inputs, noise):
    """images (B, 784) -> reconstruction (B, 784) in [-1, 1]."""
    return forward(model, inputs, noise)["reconstruction"]
