"""Variational autoencoder, TensorFlow: `vae` and `vae_z100`. Specification: common/specs/vae.py.

Kingma & Welling 2013, arXiv 1312.6114; articles `autoencoders` and `vae_notes`.
"""

import keras
import tensorflow as tf
from keras import layers

from backends.tensorflow.optimizer import Adam, update
from backends.tensorflow.steps import State

# -------------------------------------------------------------------------------------------- networks


class Encoder(keras.Model):
    def __init__(self, hidden, latent, dtype):
        super().__init__(dtype=dtype)
        self.fc0 = layers.Dense(hidden, dtype=dtype)
        self.mean = layers.Dense(latent, dtype=dtype)
        self.logvar = layers.Dense(latent, dtype=dtype)

    def call(self, x):
        h = tf.nn.relu(self.fc0(x))  # (B, hidden)
        return self.mean(h), self.logvar(h)  # (B, latent) each


class Decoder(keras.Model):
    def __init__(self, hidden, pixels, dtype):
        super().__init__(dtype=dtype)
        self.fc0 = layers.Dense(hidden, dtype=dtype)
        self.fc1 = layers.Dense(pixels, dtype=dtype)

    def call(self, z):
        h = tf.nn.relu(self.fc0(z))  # (B, hidden)
        return self.fc1(h)  # (B, 784), logits


class VAE(keras.Model):
    def __init__(self, pixels, hidden, latent, reduction, dtype):
        super().__init__(dtype=dtype)
        self.encoder = Encoder(hidden, latent, dtype)
        self.decoder = Decoder(hidden, pixels, dtype)
        self.reduction = reduction  # over the batch: "sum" in vae, "mean" in vae_z100


# ------------------------------------------------------------------------------------- forward, losses


def forward(model, inputs, noise):
    """images (B, 784) in [0, 1], epsilon (B, latent) ~ N(0, 1) -> mean, logvar, z (B, latent), logits (B, 784)."""
    mean, logvar = model.encoder(inputs["images"])
    z = mean + tf.exp(logvar / 2) * noise["epsilon"]
    return {"mean": mean, "logvar": logvar, "z": z, "logits": model.decoder(z)}


def losses(model, inputs, noise):
    """BCE + KL(N(mean, exp(logvar)) ‖ N(0, 1)), summed over pixels and code, then reduced over the batch."""
    output = forward(model, inputs, noise)
    mean, logvar = output["mean"], output["logvar"]
    bce = tf.reduce_sum(
        tf.nn.sigmoid_cross_entropy_with_logits(labels=inputs["images"], logits=output["logits"]), axis=1
    )  # (B,)
    kl = -0.5 * tf.reduce_sum(1 + logvar - mean**2 - tf.exp(logvar), axis=1)  # (B,)
    reduce = tf.reduce_sum if model.reduction == "sum" else tf.reduce_mean
    return {"loss": reduce(bce + kl), "bce": reduce(bce), "kl": reduce(kl)}


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype, device):
    with tf.device(device):
        model = VAE(spec.images.shape[0], spec.options["hidden"], spec.options["latent"], spec.reduction, dtype)
        model.encoder(keras.Input(spec.images.shape))  # Keras creates a network's variables at its first call
        model.decoder(keras.Input((spec.options["latent"],)))
        return State(model, {"train": Adam(spec.update("train"), model)})


def train_step(state, inputs, noise):
    with tf.GradientTape() as tape:
        values = losses(state.model, inputs, noise)
    update(state.optimizers["train"], values["loss"], tape)
    return values


# ------------------------------------------------------------------------------------ coding, sampling


def encode(model, inputs):
    """images (B, 784) -> mean of the code (B, latent)."""
    mean, _ = model.encoder(inputs["images"])
    return mean


def reconstruct(model, inputs, noise):
    """images (B, 784), epsilon (B, latent) -> pixels (B, 784) in [0, 1]."""
    return tf.sigmoid(forward(model, inputs, noise)["logits"])


def sample(model, noise):
    """z (B, latent) from the prior N(0, 1) -> pixels (B, 784) in [0, 1]."""
    return tf.sigmoid(model.decoder(noise["z"]))
