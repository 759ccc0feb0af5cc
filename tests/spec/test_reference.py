"""The oracle against closed forms, SciPy and finite differences."""

import math

import numpy as np
import pytest
from scipy import signal, special, stats

from common import parity
from common.noise import draw
from common.parameters import initial_parameters
from common.reference.adam import adam_update
from common.reference.column import Reference
from common.reference.finite_differences import directional_derivative
from common.reference.networks import Networks, apply
from common.reference.terms import bce_with_logits, sigmoid
from common.specs import get
from common.specs.records import RELU, SIGMOID, TANH, Adam, Conv, ConvTranspose, Dense, LeakyRelu, MaxPool

RANDOM = np.random.default_rng(0)


def test_dense_is_an_affine_map():
    layer, x = Dense("fc", 3, 2), RANDOM.normal(size=(5, 3))
    weight, bias = RANDOM.normal(size=(2, 3)), RANDOM.normal(size=2)
    expected = [[sum(weight[o, i] * row[i] for i in range(3)) + bias[o] for o in range(2)] for row in x]
    assert apply(layer, {"n.fc.weight": weight, "n.fc.bias": bias}, "n.fc", x) == pytest.approx(np.array(expected))


def test_activations():
    x = np.array([-2.0, 0.0, 3.0])
    assert apply(RELU, {}, "", x).tolist() == [0, 0, 3]
    assert apply(TANH, {}, "", x) == pytest.approx([math.tanh(v) for v in x])
    assert apply(SIGMOID, {}, "", x) == pytest.approx(special.expit(x), rel=1e-14)


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 0), (3, 3, 1), (3, 2, 1), (4, 2, 1), (2, 2, 0)])
def test_conv_against_scipy(kernel, stride, padding):
    layer, x = Conv("c", 2, 3, kernel, stride, padding), RANDOM.normal(size=(2, 2, 9, 8))
    weight, bias = RANDOM.normal(size=(3, 2, kernel, kernel)), RANDOM.normal(size=3)
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    expected = np.stack(
        [
            [
                sum(signal.correlate2d(image[i], weight[o, i], mode="valid") for i in range(2))[::stride, ::stride]
                + bias[o]
                for o in range(3)
            ]
            for image in padded
        ]
    )
    found = apply(layer, {"c.weight": weight, "c.bias": bias}, "c", x)
    assert found == pytest.approx(expected)
    assert found.shape[1:] == layer.output_shape(x.shape[1:])


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 2, 0), (5, 3, 1), (2, 2, 1), (4, 2, 1), (3, 1, 1)])
def test_conv_transpose_is_the_transpose_of_conv(kernel, stride, padding):
    """⟨Conv(u), v⟩ = ⟨u, ConvTranspose(v)⟩ with one and the same weight, without biases."""
    transposed = ConvTranspose("c", 3, 2, kernel, stride, padding)
    v = RANDOM.normal(size=(1, 3, 4, 5))
    weight = RANDOM.normal(size=(3, 2, kernel, kernel))
    back = apply(transposed, {"c.weight": weight, "c.bias": np.zeros(2)}, "c", v)
    assert back.shape[1:] == transposed.output_shape(v.shape[1:])
    u = RANDOM.normal(size=back.shape)
    forth = apply(Conv("c", 2, 3, kernel, stride, padding), {"c.weight": weight, "c.bias": np.zeros(3)}, "c", u)
    assert np.sum(forth * v) == pytest.approx(np.sum(u * back))


def test_conv_transpose_adds_its_bias():
    layer, zero = ConvTranspose("c", 1, 2, 3, 2, 0), np.zeros((1, 1, 2, 2))
    found = apply(layer, {"c.weight": np.ones((1, 2, 3, 3)), "c.bias": np.array([1.0, -2.0])}, "c", zero)
    assert np.array_equal(found, np.broadcast_to(np.array([1.0, -2.0])[:, None, None], (1, 2, 5, 5)))


def test_max_pool():
    x = np.arange(25.0).reshape(1, 1, 5, 5) * np.array([1, -1, 1, -1, 1])
    for stride, size in ((2, 2), (1, 4)):
        found = apply(MaxPool(2, stride), {}, "", x)
        expected = [
            [x[0, 0, i * stride : i * stride + 2, j * stride : j * stride + 2].max() for j in range(size)]
            for i in range(size)
        ]
        assert found[0, 0].tolist() == expected


def test_leaky_relu():
    assert apply(LeakyRelu(0.2), {}, "", np.array([-2.0, 0.0, 3.0])).tolist() == [-0.4, 0, 3]


def test_dropout_keeps_the_mean_and_is_off_without_masks():
    spec = get("gan")
    parameters = {name: np.zeros(shape) for name, shape in spec.parameter_shapes().items()}
    parameters["discriminator.fc2.bias"] += 1.0  # the last hidden layer is 1 everywhere
    parameters["discriminator.fc3.weight"] += 1 / 256
    discriminator, x = Networks(spec, parameters).discriminator, np.zeros((400, 784))
    assert discriminator(x).ravel() == pytest.approx(np.ones(400))
    mask = (RANDOM.uniform(size=(400, 256)) < 0.7).astype(float)
    dropped = discriminator(x, [np.ones((400, 1024)), np.ones((400, 512)), mask])
    assert dropped.ravel() == pytest.approx(mask.mean(axis=1) / 0.7)
    assert dropped.mean() == pytest.approx(1, abs=5 * np.sqrt(0.3 / 0.7 / mask.size))


def test_gan_losses_of_an_undecided_discriminator():
    """With all of D at zero it says ½ to everything: loss_d = 2 ln 2, loss_g = ln 2."""
    for name in ("gan", "gan_two_layer", "aae"):
        spec = get(name)
        column = Reference(spec, {n: np.zeros(s) for n, s in spec.parameter_shapes().items()})
        noise = draw(spec.noise, 4, 0, "training", 0)
        losses = column.losses(RANDOM.uniform(size=(4, 784)), noise)
        assert losses["loss_d"] == pytest.approx(2 * math.log(2), rel=1e-7)
        assert losses["loss_g"] == pytest.approx(math.log(2), rel=1e-7)
        assert losses.get("loss_r", math.log(2)) == pytest.approx(math.log(2))


def test_updates_run_in_order_and_move_only_their_networks(images):
    """D's update sees the old G; G's update sees the new D; neither moves the other."""
    spec = get("gan_two_layer")
    case = parity.Case(spec, images, steps=1)
    x, noise = case.first_batch()
    column, by_hand = Reference(spec, case.parameters()), dict(case.parameters())
    column.train_step(x, noise)
    for update in spec.updates:
        gradients = Reference(spec, by_hand).gradients(x, noise)
        for name in spec.parameter_shapes(update.networks):
            zero = np.zeros_like(by_hand[name])
            by_hand[name] = adam_update(update.adam, by_hand[name], gradients[f"{update.name}.{name}"], zero, zero, 1)[
                0
            ]
    for name, value in column.parameters().items():
        assert np.array_equal(value, by_hand[name])


def test_terms_against_scipy():
    logits, target = RANDOM.normal(size=100) * 5, RANDOM.uniform(size=100)
    p = special.expit(logits)
    assert sigmoid(logits) == pytest.approx(p, rel=1e-13)
    assert bce_with_logits(logits, target) == pytest.approx(
        -(special.xlogy(target, p) + special.xlog1py(1 - target, -p))
    )
    assert np.isfinite(bce_with_logits(np.array([-1e4, 1e4]), np.array([1.0, 0.0]))).all()


def test_kl_against_the_integral():
    """KL(N(m, s²) ‖ N(0, 1)) as an expectation over quantiles of N(m, s²), independent of the closed form."""
    mean, logvar = np.array([[0.7]]), np.array([[-0.4]])
    spec = get("vae")

    class Fixed(Networks):
        encoder = staticmethod(lambda x: {"mean": mean, "logvar": logvar})
        decoder = staticmethod(lambda z: np.zeros((1, 784)))

    kl = spec.losses(Fixed(spec, {}), np.zeros((1, 784)), {"epsilon": np.zeros((1, 1))})["kl"]
    q = stats.norm(0.7, math.exp(-0.2))
    points = q.ppf((np.arange(200_000) + 0.5) / 200_000)
    assert kl == pytest.approx(np.mean(q.logpdf(points) - stats.norm.logpdf(points)), rel=1e-3)


def test_vae_loss_of_constant_logits():
    """With all parameters zero every pixel costs ln 2 and the posterior is the prior."""
    for name, batch_factor in (("vae", 4), ("vae_z100", 1)):
        spec = get(name)
        column = Reference(spec, {n: np.zeros(s) for n, s in spec.parameter_shapes().items()})
        noise = {"epsilon": RANDOM.normal(size=(4, spec.options["latent"]))}
        losses = column.losses(RANDOM.uniform(size=(4, 784)), noise)
        assert losses["bce"] == pytest.approx(784 * math.log(2) * batch_factor)
        assert losses["kl"] == 0
        assert losses["loss"] == losses["bce"]


def test_autoencoder_loss_is_the_mean_over_all_elements():
    spec = get("autoencoder")
    column = Reference(spec, {n: np.zeros(s) for n, s in spec.parameter_shapes().items()})
    assert column.losses(np.full((5, 784), 0.5), {})["loss"] == pytest.approx(0.25)


def test_adam_against_the_closed_form():
    """A constant gradient g has corrected moments g and g², so every step moves by -lr·g / (|g| + ε)."""
    adam = Adam(learning_rate=0.1, beta1=0.9, beta2=0.999, epsilon=0.5, l2=0.0)
    parameter, gradient = np.array([1.0, -2.0]), np.array([0.3, -4.0])
    first = second = np.zeros(2)
    for step in range(1, 8):
        parameter, first, second = adam_update(adam, parameter, gradient, first, second, step)
    expected = np.array([1.0, -2.0]) - 7 * 0.1 * gradient / (np.abs(gradient) + 0.5)
    assert parameter == pytest.approx(expected, rel=1e-12)


def test_l2_is_added_to_the_gradient():
    plain = Adam(learning_rate=0.1, beta1=0.9, beta2=0.999, epsilon=0.5, l2=0.0)
    coupled = Adam(learning_rate=0.1, beta1=0.9, beta2=0.999, epsilon=0.5, l2=0.25)
    parameter, gradient, zero = np.array([2.0]), np.array([0.3]), np.zeros(1)
    expected = adam_update(plain, parameter, gradient + 0.25 * 2.0, zero, zero, 1)
    assert np.concatenate(adam_update(coupled, parameter, gradient, zero, zero, 1)) == pytest.approx(
        np.concatenate(expected)
    )


def test_finite_differences_of_a_known_function():
    at, direction = np.array([0.3, -1.2]), np.array([1.0, 0.5])
    slope = directional_derivative(lambda v: np.sum(np.sin(v)), at, direction)
    assert slope == pytest.approx(np.sum(np.cos(at) * direction), rel=1e-12)


def test_oracle_gradients_against_finite_differences(spec, images):
    case = parity.Case(spec, images)
    gradients = Reference(spec, case.parameters()).gradients(*case.first_batch())
    stage = parity.finite_difference_deviation(case, gradients)
    assert stage.passed, stage


def test_a_wrong_gradient_is_caught_by_finite_differences(images):
    case = parity.Case(get("vae"), images)
    gradients = Reference(case.spec, case.parameters()).gradients(*case.first_batch())
    gradients["train.encoder.logvar.bias"] = gradients["train.encoder.logvar.bias"] * (1 + 1e-6)
    stage = parity.finite_difference_deviation(case, gradients)
    assert (stage.passed, stage.tensor) == (False, "train.encoder.logvar.bias")


def test_restore_continues_exactly(spec, images):
    case = parity.Case(spec, images, steps=6)
    whole, first, second = (Reference(spec, initial_parameters(spec, 0)) for _ in range(3))
    for column in (whole, first, second):
        column.upload(images)
    noise = case.noise()
    whole.train_steps(case.indices(), noise)
    first.train_steps(case.indices()[:3], {name: value[:3] for name, value in noise.items()})
    second.restore(first.parameters(), first.moments(), first.step)
    second.train_steps(case.indices()[3:], {name: value[3:] for name, value in noise.items()})
    for name, value in whole.parameters().items():
        assert np.array_equal(value, second.parameters()[name])
