"""The fully connected autoencoder of the article `autoencoders`: 784 pixels to a 3-D code and back.

    encoder  784 -> 128 -> 64 -> 12 -> 3, ReLU between, none at the end
    decoder    3 -> 12 -> 64 -> 128 -> 784, ReLU between, tanh at the end
    loss     mean over all elements of (x̂ - x)²

Layer sizes and loss are the article's; learning rate, L2, batch and normalisation are those of the repository that
it links (pytorch-beginner, 08-AutoEncoder).
"""

from autograd import numpy as np

from common.specs.records import RELU, TANH, Adam, Dense, FanInUniform, Network, Spec, Update


def forward(networks, x, noise):
    """x (B, 784) in [-1, 1] -> code (B, 3), reconstruction (B, 784)."""
    code = networks.encoder(x)
    return {"code": code, "reconstruction": networks.decoder(code)}


def losses(networks, x, noise):
    reconstruction = forward(networks, x, noise)["reconstruction"]
    return {"loss": np.mean((reconstruction - x) ** 2)}


def encode(networks, x):
    return networks.encoder(x)


def reconstruct(networks, x, noise):
    return forward(networks, x, noise)["reconstruction"]


AUTOENCODER = Spec(
    name="autoencoder",
    title="Autoencoder",
    module="autoencoder",
    article="autoencoders",
    source="pytorch-beginner 08-AutoEncoder",
    input_shape=(784,),
    pixels=(-1.0, 1.0),
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
            adam=Adam(learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, l2=1e-5),
        ),
    ),
    batch_size=128,
    epochs=100,
    steps=None,
    forward=forward,
    encode=encode,
    reconstruct=reconstruct,
    sample=None,
    notes=(
        "Initial values are PyTorch's defaults, the article's framework.",
        "The last incomplete batch of an epoch is dropped; the linked repository keeps it.",
    ),
)
