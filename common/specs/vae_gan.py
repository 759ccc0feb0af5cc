"""VAE-GAN of Larsen et al. 2015 (arXiv 1512.09300), Algorithm 1, to which article `autoencoders` points its readers.

    encoder        Conv k5 s2 3 -> 64 (-> 32), BN, ReLU, -> 128 (-> 16), BN, ReLU, -> 256 (-> 8), BN, ReLU, -> 2048, BN, ReLU; two
                   heads, mean and log-variance, 2048 -> 128
    z              mean + exp(logvar / 2)·ε,  ε ~ N(0, 1);  zₚ ~ N(0, 1) of the prior
    decoder        128 -> 8·8·256, BN, ReLU, ConvTranspose k5 s2 256 -> 256 (-> 16), BN, ReLU, -> 128 (-> 32), BN, ReLU, -> 32
                   (-> 64), BN, ReLU, Conv k5 s1 32 -> 3, tanh
    features       Conv k5 s1 3 -> 32, ReLU, k5 s2 -> 128 (-> 32), BN, ReLU, -> 256 (-> 16), BN, ReLU, -> 256 (-> 8): Dis_l
    discriminator  BN, ReLU of the features, -> 512, BN, ReLU, -> 1 logit

    L_prior    KL(N(mean, exp(logvar)) ‖ N(0, 1)), mean over the batch
    L_llike    ½ Σ (Dis_l(x) - Dis_l(x̃))², mean over the batch, x̃ the decoder's of z: less a constant, the negative
               logarithm of a normal density of unit variance
    loss_d     mean BCE(Dis(x), 1) + mean BCE(Dis(x̃), 0) + mean BCE(Dis(xₚ), 0), xₚ the decoder's of zₚ: the paper's -L_GAN

    encoder:        minimise  L_prior + L_llike
    decoder:        minimise  γ·L_llike - loss_d
    discriminator:  minimise  loss_d                    moves features and discriminator

All three gradients are taken from one pass, before any parameter moves. Images are (B, 3, 64, 64) in [-1, 1]. The batches x,
x̃ and xₚ pass features and discriminator separately, each with its own batch statistics, in this order; z and zₚ the decoder.

`vae_gan_mnist`: 28 × 28 × 1 in our sizes, with two strided convolutions in place of three.
"""

from autograd import numpy as np

from common.reference.terms import bce_with_logits, sigmoid
from common.specs.draws import FanInNormal, Noise, Normal
from common.specs.inputs import Images
from common.specs.layers import RELU, TANH, BatchNorm, Conv, ConvTranspose, Dense, Network, Reshape
from common.specs.records import About, RMSProp, Spec, Training, Update

GAMMA = 1e-5


def forward(networks, inputs, noise):
    """images x (B, C, H, W), ε and zₚ (B, latent) -> mean, logvar, z (B, latent); reconstructed x̃ and generated xₚ (B, C, H, W);
    Dis_l of x and x̃ (B, channels, side, side); logits of x, x̃ and xₚ (B, 1)."""
    heads = networks.encoder(inputs["images"])
    mean, logvar = heads["mean"], heads["logvar"]
    z = mean + np.exp(logvar / 2) * noise["epsilon"]
    reconstructed, generated = networks.decoder(z), networks.decoder(noise["prior"])
    real, copied, fake = (networks.features(x) for x in (inputs["images"], reconstructed, generated))
    return {
        "mean": mean,
        "logvar": logvar,
        "z": z,
        "reconstructed": reconstructed,
        "generated": generated,
        "real_features": real,
        "copied_features": copied,
        "real_logits": networks.discriminator(real),
        "copied_logits": networks.discriminator(copied),
        "fake_logits": networks.discriminator(fake),
    }


def losses(networks, inputs, noise):
    output = forward(networks, inputs, noise)
    mean, logvar = output["mean"], output["logvar"]
    real, copied, fake = (output[f"{which}_logits"] for which in ("real", "copied", "fake"))
    prior = np.mean(-0.5 * np.sum(1 + logvar - mean**2 - np.exp(logvar), axis=1))
    likelihood = np.mean(0.5 * np.sum((output["real_features"] - output["copied_features"]) ** 2, axis=(1, 2, 3)))
    loss_d = (
        np.mean(bce_with_logits(real, 1.0))
        + np.mean(bce_with_logits(copied, 0.0))
        + np.mean(bce_with_logits(fake, 0.0))
    )
    return {
        "objective_encoder": prior + likelihood,
        "objective_decoder": networks.spec.options["gamma"] * likelihood - loss_d,
        "loss_d": loss_d,
        "prior": prior,
        "likelihood": likelihood,
        "score_real": np.mean(sigmoid(real)),
        "score_copied": np.mean(sigmoid(copied)),
        "score_fake": np.mean(sigmoid(fake)),
    }


def encode(networks, inputs):
    return networks.encoder(inputs["images"])["mean"]


def reconstruct(networks, inputs, noise):
    heads = networks.encoder(inputs["images"])
    return networks.decoder(heads["mean"] + np.exp(heads["logvar"] / 2) * noise["epsilon"])


def sample(networks, noise):
    """z (B, latent) from the prior -> images (B, C, H, W) in [-1, 1]."""
    return networks.decoder(noise["z"])


def _batch_norm(name, features):
    return BatchNorm(name, features, epsilon=1e-6, momentum=0.9)


def _dense(name, norm, inputs, outputs):
    return (Dense(name, inputs, outputs, bias=False), _batch_norm(norm, outputs), RELU)


def _down(name, norm, inputs, outputs):
    """Half the side."""
    return (
        Conv(name, inputs, outputs, kernel=5, stride=2, padding=2, bias=False),
        _batch_norm(norm, outputs),
        RELU,
    )


def _up(name, norm, inputs, outputs):
    """Twice the side."""
    layer = ConvTranspose(name, inputs, outputs, kernel=5, stride=2, padding=2, output_padding=1, bias=False)
    return (layer, _batch_norm(norm, outputs), RELU)


RMSPROP = RMSProp(learning_rate=3e-4, decay=0.9, epsilon=1e-8)


def _spec(name, title, picture, sizes, width, networks, steps, note, twin) -> Spec:
    latent = sizes["latent"]
    epsilon, prior = (Noise(one, (latent,), Normal(0.0, 1.0)) for one in ("epsilon", "prior"))

    def update(name, objective, moved):
        return Update(name, objective, moved, noise=(epsilon, prior), losses=losses, optimizer=RMSPROP)

    return Spec(
        name=name,
        module=name,
        inputs=(Images(shape=picture, pixels=(-1.0, 1.0), picture=picture),),
        reduction="mean",
        options={"width": width, "latent": latent, "hidden": sizes["hidden"], "gamma": GAMMA},
        initial=FanInNormal(1.0),
        networks=networks(picture, width, latent, sizes["hidden"]),
        sampling_noise=(Noise("z", (latent,), Normal(0.0, 1.0)),),
        updates=(
            update("encoder", "objective_encoder", ("encoder",)),
            update("decoder", "objective_decoder", ("decoder",)),
            update("discriminator", "loss_d", ("features", "discriminator")),
        ),
        forward=forward,
        encode=encode,
        reconstruct=reconstruct,
        sample=sample,
        training=Training(
            batch_size=64,
            steps=steps,
            # At the true rates a change of 1e-15 in the weights of the twin is 0.6 of them after 100 updates: RMSProp has no
            # bias correction, and its first step moves every parameter by three rates.
            parity_rate=0.03,
            twin=twin and _spec(name, title, picture, *twin, networks, steps, note, None),
        ),
        about=About(
            title=title,
            article="autoencoders",
            source="arXiv 1512.09300",
            notes=(
                *note,
                "The authors' code adds w·L_llike - (1 - w)·L_GAN for the decoder, w = 1e-5 on CelebA: γ is that w.",
                "RMSProp's decay and ε, which the paper does not give, are the defaults of the authors' library: 0.9 and 1e-8. Their "
                "rate falls from 0.02 / 64 = 3.1e-4 over 150 epochs; it stays at the paper's 3e-4 here.",
                "What is left of the authors' code (andersbll/autoencoding_beyond_pixels): updates that are skipped where the "
                "discriminator is far ahead or behind, L2 of 1e-5, 1e-3 inside the logarithms, one ε for z and zₚ, a weight of 0.66 on "
                "real images, and x, x̃ and xₚ in one batch, so with common batch statistics.",
                "Layers before a batch norm have no bias, as in the authors' code. Dis_l is the convolution's own output, before "
                "batch norm and ReLU, also as there.",
                "Weights are drawn from N(0, 1 / fan-in), which neither prints.",
            ),
        ),
        simultaneous=True,
    )


def _of_64(picture, width, latent, hidden):
    channels, code = picture[0], 4 * width * 8 * 8
    return (
        Network(
            "encoder",
            picture,
            (
                *_down("conv0", "bn0", channels, width),
                *_down("conv1", "bn1", width, 2 * width),
                *_down("conv2", "bn2", 2 * width, 4 * width),
                Reshape((code,)),
                *_dense("fc0", "bn3", code, hidden),
            ),
            heads=(Dense("mean", hidden, latent), Dense("logvar", hidden, latent)),
        ),
        Network(
            "decoder",
            (latent,),
            (
                *_dense("fc0", "bn0", latent, code),
                Reshape((4 * width, 8, 8)),
                *_up("conv0", "bn1", 4 * width, 4 * width),
                *_up("conv1", "bn2", 4 * width, 2 * width),
                *_up("conv2", "bn3", 2 * width, width // 2),
                Conv("conv3", width // 2, channels, kernel=5, stride=1, padding=2),
                TANH,
            ),
        ),
        Network(
            "features",
            picture,
            (
                Conv("conv0", channels, width // 2, kernel=5, stride=1, padding=2),
                RELU,
                *_down("conv1", "bn0", width // 2, 2 * width),
                *_down("conv2", "bn1", 2 * width, 4 * width),
                Conv("conv3", 4 * width, 4 * width, kernel=5, stride=2, padding=2, bias=False),
            ),
        ),
        Network(
            "discriminator",
            (4 * width, 8, 8),
            (
                _batch_norm("bn0", 4 * width),
                RELU,
                Reshape((code,)),
                *_dense("fc0", "bn1", code, hidden // 4),
                Dense("logit", hidden // 4, 1),
            ),
        ),
    )


def _of_28(picture, width, latent, hidden):
    channels, code = picture[0], 2 * width * 7 * 7
    return (
        Network(
            "encoder",
            picture,
            (
                *_down("conv0", "bn0", channels, width),
                *_down("conv1", "bn1", width, 2 * width),
                Reshape((code,)),
                *_dense("fc0", "bn2", code, hidden),
            ),
            heads=(Dense("mean", hidden, latent), Dense("logvar", hidden, latent)),
        ),
        Network(
            "decoder",
            (latent,),
            (
                *_dense("fc0", "bn0", latent, code),
                Reshape((2 * width, 7, 7)),
                *_up("conv0", "bn1", 2 * width, 2 * width),
                *_up("conv1", "bn2", 2 * width, width),
                Conv("conv2", width, channels, kernel=5, stride=1, padding=2),
                TANH,
            ),
        ),
        Network(
            "features",
            picture,
            (
                Conv("conv0", channels, width // 2, kernel=5, stride=1, padding=2),
                RELU,
                *_down("conv1", "bn0", width // 2, width),
                Conv("conv2", width, 2 * width, kernel=5, stride=2, padding=2, bias=False),
            ),
        ),
        Network(
            "discriminator",
            (2 * width, 7, 7),
            (
                _batch_norm("bn0", 2 * width),
                RELU,
                Reshape((code,)),
                *_dense("fc0", "bn1", code, hidden // 2),
                Dense("logit", hidden // 2, 1),
            ),
        ),
    )


VAE_GAN = _spec(
    "vae_gan",
    "VAE-GAN for pictures of 64 × 64",
    (3, 64, 64),
    {"latent": 128, "hidden": 2048},
    64,
    _of_64,
    steps=5_000,
    note=("Sizes are those of the paper's table 1. The authors' code has 1,024 in place of the encoder's 2,048.",),
    twin=({"latent": 8, "hidden": 64}, 4),
)
VAE_GAN_MNIST = _spec(
    "vae_gan_mnist",
    "VAE-GAN for pictures of 28 × 28",
    (1, 28, 28),
    {"latent": 32, "hidden": 256},
    32,
    _of_28,
    steps=5_000,
    note=(
        "The sizes are ours: the paper's has a stage too many for 28 × 28. Dis_l is the second strided convolution, the last one, as "
        "the paper's third is.",
    ),
    twin=({"latent": 8, "hidden": 32}, 8),
)
