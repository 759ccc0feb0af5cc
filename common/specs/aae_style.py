"""Style apart from content: the supervised adversarial autoencoder of Makhzani et al. 2015 (arXiv 1511.05644, section 4), in
the sizes of the repository that the article series of `aae` follows (fducau/AAE_pytorch).

    encoder        784 -> 1000, dropout .2, ReLU, -> 1000, dropout .2, ReLU, -> 2 (the style z; the label is not in it)
    decoder        [label, z] (12) -> 1000, dropout .2, ReLU, -> 1000, dropout .2 (no ReLU here), -> 784 logits
    discriminator  2 -> 1000, dropout .2, ReLU, -> 1000, dropout .2, ReLU, -> 1, sigmoid
    prior          z ~ N(0, 5²)

    1 reconstruction  encoder, decoder:  mean BCE(decoder([label, encoder(x)]), x)
    2 discriminator   discriminator:     -mean[log(D(z) + EPS) + log(1 - D(encoder(x)) + EPS)], no dropout in the encoder
    3 generator       encoder:           -mean log(D(encoder(x)) + EPS), with dropout, by a second Adam of its own

Told what the digit is, the decoder needs of the code only how it is written.
"""

from autograd import numpy as np

from common.reference.terms import bce_with_logits, sigmoid
from common.specs.aae import EPS, dropout_masks, masks
from common.specs.draws import FanInUniform, Noise, Normal, OneHot
from common.specs.inputs import Images, Labels
from common.specs.layers import RELU, SIGMOID, Dense, Dropout, Network
from common.specs.records import About, Adam, Spec, Training, Update

LATENT, CLASSES = 2, 10
WIDTH, TWIN = 1000, 100  # hidden units of every layer, of the model and of its narrow twin
DROPOUT = Dropout(0.2)


def decode(networks, labels, style, masks=None):
    return networks.decoder(np.concatenate([labels, style], axis=1), masks)


def forward(networks, inputs, noise):
    """images (B, 784) in [0, 1], labels (B, 10) one-hot -> style (B, 2), logits (B, 784), D's probabilities for the prior and
    the style (B, 1)."""
    style = networks.encoder(inputs["images"], masks(noise, "encoder"))
    return {
        "style": style,
        "logits": decode(networks, inputs["labels"], style, masks(noise, "decoder")),
        "real": networks.discriminator(noise["prior"], masks(noise, "real")),
        "fake": networks.discriminator(networks.encoder(inputs["images"]), masks(noise, "fake")),
    }


def reconstruction_losses(networks, inputs, noise):
    style = networks.encoder(inputs["images"], masks(noise, "encoder"))
    logits = decode(networks, inputs["labels"], style, masks(noise, "decoder"))
    return {"loss_r": np.mean(bce_with_logits(logits, inputs["images"]))}


def discriminator_losses(networks, inputs, noise):
    real = networks.discriminator(noise["prior"], masks(noise, "real"))
    fake = networks.discriminator(networks.encoder(inputs["images"]), masks(noise, "fake"))
    return {"loss_d": -np.mean(np.log(real + EPS) + np.log(1 - fake + EPS))}


def generator_losses(networks, inputs, noise):
    style = networks.encoder(inputs["images"], masks(noise, "generator"))
    fooled = networks.discriminator(style, masks(noise, "fooled"))
    return {"loss_g": -np.mean(np.log(fooled + EPS))}


def encode(networks, inputs):
    return networks.encoder(inputs["images"])


def reconstruct(networks, inputs, noise):
    return sigmoid(decode(networks, inputs["labels"], networks.encoder(inputs["images"])))


def sample(networks, noise):
    """label (B, 10) one-hot, z (B, 2) from the prior -> pixels (B, 784) in [0, 1]."""
    return sigmoid(decode(networks, noise["label"], noise["z"]))


def _adam(learning_rate):
    return Adam(learning_rate=learning_rate, beta1=0.9, beta2=0.999, epsilon=1e-8, l2=0.0)


PRIOR = Normal(0.0, 5.0)


def _spec(width):
    return Spec(
        name="aae_style",
        module="aae_style",
        inputs=(Images(shape=(784,), pixels=(0.0, 1.0), picture=(1, 28, 28)), Labels(classes=CLASSES)),
        reduction="mean",
        options={"width": width},
        initial=FanInUniform(),
        networks=(
            Network(
                "encoder",
                (784,),
                (
                    Dense("fc0", 784, width),
                    DROPOUT,
                    RELU,
                    Dense("fc1", width, width),
                    DROPOUT,
                    RELU,
                    Dense("fc2", width, LATENT),
                ),
            ),
            Network(
                "decoder",
                (CLASSES + LATENT,),
                (
                    Dense("fc0", CLASSES + LATENT, width),
                    DROPOUT,
                    RELU,
                    Dense("fc1", width, width),
                    DROPOUT,
                    Dense("fc2", width, 784),
                ),
            ),
            Network(
                "discriminator",
                (LATENT,),
                (
                    Dense("fc0", LATENT, width),
                    DROPOUT,
                    RELU,
                    Dense("fc1", width, width),
                    DROPOUT,
                    RELU,
                    Dense("fc2", width, 1),
                    SIGMOID,
                ),
            ),
        ),
        sampling_noise=(Noise("label", (CLASSES,), OneHot()), Noise("z", (LATENT,), PRIOR)),
        updates=(
            Update(
                name="reconstruction",
                objective="loss_r",
                networks=("encoder", "decoder"),
                noise=(*dropout_masks("encoder", width, DROPOUT), *dropout_masks("decoder", width, DROPOUT)),
                losses=reconstruction_losses,
                optimizer=_adam(1e-4),
            ),
            Update(
                name="discriminator",
                objective="loss_d",
                networks=("discriminator",),
                noise=(
                    Noise("prior", (LATENT,), PRIOR),
                    *dropout_masks("real", width, DROPOUT),
                    *dropout_masks("fake", width, DROPOUT),
                ),
                losses=discriminator_losses,
                optimizer=_adam(5e-5),
            ),
            Update(
                name="generator",
                objective="loss_g",
                networks=("encoder",),
                noise=(*dropout_masks("generator", width, DROPOUT), *dropout_masks("fooled", width, DROPOUT)),
                losses=generator_losses,
                optimizer=_adam(5e-5),
            ),
        ),
        forward=forward,
        encode=encode,
        reconstruct=reconstruct,
        sample=sample,
        training=Training(
            batch_size=100,
            epochs=100,
            twin=_spec(TWIN) if width != TWIN else None,
        ),
        about=About(
            title="Adversarial autoencoder, style apart from content",
            article="aae",
            source="arXiv 1511.05644, section 4; sizes of fducau/AAE_pytorch, aae_supervised.py",
            notes=(
                "The article announces this model and leaves it to part 3 of its series; sizes, rates and the prior are those of the "
                "repository that the series follows. The paper's style has 15 dimensions.",
                "The repository trains on its 10,000 validation images for 500 epochs, 50,000 steps; here on all training images, "
                "100 epochs of 600 steps.",
                "Erratum: the repository's last line calls generate_model with three arguments, which it does not take.",
                "The repository adds EPS = 1e-15 to both sides of the reconstruction BCE to keep its logarithms finite; on logits it "
                "needs none.",
                "Initial values are PyTorch's defaults, the repository's framework.",
            ),
        ),
    )


AAE_STYLE = _spec(WIDTH)
