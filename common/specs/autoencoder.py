"""The fully connected autoencoder of the article `autoencoders`: 784 pixels to a 3-D code and back.

    encoder  784 -> 128 -> 64 -> 12 -> 3, ReLU between, none at the end
    decoder    3 -> 12 -> 64 -> 128 -> 784, ReLU between, tanh at the end
    loss     mean over all elements of (x̂ - x)²

Layer sizes are the article's; loss, learning rate, L2, batch, length and normalisation are those of the repository that it
links (pytorch-beginner, 08-AutoEncoder).
"""

from autograd import numpy as np

from common.specs.draws import FanInUniform
from common.specs.inputs import Images
from common.specs.layers import RELU, TANH, Dense, Network
from common.specs.records import About, Adam, Spec, Training, Update


def forward(networks, inputs, noise):
    """images (B, 784) in [-1, 1] -> code (B, 3), reconstruction (B, 784)."""
    code = networks.encoder(inputs["images"])
    return {"code": code, "reconstruction": networks.decoder(code)}


def losses(networks, inputs, noise):
    reconstruction = forward(networks, inputs, noise)["reconstruction"]
    return {"loss": np.mean((reconstruction - inputs["images"]) ** 2)}


def encode(networks, inputs):
    return networks.encoder(inputs["images"])


def reconstruct(networks, inputs, noise):
    return forward(networks, inputs, noise)["reconstruction"]


AUTOENCODER = Spec(
    name="autoencoder",
    module="autoencoder",
    inputs=(Images(shape=(784,), pixels=(-1.0, 1.0), picture=(1, 28, 28)),),
    reduction="mean",
    options={},
    initial=FanInUniform(),
    networks=(
        Network(
            "encoder",
            (784,),
            (
                Dense("fc0", 784, 128),
                RELU,
                Dense("fc1", 128, 64),
                RELU,
                Dense("fc2", 64, 12),
                RELU,
                Dense("fc3", 12, 3),
            ),
        ),
        Network(
            "decoder",
            (3,),
            (
                Dense("fc0", 3, 12),
                RELU,
                Dense("fc1", 12, 64),
                RELU,
                Dense("fc2", 64, 128),
                RELU,
                Dense("fc3", 128, 784),
                TANH,
            ),
        ),
    ),
    sampling_noise=(),
    updates=(
        Update(
            name="train",
            objective="loss",
            networks=("encoder", "decoder"),
            noise=(),
            losses=losses,
            optimizer=Adam(learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, l2=1e-5),
        ),
    ),
    forward=forward,
    encode=encode,
    reconstruct=reconstruct,
    sample=None,
    training=Training(batch_size=128, epochs=100),
    about=About(
        title="Autoencoder",
        article="autoencoders",
        source="pytorch-beginner 08-AutoEncoder",
        notes=(
            "The article prints the networks alone; loss, rate, L2, batch, epochs and the range of pixels are those of the repository "
            "that it links.",
            "Initial values are PyTorch's defaults, the article's framework.",
            "The last incomplete batch of an epoch is dropped; the linked repository keeps it.",
        ),
    ),
)
