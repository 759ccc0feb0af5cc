"""Generative adversarial network, PyTorch. Specification: common/specs/gan.py.

Goodfellow et al. 2014, arXiv 1406.2661; article `gan`. Dropout is always on, as published: its masks are noise.
"""

import torch
from torch import nn
from torch.nn import functional as F

from backends.pytorch.optimizer import adam, update
from backends.pytorch.steps import State
from backends.pytorch.terms import bce

SLOPE, KEEP = 0.2, 0.7

# -------------------------------------------------------------------------------------------- networks


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc0 = nn.Linear(100, 256)
        self.fc1 = nn.Linear(256, 512)
        self.fc2 = nn.Linear(512, 1024)
        self.fc3 = nn.Linear(1024, 784)

    def forward(self, z):
        h = F.leaky_relu(self.fc0(z), SLOPE)  # (B, 256)
        h = F.leaky_relu(self.fc1(h), SLOPE)  # (B, 512)
        h = F.leaky_relu(self.fc2(h), SLOPE)  # (B, 1024)
        return torch.tanh(self.fc3(h))  # (B, 784)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc0 = nn.Linear(784, 1024)
        self.fc1 = nn.Linear(1024, 512)
        self.fc2 = nn.Linear(512, 256)
        self.fc3 = nn.Linear(256, 1)

    def forward(self, x, masks):
        h = F.leaky_relu(self.fc0(x), SLOPE) * masks[0] / KEEP  # (B, 1024)
        h = F.leaky_relu(self.fc1(h), SLOPE) * masks[1] / KEEP  # (B, 512)
        h = F.leaky_relu(self.fc2(h), SLOPE) * masks[2] / KEEP  # (B, 256)
        return self.fc3(h)  # (B, 1), logits


class GAN(nn.Module):
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
    return {
        "generated": generated,
        "real_logits": model.discriminator(inputs["images"], masks(noise, "real")),
        "fake_logits": model.discriminator(generated.detach(), masks(noise, "fake")),  # G learns from loss_g alone
    }


def discriminator_losses(model, inputs, noise):
    """mean BCE(D(x), 1) + mean BCE(D(G(z)), 0), and D's mean probabilities."""
    output = forward(model, inputs, noise)
    real, fake = output["real_logits"], output["fake_logits"]
    return {
        "loss_d": bce(real, 1.0) + bce(fake, 0.0),
        "score_real": torch.mean(torch.sigmoid(real)),
        "score_fake": torch.mean(torch.sigmoid(fake)),
    }


def generator_losses(model, inputs, noise):
    """mean BCE(D(G(z)), 1), with a z of its own."""
    fooled = model.discriminator(model.generator(noise["generator_z"]), masks(noise, "fooled"))
    return {"loss_g": bce(fooled, 1.0)}


def losses(model, inputs, noise):
    return discriminator_losses(model, inputs, noise) | generator_losses(model, inputs, noise)


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype, device):
    model = GAN().to(dtype=dtype, device=device)
    return State(model, {name: adam(spec.update(name), model) for name in ("discriminator", "generator")})


def train_step(state, inputs, noise):
    values_d = discriminator_losses(state.model, inputs, noise)
    update(state.optimizers["discriminator"], values_d["loss_d"])
    values_g = generator_losses(state.model, inputs, noise)  # judged by the D just updated
    update(state.optimizers["generator"], values_g["loss_g"])
    return values_d | values_g


# -------------------------------------------------------------------------------------------- sampling


def sample(model, noise):
    """z (B, 100) from the prior N(0, 1) -> images (B, 784) in [-1, 1]."""
    return model.generator(noise["z"])
