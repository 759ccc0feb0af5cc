"""Convolutional autoencoder, JAX: a code of 8 × 2 × 2 and back. Specification: common/specs/conv_autoencoder.py.

Article `autoencoders`; sizes of the article, optimiser of pytorch-beginner 08-AutoEncoder.
"""

from functools import partial

from flax import nnx
from jax import numpy as jnp

from backends.jax.exact import ConvTranspose
from backends.jax.layouts import to_nchw, to_nhwc
from backends.jax.optimizer import adam, update
from backends.jax.steps import State

# -------------------------------------------------------------------------------------------- networks


class Encoder(nnx.Module):
    def __init__(self, dtype, rngs):
        conv = partial(nnx.Conv, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.conv0 = conv(1, 16, (3, 3), strides=3, padding=1)
        self.conv1 = conv(16, 8, (3, 3), strides=2, padding=1)

    def __call__(self, x):
        h = nnx.relu(self.conv0(x))  # (B, 10, 10, 16)
        h = nnx.max_pool(h, (2, 2), strides=(2, 2), padding="VALID")  # (B, 5, 5, 16)
        h = nnx.relu(self.conv1(h))  # (B, 3, 3, 8)
        return nnx.max_pool(h, (2, 2), strides=(1, 1), padding="VALID")  # (B, 2, 2, 8)


class Decoder(nnx.Module):
    def __init__(self, dtype, rngs):
        # transpose_kernel makes it the gradient of a convolution, as in the other frameworks; without, Flax does not
        # turn the kernel. Its padding counts zeros around the spread input: kernel - 1 - the usual padding.
        conv = partial(ConvTranspose, transpose_kernel=True, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.conv0 = conv(8, 16, (3, 3), strides=2, padding=3 - 1 - 0)
        self.conv1 = conv(16, 8, (5, 5), strides=3, padding=5 - 1 - 1)
        self.conv2 = conv(8, 1, (2, 2), strides=2, padding=2 - 1 - 1)

    def __call__(self, code):
        h = nnx.relu(self.conv0(code))  # (B, 5, 5, 16)
        h = nnx.relu(self.conv1(h))  # (B, 15, 15, 8)
        return jnp.tanh(self.conv2(h))  # (B, 28, 28, 1)


class ConvAutoencoder(nnx.Module):
    def __init__(self, dtype, rngs):
        self.encoder = Encoder(dtype, rngs)
        self.decoder = Decoder(dtype, rngs)


# ------------------------------------------------------------------------------------- forward, losses


def forward(model, inputs, noise):
    """images (B, 1, 28, 28) in [-1, 1] -> code (B, 8, 2, 2), reconstruction (B, 1, 28, 28)."""
    code = model.encoder(to_nhwc(inputs["images"]))
    return {"code": to_nchw(code), "reconstruction": to_nchw(model.decoder(code))}


def losses(model, inputs, noise):
    """Mean squared error over all elements."""
    reconstruction = forward(model, inputs, noise)["reconstruction"]
    return {"loss": jnp.mean((reconstruction - inputs["images"]) ** 2)}


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype):
    rngs = nnx.Rngs(0)  # for initial values, which the engine replaces
    model = ConvAutoencoder(dtype, rngs)
    return State(model, {"train": adam(spec.update("train"), model)})


def train_step(state, inputs, noise):
    return update(state, "train", losses, "loss", inputs, noise)


# ------------------------------------------------------------------------------------ coding, sampling


def encode(model, inputs):
    """images (B, 1, 28, 28) -> code (B, 8, 2, 2)."""
    return to_nchw(model.encoder(to_nhwc(inputs["images"])))


def reconstruct(model, inputs, noise):
    """images (B, 1, 28, 28) -> reconstruction (B, 1, 28, 28) in [-1, 1]."""
    return forward(model, inputs, noise)["reconstruction"]
