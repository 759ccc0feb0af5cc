"""InfoGAN for street numbers and for faces of celebrities, PyTorch. Specification: common/specs/infogan_colour.py.

Chen et al. 2016, arXiv 1606.03657, appendix C; article `infogan`. Losses, updates, coding and sampling are those of
infogan.py. Shapes are those of width 64.
"""

import torch
from torch import nn
from torch.nn import functional as F

from backends.pytorch.infogan import (  # noqa: F401
    Discriminator,
    InfoGAN,
    batch_norm,
    encode,
    forward,
    losses,
    sample,
    start,
    train_step,
)

# -------------------------------------------------------------------------------------------- networks


class Generator(nn.Module):
    def __init__(self, latent, width):
        super().__init__()
        self.fc0 = nn.Linear(latent, 7 * width * 2 * 2, bias=False)
        self.bn0 = batch_norm(7 * width * 2 * 2)
        self.conv0 = nn.ConvTranspose2d(7 * width, 4 * width, 4, stride=2, padding=1, bias=False)
        self.bn1 = batch_norm(4 * width)
        self.conv1 = nn.ConvTranspose2d(4 * width, 2 * width, 4, stride=2, padding=1)
        self.conv2 = nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1)
        self.conv3 = nn.ConvTranspose2d(width, 3, 4, stride=2, padding=1)

    def forward(self, latent):
        h = F.relu(self.bn0(self.fc0(latent)))  # (B, 1792)
        h = h.reshape(len(h), -1, 2, 2)  # (B, 448, 2, 2)
        h = F.relu(self.bn1(self.conv0(h)))  # (B, 256, 4, 4)
        h = F.relu(self.conv1(h))  # (B, 128, 8, 8)
        h = F.relu(self.conv2(h))  # (B, 64, 16, 16)
        return torch.tanh(self.conv3(h))  # (B, 3, 32, 32)


class Trunk(nn.Module):
    def __init__(self, width, slope):
        super().__init__()
        self.slope = slope
        self.conv0 = nn.Conv2d(3, width, 4, stride=2, padding=1)
        self.conv1 = nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False)
        self.bn0 = batch_norm(2 * width)
        self.conv2 = nn.Conv2d(2 * width, 4 * width, 4, stride=2, padding=1, bias=False)
        self.bn1 = batch_norm(4 * width)

    def forward(self, x):
        h = F.leaky_relu(self.conv0(x), self.slope)  # (B, 64, 16, 16)
        h = F.leaky_relu(self.bn0(self.conv1(h)), self.slope)  # (B, 128, 8, 8)
        h = F.leaky_relu(self.bn1(self.conv2(h)), self.slope)  # (B, 256, 4, 4)
        return h.reshape(len(h), -1)  # (B, 4096)


class Recognition(nn.Module):
    def __init__(self, width, slope, categories, codes):
        super().__init__()
        self.slope = slope
        self.fc0 = nn.Linear(4 * width * 4 * 4, 2 * width, bias=False)
        self.bn0 = batch_norm(2 * width)
        self.category = nn.Linear(2 * width, categories)
        self.mean = nn.Linear(2 * width, codes) if codes else None
        self.logstd = nn.Linear(2 * width, codes) if codes else None

    def forward(self, h):
        h = F.leaky_relu(self.bn0(self.fc0(h)), self.slope)  # (B, 128)
        found = {"category": self.category(h)}  # (B, 40) logits
        return found if self.mean is None else found | {"mean": self.mean(h), "logstd": self.logstd(h)}  # (B, 4)


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype, device):
    width, codes = spec.options["width"], spec.options["codes"]
    categories = spec.options["categories"] * spec.options["classes"]
    model = InfoGAN(
        Generator(spec.options["z"] + categories + codes, width),
        Trunk(width, spec.slope),
        Discriminator(4 * width * 4 * 4),
        Recognition(width, spec.slope, categories, codes),
        spec.options,
    )
    return start(model, spec, dtype, device)
