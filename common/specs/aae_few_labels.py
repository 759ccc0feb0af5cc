"""Classes from a few labels, and without any: the semi-supervised adversarial autoencoder of Makhzani et al. 2015 (arXiv
1511.05644, sections 5 and 6), in the sizes of the repository that the article series of `aae` follows (fducau/AAE_pytorch).

    encoder                 784 -> 1000, dropout .25, ReLU, -> 1000, dropout .25, ReLU
    category                1000 -> 10 logits; the class y is their softmax
    style                   1000 -> 10, z
    decoder                 [y, z] (20) -> 1000, dropout .25, ReLU, -> 1000, dropout .25 (no ReLU here), -> 784 logits
    discriminator           z 10 -> 1000, dropout .2, ReLU, -> 1000, dropout .2, ReLU, -> 1, sigmoid
    category_discriminator  y 10 -> 1000, dropout .2, ReLU, -> 1000, ReLU, -> 1, sigmoid
    priors                  z ~ N(0, 1), y one of 10, each as probable as the others

    1 reconstruction  encoder, category, style, decoder:  mean BCE(decoder([y, z]), x)
    2 discriminator   both discriminators:  for each  -mean[log(D(prior) + EPS) + log(1 - D(y or z) + EPS)], the encoder
                                            without dropout
    3 generator       encoder, category, style:  -mean log(Dz(z) + EPS) - mean log(Dy(y) + EPS)
    4 supervised      encoder, category:  mean cross-entropy of the logits with the labels of labelled images

Each update has an optimiser of its own, so that the encoder has three.

The models are in aae_labels.py. `aae_few_labels` does all four; `aae_clusters`, without labels, the first three, with more
categories than there are digits. `aae_few_labels_paper` has the paper's settings: no dropout, but noise N(0, .3²) on the images
that the encoder is given in training, and gradient descent with momentum. In `aae_few_labels_supervised` only the last update
moves anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from autograd import numpy as np

from common.reference.terms import bce_with_logits, log_softmax, sigmoid
from common.specs.aae import EPS, dropout_masks
from common.specs.draws import FanInUniform, Noise, Normal, OneHot
from common.specs.inputs import Images, Labels
from common.specs.layers import RELU, SIGMOID, Dense, Dropout, Network
from common.specs.records import About, Adam, Optimizer, Spec, Training, Update

CLASSES, STYLE = 10, 10
STEPS = 15_000  # the repository's 500 epochs, each of the 30 batches of its 3,000 labelled images
WIDTH, TWIN = 1000, 100  # hidden units of every layer, of the model and of its narrow twin
CODER_DROPOUT, DISCRIMINATOR_DROPOUT = Dropout(0.25), Dropout(0.2)


def masks(noise, which):
    """Those of the pass called `which`: the category's discriminator has one dropout, the networks of the paper none."""
    return [noise[name] for name in (f"{which}_mask0", f"{which}_mask1") if name in noise]


def hidden(networks, images, noise, which):
    """The encoder's (B, 1000) in the pass called `which`: with dropout or, as in the paper, with noise on the images."""
    images = images + noise[f"{which}_input"] if f"{which}_input" in noise else images
    return networks.encoder(images, masks(noise, which))


def code(networks, h):
    """What the encoder makes of images (B, 784) -> class probabilities y (B, categories), style z (B, 10)."""
    return np.exp(log_softmax(networks.category(h))), networks.style(h)


def decode(networks, y, z, masks=None):
    return networks.decoder(np.concatenate([y, z], axis=1), masks)


def judged(networks, inputs, noise):
    """Both discriminators' probabilities for draws of the priors and for the code, which has no dropout."""
    y, z = code(networks, hidden(networks, inputs["images"], noise, "judged"))
    return {
        "real": networks.discriminator(noise["prior"], masks(noise, "real")),
        "fake": networks.discriminator(z, masks(noise, "fake")),
        "real_category": networks.category_discriminator(noise["category_prior"], masks(noise, "real_category")),
        "fake_category": networks.category_discriminator(y, masks(noise, "fake_category")),
    }


def forward(networks, inputs, noise):
    """images (B, 784) in [0, 1] -> y (B, categories), z (B, 10), logits (B, 784), the discriminators' probabilities (B, 1)."""
    y, z = code(networks, hidden(networks, inputs["images"], noise, "encoder"))
    logits = decode(networks, y, z, masks(noise, "decoder"))
    return {"category": y, "style": z, "logits": logits, **judged(networks, inputs, noise)}


def reconstruction_losses(networks, inputs, noise):
    y, z = code(networks, hidden(networks, inputs["images"], noise, "encoder"))
    return {"loss_r": np.mean(bce_with_logits(decode(networks, y, z, masks(noise, "decoder")), inputs["images"]))}


def discriminator_losses(networks, inputs, noise):
    found = judged(networks, inputs, noise)
    loss_z = -np.mean(np.log(found["real"] + EPS) + np.log(1 - found["fake"] + EPS))
    loss_y = -np.mean(np.log(found["real_category"] + EPS) + np.log(1 - found["fake_category"] + EPS))
    return {"loss_d": loss_z + loss_y, "loss_d_style": loss_z, "loss_d_category": loss_y}


def generator_losses(networks, inputs, noise):
    y, z = code(networks, hidden(networks, inputs["images"], noise, "generator"))
    fooled = networks.discriminator(z, masks(noise, "fooled"))
    fooled_category = networks.category_discriminator(y, masks(noise, "fooled_category"))
    return {"loss_g": -np.mean(np.log(fooled + EPS)) - np.mean(np.log(fooled_category + EPS))}


def supervised_losses(networks, inputs, noise):
    log_y = log_softmax(networks.category(hidden(networks, inputs["labelled_images"], noise, "supervised")))
    return {"loss_s": -np.mean(np.sum(inputs["labels"] * log_y, axis=1))}


def encode(networks, inputs):
    """images (B, 784) -> (B, categories + 10): y, then z."""
    return np.concatenate(code(networks, networks.encoder(inputs["images"])), axis=1)


def reconstruct(networks, inputs, noise):
    return sigmoid(decode(networks, *code(networks, networks.encoder(inputs["images"]))))


def sample(networks, noise):
    """category (B, categories) one-hot, z (B, 10) from the priors -> pixels (B, 784) in [0, 1]."""
    return sigmoid(decode(networks, noise["category"], noise["z"]))


def adam(learning_rate: float) -> Adam:
    return Adam(learning_rate=learning_rate, beta1=0.9, beta2=0.999, epsilon=1e-8, l2=0.0)


@dataclass(frozen=True)
class Settings:
    """What the repository and the paper have otherwise; an optimiser per update."""

    dropout: bool
    input_noise: float  # deviation of what is added to the encoder's images in training; 0: nothing is drawn
    optimizers: Mapping[str, Optimizer]


REPOSITORY = Settings(
    dropout=True,
    input_noise=0.0,
    optimizers={
        "reconstruction": adam(6e-4),
        "discriminator": adam(8e-4),
        "generator": adam(8e-4),
        "supervised": adam(1e-3),
    },
)


def few_labels(
    name: str,
    categories: int,
    labelled: int | None,
    about: About,
    settings: Settings = REPOSITORY,
    steps: int = STEPS,
    width: int = WIDTH,
) -> Spec:
    prior, optimizers = Normal(0.0, 1.0), settings.optimizers
    coder_dropout = (CODER_DROPOUT,) if settings.dropout else ()
    discriminator_dropout = (DISCRIMINATOR_DROPOUT,) if settings.dropout else ()

    def drawn(which: str, dropout: tuple[Dropout, ...], count: int = 2) -> tuple[Noise, ...]:
        return dropout_masks(which, width, *dropout, count=count) if dropout else ()

    def added(which: str) -> tuple[Noise, ...]:
        noise = Noise(f"{which}_input", (784,), Normal(0.0, settings.input_noise))
        return (noise,) if settings.input_noise else ()

    images = Images(shape=(784,), pixels=(0.0, 1.0), picture=(1, 28, 28))
    updates = (
        Update(
            name="reconstruction",
            objective="loss_r",
            networks=("encoder", "category", "style", "decoder"),
            noise=(*added("encoder"), *drawn("encoder", coder_dropout), *drawn("decoder", coder_dropout)),
            losses=reconstruction_losses,
            optimizer=optimizers["reconstruction"],
        ),
        Update(
            name="discriminator",
            objective="loss_d",
            networks=("discriminator", "category_discriminator"),
            noise=(
                Noise("prior", (STYLE,), prior),
                Noise("category_prior", (categories,), OneHot()),
                *added("judged"),
                *drawn("real", discriminator_dropout),
                *drawn("fake", discriminator_dropout),
                *drawn("real_category", discriminator_dropout, count=1),
                *drawn("fake_category", discriminator_dropout, count=1),
            ),
            losses=discriminator_losses,
            optimizer=optimizers["discriminator"],
        ),
        Update(
            name="generator",
            objective="loss_g",
            networks=("encoder", "category", "style"),
            noise=(
                *added("generator"),
                *drawn("generator", coder_dropout),
                *drawn("fooled", discriminator_dropout),
                *drawn("fooled_category", discriminator_dropout, count=1),
            ),
            losses=generator_losses,
            optimizer=optimizers["generator"],
        ),
    )
    supervised = Update(
        name="supervised",
        objective="loss_s",
        networks=("encoder", "category"),
        noise=(*added("supervised"), *drawn("supervised", coder_dropout)),
        losses=supervised_losses,
        optimizer=optimizers["supervised"],
    )
    labels = (replace(images, name="labelled_images", rows="labelled"), Labels(classes=CLASSES, rows="labelled"))
    coder = (*coder_dropout, RELU, Dense("fc1", width, width), *coder_dropout)
    return Spec(
        name=name,
        module="aae_few_labels",
        inputs=(images, *(labels if labelled else ())),
        reduction="mean",
        options={"categories": categories, "width": width},
        initial=FanInUniform(),
        networks=(
            Network("encoder", (784,), (Dense("fc0", 784, width), *coder, RELU)),
            Network("category", (width,), (Dense("fc0", width, categories),)),
            Network("style", (width,), (Dense("fc0", width, STYLE),)),
            Network(
                "decoder",
                (categories + STYLE,),
                (Dense("fc0", categories + STYLE, width), *coder, Dense("fc2", width, 784)),
            ),
            Network(
                "discriminator",
                (STYLE,),
                (
                    Dense("fc0", STYLE, width),
                    *discriminator_dropout,
                    RELU,
                    Dense("fc1", width, width),
                    *discriminator_dropout,
                    RELU,
                    Dense("fc2", width, 1),
                    SIGMOID,
                ),
            ),
            Network(
                "category_discriminator",
                (categories,),
                (
                    Dense("fc0", categories, width),
                    *discriminator_dropout,
                    RELU,
                    Dense("fc1", width, width),
                    RELU,
                    Dense("fc2", width, 1),
                    SIGMOID,
                ),
            ),
        ),
        sampling_noise=(Noise("category", (categories,), OneHot()), Noise("z", (STYLE,), prior)),
        updates=(*updates, *((supervised,) if labelled else ())),
        forward=forward,
        encode=encode,
        reconstruct=reconstruct,
        sample=sample,
        training=Training(
            batch_size=100,
            steps=steps,
            labelled=labelled,
            twin=few_labels(name, categories, labelled, about, settings, steps, TWIN) if width != TWIN else None,
        ),
        about=about,
    )
