"""InfoGAN for 3-D faces, TensorFlow. Specification: common/specs/infogan_colour.py.

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
        self.fc0 = layers.Dense(16 * width, use_bias=False, dtype=dtype)
        self.bn0 = batch_norm(dtype)
        self.fc1 = layers.Dense(2 * width * 8 * 8, use_bias=False, dtype=dtype)
        self.bn1 = batch_norm(dtype)
        self.conv0 = layers.Conv2DTranspose(width, 4, strides=2, padding="same", use_bias=False, dtype=dtype)
        self.bn2 = batch_norm(dtype)
        self.conv1 = layers.Conv2DTranspose(1, 4, strides=2, padding="same", dtype=dtype)

    def call(self, latent, training=False):
        h = tf.nn.relu(self.bn0(self.fc0(latent), training=training))  # (B, 1024)
        h = tf.nn.relu(self.bn1(self.fc1(h), training=training))  # (B, 8192)
        h = to_nhwc(tf.reshape(h, (-1, h.shape[1] // (8 * 8), 8, 8)))  # (B, 8, 8, 128)
        h = tf.nn.relu(self.bn2(self.conv0(h), training=training))  # (B, 16, 16, 64)
        return to_nchw(tf.sigmoid(self.conv1(h)))  # (B, 1, 32, 32)


class Trunk(keras.Model):
    def __init__(self, width, slope, dtype):
        super().__init__(dtype=dtype)
        self.slope = slope
        self.conv0 = layers.Conv2D(width, 4, strides=2, padding="same", dtype=dtype)
        self.conv1 = layers.Conv2D(2 * width, 4, strides=2, padding="same", use_bias=False, dtype=dtype)
        self.bn0 = batch_norm(dtype)
        self.fc0 = layers.Dense(16 * width, use_bias=False, dtype=dtype)
        self.bn1 = batch_norm(dtype)

    def call(self, x, training=False):
        h = leaky_relu(self.conv0(to_nhwc(x)), self.slope)  # (B, 16, 16, 64)
        h = leaky_relu(self.bn0(self.conv1(h), training=training), self.slope)  # (B, 8, 8, 128)
        h = tf.reshape(to_nchw(h), (-1, math.prod(h.shape[1:])))  # (B, 8192)
        return leaky_relu(self.bn1(self.fc0(h), training=training), self.slope)  # (B, 1024)


class Recognition(keras.Model):
    def __init__(self, codes, fixed_deviation, dtype):
        super().__init__(dtype=dtype)
        self.mean = layers.Dense(codes, dtype=dtype)
        self.logstd = None if fixed_deviation else layers.Dense(codes, dtype=dtype)

    def call(self, h, training=False):
        found = {"mean": self.mean(h)}  # (B, 5)
        return found if self.logstd is None else found | {"logstd": self.logstd(h)}  # (B, 5)


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype, device):
    with tf.device(device):
        width, codes = spec.options["width"], spec.options["codes"]
        model = InfoGAN(
            Generator(width, dtype),
            Trunk(width, spec.slope, dtype),
            Discriminator(dtype),
            Recognition(codes, spec.options["fixed_deviation"], dtype),
            spec.options,
            dtype,
        )
        # Keras creates a network's variables at its first call.
        model.generator(keras.Input((spec.options["z"] + codes,)))
        features = model.trunk(keras.Input((1, 32, 32)))
        model.discriminator(features)
        model.recognition(features)
        return start(model, spec)
