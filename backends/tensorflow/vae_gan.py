"""VAE-GAN, TensorFlow. Specification: common/specs/vae_gan.py.

Larsen et al. 2015, arXiv 1512.09300, Algorithm 1; article `autoencoders` points to it. Batch norms move their running
statistics in every pass of a training step; encode, reconstruct and sample use them, in evaluation mode, Keras's default.
Shapes are those of width 64. The networks for 28 × 28 stand in vae_gan_mnist.py.
"""

import math

import keras
import tensorflow as tf
from keras import layers

from backends.tensorflow.exact import BatchNorm
from backends.tensorflow.layouts import to_nchw, to_nhwc
from backends.tensorflow.optimizer import RMSProp, update_all
from backends.tensorflow.steps import State
from backends.tensorflow.terms import bce

MOMENTUM, EPSILON = 0.9, 1e-6

# -------------------------------------------------------------------------------------------- networks


# With kernel 5, stride 2 and even sides "same" puts one pixel before and two after, where a padding of 2 has the first window
# start two pixels before; of a transposed convolution it cuts as many. At stride 1 it means a padding of 2.


def batch_norm(dtype):
    return BatchNorm(momentum=MOMENTUM, epsilon=EPSILON, dtype=dtype)


def pad(dtype):
    return layers.ZeroPadding2D(2, dtype=dtype)


def conv(outputs, dtype):
    """Half the side, of a padded input."""
    return layers.Conv2D(outputs, 5, strides=2, padding="valid", use_bias=False, dtype=dtype)


def crop(dtype):
    return layers.Cropping2D(((2, 1), (2, 1)), dtype=dtype)


def conv_transpose(outputs, dtype):
    """Twice the side, once cropped."""
    return layers.Conv2DTranspose(outputs, 5, strides=2, padding="valid", use_bias=False, dtype=dtype)


class Encoder(keras.Model):
    def __init__(self, width, latent, hidden, dtype):
        super().__init__(dtype=dtype)
        self.pad = pad(dtype)
        self.conv0 = conv(width, dtype)
        self.bn0 = batch_norm(dtype)
        self.conv1 = conv(2 * width, dtype)
        self.bn1 = batch_norm(dtype)
        self.conv2 = conv(4 * width, dtype)
        self.bn2 = batch_norm(dtype)
        self.fc0 = layers.Dense(hidden, use_bias=False, dtype=dtype)
        self.bn3 = batch_norm(dtype)
        self.mean = layers.Dense(latent, dtype=dtype)
        self.logvar = layers.Dense(latent, dtype=dtype)

    def call(self, x, training=False):
        h = tf.nn.relu(self.bn0(self.conv0(self.pad(to_nhwc(x))), training=training))  # (B, 32, 32, 64)
        h = tf.nn.relu(self.bn1(self.conv1(self.pad(h)), training=training))  # (B, 16, 16, 128)
        h = tf.nn.relu(self.bn2(self.conv2(self.pad(h)), training=training))  # (B, 8, 8, 256)
        h = tf.reshape(to_nchw(h), (-1, math.prod(h.shape[1:])))  # (B, 16384)
        h = tf.nn.relu(self.bn3(self.fc0(h), training=training))  # (B, 2048)
        return self.mean(h), self.logvar(h)  # (B, 128)


class Decoder(keras.Model):
    def __init__(self, width, dtype):
        super().__init__(dtype=dtype)
        self.crop = crop(dtype)
        self.fc0 = layers.Dense(4 * width * 8 * 8, use_bias=False, dtype=dtype)
        self.bn0 = batch_norm(dtype)
        self.conv0 = conv_transpose(4 * width, dtype)
        self.bn1 = batch_norm(dtype)
        self.conv1 = conv_transpose(2 * width, dtype)
        self.bn2 = batch_norm(dtype)
        self.conv2 = conv_transpose(width // 2, dtype)
        self.bn3 = batch_norm(dtype)
        self.conv3 = layers.Conv2D(3, 5, strides=1, padding="same", dtype=dtype)

    def call(self, z, training=False):
        h = tf.nn.relu(self.bn0(self.fc0(z), training=training))  # (B, 16384)
        h = to_nhwc(tf.reshape(h, (-1, h.shape[1] // (8 * 8), 8, 8)))  # (B, 8, 8, 256)
        h = tf.nn.relu(self.bn1(self.crop(self.conv0(h)), training=training))  # (B, 16, 16, 256)
        h = tf.nn.relu(self.bn2(self.crop(self.conv1(h)), training=training))  # (B, 32, 32, 128)
        h = tf.nn.relu(self.bn3(self.crop(self.conv2(h)), training=training))  # (B, 64, 64, 32)
        return to_nchw(tf.tanh(self.conv3(h)))  # (B, 3, 64, 64)


class Features(keras.Model):
    def __init__(self, width, dtype):
        super().__init__(dtype=dtype)
        self.pad = pad(dtype)
        self.conv0 = layers.Conv2D(width // 2, 5, strides=1, padding="same", dtype=dtype)
        self.conv1 = conv(2 * width, dtype)
        self.bn0 = batch_norm(dtype)
        self.conv2 = conv(4 * width, dtype)
        self.bn1 = batch_norm(dtype)
        self.conv3 = conv(4 * width, dtype)

    def call(self, x, training=False):
        h = tf.nn.relu(self.conv0(to_nhwc(x)))  # (B, 64, 64, 32)
        h = tf.nn.relu(self.bn0(self.conv1(self.pad(h)), training=training))  # (B, 32, 32, 128)
        h = tf.nn.relu(self.bn1(self.conv2(self.pad(h)), training=training))  # (B, 16, 16, 256)
        return to_nchw(self.conv3(self.pad(h)))  # (B, 256, 8, 8)


class Discriminator(keras.Model):
    def __init__(self, hidden, dtype):
        super().__init__(dtype=dtype)
        self.bn0 = batch_norm(dtype)
        self.fc0 = layers.Dense(hidden // 4, use_bias=False, dtype=dtype)
        self.bn1 = batch_norm(dtype)
        self.logit = layers.Dense(1, dtype=dtype)

    def call(self, h, training=False):
        h = tf.nn.relu(self.bn0(to_nhwc(h), training=training))  # (B, 8, 8, 256)
        h = tf.reshape(to_nchw(h), (-1, math.prod(h.shape[1:])))  # (B, 16384)
        h = tf.nn.relu(self.bn1(self.fc0(h), training=training))  # (B, 512)
        return self.logit(h)  # (B, 1)


class VAEGAN(keras.Model):
    def __init__(self, encoder, decoder, features, discriminator, gamma, dtype):
        super().__init__(dtype=dtype)
        self.encoder = encoder
        self.decoder = decoder
        self.features = features
        self.discriminator = discriminator
        self.gamma = gamma  # of L_llike in the decoder's objective


# ------------------------------------------------------------------------------------- forward, losses


def forward(model, inputs, noise):
    """images x (B, C, H, W), epsilon and prior zₚ (B, latent) ~ N(0, 1) -> mean, logvar, z (B, latent); reconstructed x̃ and
    generated xₚ (B, C, H, W); Dis_l of x and x̃ (B, channels, side, side); logits of x, x̃ and xₚ (B, 1)."""
    mean, logvar = model.encoder(inputs["images"], training=True)
    z = mean + tf.exp(logvar / 2) * noise["epsilon"]
    reconstructed, generated = model.decoder(z, training=True), model.decoder(noise["prior"], training=True)
    real, copied, fake = (model.features(x, training=True) for x in (inputs["images"], reconstructed, generated))
    return {
        "mean": mean,
        "logvar": logvar,
        "z": z,
        "reconstructed": reconstructed,
        "generated": generated,
        "real_features": real,
        "copied_features": copied,
        "real_logits": model.discriminator(real, training=True),
        "copied_logits": model.discriminator(copied, training=True),
        "fake_logits": model.discriminator(fake, training=True),
    }


def losses(model, inputs, noise):
    """The objectives of encoder, decoder and discriminator, their parts, and the mean probabilities."""
    output = forward(model, inputs, noise)
    mean, logvar = output["mean"], output["logvar"]
    real, copied, fake = output["real_logits"], output["copied_logits"], output["fake_logits"]
    prior = tf.reduce_mean(-0.5 * tf.reduce_sum(1 + logvar - mean**2 - tf.exp(logvar), axis=1))
    apart = output["real_features"] - output["copied_features"]
    likelihood = tf.reduce_mean(0.5 * tf.reduce_sum(apart**2, axis=(1, 2, 3)))
    loss_d = bce(real, 1.0) + bce(copied, 0.0) + bce(fake, 0.0)
    return {
        "objective_encoder": prior + likelihood,
        "objective_decoder": model.gamma * likelihood - loss_d,
        "loss_d": loss_d,
        "prior": prior,
        "likelihood": likelihood,
        "score_real": tf.reduce_mean(tf.sigmoid(real)),
        "score_copied": tf.reduce_mean(tf.sigmoid(copied)),
        "score_fake": tf.reduce_mean(tf.sigmoid(fake)),
    }


# ------------------------------------------------------------------------------------------ train step


def start(model, spec):
    """The model, and an optimiser per update."""
    return State(model, {update.name: RMSProp(update, model) for update in spec.updates})


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
        model.encoder(keras.Input((3, 64, 64)))  # Keras creates a network's variables at its first call
        model.decoder(keras.Input((latent,)))
        model.discriminator(model.features(keras.Input((3, 64, 64))))
        return start(model, spec)


def train_step(state, inputs, noise):
    with tf.GradientTape(persistent=True) as tape:
        values = losses(state.model, inputs, noise)
    objectives = {
        "encoder": values["objective_encoder"],
        "decoder": values["objective_decoder"],
        "discriminator": values["loss_d"],  # features and discriminator
    }
    update_all(state.optimizers, objectives, tape)
    return values


# ------------------------------------------------------------------------------------ coding, sampling


def encode(model, inputs):
    """images (B, C, H, W) -> mean of the code (B, latent)."""
    mean, _ = model.encoder(inputs["images"])
    return mean


def reconstruct(model, inputs, noise):
    """images (B, C, H, W), epsilon (B, latent) -> images (B, C, H, W) in [-1, 1]."""
    mean, logvar = model.encoder(inputs["images"])
    return model.decoder(mean + tf.exp(logvar / 2) * noise["epsilon"])


def sample(model, noise):
    """z (B, latent) from the prior N(0, 1) -> images (B, C, H, W) in [-1, 1]."""
    return model.decoder(noise["z"])
