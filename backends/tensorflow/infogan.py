"""InfoGAN, TensorFlow. Specification: common/specs/infogan.py.

Chen et al. 2016, arXiv 1606.03657; article `infogan`. Batch norms move their running statistics in every pass of a
training step; encode and sample use them, in evaluation mode, Keras's default. Shapes are those of width 64.
The networks for the paper's other data stand in infogan_svhn.py, infogan_faces.py and infogan_chairs.py.
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

MOMENTUM, EPSILON = 0.9, 1e-5

# -------------------------------------------------------------------------------------------- networks


# With kernel 4, stride 2 and even sides "same" means a padding of 1: one pixel at each end. An odd one it would put last.


def batch_norm(dtype):
    return BatchNorm(momentum=MOMENTUM, epsilon=EPSILON, dtype=dtype)


class Generator(keras.Model):
    def __init__(self, width, dtype):
        super().__init__(dtype=dtype)
        self.fc0 = layers.Dense(16 * width, use_bias=False, dtype=dtype)
        self.bn0 = batch_norm(dtype)
        self.fc1 = layers.Dense(2 * width * 7 * 7, use_bias=False, dtype=dtype)
        self.bn1 = batch_norm(dtype)
        self.conv0 = layers.Conv2DTranspose(width, 4, strides=2, padding="same", use_bias=False, dtype=dtype)
        self.bn2 = batch_norm(dtype)
        self.conv1 = layers.Conv2DTranspose(1, 4, strides=2, padding="same", dtype=dtype)

    def call(self, latent, training=False):
        h = tf.nn.relu(self.bn0(self.fc0(latent), training=training))  # (B, 1024)
        h = tf.nn.relu(self.bn1(self.fc1(h), training=training))  # (B, 6272)
        h = to_nhwc(tf.reshape(h, (-1, h.shape[1] // (7 * 7), 7, 7)))  # (B, 7, 7, 128)
        h = tf.nn.relu(self.bn2(self.conv0(h), training=training))  # (B, 14, 14, 64)
        return to_nchw(tf.sigmoid(self.conv1(h)))  # (B, 1, 28, 28)


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
        h = leaky_relu(self.conv0(to_nhwc(x)), self.slope)  # (B, 14, 14, 64)
        h = leaky_relu(self.bn0(self.conv1(h), training=training), self.slope)  # (B, 7, 7, 128)
        h = tf.reshape(to_nchw(h), (-1, math.prod(h.shape[1:])))  # (B, 6272)
        return leaky_relu(self.bn1(self.fc0(h), training=training), self.slope)  # (B, 1024)


class Discriminator(keras.Model):
    def __init__(self, dtype):
        super().__init__(dtype=dtype)
        self.logit = layers.Dense(1, dtype=dtype)

    def call(self, h):
        return self.logit(h)  # (B, 1)


class Recognition(keras.Model):
    def __init__(self, width, slope, categories, codes, fixed_deviation, dtype):
        super().__init__(dtype=dtype)
        self.slope = slope
        self.fc0 = layers.Dense(2 * width, use_bias=False, dtype=dtype)
        self.bn0 = batch_norm(dtype)
        self.category = layers.Dense(categories, dtype=dtype)
        self.mean = layers.Dense(codes, dtype=dtype)
        self.logstd = None if fixed_deviation else layers.Dense(codes, dtype=dtype)

    def call(self, h, training=False):
        h = leaky_relu(self.bn0(self.fc0(h), training=training), self.slope)  # (B, 128)
        found = {"category": self.category(h), "mean": self.mean(h)}  # (B, 10) logits, (B, 2)
        return found if self.logstd is None else found | {"logstd": self.logstd(h)}  # (B, 2)


class InfoGAN(keras.Model):
    def __init__(self, generator, trunk, discriminator, recognition, options, dtype):
        super().__init__(dtype=dtype)
        self.generator = generator
        self.trunk = trunk
        self.discriminator = discriminator
        self.recognition = recognition
        self.categories = options["categories"]
        self.classes = options["classes"]  # of a category
        self.category_weight = options["category_weight"]  # of the categories in the bound
        self.codes_weight = options["codes_weight"]  # of the continuous codes in it
        self.generator_weight = options["generator_weight"]  # of the bound in G's objective
        self.joint_batch = options.get("joint_batch", False)  # real and generated, to the trunk


# ------------------------------------------------------------------------------------- forward, losses


def latent(noise, which):
    """(B, 74): noise, categories, codes of the update or job `which`."""
    parts = [noise[f"{which}{part}"] for part in ("z", "category", "codes") if f"{which}{part}" in noise]
    return tf.concat([tf.reshape(part, (-1, math.prod(part.shape[1:]))) for part in parts], axis=1)


def information(model, recognized, noise, which):
    """The bound, and L_I of every code, c1 and on: categories before continuous codes."""
    found, bound = [], 0.0
    if "category" in recognized:
        logits = tf.reshape(recognized["category"], (-1, model.categories, model.classes))
        category = tf.reshape(noise[f"{which}category"], logits.shape)
        log_q = tf.reduce_sum(category * tf.nn.log_softmax(logits, axis=2), axis=2)
        info = tf.reduce_mean(log_q, axis=0) + math.log(model.classes)
        bound = bound + model.category_weight * tf.reduce_sum(info)
        found += tf.unstack(info)
    if "mean" in recognized:
        mean, codes = recognized["mean"], noise[f"{which}codes"]
        logstd = recognized["logstd"] if "logstd" in recognized else tf.zeros_like(mean)  # a fixed deviation is 1
        info = tf.reduce_mean(-logstd - 0.5 * ((codes - mean) / tf.exp(logstd)) ** 2, axis=0)
        bound = bound + model.codes_weight * tf.reduce_sum(info)
        found += tf.unstack(info)
    return bound, {f"info_c{k}": value for k, value in enumerate(found, 1)}


def joint(model, images, generated):
    """The trunk's features of both, (B, features) each, which its batch norms see as one batch."""
    return tf.split(model.trunk(tf.concat([images, generated], axis=0), training=True), 2)


def forward(model, inputs, noise):
    """images (B, C, H, W) -> generated (B, C, H, W), logits of D for both (B, 1), and what Q recognises in the generated
    images: logits of the categories (B, categories · classes); mean and, unless it is fixed, log deviation of the codes (B,
    codes)."""
    generated = model.generator(latent(noise, "discriminator_"), training=True)
    if model.joint_batch:
        real, fake = joint(model, inputs["images"], generated)
    else:
        real, fake = model.trunk(inputs["images"], training=True), model.trunk(generated, training=True)
    return {
        "generated": generated,
        "real_logits": model.discriminator(real),
        "fake_logits": model.discriminator(fake),
        **model.recognition(fake, training=True),
    }


def discriminator_losses(model, inputs, noise):
    """mean BCE(D(x), 1) + mean BCE(D(G), 0) - bound, its parts, and D's mean probabilities."""
    output = forward(model, inputs, noise)
    real, fake = output["real_logits"], output["fake_logits"]
    bound, info = information(model, output, noise, "discriminator_")
    loss = bce(real, 1.0) + bce(fake, 0.0)
    return {
        "objective_d": loss - bound,
        "loss_d": loss,
        "score_real": tf.reduce_mean(tf.sigmoid(real)),
        "score_fake": tf.reduce_mean(tf.sigmoid(fake)),
        **info,
    }


def generator_losses(model, inputs, noise):
    """mean BCE(D(G), 1) - generator_weight · bound, with latents of its own."""
    generated = model.generator(latent(noise, "generator_"), training=True)
    if model.joint_batch:
        _, fooled = joint(model, inputs["images"], generated)
    else:
        fooled = model.trunk(generated, training=True)
    bound, _ = information(model, model.recognition(fooled, training=True), noise, "generator_")
    loss = bce(model.discriminator(fooled), 1.0)
    return {"objective_g": loss - model.generator_weight * bound, "loss_g": loss}


def losses(model, inputs, noise):
    return discriminator_losses(model, inputs, noise) | generator_losses(model, inputs, noise)


# ------------------------------------------------------------------------------------------ train step


def start(model, spec):
    """The model, and an optimiser per update."""
    return State(model, {name: Adam(spec.update(name), model) for name in ("discriminator", "generator")})


def build(spec, dtype, device):
    with tf.device(device):
        width, codes = spec.options["width"], spec.options["codes"]
        categories = spec.options["categories"] * spec.options["classes"]
        model = InfoGAN(
            Generator(width, dtype),
            Trunk(width, spec.slope, dtype),
            Discriminator(dtype),
            Recognition(width, spec.slope, categories, codes, spec.options["fixed_deviation"], dtype),
            spec.options,
            dtype,
        )
        # Keras creates a network's variables at its first call.
        model.generator(keras.Input((spec.options["z"] + categories + codes,)))
        features = model.trunk(keras.Input((1, 28, 28)))
        model.discriminator(features)
        model.recognition(features)
        return start(model, spec)


def train_step(state, inputs, noise):
    with tf.GradientTape() as tape:
        values_d = discriminator_losses(state.model, inputs, noise)
    update(state.optimizers["discriminator"], values_d["objective_d"], tape)  # trunk, D and Q
    with tf.GradientTape() as tape:
        values_g = generator_losses(state.model, inputs, noise)  # judged by the D and Q just updated
    update(state.optimizers["generator"], values_g["objective_g"], tape)
    return values_d | values_g


# ------------------------------------------------------------------------------------ coding, sampling


def encode(model, inputs):
    """images (B, C, H, W) -> (B, categories · classes + codes): probabilities of the categories, means of the codes."""
    recognized, parts = model.recognition(model.trunk(inputs["images"])), []
    if "category" in recognized:
        logits = tf.reshape(recognized["category"], (-1, model.categories, model.classes))
        parts.append(tf.reshape(tf.nn.softmax(logits, axis=2), (-1, model.categories * model.classes)))
    if "mean" in recognized:
        parts.append(recognized["mean"])
    return tf.concat(parts, axis=1)


def sample(model, noise):
    """Latents z, category and codes -> images (B, C, H, W)."""
    return model.generator(latent(noise, ""))
