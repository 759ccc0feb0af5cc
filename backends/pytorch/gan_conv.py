"""GAN of convolutions, PyTorch. Specification: common/specs/gan_conv.py.

Radford et al. 2015, arXiv 1511.06434; article `gan`. Batch norms move their running statistics in every pass of a
training step; sample uses them, in evaluation mode, which the engine sets. Shapes are those of width 64.
"""

import torch
from torch import nn
from torch.nn import functional as F

from backends.pytorch.exact import BatchNorm
from backends.pytorch.optimizer import adam, update
from backends.pytorch.steps import State
from backends.pytorch.terms import bce

SLOPE, LATENT = 0.2, 100
MOMENTUM, EPSILON = 0.9, 1e-5

# -------------------------------------------------------------------------------------------- networks


def batch_norm(features):
    return BatchNorm(features, MOMENTUM, EPSILON)


class Generator(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc0 = nn.Linear(LATENT, 2 * width * 7 * 7, bias=False)
        self.bn0 = batch_norm(2 * width)
        self.conv0 = nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1, bias=False)
        self.bn1 = batch_norm(width)
        self.conv1 = nn.ConvTranspose2d(width, 1, 4, stride=2, padding=1)

    def forward(self, z):
        h = self.fc0(z).reshape(len(z), -1, 7, 7)  # (B, 128, 7, 7)
        h = F.relu(self.bn0(h))
        h = F.relu(self.bn1(self.conv0(h)))  # (B, 64, 14, 14)
        return torch.tanh(self.conv1(h))  # (B, 1, 28, 28)


class Discriminator(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv0 = nn.Conv2d(1, width, 4, stride=2, padding=1)
        self.conv1 = nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False)
        self.bn0 = batch_norm(2 * width)
        self.logit = nn.Linear(2 * width * 7 * 7, 1)

    def forward(self, x):
        h = F.leaky_relu(self.conv0(x), SLOPE)  # (B, 64, 14, 14)
        h = F.leaky_relu(self.bn0(self.conv1(h)), SLOPE)  # (B, 128, 7, 7)
        return self.logit(h.reshape(len(h), -1))  # (B, 1)


class ConvGAN(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.generator = Generator(width)
        self.discriminator = Discriminator(width)


# ------------------------------------------------------------------------------------- forward, losses


def forward(model, inputs, noise):
    """images (B, 1, 28, 28) in [-1, 1], z (B, 100) -> generated (B, 1, 28, 28), logits of D for both (B, 1)."""
    generated = model.generator(noise["discriminator_z"]).detach()  # G learns from loss_g alone
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
        "score_real": torch.mean(torch.sigmoid(real)),
        "score_fake": torch.mean(torch.sigmoid(fake)),
    }


def generator_losses(model, inputs, noise):
    """mean BCE(D(G(z)), 1), with a z of its own."""
    fooled = model.discriminator(model.generator(noise["generator_z"]))
    return {"loss_g": bce(fooled, 1.0)}


def losses(model, inputs, noise):
    return discriminator_losses(model, inputs, noise) | generator_losses(model, inputs, noise)


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype, device):
    model = ConvGAN(**spec.options).to(dtype=dtype, device=device)
    return State(model, {name: adam(spec.update(name), model) for name in ("discriminator", "generator")})


def train_step(state, inputs, noise):
    values_d = discriminator_losses(state.model, inputs, noise)
    update(state.optimizers["discriminator"], values_d["loss_d"])
    values_g = generator_losses(state.model, inputs, noise)  # judged by the D just updated
    update(state.optimizers["generator"], values_g["loss_g"])
    return values_d | values_g


# ------------------------------------------------------------------------------------------- sampling


def sample(model, noise):
    """z (B, 100) -> images (B, 1, 28, 28) in [-1, 1]."""
    return model.generator(noise["z"])
