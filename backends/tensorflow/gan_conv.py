"""GAN of convolutions, TensorFlow. Specification: common/specs/gan_conv.py.

Radford et al. 2015, arXiv 1511.06434; article `gan`. Batch norms move their running statistics in every pass of a
training step; sample uses them, in evaluation mode, Keras's default. Shapes are those of width 64.
"""

import math

import keras
import tensorflow as tf
from keras import layers

from backends.tensorflow.exact import BatchNorm, leaky_relu
from backends.tensorflow.layouts import to_nchw, to_nhwc
from backends.tensorflow.optimizer import Adam, update
from backends.tensorflow.steps import State
from backends.tensorflow.terms import bce

SLOPE, LATENT = 0.2, 100
MOMENTUM, EPSILON = 0.9, 1e-5

# -------------------------------------------------------------------------------------------- networks


# With kernel 4, stride 2 and even sides "same" means a padding of 1: one pixel at each end. An odd one it would put last.


def batch_norm(dtype):
    return BatchNorm(momentum=MOMENTUM, epsilon=EPSILON, dtype=dtype)


class Generator(keras.Model):
    def __init__(self, width, dtype):
        super().__init__(dtype=dtype)
        self.fc0 = layers.Dense(2 * width * 7 * 7, use_bias=False, dtype=dtype)
        self.bn0 = batch_norm(dtype)
        self.conv0 = layers.Conv2DTranspose(width, 4, strides=2, padding="same", use_bias=False, dtype=dtype)
        self.bn1 = batch_norm(dtype)
        self.conv1 = layers.Conv2DTranspose(1, 4, strides=2, padding="same", dtype=dtype)

    def call(self, z, training=False):
        h = self.fc0(z)
        h = to_nhwc(tf.reshape(h, (-1, h.shape[1] // (7 * 7), 7, 7)))  # (B, 7, 7, 128)
        h = tf.nn.relu(self.bn0(h, training=training))
        h = tf.nn.relu(self.bn1(self.conv0(h), training=training))  # (B, 14, 14, 64)
        return to_nchw(tf.tanh(self.conv1(h)))  # (B, 1, 28, 28)


class Discriminator(keras.Model):
    def __init__(self, width, dtype):
        super().__init__(dtype=dtype)
        self.conv0 = layers.Conv2D(width, 4, strides=2, padding="same", dtype=dtype)
        self.conv1 = layers.Conv2D(2 * width, 4, strides=2, padding="same", use_bias=False, dtype=dtype)
        self.bn0 = batch_norm(dtype)
        self.logit = layers.Dense(1, dtype=dtype)

    def call(self, x, training=False):
        h = leaky_relu(self.conv0(to_nhwc(x)), SLOPE)  # (B, 14, 14, 64)
        h = leaky_relu(self.bn0(self.conv1(h), training=training), SLOPE)  # (B, 7, 7, 128)
        return self.logit(tf.reshape(to_nchw(h), (-1, math.prod(h.shape[1:]))))  # (B, 1)


class ConvGAN(keras.Model):
    def __init__(self, width, dtype):
        super().__init__(dtype=dtype)
        self.generator = Generator(width, dtype)
        self.discriminator = Discriminator(width, dtype)


# ------------------------------------------------------------------------------------- forward, losses


def forward(model, inputs, noise):
    """images (B, 1, 28, 28) in [-1, 1], z (B, 100) -> generated (B, 1, 28, 28), logits of D for both (B, 1)."""
    generated = model.generator(noise["discriminator_z"], training=True)
    return {
        "generated": generated,
        "real_logits": model.discriminator(inputs["images"], training=True),
        "fake_logits": model.discriminator(generated, training=True),
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
    fooled = model.discriminator(model.generator(noise["generator_z"], training=True), training=True)
    return {"loss_g": bce(fooled, 1.0)}


def losses(model, inputs, noise):
    return discriminator_losses(model, inputs, noise) | generator_losses(model, inputs, noise)


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype, device):
    with tf.device(device):
        model = ConvGAN(dtype=dtype, **spec.options)
        model.generator(keras.Input((LATENT,)))  # Keras creates a network's variables at its first call
        model.discriminator(keras.Input((1, 28, 28)))
        return State(model, {name: Adam(spec.update(name), model) for name in ("discriminator", "generator")})


def train_step(state, inputs, noise):
    with tf.GradientTape() as tape:
        values_d = discriminator_losses(state.model, inputs, noise)
    update(state.optimizers["discriminator"], values_d["loss_d"], tape)
    with tf.GradientTape() as tape:
        values_g = generator_losses(state.model, inputs, noise)  # judged by the D just updated
    update(state.optimizers["generator"], values_g["loss_g"], tape)
    return values_d | values_g


# ------------------------------------------------------------------------------------------- sampling


def sample(model, noise):
    """z (B, 100) -> images (B, 1, 28, 28) in [-1, 1]."""
    return model.generator(noise["z"])
