"""InfoGAN of Chen et al. 2016 (arXiv 1606.03657), MNIST network of appendix C.1; article `infogan`.

    latent         62 noise U(-1, 1), one of 10 categories c1 (one-hot), two codes c2, c3 ~ U(-1, 1)
    generator      74 -> 1024, BN, ReLU, -> 7·7·128, BN, ReLU, ConvTranspose 128 -> 64 k4 s2 (-> 14), BN, ReLU,
                   64 -> 1 k4 s2 (-> 28), sigmoid
    trunk          Conv 1 -> 64 k4 s2 (-> 14), LeakyReLU .1, 64 -> 128 k4 s2 (-> 7), BN, LeakyReLU, -> 1024, BN, LeakyReLU
    discriminator  the trunk's 1024 -> 1 logit: real or generated
    recognition    the trunk's 1024 -> 128, BN, LeakyReLU -> 10 logits of c1; mean and log deviation of c2 and c3 (Q)

    L_I(c1)      mean log Q(c1 | G) + ln 10
    L_I(c2, c3)  mean log N(c; mean, deviation²), without the constants
    bound        L_I(c1) + codes_weight (L_I(c2) + L_I(c3)): a lower bound of the mutual information, less constants

    D: minimise  mean BCE(D(x), 1) + mean BCE(D(G), 0) - bound    moves trunk, discriminator and recognition
    G: minimise  mean BCE(D(G′), 1) - generator_weight · bound′   with fresh latents, and the D and Q just updated

Images are (B, 1, 28, 28). Real and generated images pass the trunk separately, each with its own batch statistics; the
passes move the running statistics in the order generator, real, generated; then generator, generated in G's update.
"""

import math

from autograd import numpy as np

from common.reference.terms import bce_with_logits, log_softmax, sigmoid
from common.specs.draws import FixedNormal, Noise, OneHot, Uniform
from common.specs.inputs import Images
from common.specs.layers import RELU, SIGMOID, BatchNorm, Conv, ConvTranspose, Dense, LeakyRelu, Network, Reshape
from common.specs.records import About, Adam, Spec, Training, Update

CATEGORIES, CODES = 10, 2
WIDTH, TWIN = 64, 8  # channels, of the model and of its narrow twin


def latent(noise, which):
    """(B, 74): noise, category, codes of the update or job `which`."""
    return np.concatenate([noise[f"{which}{part}"] for part in ("z", "category", "codes")], axis=1)


def information(networks, recognized, noise, which):
    """L_I of c1, c2 and c3, and their weighted sum, the bound."""
    mean = recognized["mean"]
    logstd = recognized.get("logstd", np.zeros(mean.shape))  # a fixed deviation is 1
    category, codes = noise[f"{which}category"], noise[f"{which}codes"]
    info_c1 = np.mean(np.sum(category * log_softmax(recognized["category"]), axis=1)) + math.log(CATEGORIES)
    info_c2, info_c3 = np.mean(-logstd - 0.5 * ((codes - mean) / np.exp(logstd)) ** 2, axis=0)
    bound = info_c1 + networks.spec.options["codes_weight"] * (info_c2 + info_c3)
    return bound, {"info_c1": info_c1, "info_c2": info_c2, "info_c3": info_c3}


def forward(networks, inputs, noise):
    """images (B, 1, 28, 28) in [0, 1] -> generated (B, 1, 28, 28), logits of D for both (B, 1), and what Q recognises in the
    generated images: logits of c1 (B, 10), mean and, unless it is fixed, log deviation of c2 and c3 (B, 2)."""
    generated = networks.generator(latent(noise, "discriminator_"))
    real, fake = networks.trunk(inputs["images"]), networks.trunk(generated)
    return {
        "generated": generated,
        "real_logits": networks.discriminator(real),
        "fake_logits": networks.discriminator(fake),
        **networks.recognition(fake),
    }


def discriminator_losses(networks, inputs, noise):
    output = forward(networks, inputs, noise)
    real, fake = output["real_logits"], output["fake_logits"]
    bound, info = information(networks, output, noise, "discriminator_")
    loss = np.mean(bce_with_logits(real, 1.0)) + np.mean(bce_with_logits(fake, 0.0))
    return {
        "objective_d": loss - bound,
        "loss_d": loss,
        "score_real": np.mean(sigmoid(real)),
        "score_fake": np.mean(sigmoid(fake)),
        **info,
    }


def generator_losses(networks, inputs, noise):
    fooled = networks.trunk(networks.generator(latent(noise, "generator_")))
    bound, _ = information(networks, networks.recognition(fooled), noise, "generator_")
    loss = np.mean(bce_with_logits(networks.discriminator(fooled), 1.0))
    return {"objective_g": loss - networks.spec.options["generator_weight"] * bound, "loss_g": loss}


def encode(networks, inputs):
    """images (B, 1, 28, 28) -> (B, 12): probabilities of c1 (10), means of c2 and c3."""
    recognized = networks.recognition(networks.trunk(inputs["images"]))
    return np.concatenate([np.exp(log_softmax(recognized["category"])), recognized["mean"]], axis=1)


def sample(networks, noise):
    """Latents z (B, 62), category (B, 10), codes (B, 2) -> images (B, 1, 28, 28) in [0, 1]."""
    return networks.generator(latent(noise, ""))


def _batch_norm(name, features):
    return BatchNorm(name, features, epsilon=1e-5, momentum=0.9)


def _latent(which):
    return (
        Noise(f"{which}z", (62,), Uniform(-1.0, 1.0)),
        Noise(f"{which}category", (CATEGORIES,), OneHot()),
        Noise(f"{which}codes", (CODES,), Uniform(-1.0, 1.0)),
    )


def _adam(learning_rate):
    return Adam(learning_rate=learning_rate, beta1=0.5, beta2=0.999, epsilon=1e-8, l2=0.0)


def _spec(name, title, slope=0.1, codes_weight=0.1, generator_weight=1.0, fixed_deviation=False, note=(), width=WIDTH):
    leaky, hidden, pixels = LeakyRelu(slope), 16 * width, 2 * width * 7 * 7
    return Spec(
        name=name,
        module="infogan",
        inputs=(Images(shape=(1, 28, 28), pixels=(0.0, 1.0), picture=(1, 28, 28)),),
        reduction="mean",
        options={
            "width": width,
            "codes_weight": codes_weight,
            "generator_weight": generator_weight,
            "fixed_deviation": fixed_deviation,
        },
        initial=FixedNormal(0.02),
        networks=(
            Network(
                "generator",
                (74,),
                (
                    Dense("fc0", 74, hidden, bias=False),
                    _batch_norm("bn0", hidden),
                    RELU,
                    Dense("fc1", hidden, pixels, bias=False),
                    _batch_norm("bn1", pixels),
                    RELU,
                    Reshape((2 * width, 7, 7)),
                    ConvTranspose("conv0", 2 * width, width, kernel=4, stride=2, padding=1, bias=False),
                    _batch_norm("bn2", width),
                    RELU,
                    ConvTranspose("conv1", width, 1, kernel=4, stride=2, padding=1),
                    SIGMOID,
                ),
            ),
            Network(
                "trunk",
                (1, 28, 28),
                (
                    Conv("conv0", 1, width, kernel=4, stride=2, padding=1),
                    leaky,
                    Conv("conv1", width, 2 * width, kernel=4, stride=2, padding=1, bias=False),
                    _batch_norm("bn0", 2 * width),
                    leaky,
                    Reshape((pixels,)),
                    Dense("fc0", pixels, hidden, bias=False),
                    _batch_norm("bn1", hidden),
                    leaky,
                ),
            ),
            Network("discriminator", (hidden,), (Dense("logit", hidden, 1),)),
            Network(
                "recognition",
                (hidden,),
                (Dense("fc0", hidden, 2 * width, bias=False), _batch_norm("bn0", 2 * width), leaky),
                heads=(
                    Dense("category", 2 * width, CATEGORIES),
                    Dense("mean", 2 * width, CODES),
                    *(() if fixed_deviation else (Dense("logstd", 2 * width, CODES),)),
                ),
            ),
        ),
        sampling_noise=_latent(""),
        updates=(
            Update(
                name="discriminator",
                objective="objective_d",
                networks=("trunk", "discriminator", "recognition"),
                noise=_latent("discriminator_"),
                losses=discriminator_losses,
                optimizer=_adam(2e-4),
            ),
            Update(
                name="generator",
                objective="objective_g",
                networks=("generator",),
                noise=_latent("generator_"),
                losses=generator_losses,
                optimizer=_adam(1e-3),
            ),
        ),
        forward=forward,
        encode=encode,
        reconstruct=None,
        sample=sample,
        training=Training(
            batch_size=128,
            steps=5_000,
            # At the true rates a change of 1e-15 in the weights grows to 1e-5 in 50 updates.
            parity_rate=0.03,
            twin=_spec(name, title, slope, codes_weight, generator_weight, fixed_deviation, note, TWIN)
            if width != TWIN
            else None,
        ),
        about=About(
            title=title,
            article="infogan",
            source="arXiv 1606.03657",
            notes=(
                "The article gives the method and refers to the paper for sizes: they are those of the paper's appendix C.1 and of its "
                "code, and so is the trunk that D and Q share.",
                "Erratum: the article has D, G and Q as a CNN, a CNN and a DCNN (of transposed convolutions); G is the one of those.",
                *note,
                "The slope of LeakyReLU is the paper's 0.1; the paper's code uses 0.01.",
                "Layers before a batch norm have no bias: its gradient is exactly 0, and Adam would move it by rounding errors. The "
                "paper's code has one there.",
                "Batch norm starts at weight 1 (the paper's code: N(1, 0.02²)); weights are drawn from N(0, 0.02²), also where the "
                "paper's code truncates it.",
                "The article predicts the deviation of c2 and c3; the paper's code fixes it at 1, and weighs c2 and c3 by 1.",
                "BCE is taken on logits: the same function as on sigmoid outputs, without an ε in the logarithm.",
            ),
        ),
    )


INFOGAN = _spec("infogan", "InfoGAN: 10 categories, 2 codes")

# What the reproduction of the article sets beside it.
INFOGAN_PLAIN = _spec(
    "infogan_plain",
    "InfoGAN's networks as a plain GAN, with Q on the side",
    generator_weight=0.0,
    note=("A plain GAN for comparison: G is not rewarded for the bound; trunk and Q still learn to raise it.",),
)
INFOGAN_SLOPE = _spec("infogan_slope", "InfoGAN with the slope of the paper's code, 0.01", slope=0.01)
INFOGAN_CODES = _spec("infogan_codes", "InfoGAN with the codes' weight of the paper's code, 1", codes_weight=1.0)
INFOGAN_CATEGORY = _spec(
    "infogan_category",
    "InfoGAN that is rewarded for the category alone",
    codes_weight=0.0,
    note=("A variant for comparison: c2 and c3 are drawn and not rewarded; what Q says of them means nothing.",),
)
INFOGAN_PAPER = _spec(
    "infogan_paper",
    "InfoGAN as in the paper's code: fixed deviation, all weights 1, slope 0.01",
    slope=0.01,
    codes_weight=1.0,
    fixed_deviation=True,
    note=(
        "What is left of the paper's code (openai/InfoGAN, launchers/run_mnist_exp.py): Adam with ε̂, 55,000 training images, "
        "1e-8 inside the logarithms, and what the other notes say of initial values and biases.",
    ),
)
