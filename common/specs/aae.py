"""The adversarial autoencoder of Makhzani et al. 2015 (arXiv 1511.05644), in the sizes of the article `aae`.

    encoder        784 -> 1000, dropout .25, ReLU, -> 1000, dropout .25, ReLU, -> 120 (the code)
    decoder        120 -> 1000, dropout .25, ReLU, -> 1000, dropout .25 (no ReLU here), -> 784 logits
    discriminator  120 -> 500, dropout .2, ReLU, -> 500, dropout .2, ReLU, -> 1, sigmoid
    prior          z ~ N(0, 5²)

    1 reconstruction  encoder, decoder:  mean BCE(decoder(encoder(x)), x)
    2 discriminator   discriminator:     -mean[log(D(z) + EPS) + log(1 - D(encoder(x)) + EPS)], no dropout in the encoder
    3 generator       encoder:           -mean log(D(encoder(x)) + EPS), with dropout, by a second Adam of its own

Each update uses its own loss alone, and sees what the updates before it changed.
"""

from dataclasses import replace

from autograd import numpy as np

from common.reference.terms import bce_with_logits, sigmoid
from common.specs.draws import Bernoulli, FanInUniform, Noise, Normal
from common.specs.inputs import Images
from common.specs.layers import RELU, SIGMOID, Dense, Dropout, Network
from common.specs.records import About, Adam, Spec, Training, Update

EPS = 1e-15
CODER_DROPOUT, DISCRIMINATOR_DROPOUT = Dropout(0.25), Dropout(0.2)


def masks(noise, which):
    return [noise[f"{which}_mask{k}"] for k in range(2)]


def forward(networks, inputs, noise):
    """images (B, 784) in [0, 1] -> code (B, 120), logits (B, 784), D's probabilities for the prior and the code (B, 1)."""
    code = networks.encoder(inputs["images"], masks(noise, "encoder"))
    return {
        "code": code,
        "logits": networks.decoder(code, masks(noise, "decoder")),
        "real": networks.discriminator(noise["prior"], masks(noise, "real")),
        "fake": networks.discriminator(networks.encoder(inputs["images"]), masks(noise, "fake")),
    }


def reconstruction_losses(networks, inputs, noise):
    code = networks.encoder(inputs["images"], masks(noise, "encoder"))
    logits = networks.decoder(code, masks(noise, "decoder"))
    return {"loss_r": np.mean(bce_with_logits(logits, inputs["images"]))}


def discriminator_losses(networks, inputs, noise):
    real = networks.discriminator(noise["prior"], masks(noise, "real"))
    fake = networks.discriminator(networks.encoder(inputs["images"]), masks(noise, "fake"))
    return {"loss_d": -np.mean(np.log(real + EPS) + np.log(1 - fake + EPS))}


def generator_losses(networks, inputs, noise):
    code = networks.encoder(inputs["images"], masks(noise, "generator"))
    fooled = networks.discriminator(code, masks(noise, "fooled"))
    return {"loss_g": -np.mean(np.log(fooled + EPS))}


def encode(networks, inputs):
    return networks.encoder(inputs["images"])


def reconstruct(networks, inputs, noise):
    return sigmoid(networks.decoder(networks.encoder(inputs["images"])))


def sample(networks, noise):
    """z (B, 120) from the prior -> pixels (B, 784) in [0, 1]."""
    return sigmoid(networks.decoder(noise["z"]))


def dropout_masks(which: str, width: int, dropout: Dropout, count: int = 2) -> tuple[Noise, ...]:
    """The masks of so many hidden layers of `width` units, in the pass called `which`."""
    return tuple(Noise(f"{which}_mask{k}", (width,), Bernoulli(1 - dropout.rate)) for k in range(count))


def _adam(learning_rate):
    return Adam(learning_rate=learning_rate, beta1=0.9, beta2=0.999, epsilon=1e-8, l2=0.0)


PRIOR = Normal(0.0, 5.0)

AAE = Spec(
    name="aae",
    module="aae",
    inputs=(Images(shape=(784,), pixels=(0.0, 1.0), picture=(1, 28, 28)),),
    reduction="mean",
    options={},
    initial=FanInUniform(),
    networks=(
        Network(
            "encoder",
            (784,),
            (
                Dense("fc0", 784, 1000),
                CODER_DROPOUT,
                RELU,
                Dense("fc1", 1000, 1000),
                CODER_DROPOUT,
                RELU,
                Dense("fc2", 1000, 120),
            ),
        ),
        Network(
            "decoder",
            (120,),
            (
                Dense("fc0", 120, 1000),
                CODER_DROPOUT,
                RELU,
                Dense("fc1", 1000, 1000),
                CODER_DROPOUT,
                Dense("fc2", 1000, 784),
            ),
        ),
        Network(
            "discriminator",
            (120,),
            (
                Dense("fc0", 120, 500),
                DISCRIMINATOR_DROPOUT,
                RELU,
                Dense("fc1", 500, 500),
                DISCRIMINATOR_DROPOUT,
                RELU,
                Dense("fc2", 500, 1),
                SIGMOID,
            ),
        ),
    ),
    sampling_noise=(Noise("z", (120,), PRIOR),),
    updates=(
        Update(
            name="reconstruction",
            objective="loss_r",
            networks=("encoder", "decoder"),
            noise=(*dropout_masks("encoder", 1000, CODER_DROPOUT), *dropout_masks("decoder", 1000, CODER_DROPOUT)),
            losses=reconstruction_losses,
            optimizer=_adam(1e-4),
        ),
        Update(
            name="discriminator",
            objective="loss_d",
            networks=("discriminator",),
            noise=(
                Noise("prior", (120,), PRIOR),
                *dropout_masks("real", 500, DISCRIMINATOR_DROPOUT),
                *dropout_masks("fake", 500, DISCRIMINATOR_DROPOUT),
            ),
            losses=discriminator_losses,
            optimizer=_adam(5e-5),
        ),
        Update(
            name="generator",
            objective="loss_g",
            networks=("encoder",),
            noise=(
                *dropout_masks("generator", 1000, CODER_DROPOUT),
                *dropout_masks("fooled", 500, DISCRIMINATOR_DROPOUT),
            ),
            losses=generator_losses,
            optimizer=_adam(5e-5),
        ),
    ),
    forward=forward,
    encode=encode,
    reconstruct=reconstruct,
    sample=sample,
    training=Training(batch_size=100, steps=50_000),
    about=About(
        title="Adversarial autoencoder, 120-D code",
        article="aae",
        source="arXiv 1511.05644",
        notes=(
            "Erratum: the article clears gradients once per step, so that its generator update of the encoder also applies the "
            "left-over reconstruction gradient and the discriminator loss's, which flows into the encoder because `Q.eval()` does not "
            "stop gradients, though the article says that it does; each update here uses its own loss alone.",
            "The article adds EPS = 1e-15 to both sides of the reconstruction BCE to keep its logarithms finite; on logits it needs "
            "none. x + EPS leaves [0, 1], which today's PyTorch refuses in float64.",
            "Errata: `randn` is never imported; the iterator over the images is renewed one batch early.",
            "The article's two optimisers of the reconstruction update (encoder, decoder) are one Adam over both: it acts element by element.",
            "Initial values are PyTorch's defaults, the article's framework.",
        ),
    ),
)

# In PyTorch only, the article's framework.
AAE_AS_PUBLISHED = replace(
    AAE,
    name="aae_as_published",
    accumulates=True,
    about=replace(
        AAE.about,
        title="Adversarial autoencoder with the article's erratum",
        notes=(
            "The article's own updates: gradients are cleared once per step, at its start. So the discriminator loss's gradient "
            "flows into the encoder too, and the encoder's generator update applies the sum of all three losses' gradients.",
            *AAE.about.notes[1:],
        ),
    ),
)
