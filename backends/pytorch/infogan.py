"""InfoGAN, PyTorch. Specification: common/specs/infogan.py.

Chen et al. 2016, arXiv 1606.03657; article `infogan`. Batch norms move their running statistics in every pass of a
training step; encode and sample use them, in evaluation mode, which the engine sets. Shapes are those of width 64.
The networks for the paper's other data stand in infogan_svhn.py, infogan_faces.py and infogan_chairs.py.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from backends.pytorch.exact import BatchNorm
from backends.pytorch.optimizer import adam, update
from backends.pytorch.steps import State
from backends.pytorch.terms import bce

MOMENTUM, EPSILON = 0.9, 1e-5

# -------------------------------------------------------------------------------------------- networks


def batch_norm(features):
    return BatchNorm(features, MOMENTUM, EPSILON)


class Generator(nn.Module):
    def __init__(self, latent, width):
        super().__init__()
        self.fc0 = nn.Linear(latent, 16 * width, bias=False)
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
    def __init__(self, inputs):
        super().__init__()
        self.logit = nn.Linear(inputs, 1)

    def forward(self, h):
        return self.logit(h)  # (B, 1)


class Recognition(nn.Module):
    def __init__(self, width, slope, categories, codes, fixed_deviation):
        super().__init__()
        self.slope = slope
        self.fc0 = nn.Linear(16 * width, 2 * width, bias=False)
        self.bn0 = batch_norm(2 * width)
        self.category = nn.Linear(2 * width, categories)
        self.mean = nn.Linear(2 * width, codes)
        self.logstd = None if fixed_deviation else nn.Linear(2 * width, codes)

    def forward(self, h):
        h = F.leaky_relu(self.bn0(self.fc0(h)), self.slope)  # (B, 128)
        found = {"category": self.category(h), "mean": self.mean(h)}  # (B, 10) logits, (B, 2)
        return found if self.logstd is None else found | {"logstd": self.logstd(h)}  # (B, 2)


class InfoGAN(nn.Module):
    def __init__(self, generator, trunk, discriminator, recognition, options):
        super().__init__()
        self.generator = generator
        self.trunk = trunk
        self.discriminator = discriminator
        self.recognition = recognition
        self.classes = options["classes"]  # of a category
        self.category_weight = options["category_weight"]  # of the categories in the bound
        self.codes_weight = options["codes_weight"]  # of the continuous codes in it
        self.generator_weight = options["generator_weight"]  # of the bound in G's objective
        self.joint_batch = options.get("joint_batch", False)  # real and generated, to the trunk


# ------------------------------------------------------------------------------------- forward, losses


def latent(noise, which):
    """(B, 74): noise, categories, codes of the update or job `which`."""
    parts = [noise[f"{which}{part}"] for part in ("z", "category", "codes") if f"{which}{part}" in noise]
    return torch.cat([part.flatten(1) for part in parts], dim=1)


def information(model, recognized, noise, which):
    """The bound, and L_I of every code, c1 and on: categories before continuous codes."""
    found, bound = [], 0.0
    if "category" in recognized:
        logits = recognized["category"].unflatten(1, (-1, model.classes))  # (B, categories, classes)
        category = noise[f"{which}category"].reshape(logits.shape)
        log_q = torch.sum(category * F.log_softmax(logits, dim=2), dim=2)
        info = torch.mean(log_q, dim=0) + math.log(model.classes)
        bound = bound + model.category_weight * torch.sum(info)
        found += info.unbind()
    if "mean" in recognized:
        mean, codes = recognized["mean"], noise[f"{which}codes"]
        logstd = recognized["logstd"] if "logstd" in recognized else torch.zeros_like(mean)  # a fixed deviation is 1
        info = torch.mean(-logstd - 0.5 * ((codes - mean) / torch.exp(logstd)) ** 2, dim=0)
        bound = bound + model.codes_weight * torch.sum(info)
        found += info.unbind()
    return bound, {f"info_c{k}": value for k, value in enumerate(found, 1)}


def joint(model, images, generated):
    """The trunk's features of both, (B, features) each, which its batch norms see as one batch."""
    return model.trunk(torch.cat([images, generated])).chunk(2)


def forward(model, inputs, noise):
    """images (B, C, H, W) -> generated (B, C, H, W), logits of D for both (B, 1), and what Q recognises in the generated
    images: logits of the categories (B, categories · classes); mean and, unless it is fixed, log deviation of the codes (B,
    codes)."""
    generated = model.generator(latent(noise, "discriminator_")).detach()  # G learns from objective_g alone
    if model.joint_batch:
        real, fake = joint(model, inputs["images"], generated)
    else:
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
    generated = model.generator(latent(noise, "generator_"))
    if model.joint_batch:
        _, fooled = joint(model, inputs["images"], generated)
    else:
        fooled = model.trunk(generated)
    bound, _ = information(model, model.recognition(fooled), noise, "generator_")
    loss = bce(model.discriminator(fooled), 1.0)
    return {"objective_g": loss - model.generator_weight * bound, "loss_g": loss}


def losses(model, inputs, noise):
    return discriminator_losses(model, inputs, noise) | generator_losses(model, inputs, noise)


# ------------------------------------------------------------------------------------------ train step


def start(model, spec, dtype, device):
    """The model, and an optimiser per update."""
    model.to(dtype=dtype, device=device)
    return State(model, {name: adam(spec.update(name), model) for name in ("discriminator", "generator")})


def build(spec, dtype, device):
    width, codes = spec.options["width"], spec.options["codes"]
    categories = spec.options["categories"] * spec.options["classes"]
    model = InfoGAN(
        Generator(spec.options["z"] + categories + codes, width),
        Trunk(width, spec.slope),
        Discriminator(16 * width),
        Recognition(width, spec.slope, categories, codes, spec.options["fixed_deviation"]),
        spec.options,
    )
    return start(model, spec, dtype, device)


def train_step(state, inputs, noise):
    values_d = discriminator_losses(state.model, inputs, noise)
    update(state.optimizers["discriminator"], values_d["objective_d"])  # trunk, D and Q
    values_g = generator_losses(state.model, inputs, noise)  # judged by the D and Q just updated
    update(state.optimizers["generator"], values_g["objective_g"])
    return values_d | values_g


# ------------------------------------------------------------------------------------ coding, sampling


def encode(model, inputs):
    """images (B, C, H, W) -> (B, categories · classes + codes): probabilities of the categories, means of the codes."""
    recognized, parts = model.recognition(model.trunk(inputs["images"])), []
    if "category" in recognized:
        logits = recognized["category"].unflatten(1, (-1, model.classes))  # (B, categories, classes)
        parts.append(F.softmax(logits, dim=2).flatten(1))
    if "mean" in recognized:
        parts.append(recognized["mean"])
    return torch.cat(parts, dim=1)


def sample(model, noise):
    """Latents z, category and codes -> images (B, C, H, W)."""
    return model.generator(latent(noise, ""))
