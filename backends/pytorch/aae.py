"""Adversarial autoencoder, PyTorch. Specification: common/specs/aae.py.

Makhzani et al. 2015, arXiv 1511.05644; article `aae`. Dropout masks are noise; without them a network runs in
evaluation mode.
"""

import torch
from torch import nn
from torch.nn import functional as F

from backends.pytorch.optimizer import adam, update
from backends.pytorch.steps import State
from backends.pytorch.terms import dropout

EPS = 1e-15

# -------------------------------------------------------------------------------------------- networks


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc0 = nn.Linear(784, 1000)
        self.fc1 = nn.Linear(1000, 1000)
        self.fc2 = nn.Linear(1000, 120)

    def forward(self, x, masks=(None, None)):
        h = F.relu(dropout(self.fc0(x), masks[0], keep=0.75))  # (B, 1000)
        h = F.relu(dropout(self.fc1(h), masks[1], keep=0.75))  # (B, 1000)
        return self.fc2(h)  # (B, 120), the code


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc0 = nn.Linear(120, 1000)
        self.fc1 = nn.Linear(1000, 1000)
        self.fc2 = nn.Linear(1000, 784)

    def forward(self, code, masks=(None, None)):
        h = F.relu(dropout(self.fc0(code), masks[0], keep=0.75))  # (B, 1000)
        h = dropout(self.fc1(h), masks[1], keep=0.75)  # (B, 1000), no ReLU here
        return self.fc2(h)  # (B, 784), logits


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc0 = nn.Linear(120, 500)
        self.fc1 = nn.Linear(500, 500)
        self.fc2 = nn.Linear(500, 1)

    def forward(self, code, masks):
        h = F.relu(dropout(self.fc0(code), masks[0], keep=0.8))  # (B, 500)
        h = F.relu(dropout(self.fc1(h), masks[1], keep=0.8))  # (B, 500)
        return torch.sigmoid(self.fc2(h))  # (B, 1)


class AAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = Encoder()
        self.decoder = Decoder()
        self.discriminator = Discriminator()


# ------------------------------------------------------------------------------------- forward, losses


def masks(noise, which):
    return [noise[f"{which}_mask{k}"] for k in range(2)]


def forward(model, inputs, noise):
    """images (B, 784) in [0, 1] -> code (B, 120), logits (B, 784), D's probabilities for the prior and the code (B, 1)."""
    code = model.encoder(inputs["images"], masks(noise, "encoder"))
    return {
        "code": code,
        "logits": model.decoder(code, masks(noise, "decoder")),
        "real": model.discriminator(noise["prior"], masks(noise, "real")),
        "fake": model.discriminator(model.encoder(inputs["images"]), masks(noise, "fake")),
    }


def reconstruction_losses(model, inputs, noise):
    """mean BCE(decoder(encoder(x)), x)."""
    logits = model.decoder(model.encoder(inputs["images"], masks(noise, "encoder")), masks(noise, "decoder"))
    return {"loss_r": F.binary_cross_entropy_with_logits(logits, inputs["images"])}


def discriminator_losses(model, inputs, noise, detach=True):
    """-mean[log(D(z) + EPS) + log(1 - D(encoder(x)) + EPS)], no dropout in the encoder."""
    code = model.encoder(inputs["images"])
    code = code.detach() if detach else code  # the encoder learns from loss_r and loss_g alone
    real = model.discriminator(noise["prior"], masks(noise, "real"))
    fake = model.discriminator(code, masks(noise, "fake"))
    return {"loss_d": -torch.mean(torch.log(real + EPS) + torch.log(1 - fake + EPS))}


def generator_losses(model, inputs, noise):
    """-mean log(D(encoder(x)) + EPS), with dropout in the encoder."""
    code = model.encoder(inputs["images"], masks(noise, "generator"))
    fooled = model.discriminator(code, masks(noise, "fooled"))
    return {"loss_g": -torch.mean(torch.log(fooled + EPS))}


def losses(model, inputs, noise):
    return (
        reconstruction_losses(model, inputs, noise)
        | discriminator_losses(model, inputs, noise)
        | generator_losses(model, inputs, noise)
    )


# ------------------------------------------------------------------------------------------ train step


def build(spec, dtype, device):
    model = AAE().to(dtype=dtype, device=device)
    # Two Adams over the encoder: that of the reconstruction and that of the generator, each with moments of its own.
    names = ("reconstruction", "discriminator", "generator")
    return State(model, {name: adam(spec.update(name), model) for name in names})


def train_step(state, inputs, noise):
    values_r = reconstruction_losses(state.model, inputs, noise)
    update(state.optimizers["reconstruction"], values_r["loss_r"])
    values_d = discriminator_losses(state.model, inputs, noise)  # of the codes just improved
    update(state.optimizers["discriminator"], values_d["loss_d"])
    values_g = generator_losses(state.model, inputs, noise)  # judged by the D just updated
    update(state.optimizers["generator"], values_g["loss_g"])
    return values_r | values_d | values_g


def accumulating_train_step(state, inputs, noise):
    """As the article prints it (`aae_as_published`): gradients are cleared here, and pile up from update to update."""
    model, optimizers = state.model, state.optimizers
    model.zero_grad(set_to_none=True)
    values_r = reconstruction_losses(model, inputs, noise)
    values_r["loss_r"].backward()
    optimizers["reconstruction"].step()
    values_d = discriminator_losses(model, inputs, noise, detach=False)  # it reaches the encoder
    values_d["loss_d"].backward()
    optimizers["discriminator"].step()
    values_g = generator_losses(model, inputs, noise)
    values_g["loss_g"].backward()
    optimizers["generator"].step()  # the encoder, by the sum of all three gradients
    return values_r | values_d | values_g


# ------------------------------------------------------------------------------------ coding, sampling


def encode(model, inputs):
    """images (B, 784) -> code (B, 120)."""
    return model.encoder(inputs["images"])


def reconstruct(model, inputs, noise):
    """images (B, 784) -> pixels (B, 784) in [0, 1]."""
    return torch.sigmoid(model.decoder(model.encoder(inputs["images"])))


def sample(model, noise):
    """z (B, 120) from the prior N(0, 5²) -> pixels (B, 784) in [0, 1]."""
    return torch.sigmoid(model.decoder(noise["z"]))
