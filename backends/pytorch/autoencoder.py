"""Autoencoder, PyTorch: 784 pixels to a 3-D code and back. Specification: common/specs/autoencoder.py.

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
        self.fc0 = nn.Linear(784, 128)
        self.fc1 = nn.Linear(128, 64)
        self.fc2 = nn.Linear(64, 12)
        self.fc3 = nn.Linear(12, 3)

    def forward(self, x):
        h = F.relu(self.fc0(x))  # (B, 128)
        h = F.relu(self.fc1(h))  # (B, 64)
        h = F.relu(self.fc2(h))  # (B, 12)
        return self.fc3(h)  # (B, 3)


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc0 = nn.Linear(3, 12)
        self.fc1 = nn.Linear(12, 64)
        self.fc2 = nn.Linear(64, 128)
        self.fc3 = nn.Linear(128, 784)

    def forward(self, code):
        h = F.relu(self.fc0(code))  # (B, 12)
        h = F.relu(self.fc1(h))  # (B, 64)
        h = F.relu(self.fc2(h))  # (B, 128)
        return torch.tanh(self.fc3(h))  # (B, 784)


class Autoencoder(nn.Module):
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
    return {"loss": torch.mean((reconstruction - inputs["images"]) ** 2)}


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype, device):
    model = Autoencoder().to(dtype=dtype, device=device)
    return State(model, {"train": adam(spec.update("train"), model)})


def train_step(state, inputs, noise):
    values = losses(state.model, inputs, noise)
    update(state.optimizers["train"], values["loss"])
    return values


# ------------------------------------------------------------------------------------ coding, sampling


def encode(model, inputs):
    """images (B, 784) -> code (B, 3)."""
    return model.encoder(inputs["images"])


def reconstruct(model, inputs, noise):
    """images (B, 784) -> reconstruction (B, 784) in [-1, 1]."""
    return forward(model, inputs, noise)["reconstruction"]
