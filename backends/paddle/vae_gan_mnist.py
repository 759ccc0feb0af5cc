"""VAE-GAN for pictures of 28 × 28, Paddle. Specification: common/specs/vae_gan.py.

Losses, updates, coding and sampling are those of vae_gan.py. Shapes are those of width 32.
"""

import paddle
from paddle import nn
from paddle.nn import functional as F

from backends.paddle.layouts import named
from backends.paddle.vae_gan import (  # noqa: F401
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


class Encoder(nn.Layer):
    def __init__(self, width, latent, hidden):
        super().__init__()
        self.conv0 = conv(1, width, "encoder.conv0")
        self.bn0 = batch_norm(width, "encoder.bn0")
        self.conv1 = conv(width, 2 * width, "encoder.conv1")
        self.bn1 = batch_norm(2 * width, "encoder.bn1")
        self.fc0 = nn.Linear(2 * width * 7 * 7, hidden, **named("encoder.fc0", bias=False))
        self.bn2 = batch_norm(hidden, "encoder.bn2")
        self.mean = nn.Linear(hidden, latent, **named("encoder.mean"))
        self.logvar = nn.Linear(hidden, latent, **named("encoder.logvar"))

    def forward(self, x):
        h = F.relu(self.bn0(self.conv0(x)))  # (B, 32, 14, 14)
        h = F.relu(self.bn1(self.conv1(h)))  # (B, 64, 7, 7)
        h = F.relu(self.bn2(self.fc0(h.flatten(1))))  # (B, 256)
        return self.mean(h), self.logvar(h)  # (B, 32)


class Decoder(nn.Layer):
    def __init__(self, width, latent):
        super().__init__()
        self.fc0 = nn.Linear(latent, 2 * width * 7 * 7, **named("decoder.fc0", bias=False))
        self.bn0 = batch_norm(2 * width * 7 * 7, "decoder.bn0")
        self.conv0 = conv_transpose(2 * width, 2 * width, "decoder.conv0")
        self.bn1 = batch_norm(2 * width, "decoder.bn1")
        self.conv1 = conv_transpose(2 * width, width, "decoder.conv1")
        self.bn2 = batch_norm(width, "decoder.bn2")
        self.conv2 = nn.Conv2D(width, 1, 5, stride=1, padding=2, **named("decoder.conv2"))

    def forward(self, z):
        h = F.relu(self.bn0(self.fc0(z)))  # (B, 3136)
        h = h.reshape([-1, self.conv0.weight.shape[0], 7, 7])  # (B, 64, 7, 7)
        h = F.relu(self.bn1(self.conv0(h)))  # (B, 64, 14, 14)
        h = F.relu(self.bn2(self.conv1(h)))  # (B, 32, 28, 28)
        return paddle.tanh(self.conv2(h))  # (B, 1, 28, 28)


class Features(nn.Layer):
    def __init__(self, width):
        super().__init__()
        self.conv0 = nn.Conv2D(1, width // 2, 5, stride=1, padding=2, **named("features.conv0"))
        self.conv1 = conv(width // 2, width, "features.conv1")
        self.bn0 = batch_norm(width, "features.bn0")
        self.conv2 = conv(width, 2 * width, "features.conv2")

    def forward(self, x):
        h = F.relu(self.conv0(x))  # (B, 16, 28, 28)
        h = F.relu(self.bn0(self.conv1(h)))  # (B, 32, 14, 14)
        return self.conv2(h)  # (B, 64, 7, 7)


class Discriminator(nn.Layer):
    def __init__(self, width, hidden):
        super().__init__()
        self.bn0 = batch_norm(2 * width, "discriminator.bn0")
        self.fc0 = nn.Linear(2 * width * 7 * 7, hidden // 2, **named("discriminator.fc0", bias=False))
        self.bn1 = batch_norm(hidden // 2, "discriminator.bn1")
        self.logit = nn.Linear(hidden // 2, 1, **named("discriminator.logit"))

    def forward(self, h):
        h = F.relu(self.bn0(h))  # (B, 64, 7, 7)
        h = F.relu(self.bn1(self.fc0(h.flatten(1))))  # (B, 128)
        return self.logit(h)  # (B, 1)


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype, device):
    width, latent, hidden = spec.options["width"], spec.options["latent"], spec.options["hidden"]

    def network():
        return VAEGAN(
            Encoder(width, latent, hidden),
            Decoder(width, latent),
            Features(width),
            Discriminator(width, hidden),
            spec.options["gamma"],
        )

    return start(network, spec, dtype, device)
