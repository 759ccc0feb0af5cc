"""Adversarial autoencoder, classes from a few labels or none, JAX. Specification: common/specs/aae_few_labels.py.

Makhzani et al. 2015, arXiv 1511.05644, sections 5 and 6; article `aae`. Dropout masks are noise; without them a network
runs in evaluation mode. Shapes are those of width 1000.
"""

from functools import partial

import optax
from flax import nnx
from jax import numpy as jnp

from backends.jax.optimizer import create, update
from backends.jax.steps import State
from backends.jax.terms import complement, dropout

EPS, STYLE = 1e-15, 10

# -------------------------------------------------------------------------------------------- networks


class Encoder(nnx.Module):
    def __init__(self, width, dtype, rngs):
        linear = partial(nnx.Linear, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.fc0 = linear(784, width)
        self.fc1 = linear(width, width)

    def __call__(self, x, masks=(None, None)):
        h = nnx.relu(dropout(self.fc0(x), masks[0], keep=0.75))  # (B, 1000)
        return nnx.relu(dropout(self.fc1(h), masks[1], keep=0.75))  # (B, 1000)


class Head(nnx.Module):
    def __init__(self, width, features, dtype, rngs):
        self.fc0 = nnx.Linear(width, features, dtype=dtype, param_dtype=dtype, rngs=rngs)

    def __call__(self, h):
        return self.fc0(h)  # (B, categories) logits, or (B, 10), the style


class Decoder(nnx.Module):
    def __init__(self, width, categories, dtype, rngs):
        linear = partial(nnx.Linear, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.fc0 = linear(categories + STYLE, width)
        self.fc1 = linear(width, width)
        self.fc2 = linear(width, 784)

    def __call__(self, y, z, masks=(None, None)):
        h = jnp.concatenate([y, z], axis=1)  # (B, categories + 10)
        h = nnx.relu(dropout(self.fc0(h), masks[0], keep=0.75))  # (B, 1000)
        h = dropout(self.fc1(h), masks[1], keep=0.75)  # (B, 1000), no ReLU here
        return self.fc2(h)  # (B, 784), logits


class Discriminator(nnx.Module):
    def __init__(self, width, features, dtype, rngs):
        linear = partial(nnx.Linear, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.fc0 = linear(features, width)
        self.fc1 = linear(width, width)
        self.fc2 = linear(width, 1)

    def __call__(self, code, masks):
        h = nnx.relu(dropout(self.fc0(code), masks[0], keep=0.8))  # (B, 1000)
        h = nnx.relu(dropout(self.fc1(h), masks[1], keep=0.8))  # (B, 1000)
        return nnx.sigmoid(self.fc2(h))  # (B, 1)


class FewLabelsAAE(nnx.Module):
    def __init__(self, width, categories, dtype, rngs):
        self.encoder = Encoder(width, dtype, rngs)
        self.category = Head(width, categories, dtype, rngs)
        self.style = Head(width, STYLE, dtype, rngs)
        self.decoder = Decoder(width, categories, dtype, rngs)
        self.discriminator = Discriminator(width, STYLE, dtype, rngs)
        self.category_discriminator = Discriminator(width, categories, dtype, rngs)


# ------------------------------------------------------------------------------------- forward, losses


def masks(noise, which):
    return [noise.get(f"{which}_mask{k}") for k in range(2)]  # the category's discriminator has one, the paper none


def hidden(model, images, noise, which):
    """The encoder's (B, 1000) in training: with dropout or, in `aae_few_labels_paper`, with noise on the images."""
    images = images + noise[f"{which}_input"] if f"{which}_input" in noise else images
    return model.encoder(images, masks(noise, which))


def code(model, h):
    """What the encoder makes of images -> class probabilities y (B, categories), style z (B, 10)."""
    return nnx.softmax(model.category(h), axis=1), model.style(h)


def judged(model, inputs, noise):
    """Both discriminators' probabilities (B, 1) for draws of the priors and for the code, which has no dropout."""
    y, z = code(model, hidden(model, inputs["images"], noise, "judged"))
    return {
        "real": model.discriminator(noise["prior"], masks(noise, "real")),
        "fake": model.discriminator(z, masks(noise, "fake")),
        "real_category": model.category_discriminator(noise["category_prior"], masks(noise, "real_category")),
        "fake_category": model.category_discriminator(y, masks(noise, "fake_category")),
    }


def forward(model, inputs, noise):
    """images (B, 784) in [0, 1] -> y (B, categories), z (B, 10), logits (B, 784), the discriminators' probabilities (B, 1)."""
    y, z = code(model, hidden(model, inputs["images"], noise, "encoder"))
    logits = model.decoder(y, z, masks(noise, "decoder"))
    return {"category": y, "style": z, "logits": logits, **judged(model, inputs, noise)}


def reconstruction_losses(model, inputs, noise):
    """mean BCE(decoder([y, z]), x)."""
    logits = model.decoder(*code(model, hidden(model, inputs["images"], noise, "encoder")), masks(noise, "decoder"))
    return {"loss_r": jnp.mean(optax.sigmoid_binary_cross_entropy(logits, inputs["images"]))}


def discriminator_losses(model, inputs, noise):
    """For both -mean[log(D(prior) + EPS) + log(1 - D(code) + EPS)], no dropout in the encoder."""
    found = judged(model, inputs, noise)
    loss_z = -jnp.mean(jnp.log(found["real"] + EPS) + jnp.log(complement(found["fake"]) + EPS))
    loss_y = -jnp.mean(jnp.log(found["real_category"] + EPS) + jnp.log(complement(found["fake_category"]) + EPS))
    return {"loss_d": loss_z + loss_y, "loss_d_style": loss_z, "loss_d_category": loss_y}


def generator_losses(model, inputs, noise):
    """For both -mean log(D(code) + EPS), with dropout in the encoder."""
    y, z = code(model, hidden(model, inputs["images"], noise, "generator"))
    fooled = model.discriminator(z, masks(noise, "fooled"))
    fooled_category = model.category_discriminator(y, masks(noise, "fooled_category"))
    return {"loss_g": -jnp.mean(jnp.log(fooled + EPS)) - jnp.mean(jnp.log(fooled_category + EPS))}


def supervised_losses(model, inputs, noise):
    """mean cross-entropy of the labelled images' logits with their labels (B, 10) one-hot."""
    logits = model.category(hidden(model, inputs["labelled_images"], noise, "supervised"))
    return {"loss_s": jnp.mean(optax.softmax_cross_entropy(logits, inputs["labels"]))}


def losses(model, inputs, noise):
    values = reconstruction_losses(model, inputs, noise) | discriminator_losses(model, inputs, noise)
    values |= generator_losses(model, inputs, noise)
    return values | (supervised_losses(model, inputs, noise) if "labels" in inputs else {})


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype):
    rngs = nnx.Rngs(0)  # for initial values, which the engine replaces
    model = FewLabelsAAE(dtype=dtype, rngs=rngs, **spec.options)
    # An optimiser an update, so that the encoder has moments of its own in each.
    return State(model, {one.name: create(one, model) for one in spec.updates})


def train_step(state, inputs, noise):
    values_r = update(state, "reconstruction", reconstruction_losses, "loss_r", inputs, noise)
    values_d = update(state, "discriminator", discriminator_losses, "loss_d", inputs, noise)  # of codes just improved
    # Judged by the discriminators just updated.
    values_g = update(state, "generator", generator_losses, "loss_g", inputs, noise)
    values = values_r | values_d | values_g
    if "labels" in inputs:  # not in `aae_clusters`
        values |= update(state, "supervised", supervised_losses, "loss_s", inputs, noise)
    return values


# ------------------------------------------------------------------------------------ coding, sampling


def encode(model, inputs):
    """images (B, 784) -> (B, categories + 10): class probabilities, style."""
    return jnp.concatenate(code(model, model.encoder(inputs["images"])), axis=1)


def reconstruct(model, inputs, noise):
    """images (B, 784) -> pixels (B, 784) in [0, 1]."""
    return nnx.sigmoid(model.decoder(*code(model, model.encoder(inputs["images"]))))


def sample(model, noise):
    """category (B, categories) one-hot, z (B, 10) from the prior N(0, 1) -> pixels (B, 784) in [0, 1]."""
    return nnx.sigmoid(model.decoder(noise["category"], noise["z"]))
