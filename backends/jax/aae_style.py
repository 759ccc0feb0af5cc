"""Adversarial autoencoder, style apart from content, JAX. Specification: common/specs/aae_style.py.

Makhzani et al. 2015, arXiv 1511.05644, section 4; article `aae`. Dropout masks are noise; without them a network runs in
evaluation mode. Shapes are those of width 1000.
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
    def __init__(self, width, dtype, rngs):
        linear = partial(nnx.Linear, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.fc0 = linear(784, width)
        self.fc1 = linear(width, width)
        self.fc2 = linear(width, 2)

    def __call__(self, x, masks=(None, None)):
        h = nnx.relu(dropout(self.fc0(x), masks[0], keep=0.8))  # (B, 1000)
        h = nnx.relu(dropout(self.fc1(h), masks[1], keep=0.8))  # (B, 1000)
        return self.fc2(h)  # (B, 2), the style


class Decoder(nnx.Module):
    def __init__(self, width, dtype, rngs):
        linear = partial(nnx.Linear, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.fc0 = linear(10 + 2, width)
        self.fc1 = linear(width, width)
        self.fc2 = linear(width, 784)

    def __call__(self, labels, style, masks=(None, None)):
        h = jnp.concatenate([labels, style], axis=1)  # (B, 12)
        h = nnx.relu(dropout(self.fc0(h), masks[0], keep=0.8))  # (B, 1000)
        h = dropout(self.fc1(h), masks[1], keep=0.8)  # (B, 1000), no ReLU here
        return self.fc2(h)  # (B, 784), logits


class Discriminator(nnx.Module):
    def __init__(self, width, dtype, rngs):
        linear = partial(nnx.Linear, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.fc0 = linear(2, width)
        self.fc1 = linear(width, width)
        self.fc2 = linear(width, 1)

    def __call__(self, style, masks):
        h = nnx.relu(dropout(self.fc0(style), masks[0], keep=0.8))  # (B, 1000)
        h = nnx.relu(dropout(self.fc1(h), masks[1], keep=0.8))  # (B, 1000)
        return nnx.sigmoid(self.fc2(h))  # (B, 1)


class StyleAAE(nnx.Module):
    def __init__(self, width, dtype, rngs):
        self.encoder = Encoder(width, dtype, rngs)
        self.decoder = Decoder(width, dtype, rngs)
        self.discriminator = Discriminator(width, dtype, rngs)


# ------------------------------------------------------------------------------------- forward, losses


def masks(noise, which):
    return [noise[f"{which}_mask{k}"] for k in range(2)]


def forward(model, inputs, noise):
    """images (B, 784) in [0, 1], labels (B, 10) one-hot -> style (B, 2), logits (B, 784), D's probabilities for the prior and
    the style (B, 1)."""
    style = model.encoder(inputs["images"], masks(noise, "encoder"))
    return {
        "style": style,
        "logits": model.decoder(inputs["labels"], style, masks(noise, "decoder")),
        "real": model.discriminator(noise["prior"], masks(noise, "real")),
        "fake": model.discriminator(model.encoder(inputs["images"]), masks(noise, "fake")),
    }


def reconstruction_losses(model, inputs, noise):
    """mean BCE(decoder([label, encoder(x)]), x)."""
    style = model.encoder(inputs["images"], masks(noise, "encoder"))
    logits = model.decoder(inputs["labels"], style, masks(noise, "decoder"))
    return {"loss_r": jnp.mean(optax.sigmoid_binary_cross_entropy(logits, inputs["images"]))}


def discriminator_losses(model, inputs, noise):
    """-mean[log(D(z) + EPS) + log(1 - D(encoder(x)) + EPS)], no dropout in the encoder."""
    style = model.encoder(inputs["images"])
    real = model.discriminator(noise["prior"], masks(noise, "real"))
    fake = model.discriminator(style, masks(noise, "fake"))
    return {"loss_d": -jnp.mean(jnp.log(real + EPS) + jnp.log(complement(fake) + EPS))}


def generator_losses(model, inputs, noise):
    """-mean log(D(encoder(x)) + EPS), with dropout in the encoder."""
    style = model.encoder(inputs["images"], masks(noise, "generator"))
    fooled = model.discriminator(style, masks(noise, "fooled"))
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
    model = StyleAAE(dtype=dtype, rngs=rngs, **spec.options)
    # Two Adams over the encoder: that of the reconstruction and that of the generator, each with moments of its own.
    names = ("reconstruction", "discriminator", "generator")
    return State(model, {name: adam(spec.update(name), model) for name in names})


def train_step(state, inputs, noise):
    values_r = update(state, "reconstruction", reconstruction_losses, "loss_r", inputs, noise)
    values_d = update(state, "discriminator", discriminator_losses, "loss_d", inputs, noise)  # of styles just improved
    values_g = update(state, "generator", generator_losses, "loss_g", inputs, noise)  # judged by the D just updated
    return values_r | values_d | values_g


# ------------------------------------------------------------------------------------ coding, sampling


def encode(model, inputs):
    """images (B, 784) -> style (B, 2)."""
    return model.encoder(inputs["images"])


def reconstruct(model, inputs, noise):
    """images (B, 784), labels (B, 10) one-hot -> pixels (B, 784) in [0, 1]."""
    return nnx.sigmoid(model.decoder(inputs["labels"], model.encoder(inputs["images"])))


def sample(model, noise):
    """label (B, 10) one-hot, z (B, 2) from the prior N(0, 5²) -> pixels (B, 784) in [0, 1]."""
    return nnx.sigmoid(model.decoder(noise["label"], noise["z"]))
