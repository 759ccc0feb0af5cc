"""GAN of convolutions, Paddle. Specification: common/specs/gan_conv.py.

Radford et al. 2015, arXiv 1511.06434; article `gan`. Batch norms move their running statistics in every pass of a
training step; sample uses them, in evaluation mode, which the engine sets. Shapes are those of width 64.
"""

import paddle
from paddle import nn
from paddle.nn import functional as F

from backends.paddle.exact import BatchNorm, leaky_relu
from backends.paddle.layouts import named
from backends.paddle.optimizer import adam, parameters
from backends.paddle.steps import SOURCES, State
from backends.paddle.terms import bce

SLOPE, LATENT = 0.2, 100
MOMENTUM, EPSILON = 0.9, 1e-5

# -------------------------------------------------------------------------------------------- networks


def batch_norm(features, path):
    return BatchNorm(features, path, MOMENTUM, EPSILON)


class Generator(nn.Layer):
    def __init__(self, width):
        super().__init__()
        self.fc0 = nn.Linear(LATENT, 2 * width * 7 * 7, **named("generator.fc0", bias=False))
        self.bn0 = batch_norm(2 * width, "generator.bn0")
        self.conv0 = nn.Conv2DTranspose(
            2 * width, width, 4, stride=2, padding=1, **named("generator.conv0", bias=False)
        )
        self.bn1 = batch_norm(width, "generator.bn1")
        self.conv1 = nn.Conv2DTranspose(width, 1, 4, stride=2, padding=1, **named("generator.conv1"))

    def forward(self, z):
        h = self.fc0(z).reshape([-1, self.conv0.weight.shape[0], 7, 7])  # (B, 128, 7, 7)
        h = F.relu(self.bn0(h))
        h = F.relu(self.bn1(self.conv0(h)))  # (B, 64, 14, 14)
        return paddle.tanh(self.conv1(h))  # (B, 1, 28, 28)


class Discriminator(nn.Layer):
    def __init__(self, width):
        super().__init__()
        self.conv0 = nn.Conv2D(1, width, 4, stride=2, padding=1, **named("discriminator.conv0"))
        self.conv1 = nn.Conv2D(width, 2 * width, 4, stride=2, padding=1, **named("discriminator.conv1", bias=False))
        self.bn0 = batch_norm(2 * width, "discriminator.bn0")
        self.logit = nn.Linear(2 * width * 7 * 7, 1, **named("discriminator.logit"))

    def forward(self, x):
        h = leaky_relu(self.conv0(x), SLOPE)  # (B, 64, 14, 14)
        h = leaky_relu(self.bn0(self.conv1(h)), SLOPE)  # (B, 128, 7, 7)
        return self.logit(h.flatten(1))  # (B, 1)


class ConvGAN(nn.Layer):
    def __init__(self, width):
        super().__init__()
        self.generator = Generator(width)
        self.discriminator = Discriminator(width)


# ------------------------------------------------------------------------------------- forward, losses


def forward(model, inputs, noise):
    """images (B, 1, 28, 28) in [-1, 1], z (B, 100) -> generated (B, 1, 28, 28), logits of D for both (B, 1)."""
    generated = model.generator(noise["discriminator_z"])
    return {
        "generated": generated,
        "real_logits": model.discriminator(inputs["images"]),
        "fake_logits": model.discriminator(generated),
    }


def discriminator_losses(model, inputs, noise):
    """mean BCE(D(x), 1) + mean BCE(D(G(z)), 0), and D's mean probabilities."""
    output = forward(model, inputs, noise)
    real, fake = output["real_logits"], output["fake_logits"]
    return {
        "loss_d": bce(real, 1.0) + bce(fake, 0.0),
        "score_real": paddle.mean(F.sigmoid(real)),
        "score_fake": paddle.mean(F.sigmoid(fake)),
    }


def generator_losses(model, inputs, noise):
    """mean BCE(D(G(z)), 1), with a z of its own."""
    fooled = model.discriminator(model.generator(noise["generator_z"]))
    return {"loss_g": bce(fooled, 1.0)}


def losses(model, inputs, noise):
    return discriminator_losses(model, inputs, noise) | generator_losses(model, inputs, noise)


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype, device):
    def network():
        return ConvGAN(**spec.options)

    state = State(spec, network, dtype, device)
    # One Program per update, which holds nothing of the others. Each makes its own layers, once: within a Program, a
    # parameter name used twice would make two parameters; between Programs, one name is one parameter.
    for name, losses_of in {"discriminator": discriminator_losses, "generator": generator_losses}.items():
        for source in SOURCES:
            with state.program(name, source) as program:
                model, update = network(), spec.update(name)
                program.fetch = losses_of(model, program.inputs(), program.noise(update.noise))
                adam(update).minimize(program.fetch[update.objective], program.startup, parameters(model, update))
    return state


def train_step(state, inputs, noise):
    values_d = state.run("discriminator", inputs, noise)
    values_g = state.run("generator", inputs, noise)  # judged by the D just updated
    return values_d | values_g


# ------------------------------------------------------------------------------------------- sampling


def sample(model, noise):
    """z (B, 100) -> images (B, 1, 28, 28) in [-1, 1]."""
    return model.generator(noise["z"])
