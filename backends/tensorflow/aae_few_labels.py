"""Adversarial autoencoder, classes from a few labels or none, TensorFlow. Specification: common/specs/aae_few_labels.py.

Makhzani et al. 2015, arXiv 1511.05644, sections 5 and 6; article `aae`. Dropout masks are noise; without them a network
runs in evaluation mode. Shapes are those of width 1000.
"""

import keras
import tensorflow as tf
from keras import layers

from backends.tensorflow.optimizer import create, update
from backends.tensorflow.steps import State
from backends.tensorflow.terms import complement, dropout

EPS, STYLE = 1e-15, 10

# -------------------------------------------------------------------------------------------- networks


class Encoder(keras.Model):
    def __init__(self, width, dtype):
        super().__init__(dtype=dtype)
        self.fc0 = layers.Dense(width, dtype=dtype)
        self.fc1 = layers.Dense(width, dtype=dtype)

    def call(self, x, masks=(None, None)):
        h = tf.nn.relu(dropout(self.fc0(x), masks[0], keep=0.75))  # (B, 1000)
        return tf.nn.relu(dropout(self.fc1(h), masks[1], keep=0.75))  # (B, 1000)


class Head(keras.Model):
    def __init__(self, features, dtype):
        super().__init__(dtype=dtype)
        self.fc0 = layers.Dense(features, dtype=dtype)

    def call(self, h):
        return self.fc0(h)  # (B, categories) logits, or (B, 10), the style


class Decoder(keras.Model):
    def __init__(self, width, dtype):
        super().__init__(dtype=dtype)
        self.fc0 = layers.Dense(width, dtype=dtype)
        self.fc1 = layers.Dense(width, dtype=dtype)
        self.fc2 = layers.Dense(784, dtype=dtype)

    def call(self, y, z, masks=(None, None)):
        h = tf.concat([y, z], axis=1)  # (B, categories + 10)
        h = tf.nn.relu(dropout(self.fc0(h), masks[0], keep=0.75))  # (B, 1000)
        h = dropout(self.fc1(h), masks[1], keep=0.75)  # (B, 1000), no ReLU here
        return self.fc2(h)  # (B, 784), logits


class Discriminator(keras.Model):
    def __init__(self, width, dtype):
        super().__init__(dtype=dtype)
        self.fc0 = layers.Dense(width, dtype=dtype)
        self.fc1 = layers.Dense(width, dtype=dtype)
        self.fc2 = layers.Dense(1, dtype=dtype)

    def call(self, code, masks=(None, None)):
        h = tf.nn.relu(dropout(self.fc0(code), masks[0], keep=0.8))  # (B, 1000)
        h = tf.nn.relu(dropout(self.fc1(h), masks[1], keep=0.8))  # (B, 1000)
        return tf.sigmoid(self.fc2(h))  # (B, 1)


class FewLabelsAAE(keras.Model):
    def __init__(self, width, categories, dtype):
        super().__init__(dtype=dtype)
        self.encoder = Encoder(width, dtype)
        self.category = Head(categories, dtype)
        self.style = Head(STYLE, dtype)
        self.decoder = Decoder(width, dtype)
        self.discriminator = Discriminator(width, dtype)
        self.category_discriminator = Discriminator(width, dtype)


# ------------------------------------------------------------------------------------- forward, losses


def masks(noise, which):
    return [noise.get(f"{which}_mask{k}") for k in range(2)]  # the category's discriminator has one, the paper none


def hidden(model, images, noise, which):
    """The encoder's (B, 1000) in training: with dropout or, in `aae_few_labels_paper`, with noise on the images."""
    images = images + noise[f"{which}_input"] if f"{which}_input" in noise else images
    return model.encoder(images, masks(noise, which))


def code(model, h):
    """What the encoder makes of images -> class probabilities y (B, categories), style z (B, 10)."""
    return tf.nn.softmax(model.category(h), axis=1), model.style(h)


def judged(model, inputs, noise):
    """Both discriminators' probabilities (B, 1) for draws of the priors and for the code, which has no dropout."""
    y, z = code(model, hidden(model, inputs["images"], noise, "judged"))
    return {
        "real": model.discriminator(noise["prior"], masks(noise, "real")),
        "fake": model.discriminator(z, masks(noise, "fake")),
        "real_category": model.category_discriminator(noise["category_prior"], masks(noise, "real_category")),
        "fake_category": model.category_discriminator(y, masks(noise, "fake_category")),
    }


def forward(model, inputs, noise):
    """images (B, 784) in [0, 1] -> y (B, categories), z (B, 10), logits (B, 784), the discriminators' probabilities (B, 1)."""
    y, z = code(model, hidden(model, inputs["images"], noise, "encoder"))
    logits = model.decoder(y, z, masks(noise, "decoder"))
    return {"category": y, "style": z, "logits": logits, **judged(model, inputs, noise)}


def reconstruction_losses(model, inputs, noise):
    """mean BCE(decoder([y, z]), x)."""
    logits = model.decoder(*code(model, hidden(model, inputs["images"], noise, "encoder")), masks(noise, "decoder"))
    return {"loss_r": tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=inputs["images"], logits=logits))}


def discriminator_losses(model, inputs, noise):
    """For both -mean[log(D(prior) + EPS) + log(1 - D(code) + EPS)], no dropout in the encoder."""
    found = judged(model, inputs, noise)
    loss_z = -tf.reduce_mean(tf.math.log(found["real"] + EPS) + tf.math.log(complement(found["fake"]) + EPS))
    loss_y = -tf.reduce_mean(
        tf.math.log(found["real_category"] + EPS) + tf.math.log(complement(found["fake_category"]) + EPS)
    )
    return {"loss_d": loss_z + loss_y, "loss_d_style": loss_z, "loss_d_category": loss_y}


def generator_losses(model, inputs, noise):
    """For both -mean log(D(code) + EPS), with dropout in the encoder."""
    y, z = code(model, hidden(model, inputs["images"], noise, "generator"))
    fooled = model.discriminator(z, masks(noise, "fooled"))
    fooled_category = model.category_discriminator(y, masks(noise, "fooled_category"))
    return {"loss_g": -tf.reduce_mean(tf.math.log(fooled + EPS)) - tf.reduce_mean(tf.math.log(fooled_category + EPS))}


def supervised_losses(model, inputs, noise):
    """mean cross-entropy of the labelled images' logits with their labels (B, 10) one-hot."""
    logits = model.category(hidden(model, inputs["labelled_images"], noise, "supervised"))
    return {"loss_s": tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=inputs["labels"], logits=logits))}


def losses(model, inputs, noise):
    values = reconstruction_losses(model, inputs, noise) | discriminator_losses(model, inputs, noise)
    values |= generator_losses(model, inputs, noise)
    return values | (supervised_losses(model, inputs, noise) if "labels" in inputs else {})


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype, device):
    with tf.device(device):
        model = FewLabelsAAE(dtype=dtype, **spec.options)
        h = model.encoder(keras.Input((784,)))  # Keras creates a network's variables at its first call
        y, z = model.category(h), model.style(h)
        model.decoder(y, z)
        model.discriminator(z)
        model.category_discriminator(y)
        # An optimiser an update, so that the encoder has moments of its own in each.
        return State(model, {one.name: create(one, model) for one in spec.updates})


def train_step(state, inputs, noise):
    with tf.GradientTape() as tape:
        values_r = reconstruction_losses(state.model, inputs, noise)
    update(state.optimizers["reconstruction"], values_r["loss_r"], tape)
    with tf.GradientTape() as tape:
        values_d = discriminator_losses(state.model, inputs, noise)  # of the codes just improved
    update(state.optimizers["discriminator"], values_d["loss_d"], tape)
    with tf.GradientTape() as tape:
        values_g = generator_losses(state.model, inputs, noise)  # judged by the discriminators just updated
    update(state.optimizers["generator"], values_g["loss_g"], tape)
    values = values_r | values_d | values_g
    if "labels" in inputs:  # not in `aae_clusters`
        with tf.GradientTape() as tape:
            values_s = supervised_losses(state.model, inputs, noise)
        update(state.optimizers["supervised"], values_s["loss_s"], tape)
        values |= values_s
    return values


# ------------------------------------------------------------------------------------ coding, sampling


def encode(model, inputs):
    """images (B, 784) -> (B, categories + 10): class probabilities, style."""
    return tf.concat(code(model, model.encoder(inputs["images"])), axis=1)


def reconstruct(model, inputs, noise):
    """images (B, 784) -> pixels (B, 784) in [0, 1]."""
    return tf.sigmoid(model.decoder(*code(model, model.encoder(inputs["images"]))))


def sample(model, noise):
    """category (B, categories) one-hot, z (B, 10) from the prior N(0, 1) -> pixels (B, 784) in [0, 1]."""
    return tf.sigmoid(model.decoder(noise["category"], noise["z"]))
