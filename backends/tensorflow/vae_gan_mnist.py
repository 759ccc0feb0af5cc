"""VAE-GAN for pictures of 28 × 28, TensorFlow. Specification: common/specs/vae_gan.py.

Losses, updates, coding and sampling are those of vae_gan.py. Shapes are those of width 32.
"""

import math

import keras
import tensorflow as tf
from keras import layers

from backends.tensorflow.layouts import to_nchw, to_nhwc
from backends.tensorflow.vae_gan import (  # noqa: F401
    VAEGAN,
    batch_norm,
    conv,
    conv_transpose,
    crop,
    encode,
    forward,
    losses,
    pad,
    reconstruct,
    sample,
    start,
    train_step,
)

# -------------------------------------------------------------------------------------------- networks


class Encoder(keras.Model):
    def __init__(self, width, latent, hidden, dtype):
        super().__init__(dtype=dtype)
        self.pad = pad(dtype)
        self.conv0 = conv(width, dtype)
        self.bn0 = batch_norm(dtype)
        self.conv1 = conv(2 * width, dtype)
        self.bn1 = batch_norm(dtype)
        self.fc0 = layers.Dense(hidden, use_bias=False, dtype=dtype)
        self.bn2 = batch_norm(dtype)
        self.mean = layers.Dense(latent, dtype=dtype)
        self.logvar = layers.Dense(latent, dtype=dtype)

    def call(self, x, training=False):
        h = tf.nn.relu(self.bn0(self.conv0(self.pad(to_nhwc(x))), training=training))  # (B, 14, 14, 32)
        h = tf.nn.relu(self.bn1(self.conv1(self.pad(h)), training=training))  # (B, 7, 7, 64)
        h = tf.reshape(to_nchw(h), (-1, math.prod(h.shape[1:])))  # (B, 3136)
        h = tf.nn.relu(self.bn2(self.fc0(h), training=training))  # (B, 256)
        return self.mean(h), self.logvar(h)  # (B, 32)


class Decoder(keras.Model):
    def __init__(self, width, dtype):
        super().__init__(dtype=dtype)
        self.crop = crop(dtype)
        self.fc0 = layers.Dense(2 * width * 7 * 7, use_bias=False, dtype=dtype)
        self.bn0 = batch_norm(dtype)
        self.conv0 = conv_transpose(2 * width, dtype)
        self.bn1 = batch_norm(dtype)
        self.conv1 = conv_transpose(width, dtype)
        self.bn2 = batch_norm(dtype)
        self.conv2 = layers.Conv2D(1, 5, strides=1, padding="same", dtype=dtype)

    def call(self, z, training=False):
        h = tf.nn.relu(self.bn0(self.fc0(z), training=training))  # (B, 3136)
        h = to_nhwc(tf.reshape(h, (-1, h.shape[1] // (7 * 7), 7, 7)))  # (B, 7, 7, 64)
        h = tf.nn.relu(self.bn1(self.crop(self.conv0(h)), training=training))  # (B, 14, 14, 64)
        h = tf.nn.relu(self.bn2(self.crop(self.conv1(h)), training=training))  # (B, 28, 28, 32)
        return to_nchw(tf.tanh(self.conv2(h)))  # (B, 1, 28, 28)


class Features(keras.Model):
    def __init__(self, width, dtype):
        super().__init__(dtype=dtype)
        self.pad = pad(dtype)
        self.conv0 = layers.Conv2D(width // 2, 5, strides=1, padding="same", dtype=dtype)
        self.conv1 = conv(width, dtype)
        self.bn0 = batch_norm(dtype)
        self.conv2 = conv(2 * width, dtype)

    def call(self, x, training=False):
        h = tf.nn.relu(self.conv0(to_nhwc(x)))  # (B, 28, 28, 16)
        h = tf.nn.relu(self.bn0(self.conv1(self.pad(h)), training=training))  # (B, 14, 14, 32)
        return to_nchw(self.conv2(self.pad(h)))  # (B, 64, 7, 7)


class Discriminator(keras.Model):
    def __init__(self, hidden, dtype):
        super().__init__(dtype=dtype)
        self.bn0 = batch_norm(dtype)
        self.fc0 = layers.Dense(hidden // 2, use_bias=False, dtype=dtype)
        self.bn1 = batch_norm(dtype)
        self.logit = layers.Dense(1, dtype=dtype)

    def call(self, h, training=False):
        h = tf.nn.relu(self.bn0(to_nhwc(h), training=training))  # (B, 7, 7, 64)
        h = tf.reshape(to_nchw(h), (-1, math.prod(h.shape[1:])))  # (B, 3136)
        h = tf.nn.relu(self.bn1(self.fc0(h), training=training))  # (B, 128)
        return self.logit(h)  # (B, 1)


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype, device):
    with tf.device(device):
        width, latent, hidden = spec.options["width"], spec.options["latent"], spec.options["hidden"]
        model = VAEGAN(
            Encoder(width, latent, hidden, dtype),
            Decoder(width, dtype),
            Features(width, dtype),
            Discriminator(hidden, dtype),
            spec.options["gamma"],
            dtype,
        )
        model.encoder(keras.Input((1, 28, 28)))  # Keras creates a network's variables at its first call
        model.decoder(keras.Input((latent,)))
        model.discriminator(model.features(keras.Input((1, 28, 28))))
        return start(model, spec)
