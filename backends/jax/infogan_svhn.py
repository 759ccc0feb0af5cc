"""InfoGAN for street numbers and for faces of celebrities, JAX. Specification: common/specs/infogan_colour.py.

Chen et al. 2016, arXiv 1606.03657, appendix C; article `infogan`. Losses, updates, coding and sampling are those of
infogan.py. Shapes are those of width 64.
"""

from functools import partial

from flax import nnx
from jax import numpy as jnp

from backends.jax.exact import ConvTranspose, leaky_relu
from backends.jax.infogan import (  # noqa: F401
    Discriminator,
    InfoGAN,
    batch_norm,
    encode,
    forward,
    losses,
    sample,
    start,
    train_step,
)
from backends.jax.layouts import to_nchw, to_nhwc

# -------------------------------------------------------------------------------------------- networks


class Generator(nnx.Module):
    def __init__(self, latent, width, dtype, rngs):
        # transpose_kernel and this padding make it the gradient of a convolution, see conv_autoencoder.py.
        conv = partial(ConvTranspose, transpose_kernel=True, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.fc0 = nnx.Linear(latent, 7 * width * 2 * 2, use_bias=False, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.bn0 = batch_norm(7 * width * 2 * 2, dtype, rngs)
        self.conv0 = conv(7 * width, 4 * width, (4, 4), strides=2, padding=4 - 1 - 1, use_bias=False)
        self.bn1 = batch_norm(4 * width, dtype, rngs)
        self.conv1 = conv(4 * width, 2 * width, (4, 4), strides=2, padding=4 - 1 - 1)
        self.conv2 = conv(2 * width, width, (4, 4), strides=2, padding=4 - 1 - 1)
        self.conv3 = conv(width, 3, (4, 4), strides=2, padding=4 - 1 - 1)

    def __call__(self, latent):
        h = nnx.relu(self.bn0(self.fc0(latent)))  # (B, 1792)
        h = to_nhwc(h.reshape(len(h), -1, 2, 2))  # (B, 2, 2, 448)
        h = nnx.relu(self.bn1(self.conv0(h)))  # (B, 4, 4, 256)
        h = nnx.relu(self.conv1(h))  # (B, 8, 8, 128)
        h = nnx.relu(self.conv2(h))  # (B, 16, 16, 64)
        return to_nchw(jnp.tanh(self.conv3(h)))  # (B, 3, 32, 32)


class Trunk(nnx.Module):
    def __init__(self, width, slope, dtype, rngs):
        self.slope = slope
        conv = partial(nnx.Conv, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.conv0 = conv(3, width, (4, 4), strides=2, padding=1)
        self.conv1 = conv(width, 2 * width, (4, 4), strides=2, padding=1, use_bias=False)
        self.bn0 = batch_norm(2 * width, dtype, rngs)
        self.conv2 = conv(2 * width, 4 * width, (4, 4), strides=2, padding=1, use_bias=False)
        self.bn1 = batch_norm(4 * width, dtype, rngs)

    def __call__(self, x):
        h = leaky_relu(self.conv0(to_nhwc(x)), self.slope)  # (B, 16, 16, 64)
        h = leaky_relu(self.bn0(self.conv1(h)), self.slope)  # (B, 8, 8, 128)
        h = leaky_relu(self.bn1(self.conv2(h)), self.slope)  # (B, 4, 4, 256)
        return to_nchw(h).reshape(len(h), -1)  # (B, 4096)


class Recognition(nnx.Module):
    def __init__(self, width, slope, categories, codes, dtype, rngs):
        self.slope = slope
        linear = partial(nnx.Linear, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.fc0 = linear(4 * width * 4 * 4, 2 * width, use_bias=False)
        self.bn0 = batch_norm(2 * width, dtype, rngs)
        self.category = linear(2 * width, categories)
        self.mean = linear(2 * width, codes) if codes else None
        self.logstd = linear(2 * width, codes) if codes else None

    def __call__(self, h):
        h = leaky_relu(self.bn0(self.fc0(h)), self.slope)  # (B, 128)
        found = {"category": self.category(h)}  # (B, 40) logits
        return found if self.mean is None else found | {"mean": self.mean(h), "logstd": self.logstd(h)}  # (B, 4)


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype):
    width, codes = spec.options["width"], spec.options["codes"]
    categories = spec.options["categories"] * spec.options["classes"]
    rngs = nnx.Rngs(0)  # for initial values, which the engine replaces
    model = InfoGAN(
        Generator(spec.options["z"] + categories + codes, width, dtype, rngs),
        Trunk(width, spec.slope, dtype, rngs),
        Discriminator(4 * width * 4 * 4, dtype, rngs),
        Recognition(width, spec.slope, categories, codes, dtype, rngs),
        spec.options,
    )
    return start(model, spec)
