"""InfoGAN for 3-D chairs, Paddle. Specification: common/specs/infogan_colour.py.

Chen et al. 2016, arXiv 1606.03657, appendix C; article `infogan`. Losses, updates, coding and sampling are those of
infogan.py. Shapes are those of width 64.
"""

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
        self.fc0 = nn.Linear(latent, 16 * width, **named("generator.fc0", bias=False))
        self.bn0 = batch_norm(16 * width, "generator.bn0")
        self.fc1 = nn.Linear(16 * width, 4 * width * 8 * 8, **named("generator.fc1", bias=False))
        self.bn1 = batch_norm(4 * width * 8 * 8, "generator.bn1")
        self.conv0 = nn.Conv2DTranspose(
            4 * width, 4 * width, 3, stride=1, padding=1, **named("generator.conv0", bias=False)
        )
        self.bn2 = batch_norm(4 * width, "generator.bn2")
        self.conv1 = nn.Conv2DTranspose(
            4 * width, 4 * width, 3, stride=1, padding=1, **named("generator.conv1", bias=False)
        )
        self.bn3 = batch_norm(4 * width, "generator.bn3")
        self.conv2 = nn.Conv2DTranspose(
            4 * width, 2 * width, 4, stride=2, padding=1, **named("generator.conv2", bias=False)
        )
        self.bn4 = batch_norm(2 * width, "generator.bn4")
        self.conv3 = nn.Conv2DTranspose(
            2 * width, width, 4, stride=2, padding=1, **named("generator.conv3", bias=False)
        )
        self.bn5 = batch_norm(width, "generator.bn5")
        self.conv4 = nn.Conv2DTranspose(width, 1, 4, stride=2, padding=1, **named("generator.conv4"))

    def forward(self, latent):
        h = F.relu(self.bn0(self.fc0(latent)))  # (B, 1024)
        h = F.relu(self.bn1(self.fc1(h)))  # (B, 16384)
        h = h.reshape([-1, self.conv0.weight.shape[0], 8, 8])  # (B, 256, 8, 8)
        h = F.relu(self.bn2(self.conv0(h)))
        h = F.relu(self.bn3(self.conv1(h)))
        h = F.relu(self.bn4(self.conv2(h)))  # (B, 128, 16, 16)
        h = F.relu(self.bn5(self.conv3(h)))  # (B, 64, 32, 32)
        return F.sigmoid(self.conv4(h))  # (B, 1, 64, 64)


class Trunk(nn.Layer):
    def __init__(self, width, slope):
        super().__init__()
        self.slope = slope
        self.conv0 = nn.Conv2D(1, width, 4, stride=2, padding=1, **named("trunk.conv0"))
        self.conv1 = nn.Conv2D(width, 2 * width, 4, stride=2, padding=1, **named("trunk.conv1", bias=False))
        self.bn0 = batch_norm(2 * width, "trunk.bn0")
        self.conv2 = nn.Conv2D(2 * width, 4 * width, 4, stride=2, padding=1, **named("trunk.conv2", bias=False))
        self.bn1 = batch_norm(4 * width, "trunk.bn1")
        self.conv3 = nn.Conv2D(4 * width, 4 * width, 3, stride=1, padding=1, **named("trunk.conv3", bias=False))
        self.bn2 = batch_norm(4 * width, "trunk.bn2")
        self.conv4 = nn.Conv2D(4 * width, 4 * width, 3, stride=1, padding=1, **named("trunk.conv4", bias=False))
        self.bn3 = batch_norm(4 * width, "trunk.bn3")
        self.fc0 = nn.Linear(4 * width * 8 * 8, 16 * width, **named("trunk.fc0", bias=False))
        self.bn4 = batch_norm(16 * width, "trunk.bn4")

    def forward(self, x):
        h = leaky_relu(self.conv0(x), self.slope)  # (B, 64, 32, 32)
        h = leaky_relu(self.bn0(self.conv1(h)), self.slope)  # (B, 128, 16, 16)
        h = leaky_relu(self.bn1(self.conv2(h)), self.slope)  # (B, 256, 8, 8)
        h = leaky_relu(self.bn2(self.conv3(h)), self.slope)
        h = leaky_relu(self.bn3(self.conv4(h)), self.slope)
        h = h.flatten(1)  # (B, 16384)
        return leaky_relu(self.bn4(self.fc0(h)), self.slope)  # (B, 1024)


class Recognition(nn.Layer):
    def __init__(self, width, categories, codes):
        super().__init__()
        self.category = nn.Linear(16 * width, categories, **named("recognition.category"))
        self.mean = nn.Linear(16 * width, codes, **named("recognition.mean"))
        self.logstd = nn.Linear(16 * width, codes, **named("recognition.logstd"))

    def forward(self, h):
        return {"category": self.category(h), "mean": self.mean(h), "logstd": self.logstd(h)}  # (B, 60) logits, (B, 1)


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype, device):
    width, codes = spec.options["width"], spec.options["codes"]
    categories = spec.options["categories"] * spec.options["classes"]

    def network():
        return InfoGAN(
            Generator(spec.options["z"] + categories + codes, width),
            Trunk(width, spec.slope),
            Discriminator(16 * width),
            Recognition(width, categories, codes),
            spec.options,
        )

    return start(network, spec, dtype, device)
