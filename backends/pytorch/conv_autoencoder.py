"""Convolutional autoencoder, PyTorch: a code of 8 × 2 × 2 and back. Specification: common/specs/conv_autoencoder.py.

Article `autoencoders`; sizes of the article, optimiser of pytorch-beginner 08-AutoEncoder.
"""

import torch
from torch import nn
from torch.nn import functional as F

from backends.pytorch.optimizer import adam, update
from backends.pytorch.steps import State

# -------------------------------------------------------------------------------------------- networks


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv0 = nn.Conv2d(1, 16, 3, stride=3, padding=1)
        self.conv1 = nn.Conv2d(16, 8, 3, stride=2, padding=1)

    def forward(self, x):
        h = F.relu(self.conv0(x))  # (B, 16, 10, 10)
        h = F.max_pool2d(h, 2, stride=2)  # (B, 16, 5, 5)
        h = F.relu(self.conv1(h))  # (B, 8, 3, 3)
        return F.max_pool2d(h, 2, stride=1)  # (B, 8, 2, 2)


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv0 = nn.ConvTranspose2d(8, 16, 3, stride=2, padding=0)
        self.conv1 = nn.ConvTranspose2d(16, 8, 5, stride=3, padding=1)
        self.conv2 = nn.ConvTranspose2d(8, 1, 2, stride=2, padding=1)

    def forward(self, code):
        h = F.relu(self.conv0(code))  # (B, 16, 5, 5)
        h = F.relu(self.conv1(h))  # (B, 8, 15, 15)
        return torch.tanh(self.conv2(h))  # (B, 1, 28, 28)


class ConvAutoencoder(nn.Module):
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
    return {"loss": torch.mean((reconstruction - inputs["images"]) ** 2)}


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype, device):
    model = ConvAutoencoder().to(dtype=dtype, device=device)
    return State(model, {"train": adam(spec.update("train"), model)})


def train_step(state, inputs, noise):
    values = losses(state.model, inputs, noise)
    update(state.optimizers["train"], values["loss"])
    return values


# ------------------------------------------------------------------------------------ coding, sampling


def encode(model, inputs):
    """images (B, 1, 28, 28) -> code (B, 8, 2, 2)."""
    return model.encoder(inputs["images"])


def reconstruct(model, inputs, noise):
    """images (B, 1, 28, 28) -> reconstruction (B, 1, 28, 28) in [-1, 1]."""
    return forward(model, inputs, noise)["reconstruction"]
