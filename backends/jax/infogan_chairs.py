"""InfoGAN for 3-D chairs, JAX. Specification: common/specs/infogan_colour.py.

Chen et al. 2016, arXiv 1606.03657, appendix C; article `infogan`. Losses, updates, coding and sampling are those of
infogan.py. Shapes are those of width 64.
"""

from functools import partial

from flax import nnx

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
        linear = partial(nnx.Linear, use_bias=False, dtype=dtype, param_dtype=dtype, rngs=rngs)
        # transpose_kernel and this padding make it the gradient of a convolution, see conv_autoencoder.py.
        conv = partial(ConvTranspose, transpose_kernel=True, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.fc0 = linear(latent, 16 * width)
        self.bn0 = batch_norm(16 * width, dtype, rngs)
        self.fc1 = linear(16 * width, 4 * width * 8 * 8)
        self.bn1 = batch_norm(4 * width * 8 * 8, dtype, rngs)
        self.conv0 = conv(4 * width, 4 * width, (3, 3), strides=1, padding=3 - 1 - 1, use_bias=False)
        self.bn2 = batch_norm(4 * width, dtype, rngs)
        self.conv1 = conv(4 * width, 4 * width, (3, 3), strides=1, padding=3 - 1 - 1, use_bias=False)
        self.bn3 = batch_norm(4 * width, dtype, rngs)
        self.conv2 = conv(4 * width, 2 * width, (4, 4), strides=2, padding=4 - 1 - 1, use_bias=False)
        self.bn4 = batch_norm(2 * width, dtype, rngs)
        self.conv3 = conv(2 * width, width, (4, 4), strides=2, padding=4 - 1 - 1, use_bias=False)
        self.bn5 = batch_norm(width, dtype, rngs)
        self.conv4 = conv(width, 1, (4, 4), strides=2, padding=4 - 1 - 1)

    def __call__(self, latent):
        h = nnx.relu(self.bn0(self.fc0(latent)))  # (B, 1024)
        h = nnx.relu(self.bn1(self.fc1(h)))  # (B, 16384)
        h = to_nhwc(h.reshape(len(h), -1, 8, 8))  # (B, 8, 8, 256)
        h = nnx.relu(self.bn2(self.conv0(h)))
        h = nnx.relu(self.bn3(self.conv1(h)))
        h = nnx.relu(self.bn4(self.conv2(h)))  # (B, 16, 16, 128)
        h = nnx.relu(self.bn5(self.conv3(h)))  # (B, 32, 32, 64)
        return to_nchw(nnx.sigmoid(self.conv4(h)))  # (B, 1, 64, 64)


class Trunk(nnx.Module):
    def __init__(self, width, slope, dtype, rngs):
        self.slope = slope
        conv = partial(nnx.Conv, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.conv0 = conv(1, width, (4, 4), strides=2, padding=1)
        self.conv1 = conv(width, 2 * width, (4, 4), strides=2, padding=1, use_bias=False)
        self.bn0 = batch_norm(2 * width, dtype, rngs)
        self.conv2 = conv(2 * width, 4 * width, (4, 4), strides=2, padding=1, use_bias=False)
        self.bn1 = batch_norm(4 * width, dtype, rngs)
        self.conv3 = conv(4 * width, 4 * width, (3, 3), strides=1, padding=1, use_bias=False)
        self.bn2 = batch_norm(4 * width, dtype, rngs)
        self.conv4 = conv(4 * width, 4 * width, (3, 3), strides=1, padding=1, use_bias=False)
        self.bn3 = batch_norm(4 * width, dtype, rngs)
        self.fc0 = nnx.Linear(4 * width * 8 * 8, 16 * width, use_bias=False, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.bn4 = batch_norm(16 * width, dtype, rngs)

    def __call__(self, x):
        h = leaky_relu(self.conv0(to_nhwc(x)), self.slope)  # (B, 32, 32, 64)
        h = leaky_relu(self.bn0(self.conv1(h)), self.slope)  # (B, 16, 16, 128)
        h = leaky_relu(self.bn1(self.conv2(h)), self.slope)  # (B, 8, 8, 256)
        h = leaky_relu(self.bn2(self.conv3(h)), self.slope)
        h = leaky_relu(self.bn3(self.conv4(h)), self.slope)
        h = to_nchw(h).reshape(len(h), -1)  # (B, 16384)
        return leaky_relu(self.bn4(self.fc0(h)), self.slope)  # (B, 1024)


class Recognition(nnx.Module):
    def __init__(self, width, categories, codes, dtype, rngs):
        linear = partial(nnx.Linear, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.category = linear(16 * width, categories)
        self.mean = linear(16 * width, codes)
        self.logstd = linear(16 * width, codes)

    def __call__(self, h):
        return {"category": self.category(h), "mean": self.mean(h), "logstd": self.logstd(h)}  # (B, 60) logits, (B, 1)


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype):
    width, codes = spec.options["width"], spec.options["codes"]
    categories = spec.options["categories"] * spec.options["classes"]
    rngs = nnx.Rngs(0)  # for initial values, which the engine replaces
    model = InfoGAN(
        Generator(spec.options["z"] + categories + codes, width, dtype, rngs),
        Trunk(width, spec.slope, dtype, rngs),
        Discriminator(16 * width, dtype, rngs),
        Recognition(width, categories, codes, dtype, rngs),
        spec.options,
    )
    return start(model, spec)
