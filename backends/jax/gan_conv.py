"""GAN of convolutions, JAX. Specification: common/specs/gan_conv.py.

Radford et al. 2015, arXiv 1511.06434; article `gan`. Batch norms move their running statistics in every pass of a
training step; sample uses them, in evaluation mode, which the engine sets. Shapes are those of width 64.
"""

from functools import partial

from flax import nnx
from jax import numpy as jnp

from backends.jax.exact import ConvTranspose, leaky_relu
from backends.jax.layouts import to_nchw, to_nhwc
from backends.jax.optimizer import adam, update
from backends.jax.steps import State
from backends.jax.terms import bce

SLOPE, LATENT = 0.2, 100
MOMENTUM, EPSILON = 0.9, 1e-5

# -------------------------------------------------------------------------------------------- networks


def batch_norm(features, dtype, rngs):
    return nnx.BatchNorm(
        features,
        momentum=MOMENTUM,
        epsilon=EPSILON,
        use_fast_variance=False,  # E[x²] - E[x]² would lose digits
        dtype=dtype,
        param_dtype=dtype,
        rngs=rngs,
    )


class Generator(nnx.Module):
    def __init__(self, width, dtype, rngs):
        # transpose_kernel and this padding make it the gradient of a convolution, see conv_autoencoder.py.
        conv = partial(ConvTranspose, transpose_kernel=True, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.fc0 = nnx.Linear(LATENT, 2 * width * 7 * 7, use_bias=False, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.bn0 = batch_norm(2 * width, dtype, rngs)
        self.conv0 = conv(2 * width, width, (4, 4), strides=2, padding=4 - 1 - 1, use_bias=False)
        self.bn1 = batch_norm(width, dtype, rngs)
        self.conv1 = conv(width, 1, (4, 4), strides=2, padding=4 - 1 - 1)

    def __call__(self, z):
        h = to_nhwc(self.fc0(z).reshape(len(z), -1, 7, 7))  # (B, 7, 7, 128)
        h = nnx.relu(self.bn0(h))
        h = nnx.relu(self.bn1(self.conv0(h)))  # (B, 14, 14, 64)
        return to_nchw(jnp.tanh(self.conv1(h)))  # (B, 1, 28, 28)


class Discriminator(nnx.Module):
    def __init__(self, width, dtype, rngs):
        conv = partial(nnx.Conv, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.conv0 = conv(1, width, (4, 4), strides=2, padding=1)
        self.conv1 = conv(width, 2 * width, (4, 4), strides=2, padding=1, use_bias=False)
        self.bn0 = batch_norm(2 * width, dtype, rngs)
        self.logit = nnx.Linear(2 * width * 7 * 7, 1, dtype=dtype, param_dtype=dtype, rngs=rngs)

    def __call__(self, x):
        h = leaky_relu(self.conv0(to_nhwc(x)), SLOPE)  # (B, 14, 14, 64)
        h = leaky_relu(self.bn0(self.conv1(h)), SLOPE)  # (B, 7, 7, 128)
        return self.logit(to_nchw(h).reshape(len(h), -1))  # (B, 1)


class ConvGAN(nnx.Module):
    def __init__(self, width, dtype, rngs):
        self.generator = Generator(width, dtype, rngs)
        self.discriminator = Discriminator(width, dtype, rngs)


# ------------------------------------------------------------------------------------- forward, losses


def forward(model, inputs, noise):
    """images (B, 1, 28, 28) in [-1, 1], z (B, 100) -> generated (B, 1, 28, 28), logits of D for both (B, 1)."""
    generated = model.generator(noise["discriminator_z"])
    return {
        "generated": generated,
        "real_logits": model.discriminator(inputs["images"]),
        "fake_logits": model.discriminator(generated),
    }


def discriminator_losses(model, inputs, noise):
    """mean BCE(D(x), 1) + mean BCE(D(G(z)), 0), and D's mean probabilities."""
    output = forward(model, inputs, noise)
    real, fake = output["real_logits"], output["fake_logits"]
    return {
        "loss_d": bce(real, 1.0) + bce(fake, 0.0),
        "score_real": jnp.mean(nnx.sigmoid(real)),
        "score_fake": jnp.mean(nnx.sigmoid(fake)),
    }


def generator_losses(model, inputs, noise):
    """mean BCE(D(G(z)), 1), with a z of its own."""
    fooled = model.discriminator(model.generator(noise["generator_z"]))
    return {"loss_g": bce(fooled, 1.0)}


def losses(model, inputs, noise):
    return discriminator_losses(model, inputs, noise) | generator_losses(model, inputs, noise)


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype):
    rngs = nnx.Rngs(0)  # for initial values, which the engine replaces
    model = ConvGAN(dtype=dtype, rngs=rngs, **spec.options)
    return State(model, {name: adam(spec.update(name), model) for name in ("discriminator", "generator")})


def train_step(state, inputs, noise):
    values_d = update(state, "discriminator", discriminator_losses, "loss_d", inputs, noise)
    values_g = update(state, "generator", generator_losses, "loss_g", inputs, noise)  # judged by the D just updated
    return values_d | values_g


# ------------------------------------------------------------------------------------------- sampling


def sample(model, noise):
    """z (B, 100) -> images (B, 1, 28, 28) in [-1, 1]."""
    return model.generator(noise["z"])
