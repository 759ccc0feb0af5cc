"""InfoGAN, Paddle. Specification: common/specs/infogan.py.

Chen et al. 2016, arXiv 1606.03657; article `infogan`. Batch norms move their running statistics in every pass of a
training step; encode and sample use them, in evaluation mode.
"""

import math
from functools import partial

import paddle
from paddle import nn
from paddle.nn import functional as F

from backends.paddle.engine import SOURCES, State, adam, gradients, named, number, parameters

MOMENTUM, EPSILON = 0.9, 1e-5
CATEGORIES, CODES = 10, 2

# -------------------------------------------------------------------------------------------- networks


def leaky_relu(x, slope):
    # F.leaky_relu has slope 1 at 0, which is what D's first convolution makes of black at the first step.
    return paddle.where(x > 0, x, number(slope) * x)


class BatchNorm(nn.Layer):
    """nn.BatchNorm rounds its momentum and epsilon to float32, in float64 too."""

    def __init__(self, features, path):
        super().__init__()
        attributes = {kind: paddle.ParamAttr(f"{path}.{kind}") for kind in ("weight", "bias")}
        attributes |= {kind: paddle.ParamAttr(f"{path}.{kind}", trainable=False) for kind in ("mean", "variance")}
        self.weight = self.create_parameter([features], attributes["weight"])
        self.bias = self.create_parameter([features], attributes["bias"], is_bias=True)
        self.mean = self.create_parameter([features], attributes["mean"])
        self.variance = self.create_parameter([features], attributes["variance"])

    def forward(self, x):
        others, shape = [0, *range(2, len(x.shape))], [1, -1] + [1] * (len(x.shape) - 2)
        mean = paddle.mean(x, others) if self.training else self.mean
        centred = x - mean.reshape(shape)
        variance = paddle.mean(centred * centred, others) if self.training else self.variance
        if self.training:
            for running, value in ((self.mean, mean), (self.variance, variance)):
                moved = number(MOMENTUM) * running + number(1 - MOMENTUM) * value
                paddle.assign(moved, running)  # in place, so in every run of the Program
        scale = self.weight / paddle.sqrt(variance + number(EPSILON))
        return centred * scale.reshape(shape) + self.bias.reshape(shape)


class Generator(nn.Layer):
    def __init__(self):
        super().__init__()
        self.fc0 = nn.Linear(74, 1024, **named("generator.fc0", bias=False))
        self.bn0 = BatchNorm(1024, "generator.bn0")
        self.fc1 = nn.Linear(1024, 128 * 7 * 7, **named("generator.fc1", bias=False))
        self.bn1 = BatchNorm(128 * 7 * 7, "generator.bn1")
        self.conv0 = nn.Conv2DTranspose(128, 64, 4, stride=2, padding=1, **named("generator.conv0", bias=False))
        self.bn2 = BatchNorm(64, "generator.bn2")
        self.conv1 = nn.Conv2DTranspose(64, 1, 4, stride=2, padding=1, **named("generator.conv1"))

    def forward(self, latent):
        h = F.relu(self.bn0(self.fc0(latent)))  # (B, 1024)
        h = F.relu(self.bn1(self.fc1(h))).reshape([-1, 128, 7, 7])  # (B, 128, 7, 7)
        h = F.relu(self.bn2(self.conv0(h)))  # (B, 64, 14, 14)
        return F.sigmoid(self.conv1(h))  # (B, 1, 28, 28)


class Trunk(nn.Layer):
    def __init__(self, slope):
        super().__init__()
        self.slope = slope
        self.conv0 = nn.Conv2D(1, 64, 4, stride=2, padding=1, **named("trunk.conv0"))
        self.conv1 = nn.Conv2D(64, 128, 4, stride=2, padding=1, **named("trunk.conv1", bias=False))
        self.bn0 = BatchNorm(128, "trunk.bn0")
        self.fc0 = nn.Linear(128 * 7 * 7, 1024, **named("trunk.fc0", bias=False))
        self.bn1 = BatchNorm(1024, "trunk.bn1")

    def forward(self, x):
        h = leaky_relu(self.conv0(x), self.slope)  # (B, 64, 14, 14)
        h = leaky_relu(self.bn0(self.conv1(h)), self.slope)  # (B, 128, 7, 7)
        h = h.reshape([-1, 128 * 7 * 7])  # (B, 6272)
        return leaky_relu(self.bn1(self.fc0(h)), self.slope)  # (B, 1024)


class Discriminator(nn.Layer):
    def __init__(self):
        super().__init__()
        self.logit = nn.Linear(1024, 1, **named("discriminator.logit"))

    def forward(self, h):
        return self.logit(h)  # (B, 1)


class Recognition(nn.Layer):
    def __init__(self, slope):
        super().__init__()
        self.slope = slope
        self.fc0 = nn.Linear(1024, 128, **named("recognition.fc0", bias=False))
        self.bn0 = BatchNorm(128, "recognition.bn0")
        self.category = nn.Linear(128, CATEGORIES, **named("recognition.category"))
        self.mean = nn.Linear(128, CODES, **named("recognition.mean"))
        self.logstd = nn.Linear(128, CODES, **named("recognition.logstd"))

    def forward(self, h):
        h = leaky_relu(self.bn0(self.fc0(h)), self.slope)  # (B, 128)
        # (B, 10) logits, (B, 2), (B, 2)
        return {"category": self.category(h), "mean": self.mean(h), "logstd": self.logstd(h)}


class InfoGAN(nn.Layer):
    def __init__(self, slope, codes_weight, generator_weight):
        super().__init__()
        self.generator = Generator()
        self.trunk = Trunk(slope)
        self.discriminator = Discriminator()
        self.recognition = Recognition(slope)
        self.codes_weight = codes_weight  # of c2 and c3 in the bound
        self.generator_weight = generator_weight  # of the bound in G's objective


# ------------------------------------------------------------------------------------- forward, losses


def latent(noise, which):
    """(B, 74): noise, category, codes of the update or job `which`."""
    return paddle.concat([noise[f"{which}{part}"] for part in ("z", "category", "codes")], axis=1)


def bce(logits, target):
    """Mean binary cross-entropy of (B, 1) logits against one target, 0 or 1."""
    # Not F.binary_cross_entropy_with_logits, whose gradient at a logit of exactly 0 is off by 1.
    return paddle.mean(F.softplus(logits, beta=1, threshold=40) - target * logits)


def information(model, recognized, noise, which):
    """L_I of c1, c2 and c3, and their weighted sum, the bound."""
    mean, logstd = recognized["mean"], recognized["logstd"]
    category, codes = noise[f"{which}category"], noise[f"{which}codes"]
    log_q = paddle.sum(category * F.log_softmax(recognized["category"], axis=1), axis=1)
    info_c1 = paddle.mean(log_q) + number(math.log(CATEGORIES))
    info_c2, info_c3 = paddle.mean(-logstd - 0.5 * ((codes - mean) / paddle.exp(logstd)) ** 2, axis=0).unbind()
    bound = info_c1 + number(model.codes_weight) * (info_c2 + info_c3)
    return bound, {"info_c1": info_c1, "info_c2": info_c2, "info_c3": info_c3}


def forward(model, inputs, noise):
    """images (B, 1, 28, 28) in [0, 1] -> generated (B, 1, 28, 28), logits of D for both (B, 1), and what Q recognises in the
    generated images: logits of c1 (B, 10), mean and log deviation of c2 and c3 (B, 2)."""
    generated = model.generator(latent(noise, "discriminator_"))
    generated.stop_gradient = True  # G learns from objective_g alone
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
    fooled = model.trunk(model.generator(latent(noise, "generator_")))
    bound, _ = information(model, model.recognition(fooled), noise, "generator_")
    loss = bce(model.discriminator(fooled), 1.0)
    return {"objective_g": loss - number(model.generator_weight) * bound, "loss_g": loss}


def losses(model, inputs, noise):
    return discriminator_losses(model, inputs, noise) | generator_losses(model, inputs, noise)


# -------------------------------------------------------------------------------------------- programs


def build(spec, dtype, device):
    state = State(spec, dtype, device)
    new_model = partial(InfoGAN, spec.options["slope"], spec.options["codes_weight"], spec.options["generator_weight"])

    # One Program per update, which holds nothing of the others. Each makes its own layers, once: within a Program, a
    # parameter name used twice would make two parameters; between Programs, one name is one parameter.
    for source in SOURCES:
        with state.program("discriminator", source) as program:
            model, update = new_model(), spec.update("discriminator")
            program.fetch = discriminator_losses(model, program.x(), program.noise(update.noise))
            adam(update).minimize(program.fetch["objective_d"], program.startup, parameters(model, update))

        with state.program("generator", source) as program:
            model, update = new_model(), spec.update("generator")
            program.fetch = generator_losses(model, None, program.noise(update.noise))
            adam(update).minimize(program.fetch["objective_g"], program.startup, parameters(model, update))

    with state.program("forward") as program:
        program.fetch = forward(new_model(), program.x(), program.noise(spec.noise))

    with state.program("losses") as program:
        program.fetch = losses(new_model(), program.x(), program.noise(spec.noise))

    for update in spec.updates:
        with state.program(f"{update.name}.gradients") as program:
            model = new_model()
            program.fetch = gradients(model, update, losses(model, program.x(), program.noise(spec.noise)))

    with state.program("encode") as program:
        model = new_model()
        model.eval()  # what stands in this Program uses the running statistics
        program.fetch = {"encode": encode(model, program.x())}

    with state.program("sample") as program:
        model = new_model()
        model.eval()
        program.fetch = {"sample": sample(model, program.noise(spec.sampling_noise))}

    return state


def train_step(state, inputs, noise):
    values_d = state.run("discriminator", inputs, noise)  # trunk, D and Q
    values_g = state.run("generator", inputs, noise)  # judged by those just updated
    return values_d | values_g


# ------------------------------------------------------------------------------------ coding, sampling


def encode(model, inputs):
    """images (B, 1, 28, 28) -> (B, 12): probabilities of c1 (10), means of c2 and c3."""
    recognized = model.recognition(model.trunk(inputs["images"]))
    return paddle.concat([F.softmax(recognized["category"], axis=1), recognized["mean"]], axis=1)


def sample(model, noise):
    """Latents z (B, 62), category (B, 10), codes (B, 2) -> images (B, 1, 28, 28) in [0, 1]."""
    return model.generator(latent(noise, ""))
