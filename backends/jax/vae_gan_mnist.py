"""VAE-GAN for pictures of 28 × 28, JAX. Specification: common/specs/vae_gan.py.

Losses, updates, coding and sampling are those of vae_gan.py. Shapes are those of width 32.
"""

from functools import partial

from flax import nnx
from jax import numpy as jnp

from backends.jax.layouts import to_nchw, to_nhwc
from backends.jax.vae_gan import (  # noqa: F401
    VAEGAN,
    batch_norm,
    conv,
    conv_transpose,
    encode,
    forward,
    losses,
    reconstruct,
    sample,
    start,
    train_step,
)

# -------------------------------------------------------------------------------------------- networks


class Encoder(nnx.Module):
    def __init__(self, width, latent, hidden, dtype, rngs):
        linear = partial(nnx.Linear, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.conv0 = conv(1, width, dtype, rngs)
        self.bn0 = batch_norm(width, dtype, rngs)
        self.conv1 = conv(width, 2 * width, dtype, rngs)
        self.bn1 = batch_norm(2 * width, dtype, rngs)
        self.fc0 = linear(2 * width * 7 * 7, hidden, use_bias=False)
        self.bn2 = batch_norm(hidden, dtype, rngs)
        self.mean = linear(hidden, latent)
        self.logvar = linear(hidden, latent)

    def __call__(self, x):
        h = nnx.relu(self.bn0(self.conv0(to_nhwc(x))))  # (B, 14, 14, 32)
        h = nnx.relu(self.bn1(self.conv1(h)))  # (B, 7, 7, 64)
        h = nnx.relu(self.bn2(self.fc0(to_nchw(h).reshape(len(h), -1))))  # (B, 256)
        return self.mean(h), self.logvar(h)  # (B, 32)


class Decoder(nnx.Module):
    def __init__(self, width, latent, dtype, rngs):
        kind = {"dtype": dtype, "param_dtype": dtype, "rngs": rngs}
        self.fc0 = nnx.Linear(latent, 2 * width * 7 * 7, use_bias=False, **kind)
        self.bn0 = batch_norm(2 * width * 7 * 7, dtype, rngs)
        self.conv0 = conv_transpose(2 * width, 2 * width, dtype, rngs)
        self.bn1 = batch_norm(2 * width, dtype, rngs)
        self.conv1 = conv_transpose(2 * width, width, dtype, rngs)
        self.bn2 = batch_norm(width, dtype, rngs)
        self.conv2 = nnx.Conv(width, 1, (5, 5), strides=1, padding=2, **kind)

    def __call__(self, z):
        h = nnx.relu(self.bn0(self.fc0(z)))  # (B, 3136)
        h = to_nhwc(h.reshape(len(h), -1, 7, 7))  # (B, 7, 7, 64)
        h = nnx.relu(self.bn1(self.conv0(h)))  # (B, 14, 14, 64)
        h = nnx.relu(self.bn2(self.conv1(h)))  # (B, 28, 28, 32)
        return to_nchw(jnp.tanh(self.conv2(h)))  # (B, 1, 28, 28)


class Features(nnx.Module):
    def __init__(self, width, dtype, rngs):
        kind = {"dtype": dtype, "param_dtype": dtype, "rngs": rngs}
        self.conv0 = nnx.Conv(1, width // 2, (5, 5), strides=1, padding=2, **kind)
        self.conv1 = conv(width // 2, width, dtype, rngs)
        self.bn0 = batch_norm(width, dtype, rngs)
        self.conv2 = conv(width, 2 * width, dtype, rngs)

    def __call__(self, x):
        h = nnx.relu(self.conv0(to_nhwc(x)))  # (B, 28, 28, 16)
        h = nnx.relu(self.bn0(self.conv1(h)))  # (B, 14, 14, 32)
        return to_nchw(self.conv2(h))  # (B, 64, 7, 7)


class Discriminator(nnx.Module):
    def __init__(self, width, hidden, dtype, rngs):
        linear = partial(nnx.Linear, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.bn0 = batch_norm(2 * width, dtype, rngs)
        self.fc0 = linear(2 * width * 7 * 7, hidden // 2, use_bias=False)
        self.bn1 = batch_norm(hidden // 2, dtype, rngs)
        self.logit = linear(hidden // 2, 1)

    def __call__(self, h):
        h = nnx.relu(self.bn0(to_nhwc(h)))  # (B, 7, 7, 64)
        h = nnx.relu(self.bn1(self.fc0(to_nchw(h).reshape(len(h), -1))))  # (B, 128)
        return self.logit(h)  # (B, 1)


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype):
    width, latent, hidden = spec.options["width"], spec.options["latent"], spec.options["hidden"]
    rngs = nnx.Rngs(0)  # for initial values, which the engine replaces
    model = VAEGAN(
        Encoder(width, latent, hidden, dtype, rngs),
        Decoder(width, latent, dtype, rngs),
        Features(width, dtype, rngs),
        Discriminator(width, hidden, dtype, rngs),
        spec.options["gamma"],
    )
    return start(model, spec)
