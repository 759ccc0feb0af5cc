"""Variational autoencoder, Paddle: `vae` and `vae_z100`. Specification: common/specs/vae.py.

Kingma & Welling 2013, arXiv 1312.6114; articles `autoencoders` and `vae_notes`.
"""

import paddle
from paddle import nn
from paddle.nn import functional as F

from backends.paddle.layouts import named
from backends.paddle.optimizer import adam, parameters
from backends.paddle.steps import SOURCES, State
from backends.paddle.terms import cross_entropy

# -------------------------------------------------------------------------------------------- networks


class Encoder(nn.Layer):
    def __init__(self, pixels, hidden, latent):
        super().__init__()
        self.fc0 = nn.Linear(pixels, hidden, **named("encoder.fc0"))
        self.mean = nn.Linear(hidden, latent, **named("encoder.mean"))
        self.logvar = nn.Linear(hidden, latent, **named("encoder.logvar"))

    def forward(self, x):
        h = F.relu(self.fc0(x))  # (B, hidden)
        return self.mean(h), self.logvar(h)  # (B, latent) each


class Decoder(nn.Layer):
    def __init__(self, latent, hidden, pixels):
        super().__init__()
        self.fc0 = nn.Linear(latent, hidden, **named("decoder.fc0"))
        self.fc1 = nn.Linear(hidden, pixels, **named("decoder.fc1"))

    def forward(self, z):
        h = F.relu(self.fc0(z))  # (B, hidden)
        return self.fc1(h)  # (B, 784), logits


class VAE(nn.Layer):
    def __init__(self, pixels, hidden, latent, reduction):
        super().__init__()
        self.encoder = Encoder(pixels, hidden, latent)
        self.decoder = Decoder(latent, hidden, pixels)
        self.reduction = reduction  # over the batch: "sum" in vae, "mean" in vae_z100


# ------------------------------------------------------------------------------------- forward, losses


def forward(model, inputs, noise):
    """images (B, 784) in [0, 1], epsilon (B, latent) ~ N(0, 1) -> mean, logvar, z (B, latent), logits (B, 784)."""
    mean, logvar = model.encoder(inputs["images"])
    z = mean + paddle.exp(logvar / 2) * noise["epsilon"]
    return {"mean": mean, "logvar": logvar, "z": z, "logits": model.decoder(z)}


def losses(model, inputs, noise):
    """BCE + KL(N(mean, exp(logvar)) ‖ N(0, 1)), summed over pixels and code, then reduced over the batch."""
    output = forward(model, inputs, noise)
    mean, logvar = output["mean"], output["logvar"]
    bce = paddle.sum(cross_entropy(output["logits"], inputs["images"]), axis=1)  # (B,)
    kl = -0.5 * paddle.sum(1 + logvar - paddle.square(mean) - paddle.exp(logvar), axis=1)  # (B,)
    reduce = paddle.sum if model.reduction == "sum" else paddle.mean
    return {"loss": reduce(bce + kl), "bce": reduce(bce), "kl": reduce(kl)}


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype, device):
    def network():
        return VAE(spec.images.shape[0], spec.options["hidden"], spec.options["latent"], spec.reduction)

    state = State(spec, network, dtype, device)
    # Each Program makes its own layers, once. Within a Program, a parameter name used twice would make two parameters;
    # between Programs, one name is one parameter.
    for source in SOURCES:
        with state.program("train", source) as program:
            model, update = network(), spec.update("train")
            program.fetch = losses(model, program.inputs(), program.noise(update.noise))
            adam(update).minimize(program.fetch["loss"], program.startup, parameters(model, update))
    return state


def train_step(state, inputs, noise):
    return state.run("train", inputs, noise)


# ------------------------------------------------------------------------------------ coding, sampling


def encode(model, inputs):
    """images (B, 784) -> mean of the code (B, latent)."""
    mean, _ = model.encoder(inputs["images"])
    return mean


def reconstruct(model, inputs, noise):
    """images (B, 784), epsilon (B, latent) -> pixels (B, 784) in [0, 1]."""
    return F.sigmoid(forward(model, inputs, noise)["logits"])


def sample(model, noise):
    """z (B, latent) from the prior N(0, 1) -> pixels (B, 784) in [0, 1]."""
    return F.sigmoid(model.decoder(noise["z"]))
