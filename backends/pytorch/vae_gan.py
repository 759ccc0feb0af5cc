"""VAE-GAN, PyTorch. Specification: common/specs/vae_gan.py.

Larsen et al. 2015, arXiv 1512.09300, Algorithm 1; article `autoencoders` points to it. Batch norms move their running
statistics in every pass of a training step; encode, reconstruct and sample use them, in evaluation mode, which the engine
sets. Shapes are those of width 64. The networks for 28 × 28 stand in vae_gan_mnist.py.
"""

import torch
from torch import nn
from torch.nn import functional as F

from backends.pytorch.exact import BatchNorm
from backends.pytorch.optimizer import rmsprop, update_all
from backends.pytorch.steps import State
from backends.pytorch.terms import bce

MOMENTUM, EPSILON = 0.9, 1e-6

# -------------------------------------------------------------------------------------------- networks


def batch_norm(features):
    return BatchNorm(features, MOMENTUM, EPSILON)


def conv(inputs, outputs):
    """Half the side."""
    return nn.Conv2d(inputs, outputs, 5, stride=2, padding=2, bias=False)


def conv_transpose(inputs, outputs):
    """Twice the side."""
    return nn.ConvTranspose2d(inputs, outputs, 5, stride=2, padding=2, output_padding=1, bias=False)


class Encoder(nn.Module):
    def __init__(self, width, latent, hidden):
        super().__init__()
        self.conv0 = conv(3, width)
        self.bn0 = batch_norm(width)
        self.conv1 = conv(width, 2 * width)
        self.bn1 = batch_norm(2 * width)
        self.conv2 = conv(2 * width, 4 * width)
        self.bn2 = batch_norm(4 * width)
        self.fc0 = nn.Linear(4 * width * 8 * 8, hidden, bias=False)
        self.bn3 = batch_norm(hidden)
        self.mean = nn.Linear(hidden, latent)
        self.logvar = nn.Linear(hidden, latent)

    def forward(self, x):
        h = F.relu(self.bn0(self.conv0(x)))  # (B, 64, 32, 32)
        h = F.relu(self.bn1(self.conv1(h)))  # (B, 128, 16, 16)
        h = F.relu(self.bn2(self.conv2(h)))  # (B, 256, 8, 8)
        h = F.relu(self.bn3(self.fc0(h.reshape(len(h), -1))))  # (B, 2048)
        return self.mean(h), self.logvar(h)  # (B, 128)


class Decoder(nn.Module):
    def __init__(self, width, latent):
        super().__init__()
        self.fc0 = nn.Linear(latent, 4 * width * 8 * 8, bias=False)
        self.bn0 = batch_norm(4 * width * 8 * 8)
        self.conv0 = conv_transpose(4 * width, 4 * width)
        self.bn1 = batch_norm(4 * width)
        self.conv1 = conv_transpose(4 * width, 2 * width)
        self.bn2 = batch_norm(2 * width)
        self.conv2 = conv_transpose(2 * width, width // 2)
        self.bn3 = batch_norm(width // 2)
        self.conv3 = nn.Conv2d(width // 2, 3, 5, stride=1, padding=2)

    def forward(self, z):
        h = F.relu(self.bn0(self.fc0(z)))  # (B, 16384)
        h = h.reshape(len(h), -1, 8, 8)  # (B, 256, 8, 8)
        h = F.relu(self.bn1(self.conv0(h)))  # (B, 256, 16, 16)
        h = F.relu(self.bn2(self.conv1(h)))  # (B, 128, 32, 32)
        h = F.relu(self.bn3(self.conv2(h)))  # (B, 32, 64, 64)
        return torch.tanh(self.conv3(h))  # (B, 3, 64, 64)


class Features(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv0 = nn.Conv2d(3, width // 2, 5, stride=1, padding=2)
        self.conv1 = conv(width // 2, 2 * width)
        self.bn0 = batch_norm(2 * width)
        self.conv2 = conv(2 * width, 4 * width)
        self.bn1 = batch_norm(4 * width)
        self.conv3 = conv(4 * width, 4 * width)

    def forward(self, x):
        h = F.relu(self.conv0(x))  # (B, 32, 64, 64)
        h = F.relu(self.bn0(self.conv1(h)))  # (B, 128, 32, 32)
        h = F.relu(self.bn1(self.conv2(h)))  # (B, 256, 16, 16)
        return self.conv3(h)  # (B, 256, 8, 8)


class Discriminator(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.bn0 = batch_norm(4 * width)
        self.fc0 = nn.Linear(4 * width * 8 * 8, hidden // 4, bias=False)
        self.bn1 = batch_norm(hidden // 4)
        self.logit = nn.Linear(hidden // 4, 1)

    def forward(self, h):
        h = F.relu(self.bn0(h))  # (B, 256, 8, 8)
        h = F.relu(self.bn1(self.fc0(h.reshape(len(h), -1))))  # (B, 512)
        return self.logit(h)  # (B, 1)


class VAEGAN(nn.Module):
    def __init__(self, encoder, decoder, features, discriminator, gamma):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.features = features
        self.discriminator = discriminator
        self.gamma = gamma  # of L_llike in the decoder's objective


# ------------------------------------------------------------------------------------- forward, losses


def forward(model, inputs, noise):
    """images x (B, C, H, W), epsilon and prior zₚ (B, latent) ~ N(0, 1) -> mean, logvar, z (B, latent); reconstructed x̃ and
    generated xₚ (B, C, H, W); Dis_l of x and x̃ (B, channels, side, side); logits of x, x̃ and xₚ (B, 1)."""
    mean, logvar = model.encoder(inputs["images"])
    z = mean + torch.exp(logvar / 2) * noise["epsilon"]
    reconstructed, generated = model.decoder(z), model.decoder(noise["prior"])
    real, copied, fake = (model.features(x) for x in (inputs["images"], reconstructed, generated))
    return {
        "mean": mean,
        "logvar": logvar,
        "z": z,
        "reconstructed": reconstructed,
        "generated": generated,
        "real_features": real,
        "copied_features": copied,
        "real_logits": model.discriminator(real),
        "copied_logits": model.discriminator(copied),
        "fake_logits": model.discriminator(fake),
    }


def losses(model, inputs, noise):
    """The objectives of encoder, decoder and discriminator, their parts, and the mean probabilities."""
    output = forward(model, inputs, noise)
    mean, logvar = output["mean"], output["logvar"]
    real, copied, fake = output["real_logits"], output["copied_logits"], output["fake_logits"]
    prior = torch.mean(-0.5 * torch.sum(1 + logvar - mean**2 - torch.exp(logvar), dim=1))
    apart = output["real_features"] - output["copied_features"]
    likelihood = torch.mean(0.5 * torch.sum(apart**2, dim=(1, 2, 3)))
    loss_d = bce(real, 1.0) + bce(copied, 0.0) + bce(fake, 0.0)
    return {
        "objective_encoder": prior + likelihood,
        "objective_decoder": model.gamma * likelihood - loss_d,
        "loss_d": loss_d,
        "prior": prior,
        "likelihood": likelihood,
        "score_real": torch.mean(torch.sigmoid(real)),
        "score_copied": torch.mean(torch.sigmoid(copied)),
        "score_fake": torch.mean(torch.sigmoid(fake)),
    }


# ------------------------------------------------------------------------------------------ train step


def start(model, spec, dtype, device):
    """The model, and an optimiser per update."""
    model.to(dtype=dtype, device=device)
    return State(model, {update.name: rmsprop(update, model) for update in spec.updates})


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


def train_step(state, inputs, noise):
    values = losses(state.model, inputs, noise)
    objectives = {
        "encoder": values["objective_encoder"],
        "decoder": values["objective_decoder"],
        "discriminator": values["loss_d"],  # features and discriminator
    }
    update_all(state.optimizers, objectives)
    return values


# ------------------------------------------------------------------------------------ coding, sampling


def encode(model, inputs):
    """images (B, C, H, W) -> mean of the code (B, latent)."""
    mean, _ = model.encoder(inputs["images"])
    return mean


def reconstruct(model, inputs, noise):
    """images (B, C, H, W), epsilon (B, latent) -> images (B, C, H, W) in [-1, 1]."""
    mean, logvar = model.encoder(inputs["images"])
    return model.decoder(mean + torch.exp(logvar / 2) * noise["epsilon"])


def sample(model, noise):
    """z (B, latent) from the prior N(0, 1) -> images (B, C, H, W) in [-1, 1]."""
    return model.decoder(noise["z"])
