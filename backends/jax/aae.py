"""Adversarial autoencoder, JAX. Specification: common/specs/aae.py.

Makhzani et al. 2015, arXiv 1511.05644; article `aae`. Dropout masks are noise; without them a network runs in
evaluation mode.
"""

from functools import partial

import optax
from flax import nnx
from jax import numpy as jnp

from backends.jax.optimizer import adam, update
from backends.jax.steps import State
from backends.jax.terms import complement, dropout

EPS = 1e-15

# -------------------------------------------------------------------------------------------- networks


class Encoder(nnx.Module):
    def __init__(self, dtype, rngs):
        linear = partial(nnx.Linear, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.fc0 = linear(784, 1000)
        self.fc1 = linear(1000, 1000)
        self.fc2 = linear(1000, 120)

    def __call__(self, x, masks=(None, None)):
        h = nnx.relu(dropout(self.fc0(x), masks[0], keep=0.75))  # (B, 1000)
        h = nnx.relu(dropout(self.fc1(h), masks[1], keep=0.75))  # (B, 1000)
        return self.fc2(h)  # (B, 120), the code


class Decoder(nnx.Module):
    def __init__(self, dtype, rngs):
        linear = partial(nnx.Linear, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.fc0 = linear(120, 1000)
        self.fc1 = linear(1000, 1000)
        self.fc2 = linear(1000, 784)

    def __call__(self, code, masks=(None, None)):
        h = nnx.relu(dropout(self.fc0(code), masks[0], keep=0.75))  # (B, 1000)
        h = dropout(self.fc1(h), masks[1], keep=0.75)  # (B, 1000), no ReLU here
        return self.fc2(h)  # (B, 784), logits


class Discriminator(nnx.Module):
    def __init__(self, dtype, rngs):
        linear = partial(nnx.Linear, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.fc0 = linear(120, 500)
        self.fc1 = linear(500, 500)
        self.fc2 = linear(500, 1)

    def __call__(self, code, masks):
        h = nnx.relu(dropout(self.fc0(code), masks[0], keep=0.8))  # (B, 500)
        h = nnx.relu(dropout(self.fc1(h), masks[1], keep=0.8))  # (B, 500)
        return nnx.sigmoid(self.fc2(h))  # (B, 1)


class AAE(nnx.Module):
    def __init__(self, dtype, rngs):
        self.encoder = Encoder(dtype, rngs)
        self.decoder = Decoder(dtype, rngs)
        self.discriminator = Discriminator(dtype, rngs)


# ------------------------------------------------------------------------------------- forward, losses


def masks(noise, which):
    return [noise[f"{which}_mask{k}"] for k in range(2)]


def forward(model, inputs, noise):
    """images (B, 784) in [0, 1] -> code (B, 120), logits (B, 784), D's probabilities for the prior and the code (B, 1)."""
    code = model.encoder(inputs["images"], masks(noise, "encoder"))
    return {
        "code": code,
        "logits": model.decoder(code, masks(noise, "decoder")),
        "real": model.discriminator(noise["prior"], masks(noise, "real")),
        "fake": model.discriminator(model.encoder(inputs["images"]), masks(noise, "fake")),
    }


def reconstruction_losses(model, inputs, noise):
    """mean BCE(decoder(encoder(x)), x)."""
    logits = model.decoder(model.encoder(inputs["images"], masks(noise, "encoder")), masks(noise, "decoder"))
    return {"loss_r": jnp.mean(optax.sigmoid_binary_cross_entropy(logits, inputs["images"]))}


def discriminator_losses(model, inputs, noise):
    """-mean[log(D(z) + EPS) + log(1 - D(encoder(x)) + EPS)], no dropout in the encoder."""
    code = model.encoder(inputs["images"])
    real = model.discriminator(noise["prior"], masks(noise, "real"))
    fake = model.discriminator(code, masks(noise, "fake"))
    return {"loss_d": -jnp.mean(jnp.log(real + EPS) + jnp.log(complement(fake) + EPS))}


def generator_losses(model, inputs, noise):
    """-mean log(D(encoder(x)) + EPS), with dropout in the encoder."""
    code = model.encoder(inputs["images"], masks(noise, "generator"))
    fooled = model.discriminator(code, masks(noise, "fooled"))
    return {"loss_g": -jnp.mean(jnp.log(fooled + EPS))}


def losses(model, inputs, noise):
    return (
        reconstruction_losses(model, inputs, noise)
        | discriminator_losses(model, inputs, noise)
        | generator_losses(model, inputs, noise)
    )


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype):
    rngs = nnx.Rngs(0)  # for initial values, which the engine replaces
    model = AAE(dtype, rngs)
    # Two Adams over the encoder: that of the reconstruction and that of the generator, each with moments of its own.
    names = ("reconstruction", "discriminator", "generator")
    return State(model, {name: adam(spec.update(name), model) for name in names})


def train_step(state, inputs, noise):
    values_r = update(state, "reconstruction", reconstruction_losses, "loss_r", inputs, noise)
    values_d = update(state, "discriminator", discriminator_losses, "loss_d", inputs, noise)  # of codes just improved
    values_g = update(state, "generator", generator_losses, "loss_g", inputs, noise)  # judged by the D just updated
    return values_r | values_d | values_g


# ------------------------------------------------------------------------------------ coding, sampling


def encode(model, inputs):
    """images (B, 784) -> code (B, 120)."""
    return model.encoder(inputs["images"])


def reconstruct(model, inputs, noise):
    """images (B, 784) -> pixels (B, 784) in [0, 1]."""
    return nnx.sigmoid(model.decoder(model.encoder(inputs["images"])))


def sample(model, noise):
    """z (B, 120) from the prior N(0, 5²) -> pixels (B, 784) in [0, 1]."""
    return nnx.sigmoid(model.decoder(noise["z"]))
