"""The oracle against closed forms, SciPy and the complex step."""

import dataclasses
import math

import numpy as np
import pytest
from autograd import grad
from autograd.test_util import check_grads
from scipy import signal, special, stats

from common import parity
from common.contract import Snapshot
from common.noise import draw
from common.parameters import initial_parameters
from common.reference.adam import adam_update
from common.reference.column import Reference
from common.reference.complex_step import directional_derivative
from common.reference.convolution import correlate, transposed
from common.reference.momentum import momentum_update
from common.reference.networks import Networks, apply
from common.reference.rmsprop import rmsprop_update
from common.reference.terms import bce_with_logits, log_softmax, sigmoid
from common.specs import get
from common.specs.infogan import information
from common.specs.layers import (
    RELU,
    SIGMOID,
    TANH,
    BatchNorm,
    Conv,
    ConvTranspose,
    Dense,
    LeakyRelu,
    MaxPool,
    Network,
    Reshape,
)
from common.specs.records import Adam, AdamEpsilonHat, Momentum, RMSProp, Steps

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


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "more"),
    [(3, 2, 0, 0), (5, 3, 1, 0), (2, 2, 1, 0), (4, 2, 1, 0), (3, 1, 1, 0), (5, 2, 2, 1), (3, 3, 0, 2)],
)
def test_conv_transpose_is_the_transpose_of_conv(kernel, stride, padding, more):
    """⟨Conv(u), v⟩ = ⟨u, ConvTranspose(v)⟩ with one and the same weight, without biases."""
    transposed = ConvTranspose("c", 3, 2, kernel, stride, padding, output_padding=more)
    v = RANDOM.normal(size=(1, 3, 4, 5))
    weight = RANDOM.normal(size=(3, 2, kernel, kernel))
    back = apply(transposed, {"c.weight": weight, "c.bias": np.zeros(2)}, "c", v)
    assert back.shape[1:] == transposed.output_shape(v.shape[1:])
    u = RANDOM.normal(size=back.shape)
    forth = apply(Conv("c", 2, 3, kernel, stride, padding), {"c.weight": weight, "c.bias": np.zeros(3)}, "c", u)
    assert np.sum(forth * v) == pytest.approx(np.sum(u * back))


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "side"), [(3, 1, 0, 5), (4, 2, 1, 7), (5, 2, 2, 6), (3, 3, 1, 8)]
)
def test_derivatives_of_the_convolutions(kernel, stride, padding, side):
    """Against central differences, which are exact of what is linear; also where the last pixels are seen by no window."""
    random = np.random.default_rng(0)
    x, weight = random.normal(size=(2, 3, side, side + 1)), random.normal(size=(4, 3, kernel, kernel))
    check_grads(lambda x, weight: correlate(x, weight, stride, padding), modes=["rev"], order=1)(x, weight)
    y = random.normal(size=correlate(x, weight, stride, padding).shape)
    check_grads(lambda y, weight: transposed(y, weight, stride, padding, x.shape[2:]), modes=["rev"], order=1)(
        y, weight
    )


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
    discriminator, x = Networks(spec, parameters, {}, training=True).discriminator, np.zeros((400, 784))
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
        losses = column.losses({"images": RANDOM.uniform(size=(4, 784))}, noise)
        assert losses["loss_d"] == pytest.approx(2 * math.log(2), rel=1e-7)
        assert losses["loss_g"] == pytest.approx(math.log(2), rel=1e-7)
        assert losses.get("loss_r", math.log(2)) == pytest.approx(math.log(2))


def test_losses_of_an_undecided_model_with_few_labels():
    """With all at zero: both discriminators say ½, a pixel is ½, and a class is one of ten."""
    spec = get("aae_few_labels").training.twin
    column = Reference(spec, {n: np.zeros(s) for n, s in spec.parameter_shapes().items()})
    images = RANDOM.uniform(size=(4, 784))
    inputs = {"images": images, "labelled_images": images[:3], "labels": np.eye(10)[[3, 3, 7]]}
    noise = draw(spec.noise, 4, 0, "training", 0)
    noise |= {f"supervised_mask{k}": noise[f"supervised_mask{k}"][:3] for k in range(2)}
    losses = column.losses(inputs, noise)
    expected = {"loss_r": 1, "loss_d": 4, "loss_d_style": 2, "loss_d_category": 2, "loss_g": 2}
    expected = {name: times * math.log(2) for name, times in expected.items()} | {"loss_s": math.log(10)}
    assert losses == pytest.approx(expected, rel=1e-6)
    assert column.forward(inputs, noise)["category"] == pytest.approx(np.full((4, 10), 0.1))


def test_updates_run_in_order_and_move_only_their_networks(train):
    """D's update sees the old G; G's update sees the new D; neither moves the other."""
    spec = get("gan_two_layer")
    case = parity.Case(spec, train, steps=1)
    inputs, noise = case.first_batch()
    column, by_hand = Reference(spec, case.parameters()), dict(case.parameters())
    column.train_step(inputs, noise)
    for update in spec.updates:
        gradients = Reference(spec, by_hand).gradients(inputs, noise)
        for name in spec.parameter_shapes(update.networks):
            zero = np.zeros_like(by_hand[name])
            by_hand[name] = adam_update(
                update.optimizer, by_hand[name], gradients[f"{update.name}.{name}"], zero, zero, 1
            )[0]
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

    kl = spec.losses(Fixed(spec, {}, {}, training=True), {"images": np.zeros((1, 784))}, {"epsilon": np.zeros((1, 1))})[
        "kl"
    ]
    q = stats.norm(0.7, math.exp(-0.2))
    points = q.ppf((np.arange(200_000) + 0.5) / 200_000)
    assert kl == pytest.approx(np.mean(q.logpdf(points) - stats.norm.logpdf(points)), rel=1e-3)


def test_vae_loss_of_constant_logits():
    """With all parameters zero every pixel costs ln 2 and the posterior is the prior."""
    for name, batch_factor in (("vae", 4), ("vae_z100", 1)):
        spec = get(name)
        column = Reference(spec, {n: np.zeros(s) for n, s in spec.parameter_shapes().items()})
        noise = {"epsilon": RANDOM.normal(size=(4, spec.options["latent"]))}
        losses = column.losses({"images": RANDOM.uniform(size=(4, 784))}, noise)
        assert losses["bce"] == pytest.approx(784 * math.log(2) * batch_factor)
        assert losses["kl"] == 0
        assert losses["loss"] == losses["bce"]


def test_autoencoder_loss_is_the_mean_over_all_elements():
    spec = get("autoencoder")
    column = Reference(spec, {n: np.zeros(s) for n, s in spec.parameter_shapes().items()})
    assert column.losses({"images": np.full((5, 784), 0.5)}, {})["loss"] == pytest.approx(0.25)


def test_adam_against_the_closed_form():
    """A constant gradient g has corrected moments g and g², so every step moves by -lr·g / (|g| + ε)."""
    adam = Adam(learning_rate=0.1, beta1=0.9, beta2=0.999, epsilon=0.5, l2=0.0)
    parameter, gradient = np.array([1.0, -2.0]), np.array([0.3, -4.0])
    first = second = np.zeros(2)
    for step in range(1, 8):
        parameter, first, second = adam_update(adam, parameter, gradient, first, second, step)
    expected = np.array([1.0, -2.0]) - 7 * 0.1 * gradient / (np.abs(gradient) + 0.5)
    assert parameter == pytest.approx(expected, rel=1e-12)


def test_momentum_against_the_closed_form():
    """Of a constant gradient g the velocity after t updates is g·(1 - μᵗ) / (1 - μ); what was gathered at one rate is used at
    the next."""
    momentum = Momentum(learning_rate=0.1, momentum=0.9, steps=Steps(at=(3, 5), factors=(0.5, 0.1)))
    parameter, velocity, gradient = np.array([1.0, -2.0]), np.zeros(2), np.array([0.3, -4.0])
    for step in range(1, 8):
        parameter, velocity = momentum_update(momentum, parameter, gradient, velocity, step)
    rates = [0.1, 0.1, 0.1, 0.05, 0.05, 0.005, 0.005]
    moved = sum(rate * (1 - 0.9**t) / 0.1 for t, rate in enumerate(rates, 1))
    assert velocity == pytest.approx(gradient * (1 - 0.9**7) / 0.1, rel=1e-12)
    assert parameter == pytest.approx(np.array([1.0, -2.0]) - moved * gradient, rel=1e-12)


def test_rmsprop_against_the_closed_form():
    """Of a constant gradient g the mean square after t updates is g²·(1 - ρᵗ)."""
    rmsprop = RMSProp(learning_rate=0.1, decay=0.9, epsilon=0.5)
    parameter, square, gradient = np.array([1.0, -2.0]), np.zeros(2), np.array([0.3, -4.0])
    for step in range(1, 8):
        parameter, square = rmsprop_update(rmsprop, parameter, gradient, square, step)
    roots = np.abs(gradient)[:, None] * np.sqrt(1 - 0.9 ** np.arange(1, 8))
    assert square == pytest.approx(gradient**2 * (1 - 0.9**7), rel=1e-12)
    assert parameter == pytest.approx(
        np.array([1.0, -2.0]) - 0.1 * (gradient[:, None] / (roots + 0.5)).sum(axis=1), rel=1e-12
    )


def test_adam_with_epsilon_hat():
    """The first step of a gradient g is -lr·g / (|g| + ε̂ / √(1 - β2)): there √v is √(1 - β2)·|g|."""
    adam = AdamEpsilonHat(learning_rate=0.1, beta1=0.9, beta2=0.999, epsilon=0.5, l2=0.0)
    gradient, zero = np.array([0.3, -4.0]), np.zeros(2)
    parameter, _, _ = adam_update(adam, np.array([1.0, -2.0]), gradient, zero, zero, 1)
    expected = np.array([1.0, -2.0]) - 0.1 * gradient / (np.abs(gradient) + 0.5 / math.sqrt(0.001))
    assert parameter == pytest.approx(expected, rel=1e-12)


def test_adam_with_epsilon_hat_is_algorithm_1_with_another_epsilon_a_step():
    settings = {"learning_rate": 0.1, "beta1": 0.9, "beta2": 0.999, "l2": 0.25}
    hat, found, expected = AdamEpsilonHat(**settings, epsilon=1e-3), *[(np.ones(2), np.zeros(2), np.zeros(2))] * 2
    for step in range(1, 6):
        gradient = RANDOM.normal(size=2) * 1e-3
        plain = Adam(**settings, epsilon=1e-3 / math.sqrt(1 - 0.999**step))
        found = adam_update(hat, found[0], gradient, *found[1:], step)
        expected = adam_update(plain, expected[0], gradient, *expected[1:], step)
    assert np.concatenate(found) == pytest.approx(np.concatenate(expected), rel=1e-13)


def test_l2_is_added_to_the_gradient():
    plain = Adam(learning_rate=0.1, beta1=0.9, beta2=0.999, epsilon=0.5, l2=0.0)
    coupled = Adam(learning_rate=0.1, beta1=0.9, beta2=0.999, epsilon=0.5, l2=0.25)
    parameter, gradient, zero = np.array([2.0]), np.array([0.3]), np.zeros(1)
    expected = adam_update(plain, parameter, gradient + 0.25 * 2.0, zero, zero, 1)
    assert np.concatenate(adam_update(coupled, parameter, gradient, zero, zero, 1)) == pytest.approx(
        np.concatenate(expected)
    )


def test_complex_step_of_a_known_function():
    at, direction = np.array([0.3, -1.2]), np.array([1.0, 0.5])
    slope = directional_derivative(lambda v: np.sum(np.sin(v)), at, direction)
    assert slope == pytest.approx(np.sum(np.cos(at) * direction), rel=1e-15)


def test_oracle_gradients_against_the_complex_step(spec, train):
    # Every tensor of every update; more images, and more channels than a twin's, are more of the same.
    case = parity.Case(spec.training.twin or spec, train, batch=4)
    gradients = Reference(case.spec, case.parameters()).gradients(*case.first_batch())
    stage = parity.slope_deviation(parity.slopes(case), gradients)
    assert stage.passed, stage


def test_a_wrong_gradient_is_caught_by_the_complex_step(train):
    case = parity.Case(get("vae"), train)
    gradients = Reference(case.spec, case.parameters()).gradients(*case.first_batch())
    gradients["train.encoder.logvar.bias"] = gradients["train.encoder.logvar.bias"] * (1 + 1e-10)
    stage = parity.slope_deviation(parity.slopes(case), gradients)
    assert (stage.passed, stage.tensor) == (False, "train.encoder.logvar.bias")


def test_slopes_at_a_kink_are_those_of_the_left():
    """At exactly 0 a ReLU has slope 0 and a leaky one its own, in the gradient and in the complex step."""
    at, one = np.zeros(1), np.ones(1)
    for layer, slope in ((RELU, 0.0), (LeakyRelu(0.1), 0.1)):
        assert directional_derivative(lambda v, layer=layer: np.sum(apply(layer, {}, "", v)), at, one) == slope
        assert grad(lambda v, layer=layer: np.sum(apply(layer, {}, "", v)))(at) == slope


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 3, 2)])
def test_batch_norm(shape):
    """Training: every feature gets mean bias and deviation weight. The running statistics move by a tenth."""
    spec = _one_batch_norm(shape[1:])
    parameters = {"net.bn.weight": RANDOM.uniform(1, 2, 5), "net.bn.bias": RANDOM.normal(size=5)}
    before = {"net.bn.mean": RANDOM.normal(size=5), "net.bn.variance": RANDOM.uniform(1, 2, 5)}
    x = RANDOM.normal(3, 4, size=shape)
    networks = Networks(spec, parameters, before, training=True)
    y, others = networks.net(x), (0, *range(2, x.ndim))
    assert y.mean(axis=others) == pytest.approx(parameters["net.bn.bias"])
    shrunk = np.sqrt(x.var(axis=others) / (x.var(axis=others) + 1e-5))
    assert y.std(axis=others) == pytest.approx(parameters["net.bn.weight"] * shrunk, rel=1e-12)
    assert networks.statistics["net.bn.mean"] == pytest.approx(0.9 * before["net.bn.mean"] + 0.1 * x.mean(axis=others))
    biased = 0.9 * before["net.bn.variance"] + 0.1 * x.var(axis=others)  # NumPy divides by n
    assert networks.statistics["net.bn.variance"] == pytest.approx(biased, rel=1e-12)


def test_a_bias_before_a_batch_norm_is_moved_by_rounding_errors():
    """Its gradient is 0 but for rounding, and Adam makes full steps of it: hence no such bias in any model."""
    layers = (Dense("fc", 3, 5), BatchNorm("bn", 5, epsilon=1e-5, momentum=0.9))
    spec = dataclasses.replace(get("vae"), networks=(Network("net", (3,), layers),), updates=())
    parameters = {name: RANDOM.normal(size=shape) for name, shape in spec.parameter_shapes().items()}
    statistics, x = Snapshot.start(spec, parameters).statistics, RANDOM.normal(size=(8, 3))

    def loss(bias):
        networks = Networks(spec, {**parameters, "net.fc.bias": bias}, statistics, training=True)
        return 1e6 * np.sum(networks.net(x) ** 3)

    gradient, zero = grad(loss)(parameters["net.fc.bias"]), np.zeros(5)
    assert np.abs(gradient).max() < 1e-16 * 1e6 * 8 * 100
    adam = Adam(learning_rate=0.1, beta1=0.9, beta2=0.999, epsilon=1e-30, l2=0.0)
    moved, _, _ = adam_update(adam, zero, gradient, zero, zero, 1)
    assert np.abs(moved).max() == pytest.approx(0.1)


def test_batch_norm_in_evaluation_is_an_affine_map():
    spec, x = _one_batch_norm((5,)), RANDOM.normal(size=(3, 5))
    statistics = {"net.bn.mean": np.full(5, 2.0), "net.bn.variance": np.full(5, 4.0 - 1e-5)}
    networks = Networks(spec, {"net.bn.weight": np.full(5, 3.0), "net.bn.bias": np.ones(5)}, statistics, training=False)
    assert networks.net(x) == pytest.approx((x - 2) / 2 * 3 + 1)
    assert networks.statistics == statistics


def _one_batch_norm(shape):
    network = Network("net", shape, (BatchNorm("bn", 5, epsilon=1e-5, momentum=0.9),))
    return dataclasses.replace(get("vae"), networks=(network,), updates=())


def test_reshape_reads_channels_first():
    image = RANDOM.normal(size=(2, 3, 4, 5))
    flat = apply(Reshape((60,)), {}, "", image)
    assert flat[1, 1 * 20 + 2 * 5 + 3] == image[1, 1, 2, 3]
    assert np.array_equal(apply(Reshape((3, 4, 5)), {}, "", flat), image)


def test_log_softmax_against_scipy():
    logits = RANDOM.normal(size=(4, 10)) * 300  # no overflow
    assert log_softmax(logits) == pytest.approx(special.log_softmax(logits, axis=1))


def test_infogan_losses_of_a_silent_recognition():
    """With D and Q at zero: D says ½, Q's categories are uniform (L_I = 0) and its codes standard normal densities."""
    spec = get("infogan")
    parameters = initial_parameters(spec, 0)
    parameters |= {n: np.zeros(s) for n, s in spec.parameter_shapes(("discriminator", "recognition")).items()}
    noise = draw(spec.noise, 4, 0, "training", 0)
    losses = Reference(spec, parameters).losses({"images": RANDOM.uniform(size=(4, 1, 28, 28))}, noise)
    assert losses["loss_d"] == pytest.approx(2 * math.log(2))
    assert losses["loss_g"] == pytest.approx(math.log(2))
    assert losses["info_c1"] == pytest.approx(0, abs=1e-12)
    for which, objective, loss in (("discriminator", "objective_d", "loss_d"), ("generator", "objective_g", "loss_g")):
        logpdf = stats.norm.logpdf(noise[f"{which}_codes"]) + math.log(2 * math.pi) / 2  # constants are dropped
        assert losses[objective] == pytest.approx(losses[loss] - 0.1 * logpdf.mean(axis=0).sum())
        if which == "discriminator":
            assert [losses["info_c2"], losses["info_c3"]] == pytest.approx(logpdf.mean(axis=0))


def test_information_of_a_perfect_recognition_is_ln_10():
    category = np.eye(10)
    recognized = {"category": 100 * category, "mean": np.zeros((10, 2)), "logstd": np.full((10, 2), np.log(0.5))}
    codes = np.tile([[0.0, 0.5]], (10, 1))
    spec = get("infogan")
    networks = Networks(spec, {}, {}, training=True)
    bound, info = information(networks, recognized, {"category": category, "codes": codes}, "")
    assert info["info_c1"] == pytest.approx(math.log(10))
    # log N(c; 0, ½²) without the constant: ln 2, and half less one deviation away
    assert (info["info_c2"], info["info_c3"]) == pytest.approx((math.log(2), math.log(2) - 0.5))
    assert bound == pytest.approx(math.log(10) + 0.1 * (2 * math.log(2) - 0.5))


def test_the_bound_of_several_categories_and_codes():
    """Each code's own: where Q knows category 1, and nothing of the others, it is ln 20 nats, and 0. Of the continuous code,
    known exactly with a deviation of ½, ln 2."""
    spec = get("infogan_chairs")
    category, codes = np.eye(20)[np.arange(60).reshape(20, 3) % 20], np.linspace(-1, 1, 20)[:, None]
    logits = np.stack([np.zeros((20, 20)), 100 * category[:, 1], np.zeros((20, 20))], axis=1)
    recognized = {"category": logits.reshape(20, 60), "mean": codes, "logstd": np.full((20, 1), np.log(0.5))}
    networks = Networks(spec, {}, {}, training=True)
    bound, info = information(networks, recognized, {"category": category, "codes": codes}, "")
    assert list(info) == ["info_c1", "info_c2", "info_c3", "info_c4"]
    assert list(info.values()) == pytest.approx([0, math.log(20), 0, math.log(2)], abs=1e-12)
    assert bound == pytest.approx(math.log(20) + 10 * math.log(2))


def test_codes_of_one_kind_alone(train):
    """Faces have no category, and celebrities no continuous code."""
    for name, size, count in (("infogan_faces", 5, 5), ("infogan_celeba", 100, 10)):
        case = parity.Case(get(name).training.twin, train, batch=4, steps=0)
        column = Reference(case.spec, case.parameters())
        inputs, noise = case.first_batch()
        assert column.encode(inputs).shape == (4, size)
        losses = column.losses(inputs, noise)
        assert sum(key.startswith("info_c") for key in losses) == count


def test_the_losses_of_vae_gan_where_nothing_is_known(train):
    """With all weights 0: z is ε, every logit 0 and every probability ½, Dis_l says the same of every image."""
    spec = get("vae_gan_mnist").training.twin
    case = parity.Case(spec, train, batch=4, steps=0)
    column = Reference(spec, {name: 0 * value for name, value in case.parameters().items()})
    losses = column.losses(*case.first_batch())
    assert (losses["prior"], losses["likelihood"], losses["score_fake"]) == (0, 0, 0.5)
    assert losses["loss_d"] == pytest.approx(3 * math.log(2))
    assert losses["objective_decoder"] == pytest.approx(-3 * math.log(2))


def test_simultaneous_updates_use_the_gradients_from_before_any_of_them(train):
    spec = get("vae_gan_mnist").training.twin
    case = parity.Case(spec, train, batch=4, steps=0)
    column, before = Reference(spec, case.parameters()), case.parameters()
    inputs, noise = case.first_batch()
    gradients = column.gradients(inputs, noise)
    column.train_step(inputs, noise)
    for name, value in column.parameters().items():
        (owner,) = [update for update in spec.updates if name.split(".")[0] in update.networks]
        gradient = gradients[f"{owner.name}.{name}"]
        moved, square = rmsprop_update(owner.optimizer, before[name], gradient, 0 * gradient, 1)
        assert np.array_equal(value, moved)
        assert np.array_equal(column.moments()[f"{owner.name}.square.{name}"], square)


def test_restore_continues_exactly(spec, train):
    spec = spec.training.twin or spec
    case = parity.Case(spec, train, batch=4, steps=4)
    parameters = case.parameters()
    whole, first, second = (Reference(spec, parameters) for _ in range(3))
    for column in (whole, first, second):
        column.upload(case.data)
    indices, noise = case.indices(), case.noise()
    whole.train_steps(indices, noise)
    for column, part in ((first, slice(0, 2)), (second, slice(2, 4))):
        column.train_steps(*({name: value[part] for name, value in given.items()} for given in (indices, noise)))
        if column is first:
            second.restore(Snapshot.of(first))
    for name, value in whole.parameters().items():
        assert np.array_equal(value, second.parameters()[name])


def test_the_oracle_draws_native_noise(train):
    """Of (seed, step) alone: what it draws in its steps is what it says that it would draw."""
    spec = get("gan_two_layer")
    indices = parity.Case(spec, train, steps=4).indices()
    native, replayed = (Reference(spec, initial_parameters(spec, 0), seed=3) for _ in range(2))
    for column in (native, replayed):
        column.upload(train)
    noise = replayed.native_noise(4, 16)
    native.train_steps({name: rows[:2] for name, rows in indices.items()})
    native.train_steps({name: rows[2:] for name, rows in indices.items()})
    replayed.train_steps(indices, noise)
    for name, value in native.parameters().items():
        assert np.array_equal(value, replayed.parameters()[name])
    assert not np.array_equal(noise["z"], Reference(spec, initial_parameters(spec, 0), seed=4).native_noise(4, 16)["z"])
