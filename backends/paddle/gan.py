"""Generative adversarial network, Paddle. Specification: common/specs/gan.py.

Goodfellow et al. 2014, arXiv 1406.2661; article `gan`. Dropout is always on, as published: its masks are noise.
"""

import paddle
from paddle import nn
from paddle.nn import functional as F

from backends.paddle.exact import number
from backends.paddle.layouts import named
from backends.paddle.optimizer import adam, parameters
from backends.paddle.steps import SOURCES, State
from backends.paddle.terms import bce

SLOPE, KEEP = 0.2, 0.7

# -------------------------------------------------------------------------------------------- networks


class Generator(nn.Layer):
    def __init__(self):
        super().__init__()
        self.fc0 = nn.Linear(100, 256, **named("generator.fc0"))
        self.fc1 = nn.Linear(256, 512, **named("generator.fc1"))
        self.fc2 = nn.Linear(512, 1024, **named("generator.fc2"))
        self.fc3 = nn.Linear(1024, 784, **named("generator.fc3"))

    def forward(self, z):
        h = F.leaky_relu(self.fc0(z), SLOPE)  # (B, 256)
        h = F.leaky_relu(self.fc1(h), SLOPE)  # (B, 512)
        h = F.leaky_relu(self.fc2(h), SLOPE)  # (B, 1024)
        return paddle.tanh(self.fc3(h))  # (B, 784)


class Discriminator(nn.Layer):
    def __init__(self):
        super().__init__()
        self.fc0 = nn.Linear(784, 1024, **named("discriminator.fc0"))
        self.fc1 = nn.Linear(1024, 512, **named("discriminator.fc1"))
        self.fc2 = nn.Linear(512, 256, **named("discriminator.fc2"))
        self.fc3 = nn.Linear(256, 1, **named("discriminator.fc3"))

    def forward(self, x, masks):
        h = F.leaky_relu(self.fc0(x), SLOPE) * masks[0] / number(KEEP)  # (B, 1024)
        h = F.leaky_relu(self.fc1(h), SLOPE) * masks[1] / number(KEEP)  # (B, 512)
        h = F.leaky_relu(self.fc2(h), SLOPE) * masks[2] / number(KEEP)  # (B, 256)
        return self.fc3(h)  # (B, 1), logits


class GAN(nn.Layer):
    def __init__(self):
        super().__init__()
        self.generator = Generator()
        self.discriminator = Discriminator()


# ------------------------------------------------------------------------------------- forward, losses


def masks(noise, which):
    return [noise[f"{which}_mask{k}"] for k in range(3)]


def forward(model, inputs, noise):
    """images (B, 784) in [-1, 1], z (B, 100) -> generated (B, 784), logits of D for both (B, 1)."""
    generated = model.generator(noise["discriminator_z"])
    generated.stop_gradient = True  # G learns from loss_g alone
    return {
        "generated": generated,
        "real_logits": model.discriminator(inputs["images"], masks(noise, "real")),
        "fake_logits": model.discriminator(generated, masks(noise, "fake")),
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
    fooled = model.discriminator(model.generator(noise["generator_z"]), masks(noise, "fooled"))
    return {"loss_g": bce(fooled, 1.0)}


def losses(model, inputs, noise):
    return discriminator_losses(model, inputs, noise) | generator_losses(model, inputs, noise)


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype, device):
    state = State(spec, GAN, dtype, device)
    # One Program per update, which holds nothing of the others. Each makes its own layers, once: within a Program, a
    # parameter name used twice would make two parameters; between Programs, one name is one parameter.
    for name, losses_of in {"discriminator": discriminator_losses, "generator": generator_losses}.items():
        for source in SOURCES:
            with state.program(name, source) as program:
                model, update = GAN(), spec.update(name)
                program.fetch = losses_of(model, program.inputs(), program.noise(update.noise))
                adam(update).minimize(program.fetch[update.objective], program.startup, parameters(model, update))
    return state


def train_step(state, inputs, noise):
    values_d = state.run("discriminator", inputs, noise)
    values_g = state.run("generator", inputs, noise)  # judged by the D just updated
    return values_d | values_g


# -------------------------------------------------------------------------------------------- sampling


def sample(model, noise):
    """z (B, 100) from the prior N(0, 1) -> images (B, 784) in [-1, 1]."""
    return model.generator(noise["z"])
