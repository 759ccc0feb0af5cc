"""The variational autoencoder of Kingma & Welling 2013 (arXiv 1312.6114), in the sizes of two articles.

    encoder  784 -> hidden, ReLU; two heads, mean and log-variance, hidden -> latent
    z        mean + exp(logvar / 2)·ε,  ε ~ N(0, 1)
    decoder  latent -> hidden, ReLU, hidden -> 784 logits; pixels are sigmoid(logits)
    loss     Σ pixels BCE + KL(N(mean, exp(logvar)) ‖ N(0, 1)),  KL = -½ Σ (1 + logvar - mean² - exp(logvar))

`vae` (article `autoencoders`): hidden 400, latent 20, loss summed over the batch.
`vae_z100` (article `vae_notes`): hidden 128, latent 100, loss averaged over the batch; `vae_z100_epsilon_hat` with the
optimiser of its TensorFlow code. `vae_heads` and `vae_chairs`: `vae` for other pictures, with a number to a factor.
"""

import math
from dataclasses import asdict, replace

from autograd import numpy as np

from common.reference.terms import bce_with_logits, sigmoid
from common.specs.draws import FanInNormal, FanInUniform, Noise, Normal
from common.specs.inputs import Images
from common.specs.layers import RELU, Dense, Network
from common.specs.records import About, Adam, AdamEpsilonHat, Spec, Training, Update


def forward(networks, inputs, noise):
    """images (B, 784) in [0, 1], ε (B, latent) -> mean, logvar, z (B, latent), logits (B, 784)."""
    heads = networks.encoder(inputs["images"])
    mean, logvar = heads["mean"], heads["logvar"]
    z = mean + np.exp(logvar / 2) * noise["epsilon"]
    return {"mean": mean, "logvar": logvar, "z": z, "logits": networks.decoder(z)}


def losses(networks, inputs, noise):
    output = forward(networks, inputs, noise)
    mean, logvar = output["mean"], output["logvar"]
    bce = np.sum(bce_with_logits(output["logits"], inputs["images"]), axis=1)  # (B,)
    kl = -0.5 * np.sum(1 + logvar - mean**2 - np.exp(logvar), axis=1)  # (B,)
    reduce = {"sum": np.sum, "mean": np.mean}[networks.spec.reduction]
    return {"loss": reduce(bce + kl), "bce": reduce(bce), "kl": reduce(kl)}


def encode(networks, inputs):
    return networks.encoder(inputs["images"])["mean"]


def reconstruct(networks, inputs, noise):
    return sigmoid(forward(networks, inputs, noise)["logits"])


def sample(networks, noise):
    """z (B, latent) from the prior -> pixels (B, 784) in [0, 1]."""
    return sigmoid(networks.decoder(noise["z"]))


def _spec(name, hidden, latent, reduction, initial, training, about, picture=(1, 28, 28)):
    pixels = math.prod(picture)
    return Spec(
        name=name,
        module="vae",
        inputs=(Images(shape=(pixels,), pixels=(0.0, 1.0), picture=picture),),
        reduction=reduction,
        options={"hidden": hidden, "latent": latent},
        initial=initial,
        networks=(
            Network(
                "encoder",
                (pixels,),
                (Dense("fc0", pixels, hidden), RELU),
                heads=(Dense("mean", hidden, latent), Dense("logvar", hidden, latent)),
            ),
            Network("decoder", (latent,), (Dense("fc0", latent, hidden), RELU, Dense("fc1", hidden, pixels))),
        ),
        sampling_noise=(Noise("z", (latent,), Normal(0.0, 1.0)),),
        updates=(
            Update(
                name="train",
                objective="loss",
                networks=("encoder", "decoder"),
                noise=(Noise("epsilon", (latent,), Normal(0.0, 1.0)),),
                losses=losses,
                optimizer=Adam(learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, l2=0.0),
            ),
        ),
        forward=forward,
        encode=encode,
        reconstruct=reconstruct,
        sample=sample,
        training=training,
        about=about,
    )


def vae(hidden: int = 400) -> Spec:
    """The article's VAE; with another number of hidden units, for benchmarks over its width."""
    return _spec(
        name="vae",
        hidden=hidden,
        latent=20,
        reduction="sum",
        initial=FanInUniform(),
        training=Training(batch_size=128, epochs=100),
        about=About(
            title="Variational autoencoder, 20-D code",
            article="autoencoders",
            source="arXiv 1312.6114",
            notes=(
                "Erratum: the article's comment and its closing words say MSE; its code, followed here, sums binary cross-entropies "
                "(`BCELoss(size_average=False)`). So did the linked repository in June 2017, with the same comments; since September "
                "2017 it sums squared errors under the name BCE.",
                "Rate, batch and epochs are those of the linked repository: the article prints the network and the loss.",
                "BCE is taken on logits: the same function as on sigmoid outputs, exact where the sigmoid saturates.",
                "Initial values are PyTorch's defaults, the article's framework.",
                "The last incomplete batch of an epoch is dropped; the linked repository keeps it.",
            ),
        ),
    )


VAE = vae()

VAE_Z100 = _spec(
    name="vae_z100",
    hidden=128,
    latent=100,
    reduction="mean",
    initial=FanInNormal(gain=2.0),
    training=Training(batch_size=64, steps=100_000),
    about=About(
        title="Variational autoencoder, 100-D code",
        article="vae_notes",
        source="arXiv 1312.6114",
        notes=(
            "The article trains 1,000,000 iterations in TensorFlow and 100,000 in PyTorch; the spec takes the shorter.",
            "The article's PyTorch grid decodes codes of the last batch, its TensorFlow grid prior draws; here the prior.",
            "The article's PyTorch code takes BCE on sigmoid outputs, its TensorFlow code on logits: the same function.",
            "The article's TensorFlow code has `tf.train.AdamOptimizer()`, which adds ε before the bias correction (ε̂), its PyTorch "
            "code has Algorithm 1, which is taken here. As printed the two are therefore not the same course. In float64, as a part "
            "of the movement of the worst tensor: 2.7e-3 after 20 steps, and 21% to 37% after 1,000 (three seeds on MNIST), where the "
            "mean loss of the last 100 is the same to 2e-4. Another reader's transcription: 2.3e-3, 29%, and 144.83 against "
            "144.91. ε̂ is the variant `vae_z100_epsilon_hat`.",
            "Both programs read MNIST by `input_data.read_data_sets`, which holds 5,000 training images out; here all 60,000 train.",
            "Erratum: comments such as `(None,128)` are printed without their `#`.",
            "Initial values are the article's: weights N(0, 2 / fan_in), biases 0.",
        ),
    ),
)

# In TensorFlow only, the framework of the article's code that has it.
VAE_Z100_EPSILON_HAT = replace(
    VAE_Z100,
    name="vae_z100_epsilon_hat",
    updates=tuple(replace(u, optimizer=AdamEpsilonHat(**asdict(u.optimizer))) for u in VAE_Z100.updates),
    about=replace(
        VAE_Z100.about,
        title="Variational autoencoder, 100-D code, with TensorFlow's Adam",
        notes=(
            "The optimiser of the article's TensorFlow code: ε is added before the bias correction (ε̂), which makes the "
            "first steps of parameters with small gradients shorter.",
            *(note for note in VAE_Z100.about.notes if "AdamOptimizer" not in note),
        ),
    ),
)


def _of_factors(name, title, picture, latent):
    return _spec(
        name=name,
        hidden=400,
        latent=latent,
        reduction="sum",
        initial=FanInUniform(),
        training=Training(batch_size=128, epochs=100),
        about=About(
            title=title,
            article="autoencoders",
            source="arXiv 1312.6114",
            notes=(
                "A variant for comparison: `vae` on pictures of this size, with as many numbers in its code as InfoGAN has codes "
                "there. Neither the article nor the paper has it.",
            ),
        ),
        picture=picture,
    )


VAE_HEADS = _of_factors("vae_heads", "Variational autoencoder for heads, 5-D code", (1, 32, 32), 5)
VAE_CHAIRS = _of_factors("vae_chairs", "Variational autoencoder for chairs, 4-D code", (1, 64, 64), 4)
