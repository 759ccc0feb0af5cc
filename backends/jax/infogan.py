"""InfoGAN, JAX. Specification: common/specs/infogan.py.

Chen et al. 2016, arXiv 1606.03657; article `infogan`. Batch norms move their running statistics in every pass of a
training step; encode and sample use them, in evaluation mode, which the engine sets. Shapes are those of width 64.
The networks for the paper's other data stand in infogan_svhn.py, infogan_faces.py and infogan_chairs.py.
"""

import math
from functools import partial

from flax import nnx
from jax import numpy as jnp

from backends.jax.exact import ConvTranspose, leaky_relu
from backends.jax.layouts import to_nchw, to_nhwc
from backends.jax.optimizer import adam, update
from backends.jax.steps import State
from backends.jax.terms import bce

MOMENTUM, EPSILON = 0.9, 1e-5

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


class Generator(nnx.Module):
    def __init__(self, latent, width, dtype, rngs):
        linear = partial(nnx.Linear, use_bias=False, dtype=dtype, param_dtype=dtype, rngs=rngs)
        # transpose_kernel and this padding make it the gradient of a convolution, see conv_autoencoder.py.
        conv = partial(ConvTranspose, transpose_kernel=True, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.fc0 = linear(latent, 16 * width)
        self.bn0 = batch_norm(16 * width, dtype, rngs)
        self.fc1 = linear(16 * width, 2 * width * 7 * 7)
        self.bn1 = batch_norm(2 * width * 7 * 7, dtype, rngs)
        self.conv0 = conv(2 * width, width, (4, 4), strides=2, padding=4 - 1 - 1, use_bias=False)
        self.bn2 = batch_norm(width, dtype, rngs)
        self.conv1 = conv(width, 1, (4, 4), strides=2, padding=4 - 1 - 1)

    def __call__(self, latent):
        h = nnx.relu(self.bn0(self.fc0(latent)))  # (B, 1024)
        h = nnx.relu(self.bn1(self.fc1(h)))  # (B, 6272)
        h = to_nhwc(h.reshape(len(h), -1, 7, 7))  # (B, 7, 7, 128)
        h = nnx.relu(self.bn2(self.conv0(h)))  # (B, 14, 14, 64)
        return to_nchw(nnx.sigmoid(self.conv1(h)))  # (B, 1, 28, 28)


class Trunk(nnx.Module):
    def __init__(self, width, slope, dtype, rngs):
        self.slope = slope
        conv = partial(nnx.Conv, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.conv0 = conv(1, width, (4, 4), strides=2, padding=1)
        self.conv1 = conv(width, 2 * width, (4, 4), strides=2, padding=1, use_bias=False)
        self.bn0 = batch_norm(2 * width, dtype, rngs)
        self.fc0 = nnx.Linear(2 * width * 7 * 7, 16 * width, use_bias=False, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.bn1 = batch_norm(16 * width, dtype, rngs)

    def __call__(self, x):
        h = leaky_relu(self.conv0(to_nhwc(x)), self.slope)  # (B, 14, 14, 64)
        h = leaky_relu(self.bn0(self.conv1(h)), self.slope)  # (B, 7, 7, 128)
        h = to_nchw(h).reshape(len(h), -1)  # (B, 6272)
        return leaky_relu(self.bn1(self.fc0(h)), self.slope)  # (B, 1024)


class Discriminator(nnx.Module):
    def __init__(self, inputs, dtype, rngs):
        self.logit = nnx.Linear(inputs, 1, dtype=dtype, param_dtype=dtype, rngs=rngs)

    def __call__(self, h):
        return self.logit(h)  # (B, 1)


class Recognition(nnx.Module):
    def __init__(self, width, slope, categories, codes, fixed_deviation, dtype, rngs):
        self.slope = slope
        linear = partial(nnx.Linear, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.fc0 = linear(16 * width, 2 * width, use_bias=False)
        self.bn0 = batch_norm(2 * width, dtype, rngs)
        self.category = linear(2 * width, categories)
        self.mean = linear(2 * width, codes)
        self.logstd = None if fixed_deviation else linear(2 * width, codes)

    def __call__(self, h):
        h = leaky_relu(self.bn0(self.fc0(h)), self.slope)  # (B, 128)
        found = {"category": self.category(h), "mean": self.mean(h)}  # (B, 10) logits, (B, 2)
        return found if self.logstd is None else found | {"logstd": self.logstd(h)}  # (B, 2)


class InfoGAN(nnx.Module):
    def __init__(self, generator, trunk, discriminator, recognition, options):
        self.generator = generator
        self.trunk = trunk
        self.discriminator = discriminator
        self.recognition = recognition
        self.classes = options["classes"]  # of a category
        self.category_weight = options["category_weight"]  # of the categories in the bound
        self.codes_weight = options["codes_weight"]  # of the continuous codes in it
        self.generator_weight = options["generator_weight"]  # of the bound in G's objective
        self.joint_batch = options.get("joint_batch", False)  # real and generated, to the trunk


# ------------------------------------------------------------------------------------- forward, losses


def latent(noise, which):
    """(B, 74): noise, categories, codes of the update or job `which`."""
    parts = [noise[f"{which}{part}"] for part in ("z", "category", "codes") if f"{which}{part}" in noise]
    return jnp.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


def information(model, recognized, noise, which):
    """The bound, and L_I of every code, c1 and on: categories before continuous codes."""
    found, bound = [], 0.0
    if "category" in recognized:
        logits = recognized["category"]
        logits = logits.reshape(len(logits), -1, model.classes)  # (B, categories, classes)
        category = noise[f"{which}category"].reshape(logits.shape)
        log_q = jnp.sum(category * nnx.log_softmax(logits, axis=2), axis=2)
        info = jnp.mean(log_q, axis=0) + math.log(model.classes)
        bound = bound + model.category_weight * jnp.sum(info)
        found += list(info)
    if "mean" in recognized:
        mean, codes = recognized["mean"], noise[f"{which}codes"]
        logstd = recognized["logstd"] if "logstd" in recognized else jnp.zeros_like(mean)  # a fixed deviation is 1
        info = jnp.mean(-logstd - 0.5 * ((codes - mean) / jnp.exp(logstd)) ** 2, axis=0)
        bound = bound + model.codes_weight * jnp.sum(info)
        found += list(info)
    return bound, {f"info_c{k}": value for k, value in enumerate(found, 1)}


def joint(model, images, generated):
    """The trunk's features of both, (B, features) each, which its batch norms see as one batch."""
    return jnp.split(model.trunk(jnp.concatenate([images, generated])), 2)


def forward(model, inputs, noise):
    """images (B, C, H, W) -> generated (B, C, H, W), logits of D for both (B, 1), and what Q recognises in the generated
    images: logits of the categories (B, categories · classes); mean and, unless it is fixed, log deviation of the codes (B,
    codes)."""
    generated = model.generator(latent(noise, "discriminator_"))
    if model.joint_batch:
        real, fake = joint(model, inputs["images"], generated)
    else:
        real, fake = model.trunk(inputs["images"]), model.trunk(generated)
    return {
        "generated": generated,
        "real_logits": model.discriminator(real),
        "fake_logits": model.discriminator(fake),
        **model.recognition(fake),
    }


def discriminator_losses(model, inputs, noise):
    """mean BCE(D(x), 1) + mean BCE(D(G), 0) - bound, its parts, and D's mean probabilities."""
    output = forward(model, inputs, noise)
    real, fake = output["real_logits"], output["fake_logits"]
    bound, info = information(model, output, noise, "discriminator_")
    loss = bce(real, 1.0) + bce(fake, 0.0)
    return {
        "objective_d": loss - bound,
        "loss_d": loss,
        "score_real": jnp.mean(nnx.sigmoid(real)),
        "score_fake": jnp.mean(nnx.sigmoid(fake)),
        **info,
    }


def generator_losses(model, inputs, noise):
    """mean BCE(D(G), 1) - generator_weight · bound, with latents of its own."""
    generated = model.generator(latent(noise, "generator_"))
    if model.joint_batch:
        _, fooled = joint(model, inputs["images"], generated)
    else:
        fooled = model.trunk(generated)
    bound, _ = information(model, model.recognition(fooled), noise, "generator_")
    loss = bce(model.discriminator(fooled), 1.0)
    return {"objective_g": loss - model.generator_weight * bound, "loss_g": loss}


def losses(model, inputs, noise):
    return discriminator_losses(model, inputs, noise) | generator_losses(model, inputs, noise)


# ------------------------------------------------------------------------------------------ train step


def start(model, spec):
    """The model, and an optimiser per update."""
    return State(model, {name: adam(spec.update(name), model) for name in ("discriminator", "generator")})


def build(spec, dtype):
    width, codes = spec.options["width"], spec.options["codes"]
    categories = spec.options["categories"] * spec.options["classes"]
    rngs = nnx.Rngs(0)  # for initial values, which the engine replaces
    model = InfoGAN(
        Generator(spec.options["z"] + categories + codes, width, dtype, rngs),
        Trunk(width, spec.slope, dtype, rngs),
        Discriminator(16 * width, dtype, rngs),
        Recognition(width, spec.slope, categories, codes, spec.options["fixed_deviation"], dtype, rngs),
        spec.options,
    )
    return start(model, spec)


def train_step(state, inputs, noise):
    values_d = update(state, "discriminator", discriminator_losses, "objective_d", inputs, noise)  # trunk, D and Q
    # Judged by the D and Q just updated.
    values_g = update(state, "generator", generator_losses, "objective_g", inputs, noise)
    return values_d | values_g


# ------------------------------------------------------------------------------------ coding, sampling


def encode(model, inputs):
    """images (B, C, H, W) -> (B, categories · classes + codes): probabilities of the categories, means of the codes."""
    recognized, parts = model.recognition(model.trunk(inputs["images"])), []
    if "category" in recognized:
        logits = recognized["category"]
        probabilities = nnx.softmax(logits.reshape(len(logits), -1, model.classes), axis=2)  # (B, categories, classes)
        parts.append(probabilities.reshape(logits.shape))
    if "mean" in recognized:
        parts.append(recognized["mean"])
    return jnp.concatenate(parts, axis=1)


def sample(model, noise):
    """Latents z, category and codes -> images (B, C, H, W)."""
    return model.generator(latent(noise, ""))
