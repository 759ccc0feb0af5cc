"""The comparison itself: what it must notice, it notices."""

import dataclasses

import numpy as np
import pytest
from autograd import grad
from autograd import numpy as anp

from common import parity
from common.reference import column as reference
from common.reference.column import Reference
from common.reference.convolution import correlate, of_weight, transposed
from common.reference.networks import Networks, over_places, per_feature
from common.reference.rounding import Errors, Inexact, InexactReference
from common.specs import get
from common.specs.records import Adam, LeakyRelu


@pytest.fixture(scope="module")
def case(train):
    return parity.Case(get("vae_z100"), train, batch=4, steps=3)


@pytest.fixture(scope="module")
def truth(case):
    return parity.truth(case, "float64")


def test_the_oracle_agrees_with_itself(case, truth):
    found = parity.collect(Reference(case.spec, case.parameters()), case, "float64")
    stages = parity.compare(truth, found, "float64")
    assert [stage.name for stage in stages] == list(parity.STAGES)
    assert all(stage.passed and stage.deviation == 0 for stage in stages)


@pytest.mark.parametrize("stage", parity.STAGES)
def test_a_deviation_is_named(case, truth, stage):
    found = parity.expected(case, "float64")
    name = list(found[stage])[1 if stage != "parameters" else 0]
    found[stage][name] = found[stage][name] * (1 + 1e-6)
    failed = parity.first_failure(parity.compare(truth, found, "float64"))
    assert (failed.name, failed.tensor) == (stage, name)
    assert failed.deviation == pytest.approx(1e-6, rel=1e-3)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda a: a.astype(np.float32), "dtype float32, expected float64"),
        (lambda a: a.T, "shape (784, 128), expected (128, 784)"),
        (lambda a: np.full_like(a, np.nan), ""),
    ],
)
def test_dtype_shape_and_nan_fail(case, truth, change, problem):
    found = parity.expected(case, "float64")
    found["parameters"]["encoder.fc0.weight"] = change(found["parameters"]["encoder.fc0.weight"])
    failed = parity.first_failure(parity.compare(truth, found, "float64"))
    assert (failed.name, failed.tensor, failed.problem) == ("parameters", "encoder.fc0.weight", problem)
    assert failed.deviation == float("inf")


def test_missing_unexpected_and_reordered_names_fail(case, truth):
    found = parity.expected(case, "float64")
    found["gradients"]["train.extra"] = found["gradients"].pop("train.encoder.fc0.bias")
    failed = parity.first_failure(parity.compare(truth, found, "float64"))
    assert failed.problem == "missing ['train.encoder.fc0.bias'], unexpected ['train.extra']"
    found = parity.expected(case, "float64")
    found["gradients"] = dict(reversed(found["gradients"].items()))
    assert parity.first_failure(parity.compare(truth, found, "float64")).problem == "names in another order"


def test_a_missing_stage_fails(case, truth):
    found = parity.expected(case, "float64")
    del found["many updates"]
    assert parity.first_failure(parity.compare(truth, found, "float64")).name == "many updates"


def test_deviation():
    assert parity.deviation(np.array([3.0, 4.0]), np.array([3.0, 4.5])) == pytest.approx(0.1)
    assert parity.deviation(np.zeros(2), np.zeros(2)) == 0
    assert parity.deviation(np.zeros(2), np.array([0, 1e-100])) == float("inf")


# ------------------------------------------------------------------------------------------------ bars


def inexact(values, error=1e-3, seed=0):
    array = np.asarray(values, np.float64).view(Inexact)
    array.errors = Errors(error, seed)
    return array


def test_every_operation_is_off_by_its_error_and_no_more():
    values = np.linspace(0.1, 3, 1000)
    error = np.asarray(np.exp(inexact(values))) / np.exp(values) - 1
    assert np.abs(error).max() <= 1e-3
    assert error.std() == pytest.approx(1e-3 / np.sqrt(3), rel=0.1)  # uniform
    assert len(np.unique(np.exp(inexact(np.full(5, 0.7))))) == 1  # equal numbers are rounded equally
    assert np.asarray(-inexact(values) == -values).all()
    assert not np.any(np.asarray(inexact(np.zeros(3)) * 2.0))


@pytest.mark.parametrize("product", [np.matmul, np.dot, lambda a, b: np.tensordot(a, b, axes=((1,), (0,)))])
def test_a_product_is_off_as_its_partial_sums_are(product):
    """Terms of one sign: partial sums as large as the sum, times 1 + √256 / 4 = 5. Terms that cancel: their root
    sum of squares, however small the sum."""
    weights = np.random.default_rng(1).uniform(0.5, 1.5, (256, 300))
    error = np.asarray(product(inexact(np.ones((1, 256))), weights)) / weights.sum(axis=0) - 1
    assert 4e-3 < np.abs(error).max() <= 5.01e-3
    weights = np.tile([1.0, -1.0], 128)[:, None] + np.zeros((256, 300)) + np.arange(300) * 1e-9
    error = np.asarray(product(inexact(np.ones((1, 256))), weights)) - weights.sum(axis=0)
    assert 4e-3 * 16 < np.abs(error).max() <= 5.01e-3 * 16


@pytest.mark.parametrize("kind", [correlate, transposed, of_weight])
def test_a_convolution_is_off_as_its_partial_sums_are(kind):
    """Chains of 64 products at each place of a 5 × 5 kernel, and one of the 25 places; of a weight one chain over all places of
    the images."""
    random = np.random.default_rng(0)
    x, y = random.uniform(0.5, 1.5, (2, 64, 12, 12)), random.uniform(0.5, 1.5, (2, 64, 8, 8))
    weight = random.uniform(0.5, 1.5, (64, 64, 5, 5))
    operands = {correlate: (x, weight, 1, 0), transposed: (y, weight, 1, 0, (12, 12)), of_weight: (x, y, 1, 0, 5)}[kind]
    error = np.asarray(kind(inexact(operands[0]), *operands[1:])) / kind(*operands) - 1
    times = 1 + (2 * 8 * 8) ** 0.5 / 4 if kind is of_weight else 1 + (64**0.5 + 5) / 4
    assert 0.9e-3 * times < np.abs(error).max() <= 1.001e-3 * times


def test_an_update_leaves_the_operations_inexact(case):
    """The bars of many updates are those of the passes of all updates, not of the first alone."""
    column = InexactReference(case.spec, case.parameters(), dtype="float64", error=1e-9, seed=0)
    errors = []
    for _ in range(2):
        exact = Reference(case.spec, {name: np.array(value) for name, value in column.parameters().items()})
        expected, found = (one.gradients(*case.first_batch()) for one in (exact, column))
        errors.append(parity.largest_deviation(expected, found)[0])
        column.train_step(*case.first_batch())
    assert 1e-9 < errors[0] < 1e-6
    assert errors[0] / 10 < errors[1] < 10 * errors[0]


def test_two_columns_may_each_be_a_bar_away(case, truth):
    losses, bar = truth.results["losses"], truth.bars["losses"]["loss"].tolerance

    def moved(bars):
        return losses | {"loss": np.asarray(losses["loss"]) * (1 + bars * bar)}

    between = truth.between(truth.results | {"losses": moved(-0.9)})
    assert parity.compare_stage("losses", truth, moved(-0.9), "float64").passed
    assert parity.compare_stage("losses", truth, moved(0.9), "float64").passed
    assert parity.compare_stage("losses", between, moved(0.9), "float64").passed
    assert not parity.compare_stage("losses", between, moved(1.3), "float64").passed


def test_bars_are_roundings(case, truth):
    """Some multiples of one rounding, and for the difference of large terms more: 1 - 0.999 alone makes 1e3 roundings."""
    single = parity.truth(dataclasses.replace(case, steps=0), "float32")
    for found, dtype in ((truth, "float64"), (single, "float32")):
        assert all(bar.tolerance == 0 for bar in found.bars["parameters"].values())
        for stage in parity.STAGES[1:4]:
            tolerances = [bar.tolerance for bar in found.bars[stage].values()]
            assert min(tolerances) >= 16 * parity.ROUNDING[dtype]
            assert max(tolerances) <= 200 * 16 * parity.ROUNDING[dtype]
        assert max(bar.tolerance for bar in found.bars["one update"].values()) <= parity.CEILING[dtype]


def test_the_bars_cover_a_small_difference_of_large_terms(train):
    """InfoGAN's L_I(c1) at the start is 1e-2 of its terms: on an AVX2 processor it is off by 1.18e-5 in float32."""
    case = parity.Case(get("infogan").calmed(), train, steps=0)
    exact = Reference(case.spec, case.parameters()).losses(*case.first_batch())["info_c1"]
    column = InexactReference(case.spec, case.parameters(), dtype="float32", error=2.0**-20, seed=(0, 0))
    assert 1.18e-5 < parity.deviation(np.array(exact), column.losses(*case.first_batch())["info_c1"]) < 1e-3


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_bar_of_a_few_numbers_is_not_left_to_chance(train, dtype):
    """The three of the code's bias, in each of the draws nearer to the oracle than the weights before them."""
    bars = parity.truth(parity.Case(get("autoencoder").calmed(), train, steps=0), dtype).bars
    for stage, name in (("gradients", "train.encoder.fc3.bias"), ("one update", "train.first.encoder.fc3.bias")):
        assert bars[stage][name].tolerance >= bars[stage][name.replace("bias", "weight")].tolerance


def test_a_bar_above_the_ceiling_proves_nothing(case, truth):
    bars = truth.bars | {"losses": dict.fromkeys(truth.bars["losses"], parity.Bar(2e-10))}
    found = parity.expected(case, "float64")
    failed = parity.first_failure(parity.compare(dataclasses.replace(truth, bars=bars), found, "float64"))
    assert failed.name == "losses"
    assert "rounding alone may move it" in failed.problem


@pytest.mark.parametrize(("bar", "passes"), [(0.9e-10, True), (1.1e-10, False)])
def test_the_ceiling_of_two_columns_is_twice_that_of_one(truth, bar, passes):
    """As their bar is: a tensor that proves enough of each is not to fail between them."""
    raised = dataclasses.replace(
        truth, bars=truth.bars | {"losses": dict.fromkeys(truth.bars["losses"], parity.Bar(bar))}
    )
    for judge in (raised, raised.between(truth.results)):
        assert parity.compare_stage("losses", judge, truth.results["losses"], "float64").passed == passes


def test_nan_fails_the_complex_step(case):
    slopes = parity.slopes(case)
    gradients = Reference(case.spec, case.parameters()).gradients(*case.first_batch())
    assert parity.slope_deviation(slopes, gradients).passed
    for name in (next(iter(gradients)), list(gradients)[-1]):
        found = gradients | {name: np.full_like(gradients[name], np.nan)}
        stage = parity.slope_deviation(slopes, found)
        assert (stage.passed, stage.tensor) == (False, name)


def test_what_to_make_of_a_failure():
    single = parity.Stage("losses", 1e-4, "kl", 1e-5)
    double = parity.Stage("losses", 1e-2, "kl", 1e-14)
    assert "float64 agrees: a matter of rounding; report it" in parity.reading(single, "float32", None)
    assert "float64 differs as well (stage 'losses'): a mistake" in parity.reading(single, "float32", double)
    assert "a mistake" in parity.reading(double, "float64", double)
    assert "in float32" in parity.reading(parity.Stage("losses", 1e-8, "kl", 1e-14), "float64", None)
    assert parity.reading(single, "float32", None).startswith("1.6e+02 times its expected rounding error")


@pytest.mark.parametrize("flip_at", [16, 1])
def test_units_that_flip_turn_a_few_first_steps_around(case, flip_at, monkeypatch):
    """Where flips make most of the gradients, but not of what follows, a ten-thousandth of a weight's elements may take its first
    step the wrong way: InfoGAN for celebrities has two of 1.8 million that do. Also where single roundings already have a flip,
    as in InfoGAN for chairs. Its move is then as much shorter: VAE-GAN on MNIST has one of 99,604."""
    case, name = dataclasses.replace(case, steps=0), "encoder.fc0.weight"
    before = parity.truth(case, "float32").bars["one update"]
    inexact = parity._inexact

    def flipping(case, dtype, roundings, number):
        found = inexact(case, dtype, roundings, number)
        grown = {key: value * (1 + 1e-2 * (roundings == flip_at)) for key, value in found["gradients"].items()}
        return found | {"gradients": grown}

    monkeypatch.setattr(parity, "_inexact", flipping)
    bars = parity.truth(case, "float32").bars["one update"]
    raised, moved = bars[name], bars[f"{name} moved"]
    after = parity.expected(case, "float32")["one update"][name][raised.settled]
    turned = int(raised.settled.sum() / 10_000)
    assert 10 * before[name].tolerance < raised.tolerance and turned > 5
    assert raised.tolerance == pytest.approx(2 * 1e-3 * turned**0.5 / np.linalg.norm(after), rel=1e-6)
    shorter = 2 * turned / int(raised.settled.sum())
    assert before[f"{name} moved"].tolerance < shorter <= moved.tolerance < 2 * shorter < 1e-3


def test_what_a_flip_makes_of_one_tensor_is_not_left_to_chance():
    """Of InfoGAN for chairs one unit that may flip makes 4% of a bias's gradient, and nothing of the other tensors'."""
    single = {"a": 1e-6, "b": 2e-6, "c": 1e-6, "d": 1e-6, "e": 1e-6}
    drawn = {"a": 16e-6, "b": 30e-6, "c": 4e-2, "d": 60e-6, "e": 17e-6}  # d: of a few numbers, by chance
    bars, everywhere = parity.with_flips(drawn, single, "float32")
    assert bars == pytest.approx({"a": 16e-6, "b": 32e-6, "c": 4 * 4e-2, "d": 60e-6, "e": 17e-6}, rel=1e-12)
    assert not everywhere
    bars, everywhere = parity.with_flips(drawn | {"a": 1e-2, "b": 1e-2}, single, "float32")
    assert bars == pytest.approx({"a": 4e-2, "b": 4e-2, "c": 16e-2, "d": 240e-6, "e": 68e-6}, rel=1e-12) and everywhere


def test_one_steep_step_is_not_left_to_chance():
    """RMSProp's first step, lr·g / (√0.1·|g| + ε), of a gradient of 6.6e-8 and ε = 1e-8, as VAE-GAN's on MNIST has one among 3,136."""

    def step(gradient):
        return 9e-6 * gradient / (0.1**0.5 * np.abs(gradient) + 1e-8)

    gradient, error = np.full(3136, 1e-3), 1e-16 * np.random.default_rng(0).choice([-1.0, 1.0], 3136)
    settled = {"bias": np.ones(3136, bool)}
    flat = {"bias": step(gradient + error)}
    assert parity._steep({"bias": step(gradient)}, flat, settled) == {}  # all take part
    gradient[7] = 6.6e-8
    expected, found = {"bias": step(gradient)}, {"bias": step(gradient + error)}
    slope = 9e-6 * 1e-8 / (0.1**0.5 * 6.6e-8 + 1e-8) ** 2
    moved = parity._steep(expected, found, settled)
    assert moved["bias"] == pytest.approx(4 * slope * 1e-16 / np.linalg.norm(expected["bias"]), rel=1e-3)
    assert parity._steep(expected, found, {"bias": np.arange(3136) != 7}) == {}


# ------------------------------------------------------------------------- mistakes of float32 size, in float32


class Single:
    """The oracle with its results rounded to float32."""

    def __init__(self, spec, parameters):
        self.column = Reference(spec, {name: value.astype(np.float32) for name, value in parameters.items()})

    def __getattr__(self, name):
        def call(*arguments):
            found = getattr(self.column, name)(*arguments)
            if isinstance(found, dict):
                return {k: v if isinstance(v, float) else np.asarray(v, np.float32) for k, v in found.items()}
            return np.asarray(found, np.float32)

        return call


SINGLE = {}


def single_failure(model, train, spec=lambda spec: spec):
    case = parity.Case(get(model).calmed(), train, steps=0)
    if model not in SINGLE:
        SINGLE[model] = parity.truth(case, "float32")
        assert parity.parting(Single(case.spec, case.parameters()), SINGLE[model], case, "float32") is None
    return parity.parting(Single(spec(case.spec), case.parameters()), SINGLE[model], case, "float32")


def with_adam(**changes):
    def change(spec):
        def one(adam):
            return dataclasses.replace(adam, **{name: value(getattr(adam, name)) for name, value in changes.items()})

        updates = (dataclasses.replace(update, optimizer=one(update.optimizer)) for update in spec.updates)
        return dataclasses.replace(spec, updates=tuple(updates))

    return change


MODELS = ("autoencoder", "conv_autoencoder", "vae", "vae_z100", "gan", "gan_two_layer", "aae")


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("factor", [1 - 1e-3, 1 + 1e-3])
def test_a_wrong_rate_in_float32(train, model, factor):
    failed = single_failure(model, train, with_adam(learning_rate=lambda rate: rate * factor))
    assert failed.name == "one update"


@pytest.mark.parametrize("model", ["conv_autoencoder", "vae_z100", "gan", "aae"])
def test_another_epsilon_in_float32(train, model):
    """Of models with gradients so small that ε counts. From Xavier's weights gan_two_layer's are larger: 10 floors of 16."""
    assert single_failure(model, train, with_adam(epsilon=lambda _: 1e-7)).name == "one update"


@pytest.mark.parametrize("model", ["conv_autoencoder", "vae_z100", "gan", "gan_two_layer", "aae"])
def test_epsilon_inside_the_root_in_float32(train, model, monkeypatch):
    single_failure(model, train)

    def inside(adam, parameter, gradient, first, second, step):
        gradient = gradient + adam.l2 * parameter
        first = adam.beta1 * first + (1 - adam.beta1) * gradient
        second = adam.beta2 * second + (1 - adam.beta2) * gradient**2
        root = np.sqrt(second / (1 - adam.beta2**step) + adam.epsilon)
        return parameter - adam.learning_rate * first / (1 - adam.beta1**step) / root, first, second

    monkeypatch.setitem(reference.RULES, Adam.moments, inside)
    assert single_failure(model, train).name == "one update"


def test_another_slope_in_float32(train):
    def change(spec):
        def layers(network):
            return tuple(LeakyRelu(0.2001) if isinstance(layer, LeakyRelu) else layer for layer in network.layers)

        networks = (dataclasses.replace(network, layers=layers(network)) for network in spec.networks)
        return dataclasses.replace(spec, networks=tuple(networks))

    assert single_failure("gan", train, change).name == "forward"


def test_a_first_step_is_stored_with_equal_roundings(train):
    """What exact parameters lose in float32 does not average out in RMSProp's first step: without it this bar is 7.8e-6,
    and the oracle's own results, rounded, are 1.5e-5 off."""
    case = parity.Case(get("vae_gan_mnist").calmed().training.twin, train, steps=0, batch=4)
    truth = parity.truth(case, "float32")
    assert parity.parting(Single(case.spec, case.parameters()), truth, case, "float32") is None
    wrong = with_adam(learning_rate=lambda rate: rate * 1.001)(case.spec)
    assert parity.parting(Single(wrong, case.parameters()), truth, case, "float32").name == "one update"


def test_running_statistics_in_float32(train, monkeypatch):
    """Of a batch norm: a wrong rate of every update, another momentum, and a variance that is not biased."""
    failed = single_failure("infogan", train, with_adam(learning_rate=lambda rate: rate * 1.001))
    assert failed.tensor.endswith(parity.MOVED)
    real = Networks._batch_norm

    def momentum(self, layer, path, x):
        return real(self, dataclasses.replace(layer, momentum=0.901), path, x)

    def unbiased(self, layer, path, x):
        name, count = f"{path}.variance", x.size / x.shape[1]
        before = self.statistics[name]
        y = real(self, layer, path, x)
        if self.training:
            moved = self.statistics[name] - layer.momentum * before
            self.statistics[name] = layer.momentum * before + moved * count / (count - 1)
        return y

    for mistake in (momentum, unbiased):
        monkeypatch.setattr(Networks, "_batch_norm", mistake)
        failed = single_failure("infogan", train)
        assert failed.name == "one update"
        assert failed.tensor.split(".")[-1] in ("mean", "variance") or failed.tensor.endswith("() after")


def test_the_gradient_of_a_bias_is_one_chain_of_additions():
    """Over batch, rows and columns: what float32 makes of such a chain, added one by one, is of the size of what the inexact
    oracle makes of it. Axis by axis it would be a tenth."""
    chain, moved, shape = [], [], (16, 1, 28, 28)
    for seed in range(40):
        values = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
        exact = values.astype(np.float64).sum()
        chain.append(np.cumsum(values.ravel())[-1] - exact)
        weights = np.asarray(values, np.float64).view(Inexact)
        weights.errors = Errors(parity.ROUNDING["float32"], seed, "float32")
        found = grad(lambda bias, w=weights: anp.sum(per_feature(bias, shape) * w))(np.zeros(1))
        moved.append(np.asarray(found).item() - exact)
    assert 1 / 3 < np.std(moved) / np.std(chain) < 3


def test_a_chain_over_a_plain_ground_is_rounded_alike():
    """Of equal terms the errors of a chain grow with their number, and its bar does: the chain, added one by one in float32, stays
    within the bar, and beyond what as many terms that differ are given."""
    rounding, count = parity.ROUNDING["float32"], 20_000
    values = np.full((1, count), np.float32(0.556))
    off = abs(np.cumsum(values)[-1] - values.astype(np.float64).sum()) / values.astype(np.float64).sum() / rounding
    bars = []
    for plain in (values.astype(np.float64), values * (1 + 1e-7 * np.arange(count))):
        terms = plain.reshape(1, 1, 1, count).view(Inexact)
        terms.errors = Errors(16 * rounding, 0, "float32")
        bars.append(abs(np.asarray(over_places(terms)).item() - plain.sum()) / plain.sum() / rounding)
    assert 16 * (1 + count**0.5 / 4) < off
    assert bars[1] < off < 16 * (1 + count**0.5 / 4) + count / 2
