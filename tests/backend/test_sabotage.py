"""Planted mistakes: each must be caught, at the stage where it belongs.

A mistake is planted in the backend, either in the text of its own model file or in the specification that the backend
is built from; the oracle keeps the true one. A misplaced ε is the oracle's instead, because each framework computes Adam
elsewhere: the comparison must part just the same.
"""

import dataclasses
import sys
from pathlib import Path

import pytest

import backends
from common import parity
from common.reference import column as reference
from common.reference.networks import Networks
from common.specs import get
from common.specs import infogan as infogan_specs
from common.specs.records import Momentum, RMSProp
from common.specs.vae import _spec as vae_spec
from tests.planting import against_a_planted_oracle, failure, keep, planted, with_adam, with_text


@pytest.mark.parametrize(
    ("old", "new", "stage"),
    [
        ("kl = -0.5 *", "kl = 0.5 *", "losses"),  # wrong sign of the KL
        ("logvar / 2)", "logvar)", "forward"),  # variance for standard deviation
        ("mean**2", "mean", "losses"),
        ('"sum" else', '"mean" else', "losses"),  # mean where the sum is meant
    ],
)
def test_a_mistake_in_the_vae(backend, train, old, new, stage):
    spec = get("vae")
    if (backend, old) == ("paddle", "mean**2"):
        old = "paddle.square(mean)"  # where the general power is slow
    assert failure(spec, train, with_text(backend, spec, old, new)).name == stage


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        ("autoencoder", {"l2": 0.0}),  # missing L2
        ("autoencoder", {"l2": 2e-5}),
        ("vae", {"epsilon": 1e-7}),  # Keras's default
        ("vae_z100", {"epsilon": 1e-7}),
        ("vae", {"beta2": 0.99}),
        ("vae", {"learning_rate": 1.0001e-3}),
    ],
)
def test_a_wrong_hyperparameter(backend, train, model, changes):
    spec = get(model)
    assert failure(spec, train, with_adam(backend, spec, **changes)).name == "one update"


def test_a_misplaced_epsilon(backend, train):
    """Algorithm 1 judged as ε̂, which is Keras's Adam."""
    found = failure(
        get("vae_z100_epsilon_hat"),
        train,
        lambda _, parameters: backends.create(backend, get("vae_z100"), parameters, dtype="float64"),
    )
    assert found.name == "one update"
    assert found.tensor in get("vae_z100").parameter_shapes()


LEAK = '    style = style + inputs["labels"][:, :2]\n    logits = model.decoder(inputs["labels"], style,'


@pytest.mark.parametrize(
    ("model", "old", "new", "stage"),
    [
        ("gan", "SLOPE, KEEP = 0.2, 0.7", "SLOPE, KEEP = 0.01, 0.7", "forward"),  # another leaky slope
        ("gan", "SLOPE, KEEP = 0.2, 0.7", "SLOPE, KEEP = 0.2, 0.3", "forward"),  # the rate for the keep rate
        ("gan", "bce(fake, 0.0)", "bce(fake, 1.0)", "losses"),
        ("aae", "log(real", "log(1 - real", "losses"),
        # The label leaks into the style.
        ("aae_style", '    logits = model.decoder(inputs["labels"], style,', LEAK, "losses"),
        # The two discriminators swapped: both take 10 numbers.
        ("aae_few_labels", '"real": model.discriminator(', '"real": model.category_discriminator(', "forward"),
        # The labels of other images.
        ("aae_few_labels", 'inputs["labelled_images"]', 'inputs["images"]', "losses"),
        ("infogan", "= 0.9, 1e-5", "= 0.1, 1e-5", "one update"),  # PyTorch's momentum, which is 1 - 0.9
    ],
)
def test_a_mistake_in_an_adversarial_model(backend, train, model, old, new, stage):
    spec = get(model).training.twin or get(model)
    assert failure(spec, train, with_text(backend, spec, old, new)).name == stage


@pytest.mark.parametrize(
    ("model", "old", "new"),
    [
        ("gan", 'masks(noise, "fooled")', 'masks(noise, "fake")'),  # G judged with D's masks
        ("aae", 'masks(noise, "generator")', 'masks(noise, "encoder")'),
    ],
)
def test_noise_of_another_update(backend, train, model, old, new):
    spec = get(model)
    make = with_text(backend, spec, old, new)
    if backend == "paddle":  # a Program is given its own update's noise only, so that it cannot even be built
        with pytest.raises(KeyError):
            make(spec, parity.Case(spec, train).parameters())
    else:
        assert failure(spec, train, make).name == "losses"


def test_a_softmax_of_a_softmax(backend, train):
    """The erratum of the repository that aae_few_labels follows: probabilities taken for logits."""
    spec = get("aae_few_labels").training.twin
    call = {"pytorch": "F.softmax({}, dim=1)", "tensorflow": "tf.nn.softmax({})", "paddle": "F.softmax({}, axis=1)"}
    softmax = call.get(backend, "nnx.softmax({}, axis=1)")
    of = 'model.category(hidden(model, inputs["labelled_images"], noise, "supervised"))'
    planted = with_text(backend, spec, of, softmax.format(of))
    assert failure(spec, train, planted).name == "losses"


def test_another_z_for_the_generator(backend, train):
    """-z has the distribution of z; only the article's demonstration shows both updates of a step the same."""
    spec = get("gan_two_layer")
    old = 'model.discriminator(model.generator(noise["z"]))'
    planted = with_text(backend, spec, old, old.replace("noise", "-noise"))
    assert failure(spec, train, planted).name == "losses"


def test_a_padding_that_is_off_by_one(backend, train):
    """The last transposed convolution shifted by one pixel: every shape is right."""
    roll = {"pytorch": "torch.roll", "tensorflow": "tf.roll", "paddle": "paddle.roll", "jax": "jnp.roll"}[backend]
    width = 3 if backend in ("pytorch", "paddle") else 2
    spec = get("conv_autoencoder")
    planted = with_text(backend, spec, "self.conv2(h)", f"{roll}(self.conv2(h), 1, {width})")
    assert failure(spec, train, planted).name == "forward"


def test_the_generator_updated_before_the_discriminator(backend, train):
    """The two updates of train_step in the other order: every loss and gradient is right, the step is not."""
    spec = get("gan_two_layer")
    text = Path(backends.load(backend, spec)[1].__file__).read_text(encoding="utf-8")
    body = text.split("def train_step(state, inputs, noise):\n")[1].split("    return ")[0]
    lines = body.splitlines(keepends=True)
    half = len(lines) // 2
    swapped = "".join(lines[half:] + lines[:half])
    assert failure(spec, train, with_text(backend, spec, body, swapped)).name == "one update"


def test_one_adam_for_both_updates_of_the_encoder(backend, train, monkeypatch):
    """Planted in the oracle: the generator's update of aae continues the moments of the reconstruction's."""
    real = reference.Reference.train_step

    def train_step(self, x, noise):
        class Shared(dict):
            def __getitem__(self, key):
                return super().__getitem__(key.replace("generator.", "reconstruction.", 1))

        self._moments = Shared(self._moments)
        return real(self, x, noise)

    keep(get("aae"), train)
    monkeypatch.setattr(reference.Reference, "train_step", train_step)
    found = against_a_planted_oracle(backend, get("aae"), train)
    assert found.name == "one update"


def test_a_supervised_update_that_moves_the_decoder(backend, train, monkeypatch):
    """Planted in the oracle: by a billionth."""
    real = reference.Reference.train_step

    def train_step(self, inputs, noise):
        values = real(self, inputs, noise)
        self._parameters["decoder.fc1.weight"] = self._parameters["decoder.fc1.weight"] * (1 + 1e-9)
        return values

    spec = get("aae_few_labels")
    keep(spec, train)
    monkeypatch.setattr(reference.Reference, "train_step", train_step)
    found = against_a_planted_oracle(backend, spec, train)
    assert (found.name, found.tensor) == ("one update", "decoder.fc1.weight")


@pytest.mark.parametrize("convention", ["inside", "nesterov", "dampened"])
def test_another_momentum(backend, train, monkeypatch, convention):
    """Planted in the oracle: the rate in what is kept (Keras), Nesterov's, and PyTorch's dampening."""

    def other(momentum, parameter, gradient, velocity, step):
        mu, rate = momentum.momentum, momentum.learning_rate
        if convention == "inside":
            velocity = mu * velocity - rate * gradient
            return parameter + velocity, velocity
        velocity = mu * velocity + gradient * (1 - mu if convention == "dampened" else 1)
        return parameter - rate * (gradient + mu * velocity if convention == "nesterov" else velocity), velocity

    spec = get("aae_few_labels_paper").training.twin
    keep(spec, train)
    monkeypatch.setitem(reference.RULES, Momentum.moments, other)
    found = against_a_planted_oracle(backend, spec, train)
    assert found.name == "one update"


@pytest.mark.parametrize("convention", ["inside", "from one", "centred"])
def test_another_rmsprop(backend, train, monkeypatch, convention):
    """Planted in the oracle: ε inside the root (Keras, Paddle), a mean square that starts at 1 (TensorFlow 1), and one that is
    centred by the mean of the gradients."""

    def other(rmsprop, parameter, gradient, square, step):
        rho, epsilon = rmsprop.decay, rmsprop.epsilon
        start = 1.0 if convention == "from one" and step == 1 else 0.0
        square = rho * (square + start) + (1 - rho) * gradient**2
        inside = square - ((1 - rho) * gradient) ** 2 if convention == "centred" else square  # at the first step
        root = (inside + epsilon) ** 0.5 if convention == "inside" else inside**0.5 + epsilon
        return parameter - rmsprop.learning_rate * gradient / root, square

    spec = get("vae_gan_mnist").training.twin
    keep(spec, train)
    monkeypatch.setitem(reference.RULES, RMSProp.moments, other)
    found = against_a_planted_oracle(backend, spec, train)
    assert found.name == "one update"


FIXED = {  # the value without its gradient
    "pytorch": "{}.detach()",
    "tensorflow": "tf.stop_gradient({})",
    "paddle": "{}.detach()",
    "jax": "__import__('jax').lax.stop_gradient({})",
}


def vae_gan_with(backend, monkeypatch, old, new):
    """The column of vae_gan_mnist's twin on the losses of vae_gan.py with one replacement in its text."""
    parent, child = (backends.load(backend, get(name))[1] for name in ("vae_gan", "vae_gan_mnist"))
    monkeypatch.setitem(sys.modules, parent.__name__, planted(parent, old, new))
    first = Path(child.__file__).read_text(encoding="utf-8").splitlines()[0]
    return with_text(backend, get("vae_gan_mnist"), first, first)


@pytest.mark.parametrize(
    ("old", "leak", "tensor"),
    [
        ('"loss_d": loss_d,', "likelihood", "discriminator.features."),  # L_llike reaches the discriminator
        ('"objective_encoder": prior + likelihood,', "loss_d", "encoder.encoder."),  # L_GAN reaches the encoder
    ],
)
def test_a_loss_that_reaches_another_network_of_vae_gan(backend, train, monkeypatch, old, leak, tensor):
    """Every loss keeps its value: only its gradient is wrong."""
    make = vae_gan_with(backend, monkeypatch, old, f"{old[:-1]} + ({leak} - {FIXED[backend].format(leak)}),")
    found = failure(get("vae_gan_mnist").training.twin, train, make)
    assert (found.name, found.tensor.startswith(tensor)) == ("gradients", True)


def test_the_layer_of_dis_l_off_by_one(backend, train, monkeypatch):
    """What the next layers make of the features in place of the convolution's own output."""
    relu = {"pytorch": "F.relu", "tensorflow": "tf.nn.relu", "paddle": "F.relu", "jax": "nnx.relu"}[backend]
    old = 'apart = output["real_features"] - output["copied_features"]'
    new = f'apart = {relu}(output["real_features"]) - {relu}(output["copied_features"])'
    make = vae_gan_with(backend, monkeypatch, old, new)
    assert failure(get("vae_gan_mnist").training.twin, train, make).name == "losses"


def test_codes_of_two_categories_swapped(backend, train):
    roll = {"pytorch": "torch.roll", "tensorflow": "tf.roll", "paddle": "paddle.roll", "jax": "jnp.roll"}[backend]
    codes, infogan = infogan_specs.Latent(z=62, categories=3, classes=10, codes=2), get("infogan").training.twin
    spec = infogan_specs.make(
        name="three",
        module="infogan",
        codes=codes,
        images=infogan.images,
        networks=infogan_specs._networks(codes, 8, 0.1, False),
        width=8,
        weights=(1.0, 0.1, 1.0),
        fixed_deviation=False,
        joint_batch=False,
        rates=(2e-4, 1e-3),
        training=dataclasses.replace(infogan.training, parity_rate=0.03),
        about=infogan.about,
    )
    assert failure(spec, train, lambda s, p: backends.create(backend, s, p, dtype="float64")) is None
    old = 'noise[f"{which}category"]'
    assert failure(spec, train, with_text(backend, spec, old, f"{roll}({old}, 1, 1)")).name == "losses"


@pytest.mark.parametrize(
    ("texts", "model"),
    [
        # Flattened as H, W, C.
        (
            {
                "pytorch": ("return h.reshape(len(h), -1)", "return h.permute(0, 2, 3, 1).reshape(len(h), -1)"),
                "tensorflow": ("tf.reshape(to_nchw(h)", "tf.reshape(h"),
                "paddle": ("return h.flatten(1)", "return h.transpose([0, 2, 3, 1]).flatten(1)"),
                "jax": ("to_nchw(h).reshape", "h.reshape"),
            },
            "infogan_svhn",
        ),
        # Pixels in [0, 1] where they are in [-1, 1].
        (
            {
                "pytorch": ("torch.tanh(", "torch.sigmoid("),
                "tensorflow": ("tf.tanh(", "tf.sigmoid("),
                "paddle": ("paddle.tanh(", "F.sigmoid("),
                "jax": ("jnp.tanh(", "nnx.sigmoid("),
            },
            "infogan_svhn",
        ),
    ],
    ids=["flattening", "range"],
)
def test_a_mistake_in_colour(backend, train, texts, model):
    spec = get(model).training.twin
    assert failure(spec, train, with_text(backend, spec, *texts[backend])).name == "forward"


def test_an_unbiased_running_variance(backend, train, monkeypatch):
    """Planted in the oracle: PyTorch's nn.BatchNorm divides by n - 1 in what it keeps, and by n in what it uses."""
    real = Networks._batch_norm

    def batch_norm(self, layer, path, x):
        name, count = f"{path}.variance", x.size / x.shape[1]
        before = self.statistics[name]
        y = real(self, layer, path, x)
        if self.training:
            moved = self.statistics[name] - layer.momentum * before
            self.statistics[name] = layer.momentum * before + moved * count / (count - 1)
        return y

    spec = get("infogan").training.twin
    keep(spec, train)
    monkeypatch.setattr(Networks, "_batch_norm", batch_norm)
    found = against_a_planted_oracle(backend, spec, train)
    assert found.name == "one update"
    assert found.tensor.endswith(".variance") or found.tensor.endswith("() after")


class Swapped:
    """A column whose parameters go in and come out with two axes swapped: no shape and no round trip shows it."""

    def __init__(self, backend, spec, parameters, ndim):
        self.ndim = ndim
        self.column = backends.create(backend, spec, self.swap(parameters), dtype="float64")

    def __getattr__(self, name):
        return getattr(self.column, name)

    def swap(self, arrays):
        square = {n for n, v in arrays.items() if v.ndim == self.ndim and v.shape[-1] == v.shape[-2]}
        return {n: v.swapaxes(-1, -2) if n in square else v for n, v in arrays.items()}

    def parameters(self):
        return self.swap(self.column.parameters())


def test_a_kernel_with_height_and_width_swapped(backend, train):
    spec = get("conv_autoencoder")
    assert failure(spec, train, lambda s, p: Swapped(backend, s, p, ndim=4)).name == "forward"


def test_a_swapped_axis_of_a_square_matrix(backend, train):
    vae = get("vae")
    spec = vae_spec("square", 30, 30, "sum", vae.initial, vae.training, vae.about)

    assert failure(spec, train, lambda s, p: backends.create(backend, s, p, dtype="float64")) is None
    assert failure(spec, train, lambda s, p: Swapped(backend, s, p, ndim=2)).name == "forward"
