"""Adversarial autoencoder, classes from a few labels or none, Paddle. Specification: common/specs/aae_few_labels.py.

Makhzani et al. 2015, arXiv 1511.05644, sections 5 and 6; article `aae`. Dropout masks are noise; without them a network
runs in evaluation mode. Shapes are those of width 1000.
"""

import paddle
from paddle import nn
from paddle.nn import functional as F

from backends.paddle.exact import number
from backends.paddle.layouts import named
from backends.paddle.optimizer import create, parameters
from backends.paddle.steps import SOURCES, State
from backends.paddle.terms import cross_entropy, dropout

EPS, STYLE = 1e-15, 10

# -------------------------------------------------------------------------------------------- networks


class Encoder(nn.Layer):
    def __init__(self, width):
        super().__init__()
        self.fc0 = nn.Linear(784, width, **named("encoder.fc0"))
        self.fc1 = nn.Linear(width, width, **named("encoder.fc1"))

    def forward(self, x, masks=(None, None)):
        h = F.relu(dropout(self.fc0(x), masks[0], keep=0.75))  # (B, 1000)
        return F.relu(dropout(self.fc1(h), masks[1], keep=0.75))  # (B, 1000)


class Head(nn.Layer):
    def __init__(self, path, width, features):
        super().__init__()
        self.fc0 = nn.Linear(width, features, **named(f"{path}.fc0"))

    def forward(self, h):
        return self.fc0(h)  # (B, categories) logits, or (B, 10), the style


class Decoder(nn.Layer):
    def __init__(self, width, categories):
        super().__init__()
        self.fc0 = nn.Linear(categories + STYLE, width, **named("decoder.fc0"))
        self.fc1 = nn.Linear(width, width, **named("decoder.fc1"))
        self.fc2 = nn.Linear(width, 784, **named("decoder.fc2"))

    def forward(self, y, z, masks=(None, None)):
        h = paddle.concat([y, z], axis=1)  # (B, categories + 10)
        h = F.relu(dropout(self.fc0(h), masks[0], keep=0.75))  # (B, 1000)
        h = dropout(self.fc1(h), masks[1], keep=0.75)  # (B, 1000), no ReLU here
        return self.fc2(h)  # (B, 784), logits


class Discriminator(nn.Layer):
    def __init__(self, path, width, features):
        super().__init__()
        self.fc0 = nn.Linear(features, width, **named(f"{path}.fc0"))
        self.fc1 = nn.Linear(width, width, **named(f"{path}.fc1"))
        self.fc2 = nn.Linear(width, 1, **named(f"{path}.fc2"))

    def forward(self, code, masks):
        h = F.relu(dropout(self.fc0(code), masks[0], keep=0.8))  # (B, 1000)
        h = F.relu(dropout(self.fc1(h), masks[1], keep=0.8))  # (B, 1000)
        return F.sigmoid(self.fc2(h))  # (B, 1)


class FewLabelsAAE(nn.Layer):
    def __init__(self, width, categories):
        super().__init__()
        self.encoder = Encoder(width)
        self.category = Head("category", width, categories)
        self.style = Head("style", width, STYLE)
        self.decoder = Decoder(width, categories)
        self.discriminator = Discriminator("discriminator", width, STYLE)
        self.category_discriminator = Discriminator("category_discriminator", width, categories)


# ------------------------------------------------------------------------------------- forward, losses


def masks(noise, which):
    return [noise.get(f"{which}_mask{k}") for k in range(2)]  # the category's discriminator has one, the paper none


def hidden(model, images, noise, which):
    """The encoder's (B, 1000) in training: with dropout or, in `aae_few_labels_paper`, with noise on the images."""
    images = images + noise[f"{which}_input"] if f"{which}_input" in noise else images
    return model.encoder(images, masks(noise, which))


def code(model, h):
    """What the encoder makes of images -> class probabilities y (B, categories), style z (B, 10)."""
    return F.softmax(model.category(h), axis=1), model.style(h)


def judged(model, inputs, noise):
    """Both discriminators' probabilities (B, 1) for draws of the priors and for the code, which has no dropout."""
    y, z = code(model, hidden(model, inputs["images"], noise, "judged"))
    y.stop_gradient = z.stop_gradient = True  # the encoder learns from the other losses alone
    return {
        "real": model.discriminator(noise["prior"], masks(noise, "real")),
        "fake": model.discriminator(z, masks(noise, "fake")),
        "real_category": model.category_discriminator(noise["category_prior"], masks(noise, "real_category")),
        "fake_category": model.category_discriminator(y, masks(noise, "fake_category")),
    }


def forward(model, inputs, noise):
    """images (B, 784) in [0, 1] -> y (B, categories), z (B, 10), logits (B, 784), the discriminators' probabilities (B, 1)."""
    y, z = code(model, hidden(model, inputs["images"], noise, "encoder"))
    logits = model.decoder(y, z, masks(noise, "decoder"))
    return {"category": y, "style": z, "logits": logits, **judged(model, inputs, noise)}


def reconstruction_losses(model, inputs, noise):
    """mean BCE(decoder([y, z]), x)."""
    logits = model.decoder(*code(model, hidden(model, inputs["images"], noise, "encoder")), masks(noise, "decoder"))
    return {"loss_r": paddle.mean(cross_entropy(logits, inputs["images"]))}


def discriminator_losses(model, inputs, noise):
    """For both -mean[log(D(prior) + EPS) + log(1 - D(code) + EPS)], no dropout in the encoder."""
    found, eps = judged(model, inputs, noise), number(EPS)
    loss_z = -paddle.mean(paddle.log(found["real"] + eps) + paddle.log(1 - found["fake"] + eps))
    loss_y = -paddle.mean(paddle.log(found["real_category"] + eps) + paddle.log(1 - found["fake_category"] + eps))
    return {"loss_d": loss_z + loss_y, "loss_d_style": loss_z, "loss_d_category": loss_y}


def generator_losses(model, inputs, noise):
    """For both -mean log(D(code) + EPS), with dropout in the encoder."""
    y, z = code(model, hidden(model, inputs["images"], noise, "generator"))
    fooled, eps = model.discriminator(z, masks(noise, "fooled")), number(EPS)
    fooled_category = model.category_discriminator(y, masks(noise, "fooled_category"))
    return {"loss_g": -paddle.mean(paddle.log(fooled + eps)) - paddle.mean(paddle.log(fooled_category + eps))}


def supervised_losses(model, inputs, noise):
    """mean cross-entropy of the labelled images' logits with their labels (B, 10) one-hot."""
    logits = model.category(hidden(model, inputs["labelled_images"], noise, "supervised"))
    return {"loss_s": F.cross_entropy(logits, inputs["labels"], soft_label=True)}


def losses(model, inputs, noise):
    values = reconstruction_losses(model, inputs, noise) | discriminator_losses(model, inputs, noise)
    values |= generator_losses(model, inputs, noise)
    return values | (supervised_losses(model, inputs, noise) if "labels" in inputs else {})


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype, device):
    state = State(spec, lambda: FewLabelsAAE(**spec.options), dtype, device)
    # One Program per update, which holds nothing of the others. Each makes its own layers, once: within a Program, a
    # parameter name used twice would make two parameters; between Programs, one name is one parameter.
    functions = {
        "reconstruction": reconstruction_losses,
        "discriminator": discriminator_losses,
        "generator": generator_losses,
        "supervised": supervised_losses,
    }
    for update in spec.updates:
        for source in SOURCES:
            with state.program(update.name, source) as program:
                model, losses_of = state.network(), functions[update.name]
                program.fetch = losses_of(model, program.inputs(), program.noise(update.noise))
                create(update).minimize(program.fetch[update.objective], program.startup, parameters(model, update))
    return state


def train_step(state, inputs, noise):
    values_r = state.run("reconstruction", inputs, noise)
    values_d = state.run("discriminator", inputs, noise)  # of the codes just improved
    values_g = state.run("generator", inputs, noise)  # judged by the discriminators just updated
    values_s = state.run("supervised", inputs, noise) if "labelled" in state.spec.rows else {}  # not in `aae_clusters`
    return values_r | values_d | values_g | values_s


# ------------------------------------------------------------------------------------ coding, sampling


def encode(model, inputs):
    """images (B, 784) -> (B, categories + 10): class probabilities, style."""
    return paddle.concat(code(model, model.encoder(inputs["images"])), axis=1)


def reconstruct(model, inputs, noise):
    """images (B, 784) -> pixels (B, 784) in [0, 1]."""
    return F.sigmoid(model.decoder(*code(model, model.encoder(inputs["images"]))))


def sample(model, noise):
    """category (B, categories) one-hot, z (B, 10) from the prior N(0, 1) -> pixels (B, 784) in [0, 1]."""
    return F.sigmoid(model.decoder(noise["category"], noise["z"]))
