"""Autoencoder, Paddle: 784 pixels to a 3-D code and back. Specification: common/specs/autoencoder.py.

Article `autoencoders`; sizes of the article, optimiser of pytorch-beginner 08-AutoEncoder.
"""

import paddle
from paddle import nn
from paddle.nn import functional as F

from backends.paddle.layouts import named
from backends.paddle.optimizer import adam, parameters
from backends.paddle.steps import SOURCES, State

# -------------------------------------------------------------------------------------------- networks


class Encoder(nn.Layer):
    def __init__(self):
        super().__init__()
        self.fc0 = nn.Linear(784, 128, **named("encoder.fc0"))
        self.fc1 = nn.Linear(128, 64, **named("encoder.fc1"))
        self.fc2 = nn.Linear(64, 12, **named("encoder.fc2"))
        self.fc3 = nn.Linear(12, 3, **named("encoder.fc3"))

    def forward(self, x):
        h = F.relu(self.fc0(x))  # (B, 128)
        h = F.relu(self.fc1(h))  # (B, 64)
        h = F.relu(self.fc2(h))  # (B, 12)
        return self.fc3(h)  # (B, 3)


class Decoder(nn.Layer):
    def __init__(self):
        super().__init__()
        self.fc0 = nn.Linear(3, 12, **named("decoder.fc0"))
        self.fc1 = nn.Linear(12, 64, **named("decoder.fc1"))
        self.fc2 = nn.Linear(64, 128, **named("decoder.fc2"))
        self.fc3 = nn.Linear(128, 784, **named("decoder.fc3"))

    def forward(self, code):
        h = F.relu(self.fc0(code))  # (B, 12)
        h = F.relu(self.fc1(h))  # (B, 64)
        h = F.relu(self.fc2(h))  # (B, 128)
        return paddle.tanh(self.fc3(h))  # (B, 784)


class Autoencoder(nn.Layer):
    def __init__(self):
        super().__init__()
        self.encoder = Encoder()
        self.decoder = Decoder()


# ------------------------------------------------------------------------------------- forward, losses


def forward(model, inputs, noise):
    """images (B, 784) in [-1, 1] -> code (B, 3), reconstruction (B, 784)."""
    code = model.encoder(inputs["images"])
    return {"code": code, "reconstruction": model.decoder(code)}


def losses(model, inputs, noise):
    """Mean squared error over all elements."""
    reconstruction = forward(model, inputs, noise)["reconstruction"]
    return {"loss": paddle.mean(paddle.square(reconstruction - inputs["images"]))}  # ** 2 takes 25 times as long


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype, device):
    state = State(spec, Autoencoder, dtype, device)
    # Each Program makes its own layers, once. Within a Program, a parameter name used twice would make two parameters;
    # between Programs, one name is one parameter.
    for source in SOURCES:
        with state.program("train", source) as program:
            model, update = Autoencoder(), spec.update("train")
            program.fetch = losses(model, program.inputs(), program.noise(update.noise))
            adam(update).minimize(program.fetch["loss"], program.startup, parameters(model, update))
    return state


def train_step(state, inputs, noise):
    return state.run("train", inputs, noise)


# ------------------------------------------------------------------------------------ coding, sampling


def encode(model, inputs):
    """images (B, 784) -> code (B, 3)."""
    return model.encoder(inputs["images"])


def reconstruct(model, inputs, noise):
    """images (B, 784) -> reconstruction (B, 784) in [-1, 1]."""
    return forward(model, inputs, noise)["reconstruction"]
