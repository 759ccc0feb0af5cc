"""Every article's update written down once more, from the article's printed code and from no specification, beside the oracle.

Each transcription takes bytes (B, 28, 28) and a step's draws, and moves parameters as that code does, in its order and with
its framework's formulas: cross-entropies on probabilities, ε where it stands, one optimiser for each that is printed. Of the
project it knows the names of parameters and draws alone. Where a specification departs from its article on purpose, how far
the two are apart is asked too.
"""

import numpy
import pytest
from autograd import grad
from autograd import numpy as np
from autograd.scipy.signal import convolve

from common import parity
from common.reference.column import Reference
from common.specs import get

STEPS, ACCURACY = 20, 1e-10
# Else 4. Of fewer images InfoGAN's batch norms make a chaotic course; the article's own batch, where it decides how far ε̂ leads.
BATCH = {"infogan": 8, "vae_z100": 64, "vae_z100_epsilon_hat": 64}


class Adam:
    """As torch.optim.Adam; with `hat` as tf.train.AdamOptimizer, whose ε is added before the bias correction."""

    def __init__(self, rate, beta1=0.9, beta2=0.999, epsilon=1e-8, decay=0.0, hat=False):
        self.rate, self.betas, self.epsilon, self.decay, self.hat = rate, (beta1, beta2), epsilon, decay, hat
        self.t, self.moments = 0, {}

    def step(self, p, gradients):
        """Move p, in place, by {name: gradient}."""
        self.t += 1
        (b1, b2), t = self.betas, self.t
        for name, g in gradients.items():
            g = g + self.decay * p[name]
            m, v = self.moments.get(name, (0.0, 0.0))
            m, v = self.moments[name] = (b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g)
            if self.hat:
                move = self.rate * numpy.sqrt(1 - b2**t) / (1 - b1**t) * m / (numpy.sqrt(v) + self.epsilon)
            else:
                move = self.rate / (1 - b1**t) * m / (numpy.sqrt(v) / numpy.sqrt(1 - b2**t) + self.epsilon)
            p[name] = p[name] - move


def gradients(loss, p, *networks):
    """{name: d loss / d parameter} of the parameters of `networks`, of which `loss` is a function among all of p."""
    chosen = {name: value for name, value in p.items() if name.split(".")[0] in networks}
    return grad(lambda w: loss({**p, **w}))(chosen)


def linear(p, name, x):
    y = np.dot(x, p[f"{name}.weight"].T)
    return y + p[f"{name}.bias"] if f"{name}.bias" in p else y


def leaky(x, slope):
    return np.where(x > 0, x, slope * x)


def relu(x):
    return leaky(x, 0.0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def bce(p, target):
    """Element by element, of probabilities."""
    return -(target * np.log(p) + (1 - target) * np.log(1 - p))


def pixels(x):
    """[0, 1], flat."""
    return x.reshape(len(x), 784) / 255.0


def normalised(x):
    """[-1, 1], as Normalize([0.5], [0.5]) makes them of ToTensor's."""
    return (pixels(x) - 0.5) / 0.5


# ------------------------------------------------------------------------------------------ `autoencoders`


def autoencoder():
    adam = Adam(1e-3, decay=1e-5)

    def step(p, x, noise):
        x = normalised(x)

        def loss(p):
            h = x
            for network, end in (("encoder", lambda h: h), ("decoder", np.tanh)):
                for k in range(3):
                    h = relu(linear(p, f"{network}.fc{k}", h))
                h = end(linear(p, f"{network}.fc3", h))
            return np.mean((h - x) ** 2)

        adam.step(p, gradients(loss, p, "encoder", "decoder"))

    return step


def conv(p, name, x, stride, padding):
    """torch's Conv2d, by a convolution in full of which every `stride`-th pixel is kept; its kernel is turned for it."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)), mode="constant")
    turned = p[f"{name}.weight"][:, :, ::-1, ::-1]
    y = convolve(x, turned, axes=([2, 3], [2, 3]), dot_axes=([1], [1]), mode="valid")[:, :, ::stride, ::stride]
    return y + p[f"{name}.bias"][:, None, None] if f"{name}.bias" in p else y


def conv_transpose(p, name, x, stride, padding):
    """torch's ConvTranspose2d: a full convolution of pixels `stride` apart, cut by `padding` on all sides."""
    size = stride * (x.shape[2] - 1) + 1
    apart = np.kron(x, numpy.eye(1, stride**2).reshape(stride, stride))[:, :, :size, :size]
    y = convolve(apart, p[f"{name}.weight"], axes=([2, 3], [2, 3]), dot_axes=([1], [0]), mode="full")
    y = y[:, :, padding : y.shape[2] - padding, padding : y.shape[3] - padding]
    return y + p[f"{name}.bias"][:, None, None]


def max_pool(x, stride):
    """Of windows of two."""
    last = x.shape[2] - 1
    return np.max(
        np.array([x[:, :, i : last + i : stride, j : last + j : stride] for i in (0, 1) for j in (0, 1)]), axis=0
    )


def conv_autoencoder():
    adam = Adam(1e-3, decay=1e-5)

    def step(p, x, noise):
        x = normalised(x).reshape(-1, 1, 28, 28)

        def loss(p):
            h = max_pool(relu(conv(p, "encoder.conv0", x, stride=3, padding=1)), stride=2)
            h = max_pool(relu(conv(p, "encoder.conv1", h, stride=2, padding=1)), stride=1)
            h = relu(conv_transpose(p, "decoder.conv0", h, stride=2, padding=0))
            h = relu(conv_transpose(p, "decoder.conv1", h, stride=3, padding=1))
            return np.mean((np.tanh(conv_transpose(p, "decoder.conv2", h, stride=2, padding=1)) - x) ** 2)

        adam.step(p, gradients(loss, p, "encoder", "decoder"))

    return step


def vae():
    adam = Adam(1e-3)

    def step(p, x, noise):
        x = pixels(x)

        def loss(p):  # BCELoss(size_average=False), KL summed likewise
            h = relu(linear(p, "encoder.fc0", x))
            mu, logvar = linear(p, "encoder.mean", h), linear(p, "encoder.logvar", h)
            z = noise["epsilon"] * np.exp(0.5 * logvar) + mu
            reconstruction = sigmoid(linear(p, "decoder.fc1", relu(linear(p, "decoder.fc0", z))))
            return np.sum(bce(reconstruction, x)) - 0.5 * np.sum(1 + logvar - mu**2 - np.exp(logvar))

        adam.step(p, gradients(loss, p, "encoder", "decoder"))

    return step


# --------------------------------------------------------------------------------------------- `vae_notes`


def vae_z100(tensorflow):
    """The loss is the mean over the batch; TensorFlow's cross-entropy is of logits, PyTorch's of probabilities."""
    adam = Adam(1e-3, hat=tensorflow)

    def step(p, x, noise):
        x = pixels(x)

        def loss(p):
            h = relu(linear(p, "encoder.fc0", x))
            mu, logvar = linear(p, "encoder.mean", h), linear(p, "encoder.logvar", h)
            logits = linear(
                p, "decoder.fc1", relu(linear(p, "decoder.fc0", mu + np.exp(logvar / 2) * noise["epsilon"]))
            )
            if tensorflow:  # as its documentation has it: max(l, 0) - l·x + log(1 + exp(-|l|))
                entropy = np.maximum(logits, 0) - logits * x + np.log(1 + np.exp(-np.abs(logits)))
            else:
                entropy = bce(sigmoid(logits), x)
            kl = 0.5 * np.sum(np.exp(logvar) + mu**2 - 1 - logvar, 1)
            return np.mean(np.sum(entropy, 1) + kl)

        adam.step(p, gradients(loss, p, "encoder", "decoder"))

    return step


# --------------------------------------------------------------------------------------------------- `gan`


def gan():
    adam_d, adam_g = Adam(2e-4), Adam(2e-4)

    def generator(p, z):
        for k in range(3):
            z = leaky(linear(p, f"generator.fc{k}", z), 0.2)
        return np.tanh(linear(p, "generator.fc3", z))

    def discriminator(p, x, masks):  # dropout is always on
        for k in range(3):
            x = leaky(linear(p, f"discriminator.fc{k}", x), 0.2) * masks[f"mask{k}"] / 0.7
        return sigmoid(linear(p, "discriminator.fc3", x))

    def step(p, x, noise):
        x = normalised(x)

        def masks(which):
            return {f"mask{k}": noise[f"{which}_mask{k}"] for k in range(3)}

        def loss_d(p):
            fake = generator(p, noise["discriminator_z"])
            real = np.mean(bce(discriminator(p, x, masks("real")), 1.0))
            return real + np.mean(bce(discriminator(p, fake, masks("fake")), 0.0))

        def loss_g(p):
            return np.mean(bce(discriminator(p, generator(p, noise["generator_z"]), masks("fooled")), 1.0))

        adam_d.step(p, gradients(loss_d, p, "discriminator"))
        adam_g.step(p, gradients(loss_g, p, "generator"))

    return step


# --------------------------------------------------------------------------------------------------- `aae`


def aae(cleared):
    """As printed gradients are cleared once, at the start of a step; `cleared`, before each of its three updates, which is
    what the article says that its code does."""
    adam_p, adam_q, adam_d, adam_q2 = Adam(1e-4), Adam(1e-4), Adam(5e-5), Adam(5e-5)
    eps, everything = 1e-15, ("encoder", "decoder", "discriminator")

    def mlp(p, name, x, masks, keep, last_relu=True):
        """Two hidden layers of Linear, dropout, ReLU; no masks in evaluation mode."""
        for k in range(2):
            x = linear(p, f"{name}.fc{k}", x)
            x = x * masks[k] / keep if masks else x
            x = relu(x) if k == 0 or last_relu else x
        return linear(p, f"{name}.fc2", x)

    def step(p, x, noise):
        x, kept = pixels(x), {}

        def masks(which):
            return [noise[f"{which}_mask{k}"] for k in range(2)]

        def q(p, which=None):
            return mlp(p, "encoder", x, which and masks(which), 0.75)

        def d(p, z, which):
            return sigmoid(mlp(p, "discriminator", z, masks(which), 0.8))

        def reconstruction(p):
            y = sigmoid(mlp(p, "decoder", q(p, "encoder"), masks("decoder"), 0.75, last_relu=False))
            return np.mean(bce(y + eps, x + eps))

        def discriminator(p):
            real, fake = d(p, noise["prior"], "real"), d(p, q(p), "fake")
            return -np.mean(np.log(real + eps) + np.log(1 - fake + eps))

        def generator(p):
            return -np.mean(np.log(d(p, q(p, "generator"), "fooled") + eps))

        def backward(loss, *moved):
            if cleared:  # and what a loss leaves in networks that are not moved is nobody's
                kept.clear()
            for name, gradient in gradients(loss, p, *(moved if cleared else everything)).items():
                kept[name] = kept.get(name, 0.0) + gradient

        def of(network):
            return {name: gradient for name, gradient in kept.items() if name.startswith(network)}

        backward(reconstruction, "encoder", "decoder")
        adam_p.step(p, of("decoder"))
        adam_q.step(p, of("encoder"))
        backward(discriminator, "discriminator")
        adam_d.step(p, of("discriminator"))
        backward(generator, "encoder")
        adam_q2.step(p, of("encoder"))

    return step


# ----------------------------------------------------------------------------------------------- `infogan`


def gan_two_layer(fresh=False):
    """Both feeds hold one Z_noise; `fresh`: G's another."""
    adam_d, adam_g = Adam(1e-3), Adam(1e-3)

    def generator(p, z):
        return sigmoid(linear(p, "generator.fc1", relu(linear(p, "generator.fc0", z))))

    def discriminator(p, x):
        return sigmoid(linear(p, "discriminator.fc1", relu(linear(p, "discriminator.fc0", x))))

    def step(p, x, noise):
        x, z = pixels(x), noise["z"]

        def loss_d(p):
            return -np.mean(np.log(discriminator(p, x) + 1e-8) + np.log(1 - discriminator(p, generator(p, z)) + 1e-8))

        def loss_g(p):
            return -np.mean(np.log(discriminator(p, generator(p, -z if fresh else z)) + 1e-8))

        adam_d.step(p, gradients(loss_d, p, "discriminator"))
        adam_g.step(p, gradients(loss_g, p, "generator"))

    return step


def infogan():
    """The method is the article's, the network the paper's; the weights are of its narrow twin."""
    adam_d, adam_g = Adam(2e-4, beta1=0.5), Adam(1e-3, beta1=0.5)

    def norm(p, name, x):
        axes, shape = ((0,), (1, -1)) if x.ndim == 2 else ((0, 2, 3), (1, -1, 1, 1))
        mean, variance = np.mean(x, axes, keepdims=True), np.var(x, axes, keepdims=True)
        weight, bias = (np.reshape(p[f"{name}.{kind}"], shape) for kind in ("weight", "bias"))
        return (x - mean) / np.sqrt(variance + 1e-5) * weight + bias

    def generator(p, latent):
        h = relu(norm(p, "generator.bn0", linear(p, "generator.fc0", latent)))
        h = relu(norm(p, "generator.bn1", linear(p, "generator.fc1", h)))
        h = np.reshape(h, (len(h), -1, 7, 7))
        biased = {"generator.conv0.bias": np.zeros(p["generator.conv0.weight"].shape[1]), **p}
        h = relu(norm(p, "generator.bn2", conv_transpose(biased, "generator.conv0", h, stride=2, padding=1)))
        return sigmoid(conv_transpose(p, "generator.conv1", h, stride=2, padding=1))

    def heads(p, x):
        """D's probability; of c1 the probabilities; of the codes mean and deviation."""
        h = leaky(conv(p, "trunk.conv0", x, stride=2, padding=1), 0.1)
        h = leaky(norm(p, "trunk.bn0", conv(p, "trunk.conv1", h, stride=2, padding=1)), 0.1)
        h = leaky(norm(p, "trunk.bn1", linear(p, "trunk.fc0", np.reshape(h, (len(h), -1)))), 0.1)
        q = leaky(norm(p, "recognition.bn0", linear(p, "recognition.fc0", h)), 0.1)
        scores = np.exp(linear(p, "recognition.category", q))
        return (
            sigmoid(linear(p, "discriminator.logit", h)),
            scores / np.sum(scores, 1, keepdims=True),
            linear(p, "recognition.mean", q),
            np.exp(linear(p, "recognition.logstd", q)),
        )

    def information(category, codes, c1, mean, deviation):
        """λ L_I: E[log Q(c|G)] with weights 1 and .1; ln 10 and other constants have no gradient."""
        of_c1 = np.mean(np.log(np.sum(category * c1, 1)))
        of_codes = np.mean(-np.log(deviation) - (codes - mean) ** 2 / (2 * deviation**2), 0)
        return of_c1 + 0.1 * np.sum(of_codes)

    def step(p, x, noise):
        x = pixels(x).reshape(-1, 1, 28, 28)

        def draws(which):
            return [noise[f"{which}_{name}"] for name in ("z", "category", "codes")]

        def loss_d(p):
            z, category, codes = draws("discriminator")
            real, *_ = heads(p, x)
            fake, *recognised = heads(p, generator(p, np.concatenate([z, category, codes], 1)))
            return np.mean(bce(real, 1.0)) + np.mean(bce(fake, 0.0)) - information(category, codes, *recognised)

        def loss_g(p):
            z, category, codes = draws("generator")
            fake, *recognised = heads(p, generator(p, np.concatenate([z, category, codes], 1)))
            return np.mean(bce(fake, 1.0)) - information(category, codes, *recognised)

        adam_d.step(p, gradients(loss_d, p, "trunk", "discriminator", "recognition"))
        adam_g.step(p, gradients(loss_g, p, "generator"))

    return step


# -------------------------------------------------------------------------------------------------- beside


@pytest.fixture(scope="module")
def courses(train):
    """{specification: (case, its parameters after STEPS updates by the oracle)}, as asked for."""
    kept = {}

    def course(name):
        if name not in kept:
            case = parity.Case(get(name).training.twin or get(name), train, batch=BATCH.get(name, 4), steps=STEPS)
            oracle = Reference(case.spec, case.parameters())
            oracle.upload(train)
            oracle.train_steps(case.indices(), case.noise())
            kept[name] = case, oracle.parameters()
        return kept[name]

    return course


def transcribed(case, step):
    p, rows, noise = case.parameters(), case.indices()["all"], case.noise()
    for k in range(case.steps):
        step(p, case.data["images"][rows[k]].astype(float), {name: value[k] for name, value in noise.items()})
    return p


TRANSCRIPTIONS = {
    "autoencoder": autoencoder(),
    "conv_autoencoder": conv_autoencoder(),
    "vae": vae(),
    "vae_z100": vae_z100(tensorflow=False),
    "vae_z100_epsilon_hat": vae_z100(tensorflow=True),
    "gan": gan(),
    "aae": aae(cleared=True),
    "aae_as_published": aae(cleared=False),
    "gan_two_layer": gan_two_layer(),
    "infogan": infogan(),
}


@pytest.mark.parametrize("model", TRANSCRIPTIONS)
def test_the_printed_update_is_the_specification(model, courses):
    case, oracle = courses(model)
    assert parity.largest_deviation(oracle, transcribed(case, TRANSCRIPTIONS[model]))[0] < ACCURACY


# What is not done as it is printed, on purpose, and how far that leads in 20 updates: ‖difference‖ / ‖movement‖ of the tensor
# in which it is largest, on the bundled digits. The printed form of either is a variant, which the test above holds to its
# article. What else is written in another form (cross-entropies of logits, no ε = 1e-15 in them, one Adam for two networks, no
# bias before a batch norm) is the same to the accuracy of that test.
DEPARTURES = {
    (
        "vae_z100",
        "vae_z100_epsilon_hat",
    ): 2.7e-3,  # ε after the bias correction; another reader's transcription found 2.3e-3
    ("aae", "aae_as_published"): 0.66,  # gradients are cleared before each update
}


@pytest.mark.parametrize("departure", DEPARTURES, ids="-".join)
def test_what_departs_from_the_article_and_how_far(departure, courses):
    (case, ours), (_, printed) = map(courses, departure)
    assert far(case, ours, printed) == pytest.approx(DEPARTURES[departure], rel=0.1)


def far(case, ours, other):
    start = case.parameters()
    return max(numpy.linalg.norm(other[n] - ours[n]) / numpy.linalg.norm(ours[n] - start[n]) for n in ours)


def test_a_second_z_for_the_generator_is_another_course(courses):
    """That the article's two feeds share one is no detail: by more than the whole movement, in 20 updates."""
    case, ours = courses("gan_two_layer")
    assert far(case, ours, transcribed(case, gan_two_layer(fresh=True))) > 1
