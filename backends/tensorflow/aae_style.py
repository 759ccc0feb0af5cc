"""Adversarial autoencoder, style apart from content, TensorFlow. Specification: common/specs/aae_style.py.

Makhzani et al. 2015, arXiv 1511.05644, section 4; article `aae`. Dropout masks are noise; without them a network runs in
evaluation mode. Shapes are those of width 1000.
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
    def __init__(self, width, dtype):
        super().__init__(dtype=dtype)
        self.fc0 = layers.Dense(width, dtype=dtype)
        self.fc1 = layers.Dense(width, dtype=dtype)
        self.fc2 = layers.Dense(2, dtype=dtype)

    def call(self, x, masks=(None, None)):
        h = tf.nn.relu(dropout(self.fc0(x), masks[0], keep=0.8))  # (B, 1000)
        h = tf.nn.relu(dropout(self.fc1(h), masks[1], keep=0.8))  # (B, 1000)
        return self.fc2(h)  # (B, 2), the style


class Decoder(keras.Model):
    def __init__(self, width, dtype):
        super().__init__(dtype=dtype)
        self.fc0 = layers.Dense(width, dtype=dtype)
        self.fc1 = layers.Dense(width, dtype=dtype)
        self.fc2 = layers.Dense(784, dtype=dtype)

    def call(self, labels, style, masks=(None, None)):
        h = tf.concat([labels, style], axis=1)  # (B, 12)
        h = tf.nn.relu(dropout(self.fc0(h), masks[0], keep=0.8))  # (B, 1000)
        h = dropout(self.fc1(h), masks[1], keep=0.8)  # (B, 1000), no ReLU here
        return self.fc2(h)  # (B, 784), logits


class Discriminator(keras.Model):
    def __init__(self, width, dtype):
        super().__init__(dtype=dtype)
        self.fc0 = layers.Dense(width, dtype=dtype)
        self.fc1 = layers.Dense(width, dtype=dtype)
        self.fc2 = layers.Dense(1, dtype=dtype)

    def call(self, style, masks=(None, None)):
        h = tf.nn.relu(dropout(self.fc0(style), masks[0], keep=0.8))  # (B, 1000)
        h = tf.nn.relu(dropout(self.fc1(h), masks[1], keep=0.8))  # (B, 1000)
        return tf.sigmoid(self.fc2(h))  # (B, 1)


class StyleAAE(keras.Model):
    def __init__(self, width, dtype):
        super().__init__(dtype=dtype)
        self.encoder = Encoder(width, dtype)
        self.decoder = Decoder(width, dtype)
        self.discriminator = Discriminator(width, dtype)


# ------------------------------------------------------------------------------------- forward, losses


def masks(noise, which):
    return [noise[f"{which}_mask{k}"] for k in range(2)]


def forward(model, inputs, noise):
    """images (B, 784) in [0, 1], labels (B, 10) one-hot -> style (B, 2), logits (B, 784), D's probabilities for the prior and
    the style (B, 1)."""
    style = model.encoder(inputs["images"], masks(noise, "encoder"))
    return {
        "style": style,
        "logits": model.decoder(inputs["labels"], style, masks(noise, "decoder")),
        "real": model.discriminator(noise["prior"], masks(noise, "real")),
        "fake": model.discriminator(model.encoder(inputs["images"]), masks(noise, "fake")),
    }


def reconstruction_losses(model, inputs, noise):
    """mean BCE(decoder([label, encoder(x)]), x)."""
    style = model.encoder(inputs["images"], masks(noise, "encoder"))
    logits = model.decoder(inputs["labels"], style, masks(noise, "decoder"))
    return {"loss_r": tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=inputs["images"], logits=logits))}


def discriminator_losses(model, inputs, noise):
    """-mean[log(D(z) + EPS) + log(1 - D(encoder(x)) + EPS)], no dropout in the encoder."""
    style = model.encoder(inputs["images"])
    real = model.discriminator(noise["prior"], masks(noise, "real"))
    fake = model.discriminator(style, masks(noise, "fake"))
    return {"loss_d": -tf.reduce_mean(tf.math.log(real + EPS) + tf.math.log(complement(fake) + EPS))}


def generator_losses(model, inputs, noise):
    """-mean log(D(encoder(x)) + EPS), with dropout in the encoder."""
    style = model.encoder(inputs["images"], masks(noise, "generator"))
    fooled = model.discriminator(style, masks(noise, "fooled"))
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
        model = StyleAAE(dtype=dtype, **spec.options)
        model.encoder(keras.Input((784,)))  # Keras creates a network's variables at its first call
        model.decoder(keras.Input((10,)), keras.Input((2,)))
        model.discriminator(keras.Input((2,)))
        # Two Adams over the encoder: that of the reconstruction and that of the generator, each with moments of its own.
        names = ("reconstruction", "discriminator", "generator")
        return State(model, {name: Adam(spec.update(name), model) for name in names})


def train_step(state, inputs, noise):
    with tf.GradientTape() as tape:
        values_r = reconstruction_losses(state.model, inputs, noise)
    update(state.optimizers["reconstruction"], values_r["loss_r"], tape)
    with tf.GradientTape() as tape:
        values_d = discriminator_losses(state.model, inputs, noise)  # of the styles just improved
    update(state.optimizers["discriminator"], values_d["loss_d"], tape)
    with tf.GradientTape() as tape:
        values_g = generator_losses(state.model, inputs, noise)  # judged by the D just updated
    update(state.optimizers["generator"], values_g["loss_g"], tape)
    return values_r | values_d | values_g


# ------------------------------------------------------------------------------------ coding, sampling


def encode(model, inputs):
    """images (B, 784) -> style (B, 2)."""
    return model.encoder(inputs["images"])


def reconstruct(model, inputs, noise):
    """images (B, 784), labels (B, 10) one-hot -> pixels (B, 784) in [0, 1]."""
    return tf.sigmoid(model.decoder(inputs["labels"], model.encoder(inputs["images"])))


def sample(model, noise):
    """label (B, 10) one-hot, z (B, 2) from the prior N(0, 5²) -> pixels (B, 784) in [0, 1]."""
    return tf.sigmoid(model.decoder(noise["label"], noise["z"]))
