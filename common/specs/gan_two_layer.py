"""The two-layer GAN that the article `infogan` demonstrates Paddle with.

generator      z (100) -> 256 ReLU -> 784, sigmoid
discriminator  784 -> 256 ReLU -> 1, sigmoid

D: minimise  -mean[log(D(x) + 1e-8) + log(1 - D(G(z)) + 1e-8)]
G: minimise  -mean log(D(G(z)) + 1e-8)                    with the D just updated and the same z
"""

from autograd import numpy as np

from common.specs.draws import GlorotUniform, Noise, Uniform
from common.specs.inputs import Images
from common.specs.layers import RELU, SIGMOID, Dense, Network
from common.specs.records import About, Adam, Spec, Training, Update

EPS = 1e-8


def forward(networks, inputs, noise):
    """images (B, 784) in [0, 1], z (B, 100) -> generated (B, 784), D's probabilities for both (B, 1)."""
    generated = networks.generator(noise["z"])
    return {
        "generated": generated,
        "real": networks.discriminator(inputs["images"]),
        "fake": networks.discriminator(generated),
    }


def discriminator_losses(networks, inputs, noise):
    output = forward(networks, inputs, noise)
    real, fake = output["real"], output["fake"]
    loss = -np.mean(np.log(real + EPS) + np.log(1 - fake + EPS))
    return {"loss_d": loss, "score_real": np.mean(real), "score_fake": np.mean(fake)}


def generator_losses(networks, inputs, noise):
    fooled = networks.discriminator(networks.generator(noise["z"]))
    return {"loss_g": -np.mean(np.log(fooled + EPS))}


def sample(networks, noise):
    """z (B, 100) -> images (B, 784) in [0, 1]."""
    return networks.generator(noise["z"])


Z = Noise("z", (100,), Uniform(-1.0, 1.0))
ADAM = Adam(learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, l2=0.0)

GAN_TWO_LAYER = Spec(
    name="gan_two_layer",
    module="gan_two_layer",
    inputs=(Images(shape=(784,), pixels=(0.0, 1.0), picture=(1, 28, 28)),),
    reduction="mean",
    options={},
    initial=GlorotUniform(),
    networks=(
        Network("generator", (100,), (Dense("fc0", 100, 256), RELU, Dense("fc1", 256, 784), SIGMOID)),
        Network("discriminator", (784,), (Dense("fc0", 784, 256), RELU, Dense("fc1", 256, 1), SIGMOID)),
    ),
    sampling_noise=(Z,),
    updates=(
        Update(
            name="discriminator",
            objective="loss_d",
            networks=("discriminator",),
            noise=(Z,),
            losses=discriminator_losses,
            optimizer=ADAM,
        ),
        Update(
            name="generator",
            objective="loss_g",
            networks=("generator",),
            noise=(Z,),
            losses=generator_losses,
            optimizer=ADAM,
        ),
    ),
    forward=forward,
    encode=None,
    reconstruct=None,
    sample=sample,
    training=Training(batch_size=128, epochs=100),
    about=About(
        title="Two-layer GAN",
        article="infogan",
        source="the article's demonstration of paddle.static",
        notes=(
            "The article states neither the width of z, its distribution, the batch nor the length: 100, U(-1, 1), 128 and 100 "
            "epochs are this project's choice.",
            "Both printed feeds hold one and the same `Z_noise`: the two updates of a step see the same z.",
            "Initial values are Paddle's defaults, the article's framework: Xavier, and biases 0.",
            "Erratum: the names of D's parameters are taken from G's Program, which is right only while both Programs give them "
            "the same names. Today's Paddle does not: the printed program trains a G of its own against a D that never moves, draws "
            "samples from a third, untrained G, and says nothing (docs/articles/infogan). What the article says of its Programs is "
            "followed here, not what they do now.",
        ),
    ),
)
