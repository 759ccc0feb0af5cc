"""Adversarial autoencoder, TensorFlow. Specification: common/specs/aae.py.

Makhzani et al. 2015, arXiv 1511.05644; article `aae`. Dropout masks are noise; without them a network runs in
evaluation mode.
"""

import keras
import tensorflow as tf
from keras import layers

from backends.tensorflow.optimizer import Adam, update
from backends.tensorflow.steps import State
from backends.tensorflow.terms import complement, dropout

EPS = 1e-15

# -------------------------------------------------------------------------------------------- networks


class Encoder(keras.Model):
    def __init__(self, dtype):
        super().__init__(dtype=dtype)
        self.fc0 = layers.Dense(1000, dtype=dtype)
        self.fc1 = layers.Dense(1000, dtype=dtype)
        self.fc2 = layers.Dense(120, dtype=dtype)

    def call(self, x, masks=(None, None)):
        h = tf.nn.relu(dropout(self.fc0(x), masks[0], keep=0.75))  # (B, 1000)
        h = tf.nn.relu(dropout(self.fc1(h), masks[1], keep=0.75))  # (B, 1000)
        return self.fc2(h)  # (B, 120), the code


class Decoder(keras.Model):
    def __init__(self, dtype):
        super().__init__(dtype=dtype)
        self.fc0 = layers.Dense(1000, dtype=dtype)
        self.fc1 = layers.Dense(1000, dtype=dtype)
        self.fc2 = layers.Dense(784, dtype=dtype)

    def call(self, code, masks=(None, None)):
        h = tf.nn.relu(dropout(self.fc0(code), masks[0], keep=0.75))  # (B, 1000)
        h = dropout(self.fc1(h), masks[1], keep=0.75)  # (B, 1000), no ReLU here
        return self.fc2(h)  # (B, 784), logits


class Discriminator(keras.Model):
    def __init__(self, dtype):
        super().__init__(dtype=dtype)
        self.fc0 = layers.Dense(500, dtype=dtype)
        self.fc1 = layers.Dense(500, dtype=dtype)
        self.fc2 = layers.Dense(1, dtype=dtype)

    def call(self, code, masks=(None, None)):
        h = tf.nn.relu(dropout(self.fc0(code), masks[0], keep=0.8))  # (B, 500)
        h = tf.nn.relu(dropout(self.fc1(h), masks[1], keep=0.8))  # (B, 500)
        return tf.sigmoid(self.fc2(h))  # (B, 1)


class AAE(keras.Model):
    def __init__(self, dtype):
        super().__init__(dtype=dtype)
        self.encoder = Encoder(dtype)
        self.decoder = Decoder(dtype)
        self.discriminator = Discriminator(dtype)


# ------------------------------------------------------------------------------------- forward, losses


def masks(noise, which):
    return [noise[f"{which}_mask{k}"] for k in range(2)]


def forward(model, inputs, noise):
    """images (B, 784) in [0, 1] -> code (B, 120), logits (B, 784), D's probabilities for the prior and the code (B, 1)."""
    code = model.encoder(inputs["images"], masks(noise, "encoder"))
    return {
        "code": code,
        "logits": model.decoder(code, masks(noise, "decoder")),
        "real": model.discriminator(noise["prior"], masks(noise, "real")),
        "fake": model.discriminator(model.encoder(inputs["images"]), masks(noise, "fake")),
    }


def reconstruction_losses(model, inputs, noise):
    """mean BCE(decoder(encoder(x)), x)."""
    logits = model.decoder(model.encoder(inputs["images"], masks(noise, "encoder")), masks(noise, "decoder"))
    return {"loss_r": tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=inputs["images"], logits=logits))}


def discriminator_losses(model, inputs, noise):
    """-mean[log(D(z) + EPS) + log(1 - D(encoder(x)) + EPS)], no dropout in the encoder."""
    code = model.encoder(inputs["images"])
    real = model.discriminator(noise["prior"], masks(noise, "real"))
    fake = model.discriminator(code, masks(noise, "fake"))
    return {"loss_d": -tf.reduce_mean(tf.math.log(real + EPS) + tf.math.log(complement(fake) + EPS))}


def generator_losses(model, inputs, noise):
    """-mean log(D(encoder(x)) + EPS), with dropout in the encoder."""
    code = model.encoder(inputs["images"], masks(noise, "generator"))
    fooled = model.discriminator(code, masks(noise, "fooled"))
    return {"loss_g": -tf.reduce_mean(tf.math.log(fooled + EPS))}


def losses(model, inputs, noise):
    return (
        reconstruction_losses(model, inputs, noise)
        | discriminator_losses(model, inputs, noise)
        | generator_losses(model, inputs, noise)
    )


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype, device):
    with tf.device(device):
        model = AAE(dtype)
        model.encoder(keras.Input((784,)))  # Keras creates a network's variables at its first call
        model.decoder(keras.Input((120,)))
        model.discriminator(keras.Input((120,)))
        # Two Adams over the encoder: that of the reconstruction and that of the generator, each with moments of its own.
        names = ("reconstruction", "discriminator", "generator")
        return State(model, {name: Adam(spec.update(name), model) for name in names})


def train_step(state, inputs, noise):
    with tf.GradientTape() as tape:
        values_r = reconstruction_losses(state.model, inputs, noise)
    update(state.optimizers["reconstruction"], values_r["loss_r"], tape)
    with tf.GradientTape() as tape:
        values_d = discriminator_losses(state.model, inputs, noise)  # of the codes just improved
    update(state.optimizers["discriminator"], values_d["loss_d"], tape)
    with tf.GradientTape() as tape:
        values_g = generator_losses(state.model, inputs, noise)  # judged by the D just updated
    update(state.optimizers["generator"], values_g["loss_g"], tape)
    return values_r | values_d | values_g


# ------------------------------------------------------------------------------------ coding, sampling


def encode(model, inputs):
    """images (B, 784) -> code (B, 120)."""
    return model.encoder(inputs["images"])


def reconstruct(model, inputs, noise):
    """images (B, 784) -> pixels (B, 784) in [0, 1]."""
    return tf.sigmoid(model.decoder(model.encoder(inputs["images"])))


def sample(model, noise):
    """z (B, 120) from the prior N(0, 5²) -> pixels (B, 784) in [0, 1]."""
    return tf.sigmoid(model.decoder(noise["z"]))
