"""Variational autoencoder, PyTorch: `vae` and `vae_z100`. Specification: common/specs/vae.py.

Kingma & Welling 2013, arXiv 1312.6114; articles `autoencoders` and `vae_notes`.
"""

import torch
from torch import nn
from torch.nn import functional as F

from backends.pytorch.optimizer import adam, update
from backends.pytorch.steps import State

# -------------------------------------------------------------------------------------------- networks


class Encoder(nn.Module):
    def __init__(self, pixels, hidden, latent):
        super().__init__()
        self.fc0 = nn.Linear(pixels, hidden)
        self.mean = nn.Linear(hidden, latent)
        self.logvar = nn.Linear(hidden, latent)

    def forward(self, x):
        h = F.relu(self.fc0(x))  # (B, hidden)
        return self.mean(h), self.logvar(h)  # (B, latent) each


class Decoder(nn.Module):
    def __init__(self, latent, hidden, pixels):
        super().__init__()
        self.fc0 = nn.Linear(latent, hidden)
        self.fc1 = nn.Linear(hidden, pixels)

    def forward(self, z):
        h = F.relu(self.fc0(z))  # (B, hidden)
        return self.fc1(h)  # (B, 784), logits


class VAE(nn.Module):
    def __init__(self, pixels, hidden, latent, reduction):
        super().__init__()
        self.encoder = Encoder(pixels, hidden, latent)
        self.decoder = Decoder(latent, hidden, pixels)
        self.reduction = reduction  # over the batch: "sum" in vae, "mean" in vae_z100


# ------------------------------------------------------------------------------------- forward, losses


def forward(model, inputs, noise):
    """images (B, 784) in [0, 1], epsilon (B, latent) ~ N(0, 1) -> mean, logvar, z (B, latent), logits (B, 784)."""
    mean, logvar = model.encoder(inputs["images"])
    z = mean + torch.exp(logvar / 2) * noise["epsilon"]
    return {"mean": mean, "logvar": logvar, "z": z, "logits": model.decoder(z)}


def losses(model, inputs, noise):
    """BCE + KL(N(mean, exp(logvar)) ‖ N(0, 1)), summed over pixels and code, then reduced over the batch."""
    output = forward(model, inputs, noise)
    mean, logvar = output["mean"], output["logvar"]
    bce = F.binary_cross_entropy_with_logits(output["logits"], inputs["images"], reduction="none").sum(dim=1)  # (B,)
    kl = -0.5 * torch.sum(1 + logvar - mean**2 - torch.exp(logvar), dim=1)  # (B,)
    reduce = torch.sum if model.reduction == "sum" else torch.mean
    return {"loss": reduce(bce + kl), "bce": reduce(bce), "kl": reduce(kl)}


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype, device):
    model = VAE(spec.images.shape[0], spec.options["hidden"], spec.options["latent"], spec.reduction).to(
        dtype=dtype, device=device
    )
    return State(model, {"train": adam(spec.update("train"), model)})


def train_step(state, inputs, noise):
    values = losses(state.model, inputs, noise)
    update(state.optimizers["train"], values["loss"])
    return values


# ------------------------------------------------------------------------------------ coding, sampling


def encode(model, inputs):
    """images (B, 784) -> mean of the code (B, latent)."""
    mean, _ = model.encoder(inputs["images"])
    return mean


def reconstruct(model, inputs, noise):
    """images (B, 784), epsilon (B, latent) -> pixels (B, 784) in [0, 1]."""
    return torch.sigmoid(forward(model, inputs, noise)["logits"])


def sample(model, noise):
    """z (B, latent) from the prior N(0, 1) -> pixels (B, 784) in [0, 1]."""
    return torch.sigmoid(model.decoder(noise["z"]))
