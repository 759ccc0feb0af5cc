"""Variational autoencoder, JAX: `vae` and `vae_z100`. Specification: common/specs/vae.py.

Kingma & Welling 2013, arXiv 1312.6114; articles `autoencoders` and `vae_notes`.
"""

from functools import partial

from flax import nnx
from jax import numpy as jnp

from backends.jax.optimizer import adam, update
from backends.jax.steps import State

# -------------------------------------------------------------------------------------------- networks


class Encoder(nnx.Module):
    def __init__(self, pixels, hidden, latent, dtype, rngs):
        linear = partial(nnx.Linear, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.fc0 = linear(pixels, hidden)
        self.mean = linear(hidden, latent)
        self.logvar = linear(hidden, latent)

    def __call__(self, x):
        h = nnx.relu(self.fc0(x))  # (B, hidden)
        return self.mean(h), self.logvar(h)  # (B, latent) each


class Decoder(nnx.Module):
    def __init__(self, latent, hidden, pixels, dtype, rngs):
        linear = partial(nnx.Linear, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.fc0 = linear(latent, hidden)
        self.fc1 = linear(hidden, pixels)

    def __call__(self, z):
        h = nnx.relu(self.fc0(z))  # (B, hidden)
        return self.fc1(h)  # (B, 784), logits


class VAE(nnx.Module):
    def __init__(self, pixels, hidden, latent, reduction, dtype, rngs):
        self.encoder = Encoder(pixels, hidden, latent, dtype, rngs)
        self.decoder = Decoder(latent, hidden, pixels, dtype, rngs)
        self.reduction = reduction  # over the batch: "sum" in vae, "mean" in vae_z100


# ------------------------------------------------------------------------------------- forward, losses


def forward(model, inputs, noise):
    """images (B, 784) in [0, 1], epsilon (B, latent) ~ N(0, 1) -> mean, logvar, z (B, latent), logits (B, 784)."""
    mean, logvar = model.encoder(inputs["images"])
    z = mean + jnp.exp(logvar / 2) * noise["epsilon"]
    return {"mean": mean, "logvar": logvar, "z": z, "logits": model.decoder(z)}


def losses(model, inputs, noise):
    """BCE + KL(N(mean, exp(logvar)) ‖ N(0, 1)), summed over pixels and code, then reduced over the batch."""
    output = forward(model, inputs, noise)
    mean, logvar, logits = output["mean"], output["logvar"], output["logits"]
    # Not optax.sigmoid_binary_cross_entropy, which takes two exponentials and logarithms of each logit.
    bce = jnp.sum(nnx.softplus(logits) - inputs["images"] * logits, axis=1)  # (B,)
    kl = -0.5 * jnp.sum(1 + logvar - mean**2 - jnp.exp(logvar), axis=1)  # (B,)
    reduce = jnp.sum if model.reduction == "sum" else jnp.mean
    return {"loss": reduce(bce + kl), "bce": reduce(bce), "kl": reduce(kl)}


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype):
    rngs = nnx.Rngs(0)  # for initial values, which the engine replaces
    model = VAE(spec.images.shape[0], spec.options["hidden"], spec.options["latent"], spec.reduction, dtype, rngs)
    return State(model, {"train": adam(spec.update("train"), model)})


def train_step(state, inputs, noise):
    return update(state, "train", losses, "loss", inputs, noise)


# ------------------------------------------------------------------------------------ coding, sampling


def encode(model, inputs):
    """images (B, 784) -> mean of the code (B, latent)."""
    mean, _ = model.encoder(inputs["images"])
    return mean


def reconstruct(model, inputs, noise):
    """images (B, 784), epsilon (B, latent) -> pixels (B, 784) in [0, 1]."""
    return nnx.sigmoid(forward(model, inputs, noise)["logits"])


def sample(model, noise):
    """z (B, latent) from the prior N(0, 1) -> pixels (B, 784) in [0, 1]."""
    return nnx.sigmoid(model.decoder(noise["z"]))
