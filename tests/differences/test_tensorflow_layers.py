"""docs/differences.md, what Keras's layers show by themselves: defaults, places of numbers, orders of gates and axes."""

import inspect
import math

import numpy as np
import pytest

from backends.tensorflow import process  # noqa: F401  # first: it sets what Keras reads at its import

import keras  # isort: skip
import tensorflow as tf  # isort: skip

from backends.tensorflow.exact import BatchNorm


def row(*values):
    return tf.constant(values, tf.float64)


def value(result):
    return keras.ops.convert_to_numpy(result).item()


def test_gelu_is_computed_by_erf_by_default():
    for gelu in (keras.activations.gelu, tf.nn.gelu):
        assert value(gelu(row(2.0))) == pytest.approx(1 + math.erf(math.sqrt(2)), rel=1e-7)


def test_hard_sigmoid_has_a_slope_of_a_sixth_and_had_one_of_a_fifth():
    """What Keras 2 computed is kept in its old backend."""
    assert value(keras.activations.hard_sigmoid(row(1.0))) == pytest.approx(1 / 6 + 0.5, rel=1e-15)
    assert value(keras.activations.hard_silu(row(2.0))) == pytest.approx(2 * (2 / 6 + 0.5), rel=1e-15)
    from keras.src.legacy import backend

    assert value(backend.hard_sigmoid(row(1.0))) == pytest.approx(0.7, rel=1e-15)


def test_softmax_is_over_the_last_axis():
    x = tf.zeros((2, 3, 4), tf.float64)
    for softmax in (keras.activations.softmax, keras.layers.Softmax(dtype="float64"), tf.nn.softmax):
        assert keras.ops.convert_to_numpy(softmax(x)) == pytest.approx(1 / 4)


def test_softplus_has_no_threshold_and_silu_no_beta():
    """tf.nn.silu has one."""
    assert value(keras.activations.softplus(row(20.1))) == pytest.approx(20.1 + math.log1p(math.exp(-20.1)), rel=1e-15)
    assert [*inspect.signature(keras.activations.softplus).parameters] == ["x"]
    assert [*inspect.signature(keras.activations.silu).parameters] == ["x"]
    assert value(tf.nn.silu(row(1.0), beta=1.702)) == pytest.approx(1 / (1 + math.exp(-1.702)))
    assert value(keras.activations.elu(row(-1.0), alpha=2.0)) == pytest.approx(2 * math.expm1(-1))


def test_swish_and_linear_are_names_of_silu_and_nothing():
    assert keras.activations.get("swish") is keras.activations.silu
    assert keras.activations.get("hard_swish") is keras.activations.hard_silu
    assert keras.activations.get(None) is keras.activations.linear
    relu = keras.layers.ReLU(max_value=6, negative_slope=0.5, threshold=1.0, dtype="float64")
    assert relu(np.array([-1.0, 2.0, 9.0])).numpy().tolist() == [0.5 * (-1 - 1), 2, 6]


def test_epsilons_of_norms():
    """Deviations of 0.01 from the mean, whose variance is 1e-4: ε of 1e-3 leaves 0.30 of them."""
    x = np.array([[0, 0.02]])
    expected = pytest.approx([-0.01 / math.sqrt(1e-4 + 1e-3), 0.01 / math.sqrt(1e-4 + 1e-3)], rel=1e-6)
    assert keras.layers.LayerNormalization(dtype="float64")(x)[0].numpy().tolist() == expected
    assert keras.layers.GroupNormalization(1, dtype="float64")(x)[0].numpy().tolist() == expected
    assert inspect.signature(keras.layers.GroupNormalization).parameters["groups"].default == 32
    root = keras.layers.RMSNormalization(dtype="float64")(np.full((1, 2), 1e-3))
    assert root[0].numpy() == pytest.approx(1e-3 / math.sqrt(1e-6 + 1e-6), rel=1e-6)


def recurrent(cell, bias, states):
    """The new state, of one unit without input: weights of the state are 1, the bias a gate each."""
    cell.build((1, 1))
    cell.kernel.assign(tf.zeros_like(cell.kernel))
    cell.recurrent_kernel.assign(tf.ones_like(cell.recurrent_kernel))
    cell.bias.assign(np.array(bias, np.float64))
    return value(cell(tf.zeros((1, 1), tf.float64), [tf.reshape(row(one), (1, 1)) for one in states])[0])


def test_lstm_has_gates_ifgo_and_one_bias_with_1_for_the_forget_gate():
    """Shut, open, nothing new, open: a state of 1 stays, and its tanh comes out."""
    cell = keras.layers.LSTMCell(1, dtype="float64")
    cell.build((1, 1))
    assert cell.bias.numpy().tolist() == [0, 1, 0, 0]
    cell = keras.layers.LSTMCell(1, dtype="float64")
    assert recurrent(cell, [-100, 100, 0, 100], (0.0, 1.0)) == pytest.approx(math.tanh(1))


def test_gru_has_gates_zrn_and_resets_the_product_or_the_state():
    """z open keeps the state. A bias beside the state's weight is reset with it: tanh(r · (h + b)), or with reset_after=False not:
    tanh(r · h + b)."""
    after, before = (keras.layers.GRUCell(1, reset_after=on, dtype="float64") for on in (True, False))
    assert keras.layers.GRUCell(1).reset_after
    gate = 1 / (1 + math.exp(-1))
    found = recurrent(after, [[0, 0, 0], [0, 0, 1]], [1.0])
    assert found == pytest.approx((1 - gate) * math.tanh(gate * 2) + gate)
    assert recurrent(before, [0, 0, 1], [1.0]) == pytest.approx((1 - gate) * math.tanh(gate + 1) + gate)
    assert recurrent(keras.layers.GRUCell(1, dtype="float64"), [[100, 0, 0], [0, 0, 0]], [0.5]) == 0.5


def test_average_pooling_does_not_count_its_padding():
    x = np.ones((1, 3, 3, 1), np.float32)
    assert keras.layers.AveragePooling2D(2, padding="same")(x).numpy().flatten().tolist() == [1] * 4


def resized(values, size, **settings):
    x = np.array(values, np.float64).reshape(1, 1, -1, 1)
    return keras.ops.convert_to_numpy(tf.image.resize(x, (1, size), **settings)).flatten().tolist()


def test_resizing_takes_half_pixels_and_no_corners():
    """TensorFlow 1's takes neither: places lie at multiples of a half."""
    ramp, halves = (0, 1, 2, 3), [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]
    x = np.array(ramp, np.float32).reshape(1, 1, 4, 1)
    layer = keras.layers.UpSampling2D((1, 2), interpolation="bilinear")
    assert layer(x).numpy().flatten().tolist() == resized(ramp, 8) == pytest.approx(halves)
    first = tf.compat.v1.image.resize_bilinear(x, (1, 8)).numpy().flatten().tolist()
    assert first == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3]
    assert keras.layers.Resizing(1, 2, "nearest")(x).numpy().flatten().tolist() == [1, 3]
    assert keras.layers.Resizing(1, 2)(x).numpy().flatten().tolist() == [0.5, 2.5]  # with nothing averaged first


def test_the_cubic_kernel_has_a_slope_of_a_half():
    """Its value at a distance of 0.25: (a + 2) d³ - (a + 3) d² + 1 with a = -0.5. What lies beyond the
    edge has no weight: a pixel there has its share of what is at 0.25 and, a (d³ - 5 d² + 8 d - 4), at 1.25."""
    near, far = 1.5 * 0.25**3 - 2.5 * 0.25**2 + 1, -0.5 * (1.25**3 - 5 * 1.25**2 + 8 * 1.25 - 4)
    assert resized((0, 0, 0, 0, 1, 0, 0, 0), 16, method="bicubic")[8] == pytest.approx(near, abs=1e-6)
    assert resized((1, 0, 0, 0, 0, 0, 0, 0), 16, method="bicubic")[0] == pytest.approx(near / (near + far), abs=1e-6)


def test_an_embedding_trains_the_row_that_it_masks():
    """mask_zero only tells the layers that follow; what the row holds comes out."""
    layer = keras.layers.Embedding(3, 2, mask_zero=True)
    layer.build()
    assert layer.embeddings.numpy()[0].any()
    layer.embeddings.assign(np.ones((3, 2)))
    with tf.GradientTape() as tape:
        y = layer(np.array([0, 1]))
    assert y.numpy().tolist() == [[1, 1], [1, 1]]
    gradient = tf.convert_to_tensor(tape.gradient(y, layer.embeddings.value)).numpy()
    assert gradient.tolist() == [[1, 1], [1, 1], [0, 0]]


def test_attention_is_scaled_by_the_size_of_a_head_and_keeps_what_is_true():
    """Two heads of two numbers, projections of 1: a query of 2, 0 in each, keys 1, 0 and 0, 0, whose values are 1 and 0. The
    value comes before the key."""
    layer = keras.layers.MultiHeadAttention(2, 2, use_bias=False, dtype="float64")
    query, keys, values = np.array([[[2.0, 0, 2, 0]]]), np.array([[[1.0, 0, 1, 0], [0, 0, 0, 0]]]), np.array([[[1.0] * 4, [0] * 4]])  # fmt: skip
    layer(query, values, keys)
    for variable in layer.variables:
        variable.assign(np.eye(4).reshape(variable.shape))
    assert [tuple(one.shape) for one in layer.variables] == [(4, 2, 2)] * 3 + [(2, 2, 4)]
    expected = 1 / (1 + math.exp(-2 / math.sqrt(2)))
    assert layer(query, values, keys).numpy().flatten() == pytest.approx([expected] * 4, rel=1e-6)
    masked = layer(query, values, keys, attention_mask=np.array([[[False, True]]]))
    assert masked.numpy().flatten() == pytest.approx([0] * 4, abs=1e-7)


def test_padding_modes():
    x = np.array([0.0, 1, 2])
    found = {mode: tf.pad(x, ((1, 1),), mode).numpy().tolist() for mode in ("REFLECT", "SYMMETRIC")}
    assert found == {"REFLECT": [1, 0, 1, 2, 1], "SYMMETRIC": [0, 0, 1, 2, 2]}
    with pytest.raises(ValueError, match="Unknown padding mode|mode"):
        tf.pad(x, ((1, 1),), "WRAP")
    two = tf.pad(np.array([0.0, 1, 2]), ((2, 2),), "SYMMETRIC").numpy().tolist()
    assert two == [1, 0, 0, 1, 2, 2, 1]  # the edge is repeated once, where replicating would give 0, 0, 0


def test_synchronized_moments_cancel():
    """Of one rank, as of several: var = E(x²) - E(x)²."""
    x = np.random.default_rng(0).normal(1000, 1, (64, 1)).astype(np.float32)
    exact = x.astype(np.float64).var()
    _, alone = keras.ops.moments(x, [0])
    _, synchronized = keras.ops.moments(x, [0], synchronized=True)
    assert value(alone) == pytest.approx(exact, rel=1e-5)
    assert abs(value(synchronized) / exact - 1) > 1e-2


def test_a_batch_norm_of_several_workers_has_both_moments_in_two_rounds():
    """Here of one rank, whose reductions change nothing: Keras's own numbers, running statistics too."""
    x = np.random.default_rng(0).normal(1000, 1, (64, 3, 3, 2))
    found = []
    for workers in (1, 2):
        layer = BatchNorm(momentum=0.9, epsilon=1e-5, dtype="float64")
        layer.build(x.shape)
        layer.gamma.assign([0.5, 2.0])
        layer.beta.assign([1.0, -1.0])
        layer.workers = workers
        found.append([layer(x, training=True), layer.moving_mean, layer.moving_variance, layer(x)])
    for keras_has, ours in zip(*found, strict=True):
        np.testing.assert_allclose(ours, keras_has, rtol=1e-9)
