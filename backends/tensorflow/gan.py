"""Generative adversarial network, TensorFlow. Specification: common/specs/gan.py.

Goodfellow et al. 2014, arXiv 1406.2661; article `gan`. Dropout is always on, as published: its masks are noise.
"""

import keras
import tensorflow as tf
from keras import layers

from backends.tensorflow.exact import leaky_relu
from backends.tensorflow.optimizer import Adam, update
from backends.tensorflow.steps import State
from backends.tensorflow.terms import bce

SLOPE, KEEP = 0.2, 0.7

# -------------------------------------------------------------------------------------------- networks


class Generator(keras.Model):
    def __init__(self, dtype):
        super().__init__(dtype=dtype)
        self.fc0 = layers.Dense(256, dtype=dtype)
        self.fc1 = layers.Dense(512, dtype=dtype)
        self.fc2 = layers.Dense(1024, dtype=dtype)
        self.fc3 = layers.Dense(784, dtype=dtype)

    def call(self, z):
        h = leaky_relu(self.fc0(z), SLOPE)  # (B, 256)
        h = leaky_relu(self.fc1(h), SLOPE)  # (B, 512)
        h = leaky_relu(self.fc2(h), SLOPE)  # (B, 1024)
        return tf.tanh(self.fc3(h))  # (B, 784)


class Discriminator(keras.Model):
    def __init__(self, dtype):
        super().__init__(dtype=dtype)
        self.fc0 = layers.Dense(1024, dtype=dtype)
        self.fc1 = layers.Dense(512, dtype=dtype)
        self.fc2 = layers.Dense(256, dtype=dtype)
        self.fc3 = layers.Dense(1, dtype=dtype)

    def call(self, x, masks):
        h = leaky_relu(self.fc0(x), SLOPE) * masks[0] / KEEP  # (B, 1024)
        h = leaky_relu(self.fc1(h), SLOPE) * masks[1] / KEEP  # (B, 512)
        h = leaky_relu(self.fc2(h), SLOPE) * masks[2] / KEEP  # (B, 256)
        return self.fc3(h)  # (B, 1), logits


class GAN(keras.Model):
    def __init__(self, dtype):
        super().__init__(dtype=dtype)
        self.generator = Generator(dtype)
        self.discriminator = Discriminator(dtype)


# ------------------------------------------------------------------------------------- forward, losses


def masks(noise, which):
    return [noise[f"{which}_mask{k}"] for k in range(3)]


def forward(model, inputs, noise):
    """images (B, 784) in [-1, 1], z (B, 100) -> generated (B, 784), logits of D for both (B, 1)."""
    generated = model.generator(noise["discriminator_z"])
    return {
        "generated": generated,
        "real_logits": model.discriminator(inputs["images"], masks(noise, "real")),
        "fake_logits": model.discriminator(generated, masks(noise, "fake")),
    }


def discriminator_losses(model, inputs, noise):
    """mean BCE(D(x), 1) + mean BCE(D(G(z)), 0), and D's mean probabilities."""
    output = forward(model, inputs, noise)
    real, fake = output["real_logits"], output["fake_logits"]
    return {
        "loss_d": bce(real, 1.0) + bce(fake, 0.0),
        "score_real": tf.reduce_mean(tf.sigmoid(real)),
        "score_fake": tf.reduce_mean(tf.sigmoid(fake)),
    }


def generator_losses(model, inputs, noise):
    """mean BCE(D(G(z)), 1), with a z of its own."""
    fooled = model.discriminator(model.generator(noise["generator_z"]), masks(noise, "fooled"))
    return {"loss_g": bce(fooled, 1.0)}


def losses(model, inputs, noise):
    return discriminator_losses(model, inputs, noise) | generator_losses(model, inputs, noise)


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype, device):
    with tf.device(device):
        model = GAN(dtype)
        model.generator(keras.Input((100,)))  # Keras creates a network's variables at its first call
        model.discriminator(keras.Input((784,)), [keras.Input((width,)) for width in (1024, 512, 256)])
        return State(model, {name: Adam(spec.update(name), model) for name in ("discriminator", "generator")})


def train_step(state, inputs, noise):
    with tf.GradientTape() as tape:
        values_d = discriminator_losses(state.model, inputs, noise)
    update(state.optimizers["discriminator"], values_d["loss_d"], tape)
    with tf.GradientTape() as tape:
        values_g = generator_losses(state.model, inputs, noise)  # judged by the D just updated
    update(state.optimizers["generator"], values_g["loss_g"], tape)
    return values_d | values_g


# -------------------------------------------------------------------------------------------- sampling


def sample(model, noise):
    """z (B, 100) from the prior N(0, 1) -> images (B, 784) in [-1, 1]."""
    return model.generator(noise["z"])
