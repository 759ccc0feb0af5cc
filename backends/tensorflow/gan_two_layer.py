"""Two-layer GAN, TensorFlow. Specification: common/specs/gan_two_layer.py.

The demonstration of the article `infogan`; log(p + 1e-8) on probabilities, as printed there.
"""

import keras
import tensorflow as tf
from keras import layers

from backends.tensorflow.optimizer import Adam, update
from backends.tensorflow.steps import State
from backends.tensorflow.terms import complement

EPS = 1e-8

# -------------------------------------------------------------------------------------------- networks


class Generator(keras.Model):
    def __init__(self, dtype):
        super().__init__(dtype=dtype)
        self.fc0 = layers.Dense(256, dtype=dtype)
        self.fc1 = layers.Dense(784, dtype=dtype)

    def call(self, z):
        h = tf.nn.relu(self.fc0(z))  # (B, 256)
        return tf.sigmoid(self.fc1(h))  # (B, 784)


class Discriminator(keras.Model):
    def __init__(self, dtype):
        super().__init__(dtype=dtype)
        self.fc0 = layers.Dense(256, dtype=dtype)
        self.fc1 = layers.Dense(1, dtype=dtype)

    def call(self, x):
        h = tf.nn.relu(self.fc0(x))  # (B, 256)
        return tf.sigmoid(self.fc1(h))  # (B, 1)


class GAN(keras.Model):
    def __init__(self, dtype):
        super().__init__(dtype=dtype)
        self.generator = Generator(dtype)
        self.discriminator = Discriminator(dtype)


# ------------------------------------------------------------------------------------- forward, losses


def forward(model, inputs, noise):
    """images (B, 784) in [0, 1], z (B, 100) -> generated (B, 784), D's probabilities for both (B, 1)."""
    generated = model.generator(noise["z"])
    return {
        "generated": generated,
        "real": model.discriminator(inputs["images"]),
        "fake": model.discriminator(generated),
    }


def discriminator_losses(model, inputs, noise):
    """-mean[log(D(x) + EPS) + log(1 - D(G(z)) + EPS)], and D's mean probabilities."""
    output = forward(model, inputs, noise)
    real, fake = output["real"], output["fake"]
    loss = -tf.reduce_mean(tf.math.log(real + EPS) + tf.math.log(complement(fake) + EPS))
    return {"loss_d": loss, "score_real": tf.reduce_mean(real), "score_fake": tf.reduce_mean(fake)}


def generator_losses(model, inputs, noise):
    """-mean log(D(G(z)) + EPS), with the z that D has just seen."""
    fooled = model.discriminator(model.generator(noise["z"]))
    return {"loss_g": -tf.reduce_mean(tf.math.log(fooled + EPS))}


def losses(model, inputs, noise):
    return discriminator_losses(model, inputs, noise) | generator_losses(model, inputs, noise)


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype, device):
    with tf.device(device):
        model = GAN(dtype)
        model.generator(keras.Input((100,)))  # Keras creates a network's variables at its first call
        model.discriminator(keras.Input((784,)))
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
    """z (B, 100) from the prior U(-1, 1) -> images (B, 784) in [0, 1]."""
    return model.generator(noise["z"])
