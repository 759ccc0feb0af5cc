"""Convolutional autoencoder, Paddle: a code of 8 × 2 × 2 and back. Specification: common/specs/conv_autoencoder.py.

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
        self.conv0 = nn.Conv2D(1, 16, 3, stride=3, padding=1, **named("encoder.conv0"))
        self.conv1 = nn.Conv2D(16, 8, 3, stride=2, padding=1, **named("encoder.conv1"))

    def forward(self, x):
        h = F.relu(self.conv0(x))  # (B, 16, 10, 10)
        h = F.max_pool2d(h, 2, stride=2)  # (B, 16, 5, 5)
        h = F.relu(self.conv1(h))  # (B, 8, 3, 3)
        return F.max_pool2d(h, 2, stride=1)  # (B, 8, 2, 2)


class Decoder(nn.Layer):
    def __init__(self):
        super().__init__()
        self.conv0 = nn.Conv2DTranspose(8, 16, 3, stride=2, padding=0, **named("decoder.conv0"))
        self.conv1 = nn.Conv2DTranspose(16, 8, 5, stride=3, padding=1, **named("decoder.conv1"))
        self.conv2 = nn.Conv2DTranspose(8, 1, 2, stride=2, padding=1, **named("decoder.conv2"))

    def forward(self, code):
        h = F.relu(self.conv0(code))  # (B, 16, 5, 5)
        h = F.relu(self.conv1(h))  # (B, 8, 15, 15)
        return paddle.tanh(self.conv2(h))  # (B, 1, 28, 28)


class ConvAutoencoder(nn.Layer):
    def __init__(self):
        super().__init__()
        self.encoder = Encoder()
        self.decoder = Decoder()


# ------------------------------------------------------------------------------------- forward, losses


def forward(model, inputs, noise):
    """images (B, 1, 28, 28) in [-1, 1] -> code (B, 8, 2, 2), reconstruction (B, 1, 28, 28)."""
    code = model.encoder(inputs["images"])
    return {"code": code, "reconstruction": model.decoder(code)}


def losses(model, inputs, noise):
    """Mean squared error over all elements."""
    reconstruction = forward(model, inputs, noise)["reconstruction"]
    return {"loss": paddle.mean(paddle.square(reconstruction - inputs["images"]))}  # ** 2 takes 25 times as long


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype, device):
    state = State(spec, ConvAutoencoder, dtype, device)
    # Each Program makes its own layers, once. Within a Program, a parameter name used twice would make two parameters;
    # between Programs, one name is one parameter.
    for source in SOURCES:
        with state.program("train", source) as program:
            model, update = ConvAutoencoder(), spec.update("train")
            program.fetch = losses(model, program.inputs(), program.noise(update.noise))
            adam(update).minimize(program.fetch["loss"], program.startup, parameters(model, update))
    return state


def train_step(state, inputs, noise):
    return state.run("train", inputs, noise)


# ------------------------------------------------------------------------------------ coding, sampling


def encode(model, inputs):
    """images (B, 1, 28, 28) -> code (B, 8, 2, 2)."""
    return model.encoder(inputs["images"])


def reconstruct(model, inputs, noise):
    """images (B, 1, 28, 28) -> reconstruction (B, 1, 28, 28) in [-1, 1]."""
    return forward(model, inputs, noise)["reconstruction"]
