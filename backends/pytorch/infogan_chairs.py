"""InfoGAN for 3-D chairs, PyTorch. Specification: common/specs/infogan_colour.py.

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
        self.fc1 = nn.Linear(16 * width, 4 * width * 8 * 8, bias=False)
        self.bn1 = batch_norm(4 * width * 8 * 8)
        self.conv0 = nn.ConvTranspose2d(4 * width, 4 * width, 3, stride=1, padding=1, bias=False)
        self.bn2 = batch_norm(4 * width)
        self.conv1 = nn.ConvTranspose2d(4 * width, 4 * width, 3, stride=1, padding=1, bias=False)
        self.bn3 = batch_norm(4 * width)
        self.conv2 = nn.ConvTranspose2d(4 * width, 2 * width, 4, stride=2, padding=1, bias=False)
        self.bn4 = batch_norm(2 * width)
        self.conv3 = nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1, bias=False)
        self.bn5 = batch_norm(width)
        self.conv4 = nn.ConvTranspose2d(width, 1, 4, stride=2, padding=1)

    def forward(self, latent):
        h = F.relu(self.bn0(self.fc0(latent)))  # (B, 1024)
        h = F.relu(self.bn1(self.fc1(h)))  # (B, 16384)
        h = h.reshape(len(h), -1, 8, 8)  # (B, 256, 8, 8)
        h = F.relu(self.bn2(self.conv0(h)))
        h = F.relu(self.bn3(self.conv1(h)))
        h = F.relu(self.bn4(self.conv2(h)))  # (B, 128, 16, 16)
        h = F.relu(self.bn5(self.conv3(h)))  # (B, 64, 32, 32)
        return torch.sigmoid(self.conv4(h))  # (B, 1, 64, 64)


class Trunk(nn.Module):
    def __init__(self, width, slope):
        super().__init__()
        self.slope = slope
        self.conv0 = nn.Conv2d(1, width, 4, stride=2, padding=1)
        self.conv1 = nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False)
        self.bn0 = batch_norm(2 * width)
        self.conv2 = nn.Conv2d(2 * width, 4 * width, 4, stride=2, padding=1, bias=False)
        self.bn1 = batch_norm(4 * width)
        self.conv3 = nn.Conv2d(4 * width, 4 * width, 3, stride=1, padding=1, bias=False)
        self.bn2 = batch_norm(4 * width)
        self.conv4 = nn.Conv2d(4 * width, 4 * width, 3, stride=1, padding=1, bias=False)
        self.bn3 = batch_norm(4 * width)
        self.fc0 = nn.Linear(4 * width * 8 * 8, 16 * width, bias=False)
        self.bn4 = batch_norm(16 * width)

    def forward(self, x):
        h = F.leaky_relu(self.conv0(x), self.slope)  # (B, 64, 32, 32)
        h = F.leaky_relu(self.bn0(self.conv1(h)), self.slope)  # (B, 128, 16, 16)
        h = F.leaky_relu(self.bn1(self.conv2(h)), self.slope)  # (B, 256, 8, 8)
        h = F.leaky_relu(self.bn2(self.conv3(h)), self.slope)
        h = F.leaky_relu(self.bn3(self.conv4(h)), self.slope)
        h = h.reshape(len(h), -1)  # (B, 16384)
        return F.leaky_relu(self.bn4(self.fc0(h)), self.slope)  # (B, 1024)


class Recognition(nn.Module):
    def __init__(self, width, categories, codes):
        super().__init__()
        self.category = nn.Linear(16 * width, categories)
        self.mean = nn.Linear(16 * width, codes)
        self.logstd = nn.Linear(16 * width, codes)

    def forward(self, h):
        return {"category": self.category(h), "mean": self.mean(h), "logstd": self.logstd(h)}  # (B, 60) logits, (B, 1)


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype, device):
    width, codes = spec.options["width"], spec.options["codes"]
    categories = spec.options["categories"] * spec.options["classes"]
    model = InfoGAN(
        Generator(spec.options["z"] + categories + codes, width),
        Trunk(width, spec.slope),
        Discriminator(16 * width),
        Recognition(width, categories, codes),
        spec.options,
    )
    return start(model, spec, dtype, device)
