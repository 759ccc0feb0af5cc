"""InfoGAN, PyTorch. Specification: common/specs/infogan.py.

Chen et al. 2016, arXiv 1606.03657; article `infogan`. Batch norms move their running statistics in every pass of a
training step; encode and sample use them, in evaluation mode, which the engine sets. Shapes are those of width 64.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from backends.pytorch.exact import BatchNorm
from backends.pytorch.optimizer import adam, update
from backends.pytorch.steps import State
from backends.pytorch.terms import bce

CATEGORIES, CODES = 10, 2
MOMENTUM, EPSILON = 0.9, 1e-5

# -------------------------------------------------------------------------------------------- networks


def batch_norm(features):
    return BatchNorm(features, MOMENTUM, EPSILON)


class Generator(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc0 = nn.Linear(74, 16 * width, bias=False)
        self.bn0 = batch_norm(16 * width)
        self.fc1 = nn.Linear(16 * width, 2 * width * 7 * 7, bias=False)
        self.bn1 = batch_norm(2 * width * 7 * 7)
        self.conv0 = nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1, bias=False)
        self.bn2 = batch_norm(width)
        self.conv1 = nn.ConvTranspose2d(width, 1, 4, stride=2, padding=1)

    def forward(self, latent):
        h = F.relu(self.bn0(self.fc0(latent)))  # (B, 1024)
        h = F.relu(self.bn1(self.fc1(h)))  # (B, 6272)
        h = h.reshape(len(h), -1, 7, 7)  # (B, 128, 7, 7)
        h = F.relu(self.bn2(self.conv0(h)))  # (B, 64, 14, 14)
        return torch.sigmoid(self.conv1(h))  # (B, 1, 28, 28)


class Trunk(nn.Module):
    def __init__(self, width, slope):
        super().__init__()
        self.slope = slope
        self.conv0 = nn.Conv2d(1, width, 4, stride=2, padding=1)
        self.conv1 = nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False)
        self.bn0 = batch_norm(2 * width)
        self.fc0 = nn.Linear(2 * width * 7 * 7, 16 * width, bias=False)
        self.bn1 = batch_norm(16 * width)

    def forward(self, x):
        h = F.leaky_relu(self.conv0(x), self.slope)  # (B, 64, 14, 14)
        h = F.leaky_relu(self.bn0(self.conv1(h)), self.slope)  # (B, 128, 7, 7)
        h = h.reshape(len(h), -1)  # (B, 6272)
        return F.leaky_relu(self.bn1(self.fc0(h)), self.slope)  # (B, 1024)


class Discriminator(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.logit = nn.Linear(16 * width, 1)

    def forward(self, h):
        return self.logit(h)  # (B, 1)


class Recognition(nn.Module):
    def __init__(self, width, slope, fixed_deviation):
        super().__init__()
        self.slope = slope
        self.fc0 = nn.Linear(16 * width, 2 * width, bias=False)
        self.bn0 = batch_norm(2 * width)
        self.category = nn.Linear(2 * width, CATEGORIES)
        self.mean = nn.Linear(2 * width, CODES)
        self.logstd = None if fixed_deviation else nn.Linear(2 * width, CODES)

    def forward(self, h):
        h = F.leaky_relu(self.bn0(self.fc0(h)), self.slope)  # (B, 128)
        found = {"category": self.category(h), "mean": self.mean(h)}  # (B, 10) logits, (B, 2)
        return found if self.logstd is None else found | {"logstd": self.logstd(h)}  # (B, 2)


class InfoGAN(nn.Module):
    def __init__(self, slope, width, codes_weight, generator_weight, fixed_deviation):
        super().__init__()
        self.generator = Generator(width)
        self.trunk = Trunk(width, slope)
        self.discriminator = Discriminator(width)
        self.recognition = Recognition(width, slope, fixed_deviation)
        self.codes_weight = codes_weight  # of c2 and c3 in the bound
        self.generator_weight = generator_weight  # of the bound in G's objective


# ------------------------------------------------------------------------------------- forward, losses


def latent(noise, which):
    """(B, 74): noise, category, codes of the update or job `which`."""
    return torch.cat([noise[f"{which}{part}"] for part in ("z", "category", "codes")], dim=1)


def information(model, recognized, noise, which):
    """L_I of c1, c2 and c3, and their weighted sum, the bound."""
    mean = recognized["mean"]
    logstd = recognized["logstd"] if "logstd" in recognized else torch.zeros_like(mean)  # a fixed deviation is 1
    category, codes = noise[f"{which}category"], noise[f"{which}codes"]
    log_q = torch.sum(category * F.log_softmax(recognized["category"], dim=1), dim=1)
    info_c1 = torch.mean(log_q) + math.log(CATEGORIES)
    info_c2, info_c3 = torch.mean(-logstd - 0.5 * ((codes - mean) / torch.exp(logstd)) ** 2, dim=0)
    bound = info_c1 + model.codes_weight * (info_c2 + info_c3)
    return bound, {"info_c1": info_c1, "info_c2": info_c2, "info_c3": info_c3}


def forward(model, inputs, noise):
    """images (B, 1, 28, 28) in [0, 1] -> generated (B, 1, 28, 28), logits of D for both (B, 1), and what Q recognises in the
    generated images: logits of c1 (B, 10), mean and, unless it is fixed, log deviation of c2 and c3 (B, 2)."""
    generated = model.generator(latent(noise, "discriminator_")).detach()  # G learns from objective_g alone
    real, fake = model.trunk(inputs["images"]), model.trunk(generated)
    return {
        "generated": generated,
        "real_logits": model.discriminator(real),
        "fake_logits": model.discriminator(fake),
        **model.recognition(fake),
    }


def discriminator_losses(model, inputs, noise):
    """mean BCE(D(x), 1) + mean BCE(D(G), 0) - bound, its parts, and D's mean probabilities."""
    output = forward(model, inputs, noise)
    real, fake = output["real_logits"], output["fake_logits"]
    bound, info = information(model, output, noise, "discriminator_")
    loss = bce(real, 1.0) + bce(fake, 0.0)
    return {
        "objective_d": loss - bound,
        "loss_d": loss,
        "score_real": torch.mean(torch.sigmoid(real)),
        "score_fake": torch.mean(torch.sigmoid(fake)),
        **info,
    }


def generator_losses(model, inputs, noise):
    """mean BCE(D(G), 1) - generator_weight · bound, with latents of its own."""
    fooled = model.trunk(model.generator(latent(noise, "generator_")))
    bound, _ = information(model, model.recognition(fooled), noise, "generator_")
    loss = bce(model.discriminator(fooled), 1.0)
    return {"objective_g": loss - model.generator_weight * bound, "loss_g": loss}


def losses(model, inputs, noise):
    return discriminator_losses(model, inputs, noise) | generator_losses(model, inputs, noise)


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype, device):
    model = InfoGAN(spec.slope, **spec.options)
    model.to(dtype=dtype, device=device)
    return State(model, {name: adam(spec.update(name), model) for name in ("discriminator", "generator")})


def train_step(state, inputs, noise):
    values_d = discriminator_losses(state.model, inputs, noise)
    update(state.optimizers["discriminator"], values_d["objective_d"])  # trunk, D and Q
    values_g = generator_losses(state.model, inputs, noise)  # judged by the D and Q just updated
    update(state.optimizers["generator"], values_g["objective_g"])
    return values_d | values_g


# ------------------------------------------------------------------------------------ coding, sampling


def encode(model, inputs):
    """images (B, 1, 28, 28) -> (B, 12): probabilities of c1 (10), means of c2 and c3."""
    recognized = model.recognition(model.trunk(inputs["images"]))
    return torch.cat([F.softmax(recognized["category"], dim=1), recognized["mean"]], dim=1)


def sample(model, noise):
    """Latents z (B, 62), category (B, 10), codes (B, 2) -> images (B, 1, 28, 28) in [0, 1]."""
    return model.generator(latent(noise, ""))
