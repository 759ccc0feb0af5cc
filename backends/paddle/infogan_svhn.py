"""InfoGAN for street numbers and for faces of celebrities, Paddle. Specification: common/specs/infogan_colour.py.

Chen et al. 2016, arXiv 1606.03657, appendix C; article `infogan`. Losses, updates, coding and sampling are those of
infogan.py. Shapes are those of width 64.
"""

import paddle
from paddle import nn
from paddle.nn import functional as F

from backends.paddle.exact import leaky_relu
from backends.paddle.infogan import (  # noqa: F401
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
from backends.paddle.layouts import named

# -------------------------------------------------------------------------------------------- networks


class Generator(nn.Layer):
    def __init__(self, latent, width):
        super().__init__()
        self.fc0 = nn.Linear(latent, 7 * width * 2 * 2, **named("generator.fc0", bias=False))
        self.bn0 = batch_norm(7 * width * 2 * 2, "generator.bn0")
        self.conv0 = nn.Conv2DTranspose(
            7 * width, 4 * width, 4, stride=2, padding=1, **named("generator.conv0", bias=False)
        )
        self.bn1 = batch_norm(4 * width, "generator.bn1")
        self.conv1 = nn.Conv2DTranspose(4 * width, 2 * width, 4, stride=2, padding=1, **named("generator.conv1"))
        self.conv2 = nn.Conv2DTranspose(2 * width, width, 4, stride=2, padding=1, **named("generator.conv2"))
        self.conv3 = nn.Conv2DTranspose(width, 3, 4, stride=2, padding=1, **named("generator.conv3"))

    def forward(self, latent):
        h = F.relu(self.bn0(self.fc0(latent)))  # (B, 1792)
        h = h.reshape([-1, self.conv0.weight.shape[0], 2, 2])  # (B, 448, 2, 2)
        h = F.relu(self.bn1(self.conv0(h)))  # (B, 256, 4, 4)
        h = F.relu(self.conv1(h))  # (B, 128, 8, 8)
        h = F.relu(self.conv2(h))  # (B, 64, 16, 16)
        return paddle.tanh(self.conv3(h))  # (B, 3, 32, 32)


class Trunk(nn.Layer):
    def __init__(self, width, slope):
        super().__init__()
        self.slope = slope
        self.conv0 = nn.Conv2D(3, width, 4, stride=2, padding=1, **named("trunk.conv0"))
        self.conv1 = nn.Conv2D(width, 2 * width, 4, stride=2, padding=1, **named("trunk.conv1", bias=False))
        self.bn0 = batch_norm(2 * width, "trunk.bn0")
        self.conv2 = nn.Conv2D(2 * width, 4 * width, 4, stride=2, padding=1, **named("trunk.conv2", bias=False))
        self.bn1 = batch_norm(4 * width, "trunk.bn1")

    def forward(self, x):
        h = leaky_relu(self.conv0(x), self.slope)  # (B, 64, 16, 16)
        h = leaky_relu(self.bn0(self.conv1(h)), self.slope)  # (B, 128, 8, 8)
        h = leaky_relu(self.bn1(self.conv2(h)), self.slope)  # (B, 256, 4, 4)
        return h.flatten(1)  # (B, 4096)


class Recognition(nn.Layer):
    def __init__(self, width, slope, categories, codes):
        super().__init__()
        self.slope = slope
        self.fc0 = nn.Linear(4 * width * 4 * 4, 2 * width, **named("recognition.fc0", bias=False))
        self.bn0 = batch_norm(2 * width, "recognition.bn0")
        self.category = nn.Linear(2 * width, categories, **named("recognition.category"))
        self.mean = nn.Linear(2 * width, codes, **named("recognition.mean")) if codes else None
        self.logstd = nn.Linear(2 * width, codes, **named("recognition.logstd")) if codes else None

    def forward(self, h):
        h = leaky_relu(self.bn0(self.fc0(h)), self.slope)  # (B, 128)
        found = {"category": self.category(h)}  # (B, 40) logits
        return found if self.mean is None else found | {"mean": self.mean(h), "logstd": self.logstd(h)}  # (B, 4)


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype, device):
    width, codes = spec.options["width"], spec.options["codes"]
    categories = spec.options["categories"] * spec.options["classes"]

    def network():
        return InfoGAN(
            Generator(spec.options["z"] + categories + codes, width),
            Trunk(width, spec.slope),
            Discriminator(4 * width * 4 * 4),
            Recognition(width, spec.slope, categories, codes),
            spec.options,
        )

    return start(network, spec, dtype, device)
