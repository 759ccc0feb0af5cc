"""InfoGAN for 3-D faces, PyTorch. Specification: common/specs/infogan_colour.py.

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
        self.fc0 = nn.Linear(latent, 16 * width, bias=False)
        self.bn0 = batch_norm(16 * width)
        self.fc1 = nn.Linear(16 * width, 2 * width * 8 * 8, bias=False)
        self.bn1 = batch_norm(2 * width * 8 * 8)
        self.conv0 = nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1, bias=False)
        self.bn2 = batch_norm(width)
        self.conv1 = nn.ConvTranspose2d(width, 1, 4, stride=2, padding=1)

    def forward(self, latent):
        h = F.relu(self.bn0(self.fc0(latent)))  # (B, 1024)
        h = F.relu(self.bn1(self.fc1(h)))  # (B, 8192)
        h = h.reshape(len(h), -1, 8, 8)  # (B, 128, 8, 8)
        h = F.relu(self.bn2(self.conv0(h)))  # (B, 64, 16, 16)
        return torch.sigmoid(self.conv1(h))  # (B, 1, 32, 32)


class Trunk(nn.Module):
    def __init__(self, width, slope):
        super().__init__()
        self.slope = slope
        self.conv0 = nn.Conv2d(1, width, 4, stride=2, padding=1)
        self.conv1 = nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False)
        self.bn0 = batch_norm(2 * width)
        self.fc0 = nn.Linear(2 * width * 8 * 8, 16 * width, bias=False)
        self.bn1 = batch_norm(16 * width)

    def forward(self, x):
        h = F.leaky_relu(self.conv0(x), self.slope)  # (B, 64, 16, 16)
        h = F.leaky_relu(self.bn0(self.conv1(h)), self.slope)  # (B, 128, 8, 8)
        h = h.reshape(len(h), -1)  # (B, 8192)
        return F.leaky_relu(self.bn1(self.fc0(h)), self.slope)  # (B, 1024)


class Recognition(nn.Module):
    def __init__(self, width, codes, fixed_deviation):
        super().__init__()
        self.mean = nn.Linear(16 * width, codes)
        self.logstd = None if fixed_deviation else nn.Linear(16 * width, codes)

    def forward(self, h):
        found = {"mean": self.mean(h)}  # (B, 5)
        return found if self.logstd is None else found | {"logstd": self.logstd(h)}  # (B, 5)


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype, device):
    width, codes = spec.options["width"], spec.options["codes"]
    model = InfoGAN(
        Generator(spec.options["z"] + codes, width),
        Trunk(width, spec.slope),
        Discriminator(16 * width),
        Recognition(width, codes, spec.options["fixed_deviation"]),
        spec.options,
    )
    return start(model, spec, dtype, device)
