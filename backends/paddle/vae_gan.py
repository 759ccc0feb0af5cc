"""VAE-GAN, Paddle. Specification: common/specs/vae_gan.py.

Larsen et al. 2015, arXiv 1512.09300, Algorithm 1; article `autoencoders` points to it. Batch norms move their running
statistics in every pass of a training step; encode, reconstruct and sample use them, in evaluation mode, which the engine
sets. Shapes are those of width 64. The networks for 28 × 28 stand in vae_gan_mnist.py.
"""

import paddle
from paddle import nn
from paddle.nn import functional as F

from backends.paddle.exact import BatchNorm, number
from backends.paddle.layouts import named
from backends.paddle.optimizer import minimize_all, rmsprop
from backends.paddle.steps import SOURCES, State
from backends.paddle.terms import bce

MOMENTUM, EPSILON = 0.9, 1e-6

# -------------------------------------------------------------------------------------------- networks


def batch_norm(features, path):
    return BatchNorm(features, path, MOMENTUM, EPSILON)


def conv(inputs, outputs, path):
    """Half the side."""
    return nn.Conv2D(inputs, outputs, 5, stride=2, padding=2, **named(path, bias=False))


def conv_transpose(inputs, outputs, path):
    """Twice the side."""
    return nn.Conv2DTranspose(inputs, outputs, 5, stride=2, padding=2, output_padding=1, **named(path, bias=False))


class Encoder(nn.Layer):
    def __init__(self, width, latent, hidden):
        super().__init__()
        self.conv0 = conv(3, width, "encoder.conv0")
        self.bn0 = batch_norm(width, "encoder.bn0")
        self.conv1 = conv(width, 2 * width, "encoder.conv1")
        self.bn1 = batch_norm(2 * width, "encoder.bn1")
        self.conv2 = conv(2 * width, 4 * width, "encoder.conv2")
        self.bn2 = batch_norm(4 * width, "encoder.bn2")
        self.fc0 = nn.Linear(4 * width * 8 * 8, hidden, **named("encoder.fc0", bias=False))
        self.bn3 = batch_norm(hidden, "encoder.bn3")
        self.mean = nn.Linear(hidden, latent, **named("encoder.mean"))
        self.logvar = nn.Linear(hidden, latent, **named("encoder.logvar"))

    def forward(self, x):
        h = F.relu(self.bn0(self.conv0(x)))  # (B, 64, 32, 32)
        h = F.relu(self.bn1(self.conv1(h)))  # (B, 128, 16, 16)
        h = F.relu(self.bn2(self.conv2(h)))  # (B, 256, 8, 8)
        h = F.relu(self.bn3(self.fc0(h.flatten(1))))  # (B, 2048)
        return self.mean(h), self.logvar(h)  # (B, 128)


class Decoder(nn.Layer):
    def __init__(self, width, latent):
        super().__init__()
        self.fc0 = nn.Linear(latent, 4 * width * 8 * 8, **named("decoder.fc0", bias=False))
        self.bn0 = batch_norm(4 * width * 8 * 8, "decoder.bn0")
        self.conv0 = conv_transpose(4 * width, 4 * width, "decoder.conv0")
        self.bn1 = batch_norm(4 * width, "decoder.bn1")
        self.conv1 = conv_transpose(4 * width, 2 * width, "decoder.conv1")
        self.bn2 = batch_norm(2 * width, "decoder.bn2")
        self.conv2 = conv_transpose(2 * width, width // 2, "decoder.conv2")
        self.bn3 = batch_norm(width // 2, "decoder.bn3")
        self.conv3 = nn.Conv2D(width // 2, 3, 5, stride=1, padding=2, **named("decoder.conv3"))

    def forward(self, z):
        h = F.relu(self.bn0(self.fc0(z)))  # (B, 16384)
        h = h.reshape([-1, self.conv0.weight.shape[0], 8, 8])  # (B, 256, 8, 8)
        h = F.relu(self.bn1(self.conv0(h)))  # (B, 256, 16, 16)
        h = F.relu(self.bn2(self.conv1(h)))  # (B, 128, 32, 32)
        h = F.relu(self.bn3(self.conv2(h)))  # (B, 32, 64, 64)
        return paddle.tanh(self.conv3(h))  # (B, 3, 64, 64)


class Features(nn.Layer):
    def __init__(self, width):
        super().__init__()
        self.conv0 = nn.Conv2D(3, width // 2, 5, stride=1, padding=2, **named("features.conv0"))
        self.conv1 = conv(width // 2, 2 * width, "features.conv1")
        self.bn0 = batch_norm(2 * width, "features.bn0")
        self.conv2 = conv(2 * width, 4 * width, "features.conv2")
        self.bn1 = batch_norm(4 * width, "features.bn1")
        self.conv3 = conv(4 * width, 4 * width, "features.conv3")

    def forward(self, x):
        h = F.relu(self.conv0(x))  # (B, 32, 64, 64)
        h = F.relu(self.bn0(self.conv1(h)))  # (B, 128, 32, 32)
        h = F.relu(self.bn1(self.conv2(h)))  # (B, 256, 16, 16)
        return self.conv3(h)  # (B, 256, 8, 8)


class Discriminator(nn.Layer):
    def __init__(self, width, hidden):
        super().__init__()
        self.bn0 = batch_norm(4 * width, "discriminator.bn0")
        self.fc0 = nn.Linear(4 * width * 8 * 8, hidden // 4, **named("discriminator.fc0", bias=False))
        self.bn1 = batch_norm(hidden // 4, "discriminator.bn1")
        self.logit = nn.Linear(hidden // 4, 1, **named("discriminator.logit"))

    def forward(self, h):
        h = F.relu(self.bn0(h))  # (B, 256, 8, 8)
        h = F.relu(self.bn1(self.fc0(h.flatten(1))))  # (B, 512)
        return self.logit(h)  # (B, 1)


class VAEGAN(nn.Layer):
    def __init__(self, encoder, decoder, features, discriminator, gamma):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.features = features
        self.discriminator = discriminator
        self.gamma = gamma  # of L_llike in the decoder's objective


# ------------------------------------------------------------------------------------- forward, losses


def forward(model, inputs, noise):
    """images x (B, C, H, W), epsilon and prior zₚ (B, latent) ~ N(0, 1) -> mean, logvar, z (B, latent); reconstructed x̃ and
    generated xₚ (B, C, H, W); Dis_l of x and x̃ (B, channels, side, side); logits of x, x̃ and xₚ (B, 1)."""
    mean, logvar = model.encoder(inputs["images"])
    z = mean + paddle.exp(logvar / 2) * noise["epsilon"]
    reconstructed, generated = model.decoder(z), model.decoder(noise["prior"])
    real, copied, fake = (model.features(x) for x in (inputs["images"], reconstructed, generated))
    return {
        "mean": mean,
        "logvar": logvar,
        "z": z,
        "reconstructed": reconstructed,
        "generated": generated,
        "real_features": real,
        "copied_features": copied,
        "real_logits": model.discriminator(real),
        "copied_logits": model.discriminator(copied),
        "fake_logits": model.discriminator(fake),
    }


def losses(model, inputs, noise):
    """The objectives of encoder, decoder and discriminator, their parts, and the mean probabilities."""
    output = forward(model, inputs, noise)
    mean, logvar = output["mean"], output["logvar"]
    real, copied, fake = output["real_logits"], output["copied_logits"], output["fake_logits"]
    prior = paddle.mean(-0.5 * paddle.sum(1 + logvar - paddle.square(mean) - paddle.exp(logvar), axis=1))
    apart = output["real_features"] - output["copied_features"]
    likelihood = paddle.mean(0.5 * paddle.sum(paddle.square(apart), axis=[1, 2, 3]))
    loss_d = bce(real, 1.0) + bce(copied, 0.0) + bce(fake, 0.0)
    return {
        "objective_encoder": prior + likelihood,
        "objective_decoder": number(model.gamma) * likelihood - loss_d,
        "loss_d": loss_d,
        "prior": prior,
        "likelihood": likelihood,
        "score_real": paddle.mean(F.sigmoid(real)),
        "score_copied": paddle.mean(F.sigmoid(copied)),
        "score_fake": paddle.mean(F.sigmoid(fake)),
    }


# ------------------------------------------------------------------------------------------ train step


def start(network, spec, dtype, device):
    """A Program per source, of the model that `network()` makes."""
    state = State(spec, network, dtype, device)
    # One Program for all updates, which share its pass. It makes its own layers, once: within a Program, a parameter name used
    # twice would make two parameters; between Programs, one name is one parameter.
    for source in SOURCES:
        with state.program("train", source) as program:
            model = network()
            program.fetch = losses(model, program.inputs(), program.noise(spec.noise))
            minimize_all({update: rmsprop(update) for update in spec.updates}, model, program.fetch)
    return state


def build(spec, dtype, device):
    width, latent, hidden = spec.options["width"], spec.options["latent"], spec.options["hidden"]

    def network():
        return VAEGAN(
            Encoder(width, latent, hidden),
            Decoder(width, latent),
            Features(width),
            Discriminator(width, hidden),
            spec.options["gamma"],
        )

    return start(network, spec, dtype, device)


def train_step(state, inputs, noise):
    return state.run("train", inputs, noise)


# ------------------------------------------------------------------------------------ coding, sampling


def encode(model, inputs):
    """images (B, C, H, W) -> mean of the code (B, latent)."""
    mean, _ = model.encoder(inputs["images"])
    return mean


def reconstruct(model, inputs, noise):
    """images (B, C, H, W), epsilon (B, latent) -> images (B, C, H, W) in [-1, 1]."""
    mean, logvar = model.encoder(inputs["images"])
    return model.decoder(mean + paddle.exp(logvar / 2) * noise["epsilon"])


def sample(model, noise):
    """z (B, latent) from the prior N(0, 1) -> images (B, C, H, W) in [-1, 1]."""
    return model.decoder(noise["z"])
