"""VAE-GAN, JAX. Specification: common/specs/vae_gan.py.

Larsen et al. 2015, arXiv 1512.09300, Algorithm 1; article `autoencoders` points to it. Batch norms move their running
statistics in every pass of a training step; encode, reconstruct and sample use them, in evaluation mode, which the engine
sets. Shapes are those of width 64. The networks for 28 × 28 stand in vae_gan_mnist.py.
"""

from functools import partial

from flax import nnx
from jax import numpy as jnp

from backends.jax.exact import ConvTranspose
from backends.jax.layouts import to_nchw, to_nhwc
from backends.jax.optimizer import rmsprop, update_all
from backends.jax.steps import State
from backends.jax.terms import bce

MOMENTUM, EPSILON = 0.9, 1e-6

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


def conv(inputs, outputs, dtype, rngs):
    """Half the side."""
    kind = {"use_bias": False, "dtype": dtype, "param_dtype": dtype, "rngs": rngs}
    return nnx.Conv(inputs, outputs, (5, 5), strides=2, padding=2, **kind)


def conv_transpose(inputs, outputs, dtype, rngs):
    """Twice the side."""
    kind = {"use_bias": False, "dtype": dtype, "param_dtype": dtype, "rngs": rngs}
    # See conv_autoencoder.py; one zero more at the end of each side is what others call output_padding.
    padding = ((5 - 1 - 2, 5 - 1 - 2 + 1),) * 2
    return ConvTranspose(inputs, outputs, (5, 5), strides=2, padding=padding, transpose_kernel=True, **kind)


class Encoder(nnx.Module):
    def __init__(self, width, latent, hidden, dtype, rngs):
        linear = partial(nnx.Linear, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.conv0 = conv(3, width, dtype, rngs)
        self.bn0 = batch_norm(width, dtype, rngs)
        self.conv1 = conv(width, 2 * width, dtype, rngs)
        self.bn1 = batch_norm(2 * width, dtype, rngs)
        self.conv2 = conv(2 * width, 4 * width, dtype, rngs)
        self.bn2 = batch_norm(4 * width, dtype, rngs)
        self.fc0 = linear(4 * width * 8 * 8, hidden, use_bias=False)
        self.bn3 = batch_norm(hidden, dtype, rngs)
        self.mean = linear(hidden, latent)
        self.logvar = linear(hidden, latent)

    def __call__(self, x):
        h = nnx.relu(self.bn0(self.conv0(to_nhwc(x))))  # (B, 32, 32, 64)
        h = nnx.relu(self.bn1(self.conv1(h)))  # (B, 16, 16, 128)
        h = nnx.relu(self.bn2(self.conv2(h)))  # (B, 8, 8, 256)
        h = nnx.relu(self.bn3(self.fc0(to_nchw(h).reshape(len(h), -1))))  # (B, 2048)
        return self.mean(h), self.logvar(h)  # (B, 128)


class Decoder(nnx.Module):
    def __init__(self, width, latent, dtype, rngs):
        kind = {"dtype": dtype, "param_dtype": dtype, "rngs": rngs}
        self.fc0 = nnx.Linear(latent, 4 * width * 8 * 8, use_bias=False, **kind)
        self.bn0 = batch_norm(4 * width * 8 * 8, dtype, rngs)
        self.conv0 = conv_transpose(4 * width, 4 * width, dtype, rngs)
        self.bn1 = batch_norm(4 * width, dtype, rngs)
        self.conv1 = conv_transpose(4 * width, 2 * width, dtype, rngs)
        self.bn2 = batch_norm(2 * width, dtype, rngs)
        self.conv2 = conv_transpose(2 * width, width // 2, dtype, rngs)
        self.bn3 = batch_norm(width // 2, dtype, rngs)
        self.conv3 = nnx.Conv(width // 2, 3, (5, 5), strides=1, padding=2, **kind)

    def __call__(self, z):
        h = nnx.relu(self.bn0(self.fc0(z)))  # (B, 16384)
        h = to_nhwc(h.reshape(len(h), -1, 8, 8))  # (B, 8, 8, 256)
        h = nnx.relu(self.bn1(self.conv0(h)))  # (B, 16, 16, 256)
        h = nnx.relu(self.bn2(self.conv1(h)))  # (B, 32, 32, 128)
        h = nnx.relu(self.bn3(self.conv2(h)))  # (B, 64, 64, 32)
        return to_nchw(jnp.tanh(self.conv3(h)))  # (B, 3, 64, 64)


class Features(nnx.Module):
    def __init__(self, width, dtype, rngs):
        kind = {"dtype": dtype, "param_dtype": dtype, "rngs": rngs}
        self.conv0 = nnx.Conv(3, width // 2, (5, 5), strides=1, padding=2, **kind)
        self.conv1 = conv(width // 2, 2 * width, dtype, rngs)
        self.bn0 = batch_norm(2 * width, dtype, rngs)
        self.conv2 = conv(2 * width, 4 * width, dtype, rngs)
        self.bn1 = batch_norm(4 * width, dtype, rngs)
        self.conv3 = conv(4 * width, 4 * width, dtype, rngs)

    def __call__(self, x):
        h = nnx.relu(self.conv0(to_nhwc(x)))  # (B, 64, 64, 32)
        h = nnx.relu(self.bn0(self.conv1(h)))  # (B, 32, 32, 128)
        h = nnx.relu(self.bn1(self.conv2(h)))  # (B, 16, 16, 256)
        return to_nchw(self.conv3(h))  # (B, 256, 8, 8)


class Discriminator(nnx.Module):
    def __init__(self, width, hidden, dtype, rngs):
        linear = partial(nnx.Linear, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.bn0 = batch_norm(4 * width, dtype, rngs)
        self.fc0 = linear(4 * width * 8 * 8, hidden // 4, use_bias=False)
        self.bn1 = batch_norm(hidden // 4, dtype, rngs)
        self.logit = linear(hidden // 4, 1)

    def __call__(self, h):
        h = nnx.relu(self.bn0(to_nhwc(h)))  # (B, 8, 8, 256)
        h = nnx.relu(self.bn1(self.fc0(to_nchw(h).reshape(len(h), -1))))  # (B, 512)
        return self.logit(h)  # (B, 1)


class VAEGAN(nnx.Module):
    def __init__(self, encoder, decoder, features, discriminator, gamma):
        self.encoder = encoder
        self.decoder = decoder
        self.features = features
        self.discriminator = discriminator
        self.gamma = gamma  # of L_llike in the decoder's objective


# ------------------------------------------------------------------------------------- forward, losses


def forward(model, inputs, noise):
    """images x (B, C, H, W), epsilon and prior zₚ (B, latent) ~ N(0, 1) -> mean, logvar, z (B, latent); reconstructed x̃ and
    generated xₚ (B, C, H, W); Dis_l of x and x̃ (B, channels, side, side); logits of x, x̃ and xₚ (B, 1)."""
    mean, logvar = model.encoder(inputs["images"])
    z = mean + jnp.exp(logvar / 2) * noise["epsilon"]
    reconstructed, generated = model.decoder(z), model.decoder(noise["prior"])
    real, copied, fake = (model.features(x) for x in (inputs["images"], reconstructed, generated))
    return {
        "mean": mean,
        "logvar": logvar,
        "z": z,
        "reconstructed": reconstructed,
        "generated": generated,
        "real_features": real,
        "copied_features": copied,
        "real_logits": model.discriminator(real),
        "copied_logits": model.discriminator(copied),
        "fake_logits": model.discriminator(fake),
    }


def losses(model, inputs, noise):
    """The objectives of encoder, decoder and discriminator, their parts, and the mean probabilities."""
    output = forward(model, inputs, noise)
    mean, logvar = output["mean"], output["logvar"]
    real, copied, fake = output["real_logits"], output["copied_logits"], output["fake_logits"]
    prior = jnp.mean(-0.5 * jnp.sum(1 + logvar - mean**2 - jnp.exp(logvar), axis=1))
    apart = output["real_features"] - output["copied_features"]
    likelihood = jnp.mean(0.5 * jnp.sum(apart**2, axis=(1, 2, 3)))
    loss_d = bce(real, 1.0) + bce(copied, 0.0) + bce(fake, 0.0)
    return {
        "objective_encoder": prior + likelihood,
        "objective_decoder": model.gamma * likelihood - loss_d,
        "loss_d": loss_d,
        "prior": prior,
        "likelihood": likelihood,
        "score_real": jnp.mean(nnx.sigmoid(real)),
        "score_copied": jnp.mean(nnx.sigmoid(copied)),
        "score_fake": jnp.mean(nnx.sigmoid(fake)),
    }


# ------------------------------------------------------------------------------------------ train step


def start(model, spec):
    """The model, and an optimiser per update."""
    return State(model, {update.name: rmsprop(update, model) for update in spec.updates})


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


def train_step(state, inputs, noise):
    objectives = {
        "encoder": "objective_encoder",
        "decoder": "objective_decoder",
        "discriminator": "loss_d",  # features and discriminator
    }
    return update_all(state, losses, objectives, inputs, noise)


# ------------------------------------------------------------------------------------ coding, sampling


def encode(model, inputs):
    """images (B, C, H, W) -> mean of the code (B, latent)."""
    mean, _ = model.encoder(inputs["images"])
    return mean


def reconstruct(model, inputs, noise):
    """images (B, C, H, W), epsilon (B, latent) -> images (B, C, H, W) in [-1, 1]."""
    mean, logvar = model.encoder(inputs["images"])
    return model.decoder(mean + jnp.exp(logvar / 2) * noise["epsilon"])


def sample(model, noise):
    """z (B, latent) from the prior N(0, 1) -> images (B, C, H, W) in [-1, 1]."""
    return model.decoder(noise["z"])
