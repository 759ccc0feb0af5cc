"""The convolutional autoencoder of the article `autoencoders`.

    encoder  Conv 1 -> 16 k3 s3 p1 (28 -> 10), ReLU, max pool k2 s2 (-> 5), Conv 16 -> 8 k3 s2 p1 (-> 3), ReLU,
             max pool k2 s1 (-> 2): the code is 8 × 2 × 2
    decoder  ConvTranspose 8 -> 16 k3 s2 (-> 5), ReLU, 16 -> 8 k5 s3 p1 (-> 15), ReLU, 8 -> 1 k2 s2 p1 (-> 28), tanh
    loss     mean over all elements of (x̂ - x)²

Layer sizes are the article's; loss, learning rate, L2, batch, length and normalisation are those of the repository that it
links (pytorch-beginner, 08-AutoEncoder). Images are (B, 1, 28, 28).
"""

from common.specs.autoencoder import encode, forward, losses, reconstruct
from common.specs.draws import FanInUniform
from common.specs.inputs import Images
from common.specs.layers import RELU, TANH, Conv, ConvTranspose, MaxPool, Network
from common.specs.records import About, Adam, Spec, Training, Update

CONV_AUTOENCODER = Spec(
    name="conv_autoencoder",
    module="conv_autoencoder",
    inputs=(Images(shape=(1, 28, 28), pixels=(-1.0, 1.0), picture=(1, 28, 28)),),
    reduction="mean",
    options={},
    initial=FanInUniform(),
    networks=(
        Network(
            "encoder",
            (1, 28, 28),
            (
                Conv("conv0", 1, 16, kernel=3, stride=3, padding=1),
                RELU,
                MaxPool(kernel=2, stride=2),
                Conv("conv1", 16, 8, kernel=3, stride=2, padding=1),
                RELU,
                MaxPool(kernel=2, stride=1),
            ),
        ),
        Network(
            "decoder",
            (8, 2, 2),
            (
                ConvTranspose("conv0", 8, 16, kernel=3, stride=2, padding=0),
                RELU,
                ConvTranspose("conv1", 16, 8, kernel=5, stride=3, padding=1),
                RELU,
                ConvTranspose("conv2", 8, 1, kernel=2, stride=2, padding=1),
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
        title="Convolutional autoencoder",
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
