"""Adversarial autoencoder, Paddle. Specification: common/specs/aae.py.

Makhzani et al. 2015, arXiv 1511.05644; article `aae`. Dropout masks are noise; without them a network runs in
evaluation mode.
"""

import paddle
from paddle import nn
from paddle.nn import functional as F

from backends.paddle.exact import number
from backends.paddle.layouts import named
from backends.paddle.optimizer import adam, parameters
from backends.paddle.steps import SOURCES, State
from backends.paddle.terms import cross_entropy, dropout

EPS = 1e-15

# -------------------------------------------------------------------------------------------- networks


class Encoder(nn.Layer):
    def __init__(self):
        super().__init__()
        self.fc0 = nn.Linear(784, 1000, **named("encoder.fc0"))
        self.fc1 = nn.Linear(1000, 1000, **named("encoder.fc1"))
        self.fc2 = nn.Linear(1000, 120, **named("encoder.fc2"))

    def forward(self, x, masks=(None, None)):
        h = F.relu(dropout(self.fc0(x), masks[0], keep=0.75))  # (B, 1000)
        h = F.relu(dropout(self.fc1(h), masks[1], keep=0.75))  # (B, 1000)
        return self.fc2(h)  # (B, 120), the code


class Decoder(nn.Layer):
    def __init__(self):
        super().__init__()
        self.fc0 = nn.Linear(120, 1000, **named("decoder.fc0"))
        self.fc1 = nn.Linear(1000, 1000, **named("decoder.fc1"))
        self.fc2 = nn.Linear(1000, 784, **named("decoder.fc2"))

    def forward(self, code, masks=(None, None)):
        h = F.relu(dropout(self.fc0(code), masks[0], keep=0.75))  # (B, 1000)
        h = dropout(self.fc1(h), masks[1], keep=0.75)  # (B, 1000), no ReLU here
        return self.fc2(h)  # (B, 784), logits


class Discriminator(nn.Layer):
    def __init__(self):
        super().__init__()
        self.fc0 = nn.Linear(120, 500, **named("discriminator.fc0"))
        self.fc1 = nn.Linear(500, 500, **named("discriminator.fc1"))
        self.fc2 = nn.Linear(500, 1, **named("discriminator.fc2"))

    def forward(self, code, masks):
        h = F.relu(dropout(self.fc0(code), masks[0], keep=0.8))  # (B, 500)
        h = F.relu(dropout(self.fc1(h), masks[1], keep=0.8))  # (B, 500)
        return F.sigmoid(self.fc2(h))  # (B, 1)


class AAE(nn.Layer):
    def __init__(self):
        super().__init__()
        self.encoder = Encoder()
        self.decoder = Decoder()
        self.discriminator = Discriminator()


# ------------------------------------------------------------------------------------- forward, losses


def masks(noise, which):
    return [noise[f"{which}_mask{k}"] for k in range(2)]


def forward(model, inputs, noise):
    """images (B, 784) in [0, 1] -> code (B, 120), logits (B, 784), D's probabilities for the prior and the code (B, 1)."""
    code = model.encoder(inputs["images"], masks(noise, "encoder"))
    return {
        "code": code,
        "logits": model.decoder(code, masks(noise, "decoder")),
        "real": model.discriminator(noise["prior"], masks(noise, "real")),
        "fake": model.discriminator(model.encoder(inputs["images"]), masks(noise, "fake")),
    }


def reconstruction_losses(model, inputs, noise):
    """mean BCE(decoder(encoder(x)), x)."""
    logits = model.decoder(model.encoder(inputs["images"], masks(noise, "encoder")), masks(noise, "decoder"))
    return {"loss_r": paddle.mean(cross_entropy(logits, inputs["images"]))}


def discriminator_losses(model, inputs, noise):
    """-mean[log(D(z) + EPS) + log(1 - D(encoder(x)) + EPS)], no dropout in the encoder."""
    code = model.encoder(inputs["images"])
    code.stop_gradient = True  # the encoder learns from loss_r and loss_g alone
    real = model.discriminator(noise["prior"], masks(noise, "real"))
    fake = model.discriminator(code, masks(noise, "fake"))
    return {"loss_d": -paddle.mean(paddle.log(real + number(EPS)) + paddle.log(1 - fake + number(EPS)))}


def generator_losses(model, inputs, noise):
    """-mean log(D(encoder(x)) + EPS), with dropout in the encoder."""
    code = model.encoder(inputs["images"], masks(noise, "generator"))
    fooled = model.discriminator(code, masks(noise, "fooled"))
    return {"loss_g": -paddle.mean(paddle.log(fooled + number(EPS)))}


def losses(model, inputs, noise):
    return (
        reconstruction_losses(model, inputs, noise)
        | discriminator_losses(model, inputs, noise)
        | generator_losses(model, inputs, noise)
    )


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype, device):
    state = State(spec, AAE, dtype, device)
    # One Program per update, which holds nothing of the others. Each makes its own layers, once: within a Program, a
    # parameter name used twice would make two parameters; between Programs, one name is one parameter.
    functions = {
        "reconstruction": reconstruction_losses,
        "discriminator": discriminator_losses,
        "generator": generator_losses,
    }
    for name, losses_of in functions.items():
        for source in SOURCES:
            with state.program(name, source) as program:
                model, update = AAE(), spec.update(name)
                program.fetch = losses_of(model, program.inputs(), program.noise(update.noise))
                adam(update).minimize(program.fetch[update.objective], program.startup, parameters(model, update))
    return state


def train_step(state, inputs, noise):
    values_r = state.run("reconstruction", inputs, noise)
    values_d = state.run("discriminator", inputs, noise)  # of the codes just improved
    values_g = state.run("generator", inputs, noise)  # judged by the D just updated
    return values_r | values_d | values_g


# ------------------------------------------------------------------------------------ coding, sampling


def encode(model, inputs):
    """images (B, 784) -> code (B, 120)."""
    return model.encoder(inputs["images"])


def reconstruct(model, inputs, noise):
    """images (B, 784) -> pixels (B, 784) in [0, 1]."""
    return F.sigmoid(model.decoder(model.encoder(inputs["images"])))


def sample(model, noise):
    """z (B, 120) from the prior N(0, 5²) -> pixels (B, 784) in [0, 1]."""
    return F.sigmoid(model.decoder(noise["z"]))
