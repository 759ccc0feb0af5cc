"""Two-layer GAN, JAX. Specification: common/specs/gan_two_layer.py.

The demonstration of the article `infogan`; log(p + 1e-8) on probabilities, as printed there.
"""

from functools import partial

from flax import nnx
from jax import numpy as jnp

from backends.jax.optimizer import adam, update
from backends.jax.steps import State
from backends.jax.terms import complement

EPS = 1e-8

# -------------------------------------------------------------------------------------------- networks


class Generator(nnx.Module):
    def __init__(self, dtype, rngs):
        linear = partial(nnx.Linear, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.fc0 = linear(100, 256)
        self.fc1 = linear(256, 784)

    def __call__(self, z):
        h = nnx.relu(self.fc0(z))  # (B, 256)
        return nnx.sigmoid(self.fc1(h))  # (B, 784)


class Discriminator(nnx.Module):
    def __init__(self, dtype, rngs):
        linear = partial(nnx.Linear, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.fc0 = linear(784, 256)
        self.fc1 = linear(256, 1)

    def __call__(self, x):
        h = nnx.relu(self.fc0(x))  # (B, 256)
        return nnx.sigmoid(self.fc1(h))  # (B, 1)


class GAN(nnx.Module):
    def __init__(self, dtype, rngs):
        self.generator = Generator(dtype, rngs)
        self.discriminator = Discriminator(dtype, rngs)


# ------------------------------------------------------------------------------------- forward, losses


def forward(model, inputs, noise):
    """images (B, 784) in [0, 1], z (B, 100) -> generated (B, 784), D's probabilities for both (B, 1)."""
    generated = model.generator(noise["z"])
    return {
        "generated": generated,
        "real": model.discriminator(inputs["images"]),
        "fake": model.discriminator(generated),
    }


def discriminator_losses(model, inputs, noise):
    """-mean[log(D(x) + EPS) + log(1 - D(G(z)) + EPS)], and D's mean probabilities."""
    output = forward(model, inputs, noise)
    real, fake = output["real"], output["fake"]
    loss = -jnp.mean(jnp.log(real + EPS) + jnp.log(complement(fake) + EPS))
    return {"loss_d": loss, "score_real": jnp.mean(real), "score_fake": jnp.mean(fake)}


def generator_losses(model, inputs, noise):
    """-mean log(D(G(z)) + EPS), with the z that D has just seen."""
    fooled = model.discriminator(model.generator(noise["z"]))
    return {"loss_g": -jnp.mean(jnp.log(fooled + EPS))}


def losses(model, inputs, noise):
    return discriminator_losses(model, inputs, noise) | generator_losses(model, inputs, noise)


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype):
    rngs = nnx.Rngs(0)  # for initial values, which the engine replaces
    model = GAN(dtype, rngs)
    return State(model, {name: adam(spec.update(name), model) for name in ("discriminator", "generator")})


def train_step(state, inputs, noise):
    values_d = update(state, "discriminator", discriminator_losses, "loss_d", inputs, noise)
    values_g = update(state, "generator", generator_losses, "loss_g", inputs, noise)  # judged by the D just updated
    return values_d | values_g


# -------------------------------------------------------------------------------------------- sampling


def sample(model, noise):
    """z (B, 100) from the prior U(-1, 1) -> images (B, 784) in [0, 1]."""
    return model.generator(noise["z"])
