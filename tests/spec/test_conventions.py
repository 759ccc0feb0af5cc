"""The catalogue of conventions against closed forms, values computed by hand, and SciPy."""

import math

import numpy as np
import pytest
from scipy import signal, special

from common.tools.diff.conventions import layers
from common.tools.diff.conventions.base import Unknown, deviation

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 6, 7, 8))


def run(kind, settings, x, tensors=None, training=True):
    return layers.run(kind, settings, tensors or {}, [np.asarray(x, float)], training)[0]


# ------------------------------------------------------------------------------------------ closed forms

CLOSED = {
    "relu": (lambda x: x * (x > 0), {}),
    "leaky_relu": (lambda x: x * np.where(x > 0, 1, 0.2), {"slope": 0.2}),
    "elu": (lambda x: np.where(x > 0, x, 2 * (np.exp(x) - 1)), {"alpha": 2.0}),
    "gelu": (lambda x: x * special.ndtr(x), {}),
    "silu": (lambda x: x * special.expit(x), {}),
    "mish": (lambda x: x * np.tanh(np.log(1 + np.exp(x))), {}),
    "softplus": (lambda x: np.log(1 + np.exp(2 * x)) / 2, {"beta": 2.0}),
    "sigmoid": (special.expit, {}),
    "log_sigmoid": (special.log_expit, {}),
    "softmax": (lambda x: special.softmax(x, 1), {"axis": 1}),
    "log_softmax": (lambda x: special.log_softmax(x, -1), {}),
    "hard_sigmoid": (lambda x: np.minimum(np.maximum(0.2 * x + 0.5, 0), 1), {"slope": 0.2}),
    "relu6": (lambda x: np.minimum(x * (x > 0), 6), {}),
    "softsign": (lambda x: x / (1 + abs(x)), {}),
}


@pytest.mark.parametrize("name", CLOSED)
def test_activations(name):
    x = 4 * X
    function, numbers = CLOSED[name]
    np.testing.assert_allclose(run("activation", {"name": name} | numbers, x), function(x), rtol=1e-13, atol=1e-14)


def test_selu_leaves_mean_and_variance_of_a_normal_as_they_are():
    x = np.linspace(-12, 12, 200_001)
    weights = np.exp(-x * x / 2) / math.sqrt(2 * math.pi) * (x[1] - x[0])
    y = run("activation", {"name": "selu"}, x)
    assert abs((weights * y).sum()) < 1e-8 and abs((weights * y * y).sum() - 1) < 1e-8


def test_the_tanh_form_of_gelu_is_near_the_other_and_not_it():
    exact, tanh = run("activation", {"name": "gelu"}, X), run("activation", {"name": "gelu", "approximate": True}, X)
    assert 1e-5 < abs(exact - tanh).max() < 1e-3
    assert run("activation", {"name": "gelu", "approximate": True}, [1.0])[0] == pytest.approx(
        0.8411919906082768, abs=1e-15
    )


@pytest.mark.parametrize("turned", [False, True])
def test_conv_is_a_correlation_and_turned_a_convolution(turned):
    weight = RNG.normal(size=(3, 6, 3, 2))
    found = run("conv", {"turned": turned}, X, {"weight": weight})
    function = signal.convolve if turned else signal.correlate
    expected = [[sum(function(x[c], w[c], "valid") for c in range(6)) for w in weight] for x in X]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_paddings_by_hand():
    x, kernel = np.arange(1.0, 7).reshape(1, 1, 6), {"weight": np.array([[[1.0, 10, 100]]])}

    def conv(padding, stride=2):
        return run("conv", {"padding": padding, "stride": stride}, x, kernel)[0, 0].tolist()

    assert conv("same") == [321, 543, 65]  # the odd zero is last
    assert conv("same_lower") == [210, 432, 654]
    assert conv("half") == conv(1) == conv([[1, 1]]) == [210, 432, 654]
    assert conv("valid") == [321, 543]
    assert conv("causal", 1) == [100, 210, 321, 432, 543, 654]
    assert conv([[0, 1]]) == conv("same")


def test_groups_and_dilation_by_hand():
    x = np.arange(8.0).reshape(1, 2, 4)
    assert run("conv", {"groups": 2}, x, {"weight": np.array([[[1.0]], [[10.0]]])}).tolist() == [
        [[0, 1, 2, 3], [40, 50, 60, 70]]
    ]
    dilated = run("conv", {"dilation": 2, "groups": 2}, x, {"weight": np.ones((2, 1, 2))})
    assert dilated.tolist() == [[[2, 4], [10, 12]]]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [1, 2])
def test_conv_transpose_is_the_transpose(stride, groups):
    """⟨conv(x), y⟩ = ⟨x, conv_transpose(y)⟩ for a convolution whose windows end where the input does."""
    about = {"stride": stride, "padding": [[1, 0], [0, 1]], "groups": groups}
    weight = RNG.normal(size=(4, 6 // groups, 3, 2))
    x = X[:, :, :6, :7]
    y = run("conv", about, x, {"weight": weight})
    other = RNG.normal(size=y.shape)
    assert (y * other).sum() == pytest.approx(
        (x * run("conv_transpose", about, other, {"weight": weight})).sum(), rel=1e-12
    )


def test_conv_transpose_turned_is_what_flax_does():
    """By hand: a 1 spreads the kernel; turned, the kernel's other end comes first."""
    x, weight = np.array([[[1.0, 0, 0]]]), {"weight": np.array([[[1.0, 2, 3]]])}
    assert run("conv_transpose", {"stride": 2}, x, weight)[0, 0].tolist() == [1, 2, 3, 0, 0, 0, 0]
    assert run("conv_transpose", {"stride": 2, "turned": True}, x, weight)[0, 0].tolist() == [3, 2, 1, 0, 0, 0, 0]
    assert run("conv_transpose", {"stride": 2, "padding": "same"}, x, weight)[0, 0].tolist() == [1, 2, 3, 0, 0, 0]
    assert run("conv_transpose", {"stride": 3, "padding": "same"}, x, {"weight": np.ones((1, 1, 1))}).shape[-1] == 9


def test_batch_norm_and_what_it_keeps():
    tensors = {
        "weight": RNG.normal(size=6),
        "bias": RNG.normal(size=6),
        "mean": RNG.normal(size=6),
        "variance": RNG.uniform(1, 2, 6),
    }
    about, axes = {"epsilon": 1e-3, "keep": 0.9, "unbiased": True}, (0, 2, 3)
    y = run("batch_norm", {"epsilon": 0.0, "keep": 0.9}, X)
    np.testing.assert_allclose(y.mean(axes), 0, atol=1e-13)
    np.testing.assert_allclose(y.var(axes), 1, rtol=1e-12)
    kept = layers.statistics(about, tensors, [X])
    n = X.size / 6
    np.testing.assert_allclose(kept["mean"], 0.9 * tensors["mean"] + 0.1 * X.mean(axes), rtol=1e-12)
    np.testing.assert_allclose(
        kept["variance"], 0.9 * tensors["variance"] + 0.1 * X.var(axes) * n / (n - 1), rtol=1e-12
    )
    c = 3
    expected = (X[:, c] - tensors["mean"][c]) / math.sqrt(tensors["variance"][c] + 1e-3) * tensors["weight"][
        c
    ] + tensors["bias"][c]
    np.testing.assert_allclose(run("batch_norm", about, X, tensors, training=False)[:, c], expected, rtol=1e-12)
    np.testing.assert_array_equal(
        run("batch_norm", about | {"frozen": True}, X, tensors), run("batch_norm", about, X, tensors, training=False)
    )


def test_norms_by_hand():
    x = np.array([[1.0, 2, 3, 6]])
    assert run("layer_norm", {"epsilon": 0.0}, x).tolist()[0] == pytest.approx(
        [v / math.sqrt(3.5) for v in (-2, -1, 0, 3)]
    )
    assert run("layer_norm", {"epsilon": 0.5}, x)[0, 3] == pytest.approx(3 / 2)
    assert run("layer_norm", {"epsilon": 0.5, "place": "outside", "unbiased": True}, x)[0, 3] == pytest.approx(
        3 / (math.sqrt(14 / 3) + 0.5)
    )
    assert run("rms_norm", {"epsilon": 3.5}, x, {"weight": np.full(4, 2.0)})[0, 3] == pytest.approx(12 / 4)
    assert run("rms_norm", {"epsilon": 3.5, "offset": 1.0}, x, {"weight": np.full(4, 2.0)})[0, 3] == pytest.approx(
        18 / 4
    )
    y = run("group_norm", {"epsilon": 0.0, "groups": 2}, X).reshape(4, 2, -1)
    np.testing.assert_allclose([y.mean(2), y.var(2)], [np.zeros((4, 2)), np.ones((4, 2))], atol=1e-12)
    y = run("instance_norm", {"epsilon": 0.0}, X)
    np.testing.assert_allclose([y.mean((2, 3)), y.var((2, 3))], [np.zeros((4, 6)), np.ones((4, 6))], atol=1e-12)


def test_pools_by_hand():
    x = np.arange(1.0, 7).reshape(1, 1, 6)

    def pool(op="max", **more):
        return run("pool", {"op": op, "size": 3, "stride": 2} | more, x)[0, 0].tolist()

    assert pool(padding="same") == [3, 5, 6] and pool(padding=1) == [2, 4, 6] and pool() == [3, 5]
    assert pool(ceil=True) == [3, 5, 6]
    assert pool("average", padding=1) == [1.5, 3, 5] and pool("average", padding=1, counted=True) == [1, 3, 5]
    assert pool("average", ceil=True) == [2, 4, 5.5] == pool("average", ceil=True, counted=True)
    assert run("pool", {"op": "max", "size": 2, "padding": 1, "fill": 0}, -x)[0, 0].tolist() == [0, -2, -4, 0]
    assert run("adaptive_pool", {"op": "average", "size": 4}, x)[0, 0].tolist() == [1.5, 2.5, 4.5, 5.5]
    assert run("adaptive_pool", {"op": "max", "size": 1}, X).shape == (4, 6, 1, 1)


def test_dense_embedding_flatten_reshape_and_pad_by_hand():
    weight, x = np.array([[1.0, 2], [3, 4]]), np.array([[1.0, 10]])
    assert run("dense", {}, x, {"weight": weight, "bias": np.ones(2)}).tolist() == [[22, 44]]
    assert run("dense", {"transposed": True}, x, {"weight": weight}).tolist() == [[31, 42]]
    rows = np.arange(1.0, 7).reshape(3, 2)
    assert run("embedding", {"padding": 0}, [0, 2], {"weight": rows}).tolist() == [[1, 2], [5, 6]]
    assert run("embedding", {"padding": -1, "zeros": True}, [0, 2], {"weight": rows}).tolist() == [[1, 2], [0, 0]]
    image = np.arange(8.0).reshape(1, 2, 2, 2)
    assert run("flatten", {}, image)[0].tolist() == list(range(8))
    assert run("flatten", {"order": "channels_last"}, image)[0].tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    for order in ("channels_first", "channels_last"):
        flat = run("flatten", {"order": order}, image)
        np.testing.assert_array_equal(run("reshape", {"shape": [2, 2, 2], "order": order}, flat), image)
    line = np.array([[[1.0, 2, 3]]])
    assert run("pad", {"padding": [[2, 1]], "mode": "reflect"}, line)[0, 0].tolist() == [3, 2, 1, 2, 3, 2]
    assert run("pad", {"padding": [[1, -1]], "value": 7.0}, line)[0, 0].tolist() == [7, 1, 2]


def test_a_layers_own_activation_and_its_numbers_in_float32():
    assert run("dense", {"activation": {"name": "relu"}}, [[1.0, -5]], {"weight": np.eye(2)}).tolist() == [[1, 0]]
    y = run("activation", {"name": "leaky_relu", "slope": 0.3, "float32": ["slope"]}, [-1.0])
    assert y[0] == -float(np.float32(0.3)) != -0.3


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        ("mystery", {}, "no kind of layer"),
        ("conv", {"stride": 1, "weights": "standardised"}, "no setting 'weights'"),
        ("conv", {"padding": "sane"}, "expected one of same"),
        ("layer_norm", {}, "needs the setting 'epsilon'"),
        ("activation", {"name": "swoosh"}, "swoosh"),
        ("dropout", {"rate": 0.5}, "needs the setting 'number'"),
    ],
)
def test_what_is_not_understood_is_said_in_a_line(kind, settings, words):
    with pytest.raises(Unknown, match=words) as error:
        run(kind, settings, X, {"weight": np.zeros((2, 6, 3, 3))})
    assert "\n" not in str(error.value)


def test_deviation():
    a = np.array([1.0, 2.0])
    assert deviation(a, a) == 0 and deviation(a, a + [0, 1e-6]) == pytest.approx(5e-7, rel=1e-5)
    assert deviation(a, a.reshape(2, 1)) == 0 and deviation(a, a[:1]) == deviation(a, a * math.nan) == math.inf
    assert deviation(np.zeros(2), np.array([0, 1e-30])) == 1
