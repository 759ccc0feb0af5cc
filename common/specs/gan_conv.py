"""DCGAN of Radford et al. 2015 (arXiv 1511.06434) at 28 × 28: what article `gan` leaves to its readers, convolutions.

    generator      z (100) -> 7·7·128, BN, ReLU, ConvTranspose 128 -> 64 k4 s2 (-> 14), BN, ReLU, 64 -> 1 k4 s2 (-> 28), tanh
    discriminator  Conv 1 -> 64 k4 s2 (-> 14), LeakyReLU .2, 64 -> 128 k4 s2 (-> 7), BN, LeakyReLU, -> 1 logit

    D: minimise  mean BCE(D(x), 1) + mean BCE(D(G(z)), 0)
    G: minimise  mean BCE(D(G(z′)), 1)                        with the D just updated and a fresh z′

Images are (B, 1, 28, 28) in [-1, 1]. Real and generated images pass D separately, each with its own batch statistics; the
passes move the running statistics in the order generator, real, generated; then generator, generated in G's update.
"""

from autograd import numpy as np

from common.reference.terms import bce_with_logits, sigmoid
from common.specs.draws import FixedNormal, Noise, Uniform
from common.specs.inputs import Images
from common.specs.layers import RELU, TANH, BatchNorm, Conv, ConvTranspose, Dense, LeakyRelu, Network, Reshape
from common.specs.records import About, Adam, Spec, Training, Update

LEAKY, LATENT = LeakyRelu(0.2), 100
WIDTH, TWIN = 64, 8  # channels, of the model and of its narrow twin


def forward(networks, inputs, noise):
    """images (B, 1, 28, 28) in [-1, 1], z (B, 100) -> generated (B, 1, 28, 28), logits of D for both (B, 1)."""
    generated = networks.generator(noise["discriminator_z"])
    return {
        "generated": generated,
        "real_logits": networks.discriminator(inputs["images"]),
        "fake_logits": networks.discriminator(generated),
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
    fooled = networks.discriminator(networks.generator(noise["generator_z"]))
    return {"loss_g": np.mean(bce_with_logits(fooled, 1.0))}


def sample(networks, noise):
    """z (B, 100) -> images (B, 1, 28, 28) in [-1, 1]."""
    return networks.generator(noise["z"])


def _batch_norm(name, features):
    return BatchNorm(name, features, epsilon=1e-5, momentum=0.9)


Z = Uniform(-1.0, 1.0)
ADAM = Adam(learning_rate=2e-4, beta1=0.5, beta2=0.999, epsilon=1e-8, l2=0.0)


def _spec(width):
    pixels = 2 * width * 7 * 7
    return Spec(
        name="gan_conv",
        module="gan_conv",
        inputs=(Images(shape=(1, 28, 28), pixels=(-1.0, 1.0), picture=(1, 28, 28)),),
        reduction="mean",
        options={"width": width},
        initial=FixedNormal(0.02),
        networks=(
            Network(
                "generator",
                (LATENT,),
                (
                    Dense("fc0", LATENT, pixels, bias=False),
                    Reshape((2 * width, 7, 7)),
                    _batch_norm("bn0", 2 * width),
                    RELU,
                    ConvTranspose("conv0", 2 * width, width, kernel=4, stride=2, padding=1, bias=False),
                    _batch_norm("bn1", width),
                    RELU,
                    ConvTranspose("conv1", width, 1, kernel=4, stride=2, padding=1),
                    TANH,
                ),
            ),
            Network(
                "discriminator",
                (1, 28, 28),
                (
                    Conv("conv0", 1, width, kernel=4, stride=2, padding=1),
                    LEAKY,
                    Conv("conv1", width, 2 * width, kernel=4, stride=2, padding=1, bias=False),
                    _batch_norm("bn0", 2 * width),
                    LEAKY,
                    Reshape((pixels,)),
                    Dense("logit", pixels, 1),
                ),
            ),
        ),
        sampling_noise=(Noise("z", (LATENT,), Z),),
        updates=(
            Update(
                name="discriminator",
                objective="loss_d",
                networks=("discriminator",),
                noise=(Noise("discriminator_z", (LATENT,), Z),),
                losses=discriminator_losses,
                optimizer=ADAM,
            ),
            Update(
                name="generator",
                objective="loss_g",
                networks=("generator",),
                noise=(Noise("generator_z", (LATENT,), Z),),
                losses=generator_losses,
                optimizer=ADAM,
            ),
        ),
        forward=forward,
        encode=None,
        reconstruct=None,
        sample=sample,
        training=Training(
            batch_size=128,
            epochs=10,
            twin=_spec(TWIN) if width != TWIN else None,
        ),
        about=About(
            title="GAN of convolutions (DCGAN)",
            article="gan",
            source="arXiv 1511.06434",
            notes=(
                "The article's networks are dense, and it leaves convolutions to its readers; these are the paper's, of whose stages "
                "at 64 × 64 the last two of the generator and the first two of the discriminator remain at 28 × 28, with the 64 "
                "channels that its authors' code has next to the image.",
                "The paper's kernels are 5 × 5; 4 × 4 doubles a side without an output padding, and is divided by the stride.",
                "Fresh z for each update and 10 epochs are those of the article's own GAN.",
                "Layers before a batch norm have no bias: its gradient is exactly 0, and Adam would move it by rounding errors.",
                "Batch norm starts at weight 1; weights are drawn from N(0, 0.02²).",
            ),
        ),
    )


GAN_CONV = _spec(WIDTH)
