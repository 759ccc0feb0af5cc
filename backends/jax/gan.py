"""Generative adversarial network, JAX. Specification: common/specs/gan.py.

Goodfellow et al. 2014, arXiv 1406.2661; article `gan`. Dropout is always on, as published: its masks are noise.
"""

from functools import partial

from flax import nnx
from jax import numpy as jnp

from backends.jax.optimizer import adam, update
from backends.jax.steps import State
from backends.jax.terms import bce

SLOPE, KEEP = 0.2, 0.7

# -------------------------------------------------------------------------------------------- networks


class Generator(nnx.Module):
    def __init__(self, dtype, rngs):
        linear = partial(nnx.Linear, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.fc0 = linear(100, 256)
        self.fc1 = linear(256, 512)
        self.fc2 = linear(512, 1024)
        self.fc3 = linear(1024, 784)

    def __call__(self, z):
        h = nnx.leaky_relu(self.fc0(z), SLOPE)  # (B, 256)
        h = nnx.leaky_relu(self.fc1(h), SLOPE)  # (B, 512)
        h = nnx.leaky_relu(self.fc2(h), SLOPE)  # (B, 1024)
        return jnp.tanh(self.fc3(h))  # (B, 784)


class Discriminator(nnx.Module):
    def __init__(self, dtype, rngs):
        linear = partial(nnx.Linear, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.fc0 = linear(784, 1024)
        self.fc1 = linear(1024, 512)
        self.fc2 = linear(512, 256)
        self.fc3 = linear(256, 1)

    def __call__(self, x, masks):
        h = nnx.leaky_relu(self.fc0(x), SLOPE) * masks[0] / KEEP  # (B, 1024)
        h = nnx.leaky_relu(self.fc1(h), SLOPE) * masks[1] / KEEP  # (B, 512)
        h = nnx.leaky_relu(self.fc2(h), SLOPE) * masks[2] / KEEP  # (B, 256)
        return self.fc3(h)  # (B, 1), logits


class GAN(nnx.Module):
    def __init__(self, dtype, rngs):
        self.generator = Generator(dtype, rngs)
        self.discriminator = Discriminator(dtype, rngs)


# ------------------------------------------------------------------------------------- forward, losses


def masks(noise, which):
    return [noise[f"{which}_mask{k}"] for k in range(3)]


def forward(model, inputs, noise):
    """images (B, 784) in [-1, 1], z (B, 100) -> generated (B, 784), logits of D for both (B, 1)."""
    generated = model.generator(noise["discriminator_z"])
    return {
        "generated": generated,
        "real_logits": model.discriminator(inputs["images"], masks(noise, "real")),
        "fake_logits": model.discriminator(generated, masks(noise, "fake")),
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
    fooled = model.discriminator(model.generator(noise["generator_z"]), masks(noise, "fooled"))
    return {"loss_g": bce(fooled, 1.0)}


def losses(model, inputs, noise):
    return discriminator_losses(model, inputs, noise) | generator_losses(model, inputs, noise)


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype):
    rngs = nnx.Rngs(0)  # for initial values, which the engine replaces
    model = GAN(dtype, rngs)
    return State(model, {name: adam(spec.update(name), model) for name in ("discriminator", "generator")})


def train_step(state, inputs, noise):
    values_d = update(state, "discriminator", discriminator_losses, "loss_d", inputs, noise)
    values_g = update(state, "generator", generator_losses, "loss_g", inputs, noise)  # judged by the D just updated
    return values_d | values_g


# -------------------------------------------------------------------------------------------- sampling


def sample(model, noise):
    """z (B, 100) from the prior N(0, 1) -> images (B, 784) in [-1, 1]."""
    return model.generator(noise["z"])
