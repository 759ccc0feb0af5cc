"""InfoGAN for street numbers and for faces of celebrities, TensorFlow. Specification: common/specs/infogan_colour.py.

Chen et al. 2016, arXiv 1606.03657, appendix C; article `infogan`. Losses, updates, coding and sampling are those of
infogan.py. Shapes are those of width 64.
"""

import math

import keras
import tensorflow as tf
from keras import layers

from backends.tensorflow.exact import leaky_relu
from backends.tensorflow.infogan import (  # noqa: F401
    Discriminator,
    InfoGAN,
    batch_norm,
    encode,
    forward,
    losses,
    sample,
    start,
    train_step,
)
from backends.tensorflow.layouts import to_nchw, to_nhwc

# -------------------------------------------------------------------------------------------- networks


# With kernel 4, stride 2 and even sides "same" means a padding of 1: one pixel at each end. An odd one it would put last.


class Generator(keras.Model):
    def __init__(self, width, dtype):
        super().__init__(dtype=dtype)
        self.fc0 = layers.Dense(7 * width * 2 * 2, use_bias=False, dtype=dtype)
        self.bn0 = batch_norm(dtype)
        self.conv0 = layers.Conv2DTranspose(4 * width, 4, strides=2, padding="same", use_bias=False, dtype=dtype)
        self.bn1 = batch_norm(dtype)
        self.conv1 = layers.Conv2DTranspose(2 * width, 4, strides=2, padding="same", dtype=dtype)
        self.conv2 = layers.Conv2DTranspose(width, 4, strides=2, padding="same", dtype=dtype)
        self.conv3 = layers.Conv2DTranspose(3, 4, strides=2, padding="same", dtype=dtype)

    def call(self, latent, training=False):
        h = tf.nn.relu(self.bn0(self.fc0(latent), training=training))  # (B, 1792)
        h = to_nhwc(tf.reshape(h, (-1, h.shape[1] // (2 * 2), 2, 2)))  # (B, 2, 2, 448)
        h = tf.nn.relu(self.bn1(self.conv0(h), training=training))  # (B, 4, 4, 256)
        h = tf.nn.relu(self.conv1(h))  # (B, 8, 8, 128)
        h = tf.nn.relu(self.conv2(h))  # (B, 16, 16, 64)
        return to_nchw(tf.tanh(self.conv3(h)))  # (B, 3, 32, 32)


class Trunk(keras.Model):
    def __init__(self, width, slope, dtype):
        super().__init__(dtype=dtype)
        self.slope = slope
        self.conv0 = layers.Conv2D(width, 4, strides=2, padding="same", dtype=dtype)
        self.conv1 = layers.Conv2D(2 * width, 4, strides=2, padding="same", use_bias=False, dtype=dtype)
        self.bn0 = batch_norm(dtype)
        self.conv2 = layers.Conv2D(4 * width, 4, strides=2, padding="same", use_bias=False, dtype=dtype)
        self.bn1 = batch_norm(dtype)

    def call(self, x, training=False):
        h = leaky_relu(self.conv0(to_nhwc(x)), self.slope)  # (B, 16, 16, 64)
        h = leaky_relu(self.bn0(self.conv1(h), training=training), self.slope)  # (B, 8, 8, 128)
        h = leaky_relu(self.bn1(self.conv2(h), training=training), self.slope)  # (B, 4, 4, 256)
        return tf.reshape(to_nchw(h), (-1, math.prod(h.shape[1:])))  # (B, 4096)


class Recognition(keras.Model):
    def __init__(self, width, slope, categories, codes, dtype):
        super().__init__(dtype=dtype)
        self.slope = slope
        self.fc0 = layers.Dense(2 * width, use_bias=False, dtype=dtype)
        self.bn0 = batch_norm(dtype)
        self.category = layers.Dense(categories, dtype=dtype)
        self.mean = layers.Dense(codes, dtype=dtype) if codes else None
        self.logstd = layers.Dense(codes, dtype=dtype) if codes else None

    def call(self, h, training=False):
        h = leaky_relu(self.bn0(self.fc0(h), training=training), self.slope)  # (B, 128)
        found = {"category": self.category(h)}  # (B, 40) logits
        return found if self.mean is None else found | {"mean": self.mean(h), "logstd": self.logstd(h)}  # (B, 4)


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype, device):
    with tf.device(device):
        width, codes = spec.options["width"], spec.options["codes"]
        categories = spec.options["categories"] * spec.options["classes"]
        model = InfoGAN(
            Generator(width, dtype),
            Trunk(width, spec.slope, dtype),
            Discriminator(dtype),
            Recognition(width, spec.slope, categories, codes, dtype),
            spec.options,
            dtype,
        )
        # Keras creates a network's variables at its first call.
        model.generator(keras.Input((spec.options["z"] + categories + codes,)))
        features = model.trunk(keras.Input((3, 32, 32)))
        model.discriminator(features)
        model.recognition(features)
        return start(model, spec)
