"""InfoGAN, Paddle. Specification: common/specs/infogan.py.

Chen et al. 2016, arXiv 1606.03657; article `infogan`. Batch norms move their running statistics in every pass of a
training step; encode and sample use them, in evaluation mode, which the engine sets. Shapes are those of width 64.
The networks for the paper's other data stand in infogan_svhn.py, infogan_faces.py and infogan_chairs.py.
"""

import math

import paddle
from paddle import nn
from paddle.nn import functional as F

from backends.paddle.exact import BatchNorm, leaky_relu, number
from backends.paddle.layouts import named
from backends.paddle.optimizer import adam, parameters
from backends.paddle.steps import SOURCES, State
from backends.paddle.terms import bce

MOMENTUM, EPSILON = 0.9, 1e-5

# -------------------------------------------------------------------------------------------- networks


def batch_norm(features, path):
    return BatchNorm(features, path, MOMENTUM, EPSILON)


class Generator(nn.Layer):
    def __init__(self, latent, width):
        super().__init__()
        self.fc0 = nn.Linear(latent, 16 * width, **named("generator.fc0", bias=False))
        self.bn0 = batch_norm(16 * width, "generator.bn0")
        self.fc1 = nn.Linear(16 * width, 2 * width * 7 * 7, **named("generator.fc1", bias=False))
        self.bn1 = batch_norm(2 * width * 7 * 7, "generator.bn1")
        self.conv0 = nn.Conv2DTranspose(
            2 * width, width, 4, stride=2, padding=1, **named("generator.conv0", bias=False)
        )
        self.bn2 = batch_norm(width, "generator.bn2")
        self.conv1 = nn.Conv2DTranspose(width, 1, 4, stride=2, padding=1, **named("generator.conv1"))

    def forward(self, latent):
        h = F.relu(self.bn0(self.fc0(latent)))  # (B, 1024)
        h = F.relu(self.bn1(self.fc1(h)))  # (B, 6272)
        h = h.reshape([-1, self.conv0.weight.shape[0], 7, 7])  # (B, 128, 7, 7)
        h = F.relu(self.bn2(self.conv0(h)))  # (B, 64, 14, 14)
        return F.sigmoid(self.conv1(h))  # (B, 1, 28, 28)


class Trunk(nn.Layer):
    def __init__(self, width, slope):
        super().__init__()
        self.slope = slope
        self.conv0 = nn.Conv2D(1, width, 4, stride=2, padding=1, **named("trunk.conv0"))
        self.conv1 = nn.Conv2D(width, 2 * width, 4, stride=2, padding=1, **named("trunk.conv1", bias=False))
        self.bn0 = batch_norm(2 * width, "trunk.bn0")
        self.fc0 = nn.Linear(2 * width * 7 * 7, 16 * width, **named("trunk.fc0", bias=False))
        self.bn1 = batch_norm(16 * width, "trunk.bn1")

    def forward(self, x):
        h = leaky_relu(self.conv0(x), self.slope)  # (B, 64, 14, 14)
        h = leaky_relu(self.bn0(self.conv1(h)), self.slope)  # (B, 128, 7, 7)
        h = h.flatten(1)  # (B, 6272)
        return leaky_relu(self.bn1(self.fc0(h)), self.slope)  # (B, 1024)


class Discriminator(nn.Layer):
    def __init__(self, inputs):
        super().__init__()
        self.logit = nn.Linear(inputs, 1, **named("discriminator.logit"))

    def forward(self, h):
        return self.logit(h)  # (B, 1)


class Recognition(nn.Layer):
    def __init__(self, width, slope, categories, codes, fixed_deviation):
        super().__init__()
        self.slope = slope
        self.fc0 = nn.Linear(16 * width, 2 * width, **named("recognition.fc0", bias=False))
        self.bn0 = batch_norm(2 * width, "recognition.bn0")
        self.category = nn.Linear(2 * width, categories, **named("recognition.category"))
        self.mean = nn.Linear(2 * width, codes, **named("recognition.mean"))
        self.logstd = None if fixed_deviation else nn.Linear(2 * width, codes, **named("recognition.logstd"))

    def forward(self, h):
        h = leaky_relu(self.bn0(self.fc0(h)), self.slope)  # (B, 128)
        found = {"category": self.category(h), "mean": self.mean(h)}  # (B, 10) logits, (B, 2)
        return found if self.logstd is None else found | {"logstd": self.logstd(h)}  # (B, 2)


class InfoGAN(nn.Layer):
    def __init__(self, generator, trunk, discriminator, recognition, options):
        super().__init__()
        self.generator = generator
        self.trunk = trunk
        self.discriminator = discriminator
        self.recognition = recognition
        self.categories = options["categories"]
        self.classes = options["classes"]  # of a category
        self.category_weight = options["category_weight"]  # of the categories in the bound
        self.codes_weight = options["codes_weight"]  # of the continuous codes in it
        self.generator_weight = options["generator_weight"]  # of the bound in G's objective
        self.joint_batch = options.get("joint_batch", False)  # real and generated, to the trunk


# ------------------------------------------------------------------------------------- forward, losses


def latent(noise, which):
    """(B, 74): noise, categories, codes of the update or job `which`."""
    parts = [noise[f"{which}{part}"] for part in ("z", "category", "codes") if f"{which}{part}" in noise]
    return paddle.concat([part.flatten(1) for part in parts], axis=1)


def information(model, recognized, noise, which):
    """The bound, and L_I of every code, c1 and on: categories before continuous codes."""
    found, bound = [], 0.0
    if "category" in recognized:
        logits = recognized["category"].reshape([-1, model.categories, model.classes])  # (B, categories, classes)
        category = noise[f"{which}category"].reshape(logits.shape)
        log_q = paddle.sum(category * F.log_softmax(logits, axis=2), axis=2)
        info = paddle.mean(log_q, axis=0) + number(math.log(model.classes))
        bound = bound + number(model.category_weight) * paddle.sum(info)
        found += info.unbind()
    if "mean" in recognized:
        mean, codes = recognized["mean"], noise[f"{which}codes"]
        logstd = recognized["logstd"] if "logstd" in recognized else paddle.zeros_like(mean)  # a fixed deviation is 1
        info = paddle.mean(-logstd - 0.5 * ((codes - mean) / paddle.exp(logstd)) ** 2, axis=0)
        bound = bound + number(model.codes_weight) * paddle.sum(info)
        found += info.unbind()
    return bound, {f"info_c{k}": value for k, value in enumerate(found, 1)}


def joint(model, images, generated):
    """The trunk's features of both, (B, features) each, which its batch norms see as one batch."""
    return model.trunk(paddle.concat([images, generated])).chunk(2)


def forward(model, inputs, noise):
    """images (B, C, H, W) -> generated (B, C, H, W), logits of D for both (B, 1), and what Q recognises in the generated
    images: logits of the categories (B, categories · classes); mean and, unless it is fixed, log deviation of the codes (B,
    codes)."""
    generated = model.generator(latent(noise, "discriminator_"))
    generated.stop_gradient = True  # G learns from objective_g alone
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
        "score_real": paddle.mean(F.sigmoid(real)),
        "score_fake": paddle.mean(F.sigmoid(fake)),
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
    return {"objective_g": loss - number(model.generator_weight) * bound, "loss_g": loss}


def losses(model, inputs, noise):
    return discriminator_losses(model, inputs, noise) | generator_losses(model, inputs, noise)


# ------------------------------------------------------------------------------------------ train step


def start(network, spec, dtype, device):
    """A Program per update and source, of the model that `network()` makes."""
    state = State(spec, network, dtype, device)
    # One Program per update, which holds nothing of the others. Each makes its own layers, once: within a Program, a
    # parameter name used twice would make two parameters; between Programs, one name is one parameter.
    for name, losses_of in {"discriminator": discriminator_losses, "generator": generator_losses}.items():
        for source in SOURCES:
            with state.program(name, source) as program:
                model, update = network(), spec.update(name)
                program.fetch = losses_of(model, program.inputs(), program.noise(update.noise))
                adam(update).minimize(program.fetch[update.objective], program.startup, parameters(model, update))
    return state


def build(spec, dtype, device):
    width, codes = spec.options["width"], spec.options["codes"]
    categories = spec.options["categories"] * spec.options["classes"]

    def network():
        return InfoGAN(
            Generator(spec.options["z"] + categories + codes, width),
            Trunk(width, spec.slope),
            Discriminator(16 * width),
            Recognition(width, spec.slope, categories, codes, spec.options["fixed_deviation"]),
            spec.options,
        )

    return start(network, spec, dtype, device)


def train_step(state, inputs, noise):
    values_d = state.run("discriminator", inputs, noise)  # trunk, D and Q
    values_g = state.run("generator", inputs, noise)  # judged by those just updated
    return values_d | values_g


# ------------------------------------------------------------------------------------ coding, sampling


def encode(model, inputs):
    """images (B, C, H, W) -> (B, categories · classes + codes): probabilities of the categories, means of the codes."""
    recognized, parts = model.recognition(model.trunk(inputs["images"])), []
    if "category" in recognized:
        logits = recognized["category"].reshape([-1, model.categories, model.classes])  # (B, categories, classes)
        parts.append(F.softmax(logits, axis=2).flatten(1))
    if "mean" in recognized:
        parts.append(recognized["mean"])
    return paddle.concat(parts, axis=1)


def sample(model, noise):
    """Latents z, category and codes -> images (B, C, H, W)."""
    return model.generator(latent(noise, ""))
