"""docs/differences.md, what the layers of Flax and JAX show by themselves: defaults, places of numbers, orders of gates."""

import inspect
import math

import jax
import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp

from backends.jax import process  # noqa: F401  (turns x64 on, as every run here has it)

WIDE = {"dtype": jnp.float64, "param_dtype": jnp.float64}


def default(function, name):
    return inspect.signature(function).parameters[name].default


def test_gelu_is_computed_by_tanh_by_default():
    """At 2 that is 1.0e-4 off what the others compute."""
    tanh = 1 + math.tanh(math.sqrt(2 / math.pi) * (2 + 0.044715 * 8))
    erf = 1 + math.erf(math.sqrt(2))
    assert float(nnx.gelu(jnp.float64(2))) == pytest.approx(tanh, rel=1e-14)
    assert float(nnx.gelu(jnp.float64(2), approximate=False)) == pytest.approx(erf, rel=1e-14)
    assert abs(tanh - erf) == pytest.approx(1.0e-4, rel=0.1)


def test_hard_sigmoid_has_a_slope_of_a_sixth():
    assert float(nnx.hard_sigmoid(jnp.float64(1))) == pytest.approx(1 / 6 + 0.5, rel=1e-15)
    assert float(nnx.hard_swish(jnp.float64(2))) == pytest.approx(2 * (2 / 6 + 0.5), rel=1e-15)


def test_softmax_is_over_the_last_axis():
    assert np.asarray(nnx.softmax(jnp.zeros((2, 3, 4)))) == pytest.approx(1 / 4)


def test_softplus_has_no_threshold_and_silu_no_beta():
    assert float(nnx.softplus(jnp.float64(20.1))) == pytest.approx(20.1 + math.log1p(math.exp(-20.1)), rel=1e-15)
    assert [*inspect.signature(nnx.silu).parameters] == ["x"]
    assert float(nnx.elu(jnp.float64(-1), 2.0)) == pytest.approx(2 * math.expm1(-1))
    assert float(nnx.celu(jnp.float64(-1), 2.0)) == pytest.approx(2 * math.expm1(-0.5))


def test_swish_is_a_name_of_silu():
    assert nnx.swish is nnx.silu
    assert nnx.hard_swish is nnx.hard_silu


def test_epsilons_of_norms():
    """Deviations of 0.01 from the mean, whose variance is 1e-4: ε of 1e-6 leaves 0.995 of them."""
    x, rngs = jnp.array([[0, 0.02]]), nnx.Rngs(0)
    expected = pytest.approx([-0.01 / math.sqrt(1e-4 + 1e-6), 0.01 / math.sqrt(1e-4 + 1e-6)], rel=1e-9)
    assert nnx.LayerNorm(2, **WIDE, rngs=rngs)(x)[0].tolist() == expected
    assert nnx.GroupNorm(2, num_groups=1, **WIDE, rngs=rngs)(x)[0].tolist() == expected
    root = nnx.RMSNorm(2, **WIDE, rngs=rngs)(jnp.full((1, 2), 1e-3))
    assert np.asarray(root)[0] == pytest.approx(1e-3 / math.sqrt(1e-6 + 1e-6), rel=1e-9)
    assert default(nnx.GroupNorm.__init__, "num_groups") == 32


def test_layer_norm_loses_its_variance_by_default():
    """E[x²] - E[x]² of values around 10,000 with variance 1, in float32."""
    x = (1e4 + np.random.default_rng(0).normal(size=(1, 1000))).astype(np.float32)
    deviations = {}
    for fast in (True, False):
        layer = nnx.LayerNorm(1000, use_fast_variance=fast, rngs=nnx.Rngs(0))
        deviations[fast] = float(np.asarray(layer(jnp.asarray(x))).std())
    assert default(nnx.LayerNorm.__init__, "use_fast_variance")
    assert deviations[False] == pytest.approx(1, abs=1e-3)
    assert abs(deviations[True] - 1) > 0.1


def test_lstm_has_a_kernel_for_each_gate_and_biases_beside_the_state_alone():
    """Shut, open, nothing new, open: a state of 1 stays, and its tanh comes out."""
    cell = nnx.LSTMCell(1, 1, **WIDE, rngs=nnx.Rngs(0))
    for name in ("hi", "hf", "hg", "ho"):
        assert getattr(cell, name).bias[...].tolist() == [0]  # nothing is added to the forget gate
    assert all(getattr(cell, name).bias is None for name in ("ii", "if_", "ig", "io"))
    for name, value in (("hi", -100.0), ("hf", 100.0), ("ho", 100.0)):
        getattr(cell, name).bias.set_value(jnp.array([value]))
    (c, h), _ = cell((jnp.ones((1, 1)), jnp.zeros((1, 1))), jnp.zeros((1, 1)))  # the carry is (c, h)
    assert (c.item(), h.item()) == pytest.approx((1, math.tanh(1)))


def test_gru_has_gates_rzn_and_resets_a_product_without_a_bias():
    """z open keeps the state; what is reset is r · (w h), and the b beside it that its documentation has is not there."""
    cell = nnx.GRUCell(1, 1, **WIDE, rngs=nnx.Rngs(0))
    assert cell.dense_h.bias is None and cell.dense_i.bias.shape == (3,)
    cell.dense_h.kernel.set_value(jnp.ones((1, 3)))
    gate = 1 / (1 + math.exp(-1))
    for bias, expected in (((0, 100, 0), 1.0), ((0, 0, 1), (1 - gate) * math.tanh(gate + 1) + gate)):
        cell.dense_i.bias.set_value(jnp.array(bias, jnp.float64))
        assert cell(jnp.ones((1, 1)), jnp.zeros((1, 1)))[0].item() == pytest.approx(expected)


def test_average_pooling_counts_its_padding():
    """Of 3 × 3 pixels "SAME" pads one at the end: the last windows hold a half, and in the corner a quarter."""
    x = jnp.ones((1, 3, 3, 1))
    assert nnx.avg_pool(x, (2, 2), (2, 2), "SAME").flatten().tolist() == [1, 0.5, 0.5, 0.25]
    assert nnx.avg_pool(x, (2, 2), (2, 2), "SAME", count_include_pad=False).flatten().tolist() == [1] * 4


def resized(values, size, method, **settings):
    return jax.image.resize(jnp.array(values, jnp.float64), (size,), method, **settings).tolist()


def test_resizing_takes_half_pixels_and_averages_first_what_is_made_smaller():
    """Of 0 to 3 two: by triangles twice as wide, (0 · 0.75 + 1 · 0.75 + 2 · 0.25) / 1.75 and 3 less that."""
    ramp = (0, 1, 2, 3)
    assert resized(ramp, 8, "linear") == pytest.approx([0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3])
    assert resized(ramp, 2, "nearest") == [1, 3]
    assert resized(ramp, 2, "linear") == pytest.approx([1.25 / 1.75, 3 - 1.25 / 1.75])
    assert resized(ramp, 2, "linear", antialias=False) == [0.5, 2.5]


def test_the_cubic_kernel_has_a_slope_of_a_half():
    """Its value at a distance of 0.25: (a + 2) d³ - (a + 3) d² + 1 with a = -0.5, or -0.75 by another name."""
    for method, a in (("cubic", -0.5), ("cubic-pytorch", -0.75)):
        found = resized((0, 0, 0, 0, 1, 0, 0, 0), 16, method, antialias=False)[8]
        near, far = (a + 2) * 0.25**3 - (a + 3) * 0.25**2 + 1, a * (1.25**3 - 5 * 1.25**2 + 8 * 1.25 - 4)
        assert found == pytest.approx(near)
        # What lies beyond the edge has no weight; by the other name it is the edge's pixel.
        edge = resized((1, 0, 0, 0, 0, 0, 0, 0), 16, method, antialias=False)[0]
        assert edge == pytest.approx(near / (near + far) if a == -0.5 else 1 - far)


def test_an_embedding_has_no_padding_row():
    assert not [name for name in inspect.signature(nnx.Embed.__init__).parameters if "pad" in name or "mask" in name]


def attention(**settings):
    return nnx.MultiHeadAttention(2, 4, 4, decode=False, use_bias=False, **WIDE, **settings, rngs=nnx.Rngs(0))


def test_attention_is_scaled_by_the_size_of_a_head_and_keeps_what_is_true():
    """Two heads of two numbers, projections of 1: a query of 2, 0 in each, keys 1, 0 and 0, 0, whose values are 1 and 0.
    In float64 its softmax is one of float32."""
    layer = attention()
    for part, shape in (("query", (4, 2, 2)), ("key", (4, 2, 2)), ("value", (4, 2, 2)), ("out", (2, 2, 4))):
        kernel = getattr(layer, part).kernel
        assert kernel.shape == shape
        kernel.set_value(jnp.eye(4).reshape(shape))
    query, keys = jnp.array([[[2.0, 0, 2, 0]]]), jnp.array([[[1.0, 0, 1, 0], [0, 0, 0, 0]]])
    values = jnp.array([[[1.0] * 4, [0] * 4]])
    expected, found = 1 / (1 + math.exp(-2 / math.sqrt(2))), np.asarray(layer(query, keys, values)).flatten()
    assert found.dtype == np.float64
    assert found == pytest.approx([expected] * 4, abs=1e-7)
    assert np.abs(found - expected).max() > 1e-10
    assert np.asarray(layer(query, keys, values, mask=jnp.array([[[[False, True]]]]))).flatten().tolist() == [0] * 4


def test_attention_drops_alike_in_all_samples():
    """One mask of the weights for the samples and heads of a batch, unless broadcast_dropout is False."""
    x = jnp.broadcast_to(jax.random.normal(jax.random.key(0), (1, 6, 4)), (2, 6, 4))
    for alike in (True, False):
        layer = attention(dropout_rate=0.5, broadcast_dropout=alike)
        y = layer(x, deterministic=False, rngs=nnx.Rngs(dropout=1))
        assert bool((y[0] == y[1]).all()) == alike
    assert default(nnx.MultiHeadAttention.__init__, "broadcast_dropout")


def test_padding_modes():
    """A kernel that picks the first of three pixels, the second and the third, around 0, 1, 2."""
    x = jnp.arange(3.0).reshape(1, 3, 1)
    found = {}
    for mode in ("SAME", "CIRCULAR", "REFLECT", "CAUSAL"):
        layer = nnx.Conv(1, 1, (3,), padding=mode, use_bias=False, **WIDE, rngs=nnx.Rngs(0))
        layer.kernel.set_value(jnp.array([1.0, 0, 0]).reshape(3, 1, 1))
        found[mode] = layer(x).flatten().tolist()
    assert found == {"SAME": [0, 0, 1], "CIRCULAR": [2, 0, 1], "REFLECT": [1, 0, 1], "CAUSAL": [0, 0, 0]}
    assert default(nnx.Conv.__init__, "padding") == "SAME"
