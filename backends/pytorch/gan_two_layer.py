"""Two-layer GAN, PyTorch. Specification: common/specs/gan_two_layer.py.

The demonstration of the article `infogan`; log(p + 1e-8) on probabilities, as printed there.
"""

import torch
from torch import nn
from torch.nn import functional as F

from backends.pytorch.optimizer import adam, update
from backends.pytorch.steps import State

EPS = 1e-8

# -------------------------------------------------------------------------------------------- networks


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc0 = nn.Linear(100, 256)
        self.fc1 = nn.Linear(256, 784)

    def forward(self, z):
        h = F.relu(self.fc0(z))  # (B, 256)
        return torch.sigmoid(self.fc1(h))  # (B, 784)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc0 = nn.Linear(784, 256)
        self.fc1 = nn.Linear(256, 1)

    def forward(self, x):
        h = F.relu(self.fc0(x))  # (B, 256)
        return torch.sigmoid(self.fc1(h))  # (B, 1)


class GAN(nn.Module):
    def __init__(self):
        super().__init__()
        self.generator = Generator()
        self.discriminator = Discriminator()


# ------------------------------------------------------------------------------------- forward, losses


def forward(model, inputs, noise):
    """images (B, 784) in [0, 1], z (B, 100) -> generated (B, 784), D's probabilities for both (B, 1)."""
    generated = model.generator(noise["z"])
    return {
        "generated": generated,
        "real": model.discriminator(inputs["images"]),
        "fake": model.discriminator(generated.detach()),  # G learns from loss_g alone
    }


def discriminator_losses(model, inputs, noise):
    """-mean[log(D(x) + EPS) + log(1 - D(G(z)) + EPS)], and D's mean probabilities."""
    output = forward(model, inputs, noise)
    real, fake = output["real"], output["fake"]
    loss = -torch.mean(torch.log(real + EPS) + torch.log(1 - fake + EPS))
    return {"loss_d": loss, "score_real": torch.mean(real), "score_fake": torch.mean(fake)}


def generator_losses(model, inputs, noise):
    """-mean log(D(G(z)) + EPS), with the z that D has just seen."""
    fooled = model.discriminator(model.generator(noise["z"]))
    return {"loss_g": -torch.mean(torch.log(fooled + EPS))}


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
    """z (B, 100) from the prior U(-1, 1) -> images (B, 784) in [0, 1]."""
    return model.generator(noise["z"])
