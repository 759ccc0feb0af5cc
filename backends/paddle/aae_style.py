"""Adversarial autoencoder, style apart from content, Paddle. Specification: common/specs/aae_style.py.

Makhzani et al. 2015, arXiv 1511.05644, section 4; article `aae`. Dropout masks are noise; without them a network runs in
evaluation mode. Shapes are those of width 1000.
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
    def __init__(self, width):
        super().__init__()
        self.fc0 = nn.Linear(784, width, **named("encoder.fc0"))
        self.fc1 = nn.Linear(width, width, **named("encoder.fc1"))
        self.fc2 = nn.Linear(width, 2, **named("encoder.fc2"))

    def forward(self, x, masks=(None, None)):
        h = F.relu(dropout(self.fc0(x), masks[0], keep=0.8))  # (B, 1000)
        h = F.relu(dropout(self.fc1(h), masks[1], keep=0.8))  # (B, 1000)
        return self.fc2(h)  # (B, 2), the style


class Decoder(nn.Layer):
    def __init__(self, width):
        super().__init__()
        self.fc0 = nn.Linear(10 + 2, width, **named("decoder.fc0"))
        self.fc1 = nn.Linear(width, width, **named("decoder.fc1"))
        self.fc2 = nn.Linear(width, 784, **named("decoder.fc2"))

    def forward(self, labels, style, masks=(None, None)):
        h = paddle.concat([labels, style], axis=1)  # (B, 12)
        h = F.relu(dropout(self.fc0(h), masks[0], keep=0.8))  # (B, 1000)
        h = dropout(self.fc1(h), masks[1], keep=0.8)  # (B, 1000), no ReLU here
        return self.fc2(h)  # (B, 784), logits


class Discriminator(nn.Layer):
    def __init__(self, width):
        super().__init__()
        self.fc0 = nn.Linear(2, width, **named("discriminator.fc0"))
        self.fc1 = nn.Linear(width, width, **named("discriminator.fc1"))
        self.fc2 = nn.Linear(width, 1, **named("discriminator.fc2"))

    def forward(self, style, masks):
        h = F.relu(dropout(self.fc0(style), masks[0], keep=0.8))  # (B, 1000)
        h = F.relu(dropout(self.fc1(h), masks[1], keep=0.8))  # (B, 1000)
        return F.sigmoid(self.fc2(h))  # (B, 1)


class StyleAAE(nn.Layer):
    def __init__(self, width):
        super().__init__()
        self.encoder = Encoder(width)
        self.decoder = Decoder(width)
        self.discriminator = Discriminator(width)


# ------------------------------------------------------------------------------------- forward, losses


def masks(noise, which):
    return [noise[f"{which}_mask{k}"] for k in range(2)]


def forward(model, inputs, noise):
    """images (B, 784) in [0, 1], labels (B, 10) one-hot -> style (B, 2), logits (B, 784), D's probabilities for the prior and
    the style (B, 1)."""
    style = model.encoder(inputs["images"], masks(noise, "encoder"))
    return {
        "style": style,
        "logits": model.decoder(inputs["labels"], style, masks(noise, "decoder")),
        "real": model.discriminator(noise["prior"], masks(noise, "real")),
        "fake": model.discriminator(model.encoder(inputs["images"]), masks(noise, "fake")),
    }


def reconstruction_losses(model, inputs, noise):
    """mean BCE(decoder([label, encoder(x)]), x)."""
    style = model.encoder(inputs["images"], masks(noise, "encoder"))
    logits = model.decoder(inputs["labels"], style, masks(noise, "decoder"))
    return {"loss_r": paddle.mean(cross_entropy(logits, inputs["images"]))}


def discriminator_losses(model, inputs, noise):
    """-mean[log(D(z) + EPS) + log(1 - D(encoder(x)) + EPS)], no dropout in the encoder."""
    style = model.encoder(inputs["images"])
    style.stop_gradient = True  # the encoder learns from loss_r and loss_g alone
    real = model.discriminator(noise["prior"], masks(noise, "real"))
    fake = model.discriminator(style, masks(noise, "fake"))
    return {"loss_d": -paddle.mean(paddle.log(real + number(EPS)) + paddle.log(1 - fake + number(EPS)))}


def generator_losses(model, inputs, noise):
    """-mean log(D(encoder(x)) + EPS), with dropout in the encoder."""
    style = model.encoder(inputs["images"], masks(noise, "generator"))
    fooled = model.discriminator(style, masks(noise, "fooled"))
    return {"loss_g": -paddle.mean(paddle.log(fooled + number(EPS)))}


def losses(model, inputs, noise):
    return (
        reconstruction_losses(model, inputs, noise)
        | discriminator_losses(model, inputs, noise)
        | generator_losses(model, inputs, noise)
    )


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype, device):
    state = State(spec, lambda: StyleAAE(**spec.options), dtype, device)
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
                model, update = state.network(), spec.update(name)
                program.fetch = losses_of(model, program.inputs(), program.noise(update.noise))
                adam(update).minimize(program.fetch[update.objective], program.startup, parameters(model, update))
    return state


def train_step(state, inputs, noise):
    values_r = state.run("reconstruction", inputs, noise)
    values_d = state.run("discriminator", inputs, noise)  # of the styles just improved
    values_g = state.run("generator", inputs, noise)  # judged by the D just updated
    return values_r | values_d | values_g


# ------------------------------------------------------------------------------------ coding, sampling


def encode(model, inputs):
    """images (B, 784) -> style (B, 2)."""
    return model.encoder(inputs["images"])


def reconstruct(model, inputs, noise):
    """images (B, 784), labels (B, 10) one-hot -> pixels (B, 784) in [0, 1]."""
    return F.sigmoid(model.decoder(inputs["labels"], model.encoder(inputs["images"])))


def sample(model, noise):
    """label (B, 10) one-hot, z (B, 2) from the prior N(0, 5²) -> pixels (B, 784) in [0, 1]."""
    return F.sigmoid(model.decoder(noise["label"], noise["z"]))
