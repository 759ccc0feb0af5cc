"""Adversarial autoencoder, style apart from content, PyTorch. Specification: common/specs/aae_style.py.

Makhzani et al. 2015, arXiv 1511.05644, section 4; article `aae`. Dropout masks are noise; without them a network runs in
evaluation mode. Shapes are those of width 1000.
"""

import torch
from torch import nn
from torch.nn import functional as F

from backends.pytorch.optimizer import adam, update
from backends.pytorch.steps import State
from backends.pytorch.terms import dropout

EPS = 1e-15

# -------------------------------------------------------------------------------------------- networks


class Encoder(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc0 = nn.Linear(784, width)
        self.fc1 = nn.Linear(width, width)
        self.fc2 = nn.Linear(width, 2)

    def forward(self, x, masks=(None, None)):
        h = F.relu(dropout(self.fc0(x), masks[0], keep=0.8))  # (B, 1000)
        h = F.relu(dropout(self.fc1(h), masks[1], keep=0.8))  # (B, 1000)
        return self.fc2(h)  # (B, 2), the style


class Decoder(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc0 = nn.Linear(10 + 2, width)
        self.fc1 = nn.Linear(width, width)
        self.fc2 = nn.Linear(width, 784)

    def forward(self, labels, style, masks=(None, None)):
        h = torch.cat([labels, style], dim=1)  # (B, 12)
        h = F.relu(dropout(self.fc0(h), masks[0], keep=0.8))  # (B, 1000)
        h = dropout(self.fc1(h), masks[1], keep=0.8)  # (B, 1000), no ReLU here
        return self.fc2(h)  # (B, 784), logits


class Discriminator(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc0 = nn.Linear(2, width)
        self.fc1 = nn.Linear(width, width)
        self.fc2 = nn.Linear(width, 1)

    def forward(self, style, masks):
        h = F.relu(dropout(self.fc0(style), masks[0], keep=0.8))  # (B, 1000)
        h = F.relu(dropout(self.fc1(h), masks[1], keep=0.8))  # (B, 1000)
        return torch.sigmoid(self.fc2(h))  # (B, 1)


class StyleAAE(nn.Module):
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
    return {"loss_r": F.binary_cross_entropy_with_logits(logits, inputs["images"])}


def discriminator_losses(model, inputs, noise):
    """-mean[log(D(z) + EPS) + log(1 - D(encoder(x)) + EPS)], no dropout in the encoder."""
    style = model.encoder(inputs["images"]).detach()  # the encoder learns from loss_r and loss_g alone
    real = model.discriminator(noise["prior"], masks(noise, "real"))
    fake = model.discriminator(style, masks(noise, "fake"))
    return {"loss_d": -torch.mean(torch.log(real + EPS) + torch.log(1 - fake + EPS))}


def generator_losses(model, inputs, noise):
    """-mean log(D(encoder(x)) + EPS), with dropout in the encoder."""
    style = model.encoder(inputs["images"], masks(noise, "generator"))
    fooled = model.discriminator(style, masks(noise, "fooled"))
    return {"loss_g": -torch.mean(torch.log(fooled + EPS))}


def losses(model, inputs, noise):
    return (
        reconstruction_losses(model, inputs, noise)
        | discriminator_losses(model, inputs, noise)
        | generator_losses(model, inputs, noise)
    )


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype, device):
    model = StyleAAE(**spec.options).to(dtype=dtype, device=device)
    # Two Adams over the encoder: that of the reconstruction and that of the generator, each with moments of its own.
    names = ("reconstruction", "discriminator", "generator")
    return State(model, {name: adam(spec.update(name), model) for name in names})


def train_step(state, inputs, noise):
    values_r = reconstruction_losses(state.model, inputs, noise)
    update(state.optimizers["reconstruction"], values_r["loss_r"])
    values_d = discriminator_losses(state.model, inputs, noise)  # of the styles just improved
    update(state.optimizers["discriminator"], values_d["loss_d"])
    values_g = generator_losses(state.model, inputs, noise)  # judged by the D just updated
    update(state.optimizers["generator"], values_g["loss_g"])
    return values_r | values_d | values_g


# ------------------------------------------------------------------------------------ coding, sampling


def encode(model, inputs):
    """images (B, 784) -> style (B, 2)."""
    return model.encoder(inputs["images"])


def reconstruct(model, inputs, noise):
    """images (B, 784), labels (B, 10) one-hot -> pixels (B, 784) in [0, 1]."""
    return torch.sigmoid(model.decoder(inputs["labels"], model.encoder(inputs["images"])))


def sample(model, noise):
    """label (B, 10) one-hot, z (B, 2) from the prior N(0, 5²) -> pixels (B, 784) in [0, 1]."""
    return torch.sigmoid(model.decoder(noise["label"], noise["z"]))
