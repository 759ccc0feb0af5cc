"""The GAN of Goodfellow et al. 2014 (arXiv 1406.2661), in the sizes of the article `gan`.

    generator      z (100) -> 256 -> 512 -> 1024 -> 784, LeakyReLU .2 between, tanh at the end
    discriminator  784 -> 1024 -> 512 -> 256 -> 1 logit, LeakyReLU .2 then dropout .3 after each hidden layer

    D: minimise  mean BCE(D(x), 1) + mean BCE(D(G(z)), 0)
    G: minimise  mean BCE(D(G(z′)), 1)                        with the D just updated and a fresh z′

Dropout is always on, also while G learns; each of the three passes through D has masks of its own.
"""

from autograd import numpy as np

from common.reference.terms import bce_with_logits, sigmoid
from common.specs.draws import Bernoulli, FanInUniform, Noise, Normal
from common.specs.inputs import Images
from common.specs.layers import TANH, Dense, Dropout, LeakyRelu, Network
from common.specs.records import About, Adam, Spec, Training, Update

LEAKY, DROPOUT = LeakyRelu(0.2), Dropout(0.3)


def masks(noise, which):
    return [noise[f"{which}_mask{k}"] for k in range(3)]


def forward(networks, inputs, noise):
    """images (B, 784) in [-1, 1], z (B, 100) -> generated (B, 784), logits of D for both (B, 1)."""
    generated = networks.generator(noise["discriminator_z"])
    return {
        "generated": generated,
        "real_logits": networks.discriminator(inputs["images"], masks(noise, "real")),
        "fake_logits": networks.discriminator(generated, masks(noise, "fake")),
    }


def discriminator_losses(networks, inputs, noise):
    output = forward(networks, inputs, noise)
    real, fake = output["real_logits"], output["fake_logits"]
    return {
        "loss_d": np.mean(bce_with_logits(real, 1.0)) + np.mean(bce_with_logits(fake, 0.0)),
        "score_real": np.mean(sigmoid(real)),
        "score_fake": np.mean(sigmoid(fake)),
    }


def generator_losses(networks, inputs, noise):
    fooled = networks.discriminator(networks.generator(noise["generator_z"]), masks(noise, "fooled"))
    return {"loss_g": np.mean(bce_with_logits(fooled, 1.0))}


def sample(networks, noise):
    """z (B, 100) -> images (B, 784) in [-1, 1]."""
    return networks.generator(noise["z"])


def _masks(which):
    keep = Bernoulli(1 - DROPOUT.rate)
    return tuple(Noise(f"{which}_mask{k}", (width,), keep) for k, width in enumerate((1024, 512, 256)))


Z = Normal(0.0, 1.0)
ADAM = Adam(learning_rate=2e-4, beta1=0.9, beta2=0.999, epsilon=1e-8, l2=0.0)

GAN = Spec(
    name="gan",
    module="gan",
    inputs=(Images(shape=(784,), pixels=(-1.0, 1.0), picture=(1, 28, 28)),),
    reduction="mean",
    options={},
    initial=FanInUniform(),
    networks=(
        Network(
            "generator",
            (100,),
            (
                Dense("fc0", 100, 256),
                LEAKY,
                Dense("fc1", 256, 512),
                LEAKY,
                Dense("fc2", 512, 1024),
                LEAKY,
                Dense("fc3", 1024, 784),
                TANH,
            ),
        ),
        Network(
            "discriminator",
            (784,),
            (
                Dense("fc0", 784, 1024),
                LEAKY,
                DROPOUT,
                Dense("fc1", 1024, 512),
                LEAKY,
                DROPOUT,
                Dense("fc2", 512, 256),
                LEAKY,
                DROPOUT,
                Dense("fc3", 256, 1),
            ),
        ),
    ),
    sampling_noise=(Noise("z", (100,), Z),),
    updates=(
        Update(
            name="discriminator",
            objective="loss_d",
            networks=("discriminator",),
            noise=(Noise("discriminator_z", (100,), Z), *_masks("real"), *_masks("fake")),
            losses=discriminator_losses,
            optimizer=ADAM,
        ),
        Update(
            name="generator",
            objective="loss_g",
            networks=("generator",),
            noise=(Noise("generator_z", (100,), Z), *_masks("fooled")),
            losses=generator_losses,
            optimizer=ADAM,
        ),
    ),
    forward=forward,
    encode=None,
    reconstruct=None,
    sample=sample,
    training=Training(batch_size=128, epochs=10),
    about=About(
        title="Generative adversarial network",
        article="gan",
        source="arXiv 1406.2661",
        notes=(
            "Erratum: dropout is always on, also in G's update (`F.dropout` without the training flag); kept, as published.",
            "Errata: the article prints the constructors as `init` and `super().init()`, and a loop over `(x, )` that does not "
            "unpack an image and its label, so its code does not run.",
            "BCE is taken on logits: the same function as on sigmoid outputs, without PyTorch's clamp at 100.",
            "Initial values are PyTorch's defaults, the article's framework.",
        ),
    ),
)
