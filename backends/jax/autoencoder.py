"""Autoencoder, JAX: 784 pixels to a 3-D code and back. Specification: common/specs/autoencoder.py.

Article `autoencoders`; sizes of the article, optimiser of pytorch-beginner 08-AutoEncoder.
"""

from functools import partial

from flax import nnx
from jax import numpy as jnp

from backends.jax.optimizer import adam, update
from backends.jax.steps import State

# -------------------------------------------------------------------------------------------- networks


class Encoder(nnx.Module):
    def __init__(self, dtype, rngs):
        linear = partial(nnx.Linear, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.fc0 = linear(784, 128)
        self.fc1 = linear(128, 64)
        self.fc2 = linear(64, 12)
        self.fc3 = linear(12, 3)

    def __call__(self, x):
        h = nnx.relu(self.fc0(x))  # (B, 128)
        h = nnx.relu(self.fc1(h))  # (B, 64)
        h = nnx.relu(self.fc2(h))  # (B, 12)
        return self.fc3(h)  # (B, 3)


class Decoder(nnx.Module):
    def __init__(self, dtype, rngs):
        linear = partial(nnx.Linear, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.fc0 = linear(3, 12)
        self.fc1 = linear(12, 64)
        self.fc2 = linear(64, 128)
        self.fc3 = linear(128, 784)

    def __call__(self, code):
        h = nnx.relu(self.fc0(code))  # (B, 12)
        h = nnx.relu(self.fc1(h))  # (B, 64)
        h = nnx.relu(self.fc2(h))  # (B, 128)
        return jnp.tanh(self.fc3(h))  # (B, 784)


class Autoencoder(nnx.Module):
    def __init__(self, dtype, rngs):
        self.encoder = Encoder(dtype, rngs)
        self.decoder = Decoder(dtype, rngs)


# ------------------------------------------------------------------------------------- forward, losses


def forward(model, inputs, noise):
    """images (B, 784) in [-1, 1] -> code (B, 3), reconstruction (B, 784)."""
    code = model.encoder(inputs["images"])
    return {"code": code, "reconstruction": model.decoder(code)}


def losses(model, inputs, noise):
    """Mean squared error over all elements."""
    reconstruction = forward(model, inputs, noise)["reconstruction"]
    return {"loss": jnp.mean((reconstruction - inputs["images"]) ** 2)}


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype):
    rngs = nnx.Rngs(0)  # for initial values, which the engine replaces
    model = Autoencoder(dtype, rngs)
    return State(model, {"train": adam(spec.update("train"), model)})


def train_step(state, inputs, noise):
    return update(state, "train", losses, "loss", inputs, noise)


# ------------------------------------------------------------------------------------ coding, sampling


def encode(model, inputs):
    """images (B, 784) -> code (B, 3)."""
    return model.encoder(inputs["images"])


def reconstruct(model, inputs, noise):
    """images (B, 784) -> reconstruction (B, 784) in [-1, 1]."""
    return forward(model, inputs, noise)["reconstruction"]
