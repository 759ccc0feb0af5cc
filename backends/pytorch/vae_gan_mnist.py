"""VAE-GAN for pictures of 28 × 28, PyTorch. Specification: common/specs/vae_gan.py.

Losses, updates, coding and sampling are those of vae_gan.py. Shapes are those of width 32.
"""

import torch
from torch import nn
from torch.nn import functional as F

from backends.pytorch.vae_gan import (  # noqa: F401
    VAEGAN,
    batch_norm,
    conv,
    conv_transpose,
    encode,
    forward,
    losses,
    reconstruct,
    sample,
    start,
    train_step,
)

# -------------------------------------------------------------------------------------------- networks


class Encoder(nn.Module):
    def __init__(self, width, latent, hidden):
        super().__init__()
        self.conv0 = conv(1, width)
        self.bn0 = batch_norm(width)
        self.conv1 = conv(width, 2 * width)
        self.bn1 = batch_norm(2 * width)
        self.fc0 = nn.Linear(2 * width * 7 * 7, hidden, bias=False)
        self.bn2 = batch_norm(hidden)
        self.mean = nn.Linear(hidden, latent)
        self.logvar = nn.Linear(hidden, latent)

    def forward(self, x):
        h = F.relu(self.bn0(self.conv0(x)))  # (B, 32, 14, 14)
        h = F.relu(self.bn1(self.conv1(h)))  # (B, 64, 7, 7)
        h = F.relu(self.bn2(self.fc0(h.reshape(len(h), -1))))  # (B, 256)
        return self.mean(h), self.logvar(h)  # (B, 32)


class Decoder(nn.Module):
    def __init__(self, width, latent):
        super().__init__()
        self.fc0 = nn.Linear(latent, 2 * width * 7 * 7, bias=False)
        self.bn0 = batch_norm(2 * width * 7 * 7)
        self.conv0 = conv_transpose(2 * width, 2 * width)
        self.bn1 = batch_norm(2 * width)
        self.conv1 = conv_transpose(2 * width, width)
        self.bn2 = batch_norm(width)
        self.conv2 = nn.Conv2d(width, 1, 5, stride=1, padding=2)

    def forward(self, z):
        h = F.relu(self.bn0(self.fc0(z)))  # (B, 3136)
        h = h.reshape(len(h), -1, 7, 7)  # (B, 64, 7, 7)
        h = F.relu(self.bn1(self.conv0(h)))  # (B, 64, 14, 14)
        h = F.relu(self.bn2(self.conv1(h)))  # (B, 32, 28, 28)
        return torch.tanh(self.conv2(h))  # (B, 1, 28, 28)


class Features(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv0 = nn.Conv2d(1, width // 2, 5, stride=1, padding=2)
        self.conv1 = conv(width // 2, width)
        self.bn0 = batch_norm(width)
        self.conv2 = conv(width, 2 * width)

    def forward(self, x):
        h = F.relu(self.conv0(x))  # (B, 16, 28, 28)
        h = F.relu(self.bn0(self.conv1(h)))  # (B, 32, 14, 14)
        return self.conv2(h)  # (B, 64, 7, 7)


class Discriminator(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.bn0 = batch_norm(2 * width)
        self.fc0 = nn.Linear(2 * width * 7 * 7, hidden // 2, bias=False)
        self.bn1 = batch_norm(hidden // 2)
        self.logit = nn.Linear(hidden // 2, 1)

    def forward(self, h):
        h = F.relu(self.bn0(h))  # (B, 64, 7, 7)
        h = F.relu(self.bn1(self.fc0(h.reshape(len(h), -1))))  # (B, 128)
        return self.logit(h)  # (B, 1)


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype, device):
    width, latent, hidden = spec.options["width"], spec.options["latent"], spec.options["hidden"]
    model = VAEGAN(
        Encoder(width, latent, hidden),
        Decoder(width, latent),
        Features(width),
        Discriminator(width, hidden),
        spec.options["gamma"],
    )
    return start(model, spec, dtype, device)
