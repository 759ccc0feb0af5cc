"""InfoGAN of Chen et al. 2016 (arXiv 1606.03657), MNIST network of appendix C.1; article `infogan`.

    latent         62 noise U(-1, 1), one of 10 categories c1 (one-hot), two codes c2, c3 ~ U(-1, 1)
    generator      74 -> 1024, BN, ReLU, -> 7·7·128, BN, ReLU, ConvTranspose 128 -> 64 k4 s2 (-> 14), BN, ReLU,
                   64 -> 1 k4 s2 (-> 28), sigmoid
    trunk          Conv 1 -> 64 k4 s2 (-> 14), LeakyReLU .1, 64 -> 128 k4 s2 (-> 7), BN, LeakyReLU, -> 1024, BN, LeakyReLU
    discriminator  the trunk's 1024 -> 1 logit: real or generated
    recognition    the trunk's 1024 -> 128, BN, LeakyReLU -> 10 logits of c1; mean and log deviation of c2 and c3 (Q)

    L_I of a category         mean log Q(c | G) + ln classes
    L_I of a continuous code  mean log N(c; mean, deviation²), without the constants
    bound                     category_weight · sum of the first + codes_weight · sum of the second: a lower bound of the
                              mutual information, less constants

    D: minimise  mean BCE(D(x), 1) + mean BCE(D(G), 0) - bound    moves trunk, discriminator and recognition
    G: minimise  mean BCE(D(G′), 1) - generator_weight · bound′   with fresh latents, and the D and Q just updated

Images are (B, 1, 28, 28). Real and generated images pass the trunk separately, each with its own batch statistics; the
passes move the running statistics in the order generator, real, generated; then generator, generated in G's update.

The other data of the paper have other codes and networks, and the same losses: common/specs/infogan_colour.py.
"""

import math
from dataclasses import dataclass

from autograd import numpy as np

from common.reference.terms import bce_with_logits, log_softmax, sigmoid
from common.specs.draws import FixedNormal, Noise, OneHot, Uniform
from common.specs.inputs import Images
from common.specs.layers import RELU, SIGMOID, BatchNorm, Conv, ConvTranspose, Dense, LeakyRelu, Network, Reshape
from common.specs.records import About, Adam, Spec, Training, Update

WIDTH, TWIN = 64, 8  # channels, of the model and of its narrow twin


@dataclass(frozen=True)
class Latent:
    """What the generator is given: noise z, `categories` one-hot codes of so many classes each, and continuous codes."""

    z: int
    categories: int
    classes: int
    codes: int

    @property
    def size(self) -> int:
        return self.z + self.categories * self.classes + self.codes

    def draws(self, which: str) -> tuple[Noise, ...]:
        """Of the update or job `which`; one category is (classes,), several are (categories, classes)."""
        shape = (self.classes,) if self.categories == 1 else (self.categories, self.classes)
        return (
            Noise(f"{which}z", (self.z,), Uniform(-1.0, 1.0)),
            *((Noise(f"{which}category", shape, OneHot()),) if self.categories else ()),
            *((Noise(f"{which}codes", (self.codes,), Uniform(-1.0, 1.0)),) if self.codes else ()),
        )

    def heads(self, inputs: int, fixed_deviation: bool) -> tuple[Dense, ...]:
        """What Q says of the codes, from so many values."""
        return (
            *((Dense("category", inputs, self.categories * self.classes),) if self.categories else ()),
            *((Dense("mean", inputs, self.codes),) if self.codes else ()),
            *((Dense("logstd", inputs, self.codes),) if self.codes and not fixed_deviation else ()),
        )


def latent(noise, which):
    """(B, size): noise, categories, codes of the update or job `which`."""
    parts = [noise[f"{which}{part}"] for part in ("z", "category", "codes") if f"{which}{part}" in noise]
    return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


def information(networks, recognized, noise, which):
    """The bound, and L_I of every code, c1 and on: categories before continuous codes."""
    options, found, bound = networks.spec.options, [], 0.0
    if "category" in recognized:
        category = noise[f"{which}category"].reshape(-1, options["categories"], options["classes"])
        logits = recognized["category"].reshape(category.shape)
        info = np.mean(np.sum(category * log_softmax(logits), axis=2), axis=0) + math.log(options["classes"])
        bound = bound + options["category_weight"] * np.sum(info)
        found += [info[k] for k in range(options["categories"])]
    if "mean" in recognized:
        mean, codes = recognized["mean"], noise[f"{which}codes"]
        logstd = recognized.get("logstd", np.zeros(mean.shape))  # a fixed deviation is 1
        info = np.mean(-logstd - 0.5 * ((codes - mean) / np.exp(logstd)) ** 2, axis=0)
        bound = bound + options["codes_weight"] * np.sum(info)
        found += [info[k] for k in range(options["codes"])]
    return bound, {f"info_c{k}": value for k, value in enumerate(found, 1)}


def forward(networks, inputs, noise):
    """images (B, C, H, W) -> generated (B, C, H, W), logits of D for both (B, 1), and what Q recognises in the generated
    images: logits of the categories (B, categories · classes); mean and, unless it is fixed, log deviation of the codes (B,
    codes)."""
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


# The same where the trunk's batch norms see real and generated images as one batch. Functions of their own, because the text of
# those above is part of the fingerprint of every model that is not joint.


def joint(networks, images, generated):
    """The trunk's features of both, (B, features) each; of several processes each takes its share of both for one batch."""
    replicas = networks.spec.training.replicas
    both = zip(np.split(images, replicas), np.split(generated, replicas), strict=True)
    found = np.split(networks.trunk(np.concatenate([part for share in both for part in share])), 2 * replicas)
    return np.concatenate(found[::2]), np.concatenate(found[1::2])


def joint_forward(networks, inputs, noise):
    """As `forward`."""
    generated = networks.generator(latent(noise, "discriminator_"))
    real, fake = joint(networks, inputs["images"], generated)
    return {
        "generated": generated,
        "real_logits": networks.discriminator(real),
        "fake_logits": networks.discriminator(fake),
        **networks.recognition(fake),
    }


def joint_discriminator_losses(networks, inputs, noise):
    output = joint_forward(networks, inputs, noise)
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


def joint_generator_losses(networks, inputs, noise):
    _, fooled = joint(networks, inputs["images"], networks.generator(latent(noise, "generator_")))
    bound, _ = information(networks, networks.recognition(fooled), noise, "generator_")
    loss = np.mean(bce_with_logits(networks.discriminator(fooled), 1.0))
    return {"objective_g": loss - networks.spec.options["generator_weight"] * bound, "loss_g": loss}


def encode(networks, inputs):
    """images (B, C, H, W) -> (B, categories · classes + codes): probabilities of the categories, means of the codes."""
    recognized, parts = networks.recognition(networks.trunk(inputs["images"])), []
    if "category" in recognized:
        logits = recognized["category"].reshape(
            -1, networks.spec.options["categories"], networks.spec.options["classes"]
        )
        parts.append(np.exp(log_softmax(logits)).reshape(len(logits), -1))
    if "mean" in recognized:
        parts.append(recognized["mean"])
    return np.concatenate(parts, axis=1)


def sample(networks, noise):
    """Latents z, category and codes, as `sampling_noise` has them -> images (B, C, H, W)."""
    return networks.generator(latent(noise, ""))


def batch_norm(name: str, features: int) -> BatchNorm:
    return BatchNorm(name, features, epsilon=1e-5, momentum=0.9)


def _adam(learning_rate):
    return Adam(learning_rate=learning_rate, beta1=0.5, beta2=0.999, epsilon=1e-8, l2=0.0)


def make(
    name: str,
    module: str,
    codes: Latent,
    images: Images,
    networks: tuple[Network, ...],
    width: int,
    weights: tuple[float, float, float],
    fixed_deviation: bool,
    joint_batch: bool,
    rates: tuple[float, float],
    training: Training,
    about: About,
) -> Spec:
    """An InfoGAN of these `networks`, on `codes`; weights of the bound's two parts, and of the bound in G's objective; whether the
    trunk's batch norms see real and generated images as one batch; rates of D and G."""
    category_weight, codes_weight, generator_weight = weights
    return Spec(
        name=name,
        module=module,
        inputs=(images,),
        reduction="mean",
        options={
            "width": width,
            "z": codes.z,
            "categories": codes.categories,
            "classes": codes.classes,
            "codes": codes.codes,
            "category_weight": category_weight,
            "codes_weight": codes_weight,
            "generator_weight": generator_weight,
            "fixed_deviation": fixed_deviation,
            **({"joint_batch": True} if joint_batch else {}),
        },
        initial=FixedNormal(0.02),
        networks=networks,
        sampling_noise=codes.draws(""),
        updates=(
            Update(
                name="discriminator",
                objective="objective_d",
                networks=("trunk", "discriminator", "recognition"),
                noise=codes.draws("discriminator_"),
                losses=joint_discriminator_losses if joint_batch else discriminator_losses,
                optimizer=_adam(rates[0]),
            ),
            Update(
                name="generator",
                objective="objective_g",
                networks=("generator",),
                noise=codes.draws("generator_"),
                losses=joint_generator_losses if joint_batch else generator_losses,
                optimizer=_adam(rates[1]),
            ),
        ),
        forward=joint_forward if joint_batch else forward,
        encode=encode,
        reconstruct=None,
        sample=sample,
        training=training,
        about=about,
    )


# What holds of all of the paper's networks here.
NOTES = (
    "Layers before a batch norm have no bias: its gradient is exactly 0, and Adam would move it by rounding errors. The "
    "paper's code has one there.",
    "Batch norm starts at weight 1 (the paper's code: N(1, 0.02²)); weights are drawn from N(0, 0.02²), also where the "
    "paper's code truncates it.",
)


def _networks(codes, width, slope, fixed_deviation):
    leaky, hidden, pixels = LeakyRelu(slope), 16 * width, 2 * width * 7 * 7
    return (
        Network(
            "generator",
            (codes.size,),
            (
                Dense("fc0", codes.size, hidden, bias=False),
                batch_norm("bn0", hidden),
                RELU,
                Dense("fc1", hidden, pixels, bias=False),
                batch_norm("bn1", pixels),
                RELU,
                Reshape((2 * width, 7, 7)),
                ConvTranspose("conv0", 2 * width, width, kernel=4, stride=2, padding=1, bias=False),
                batch_norm("bn2", width),
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
                batch_norm("bn0", 2 * width),
                leaky,
                Reshape((pixels,)),
                Dense("fc0", pixels, hidden, bias=False),
                batch_norm("bn1", hidden),
                leaky,
            ),
        ),
        Network("discriminator", (hidden,), (Dense("logit", hidden, 1),)),
        Network(
            "recognition",
            (hidden,),
            (Dense("fc0", hidden, 2 * width, bias=False), batch_norm("bn0", 2 * width), leaky),
            heads=codes.heads(2 * width, fixed_deviation),
        ),
    )


MNIST = Latent(z=62, categories=1, classes=10, codes=2)


def _spec(
    name,
    title,
    slope=0.1,
    codes_weight=0.1,
    generator_weight=1.0,
    fixed_deviation=False,
    joint_batch=False,
    note=(),
    width=WIDTH,
):
    return make(
        name=name,
        module="infogan",
        codes=MNIST,
        images=Images(shape=(1, 28, 28), pixels=(0.0, 1.0), picture=(1, 28, 28)),
        networks=_networks(MNIST, width, slope, fixed_deviation),
        width=width,
        weights=(1.0, codes_weight, generator_weight),
        fixed_deviation=fixed_deviation,
        joint_batch=joint_batch,
        rates=(2e-4, 1e-3),
        training=Training(
            batch_size=128,
            steps=5_000,
            # At the true rates a change of 1e-15 in the weights grows to 1e-5 in 50 updates.
            parity_rate=0.03,
            twin=_spec(name, title, slope, codes_weight, generator_weight, fixed_deviation, joint_batch, note, TWIN)
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
                *NOTES,
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
INFOGAN_JOINT = _spec(
    "infogan_joint",
    "InfoGAN whose trunk sees real and generated images in one batch",
    joint_batch=True,
    note=(
        "A variant for comparison: the trunk's batch norms take their statistics over real and generated images together.",
    ),
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
