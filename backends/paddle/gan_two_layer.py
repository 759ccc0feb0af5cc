"""Two-layer GAN, Paddle. Specification: common/specs/gan_two_layer.py.

The demonstration of the article `infogan`; log(p + 1e-8) on probabilities, as printed there.
"""

import paddle
from paddle import nn
from paddle.nn import functional as F

from backends.paddle.exact import number
from backends.paddle.layouts import named
from backends.paddle.optimizer import adam, parameters
from backends.paddle.steps import SOURCES, State

EPS = 1e-8

# -------------------------------------------------------------------------------------------- networks


class Generator(nn.Layer):
    def __init__(self):
        super().__init__()
        self.fc0 = nn.Linear(100, 256, **named("generator.fc0"))
        self.fc1 = nn.Linear(256, 784, **named("generator.fc1"))

    def forward(self, z):
        h = F.relu(self.fc0(z))  # (B, 256)
        return F.sigmoid(self.fc1(h))  # (B, 784)


class Discriminator(nn.Layer):
    def __init__(self):
        super().__init__()
        self.fc0 = nn.Linear(784, 256, **named("discriminator.fc0"))
        self.fc1 = nn.Linear(256, 1, **named("discriminator.fc1"))

    def forward(self, x):
        h = F.relu(self.fc0(x))  # (B, 256)
        return F.sigmoid(self.fc1(h))  # (B, 1)


class GAN(nn.Layer):
    def __init__(self):
        super().__init__()
        self.generator = Generator()
        self.discriminator = Discriminator()


# ------------------------------------------------------------------------------------- forward, losses


def forward(model, inputs, noise):
    """images (B, 784) in [0, 1], z (B, 100) -> generated (B, 784), D's probabilities for both (B, 1)."""
    generated = model.generator(noise["z"])
    generated.stop_gradient = True  # G learns from loss_g alone
    return {
        "generated": generated,
        "real": model.discriminator(inputs["images"]),
        "fake": model.discriminator(generated),
    }


def discriminator_losses(model, inputs, noise):
    """-mean[log(D(x) + EPS) + log(1 - D(G(z)) + EPS)], and D's mean probabilities."""
    output = forward(model, inputs, noise)
    real, fake = output["real"], output["fake"]
    loss = -paddle.mean(paddle.log(real + number(EPS)) + paddle.log(1 - fake + number(EPS)))
    return {"loss_d": loss, "score_real": paddle.mean(real), "score_fake": paddle.mean(fake)}


def generator_losses(model, inputs, noise):
    """-mean log(D(G(z)) + EPS), with the z that D has just seen."""
    fooled = model.discriminator(model.generator(noise["z"]))
    return {"loss_g": -paddle.mean(paddle.log(fooled + number(EPS)))}


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
    """z (B, 100) from the prior U(-1, 1) -> images (B, 784) in [0, 1]."""
    return model.generator(noise["z"])
