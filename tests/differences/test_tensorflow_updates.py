"""docs/differences.md, what Keras's optimisers, clipping and label smoothing show by themselves."""

import inspect
import math

import numpy as np
import pytest

from backends.tensorflow import process  # noqa: F401  # first: it sets what Keras reads at its import

import keras  # isort: skip
import tensorflow as tf  # isort: skip


def places(optimizer, gradients, start=0.0, rates=None):
    """Where a float64 variable is after each update."""
    variable, found = keras.Variable(np.array([start]), dtype="float64"), []
    for k, gradient in enumerate(gradients):
        if rates:
            optimizer.learning_rate = rates[k]
        optimizer.apply([tf.constant([gradient], tf.float64)], [variable])
        found.append(variable.numpy().item())
    return found


def default(function, name):
    return inspect.signature(function).parameters[name].default


def test_rmsprop_adds_epsilon_inside_the_root_and_starts_at_zero():
    (at,) = places(keras.optimizers.RMSprop(1.0, rho=0.9, epsilon=1e-4), [1e-3])
    assert at == pytest.approx(-1e-3 / math.sqrt(0.1 * 1e-6 + 1e-4), rel=1e-6)


def test_the_first_move_of_rmsprop_by_default():
    """Of a gradient of 1e-3: 2.2 rates, ρ being 0.9 and ε 1e-7."""
    (at,) = places(keras.optimizers.RMSprop(1.0), [1e-3])
    assert at == pytest.approx(-1e-3 / math.sqrt(0.1 * 1e-6 + 1e-7), rel=1e-6)
    assert at == pytest.approx(-2.236, abs=1e-3)


def test_rmsprop_of_tensorflow_1_starts_at_one():
    """Its first move is a thousandth of a rate."""
    variable = tf.Variable([0.0])
    optimizer = tf.compat.v1.train.RMSPropOptimizer(1.0)
    optimizer.apply_gradients([(tf.constant([1e-3]), variable)])
    assert variable.numpy().item() == pytest.approx(-1e-3 / math.sqrt(0.9 + 0.1 * 1e-6), rel=1e-5)


def test_momentum_keeps_the_rate_inside_of_the_velocity():
    """Gradients of 1, the rate cut to a tenth after the first update: the second moves by 0.9 · 1 + 0.1."""
    for optimizer in (
        keras.optimizers.SGD(1.0, momentum=0.9),
        keras.optimizers.RMSprop(1.0, rho=0.0, epsilon=0.0, momentum=0.9),
    ):
        assert places(optimizer, [1.0, 1.0], rates=[1.0, 0.1]) == pytest.approx([-1, -2], rel=1e-6)


def test_nesterov_adds_the_next_step_of_the_velocity():
    """g + m v: 1 + 0.9 · 1, then 1 + 0.9 · 1.9."""
    found = places(keras.optimizers.SGD(1.0, momentum=0.9, nesterov=True), [1.0, 1.0])
    assert found == pytest.approx([-1.9, -1.9 - 2.71], rel=1e-6)
    assert default(keras.optimizers.SGD, "momentum") == 0


def test_adagrad_starts_at_a_tenth_and_adds_epsilon_inside_the_root():
    """So that its first move of a gradient of 1e-3 is 0.003 of the rate."""
    (at,) = places(keras.optimizers.Adagrad(1.0, initial_accumulator_value=0.0, epsilon=1e-4), [1e-3])
    assert at == pytest.approx(-1e-3 / math.sqrt(1e-6 + 1e-4), rel=1e-6)
    (at,) = places(keras.optimizers.Adagrad(1.0), [1e-3])
    assert at == pytest.approx(-1e-3 / math.sqrt(0.1 + 1e-6 + 1e-7), rel=1e-6)


def test_weight_decay_is_decoupled_in_every_optimiser():
    """A weight of 1 without a gradient: Adam too moves it by rate · λ."""
    for make in (keras.optimizers.Adam, keras.optimizers.AdamW, keras.optimizers.SGD, keras.optimizers.RMSprop):
        assert places(make(1e-3, weight_decay=0.1), [0.0], start=1.0) == pytest.approx([1 - 1e-4], rel=1e-10)
    assert default(keras.optimizers.AdamW, "weight_decay") == 4e-3


def test_decay_is_multiplied_by_the_rate_of_the_step():
    """By 1e-3, then by 1e-4."""
    found = places(keras.optimizers.AdamW(1e-3, weight_decay=0.1), [0.0, 0.0], 1.0, rates=[1e-3, 1e-4])
    assert found == pytest.approx([1 - 1e-4, (1 - 1e-4) * (1 - 1e-5)], rel=1e-10)


def clipped(gradients, **limit):
    variables = [keras.Variable(np.zeros(1), dtype="float64") for _ in gradients]
    optimizer = keras.optimizers.SGD(1.0, **limit)
    optimizer.apply([tf.constant([one], tf.float64) for one in gradients], variables)
    return [-one.numpy().item() for one in variables]


def test_clipnorm_is_of_each_variable_and_global_clipnorm_of_all():
    """And nothing is added to a norm that divides."""
    assert clipped([3.0, 4.0], clipnorm=1.0) == pytest.approx([1, 1], rel=1e-12)
    assert clipped([3.0, 4.0], global_clipnorm=1.0) == pytest.approx([0.6, 0.8], rel=1e-12)
    assert clipped([2e-4], global_clipnorm=1e-4) == pytest.approx([1e-4], rel=1e-7)
    assert clipped([3.0, -4.0], clipvalue=1.0) == [1, -1]


def test_label_smoothing_spreads_over_all_classes():
    """Logits 2, 0, 0, the first class right: shares 1 - a + a / 3, a / 3, a / 3; of two classes a / 2."""
    total = math.log(math.exp(2) + 2)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.3, dtype="float64")
    assert loss(np.array([[1.0, 0, 0]]), np.array([[2.0, 0, 0]])).numpy() == pytest.approx(0.8 * (total - 2) + 0.2 * total)  # fmt: skip
    binary = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.3, dtype="float64")
    each = math.log1p(math.exp(2)) - 0.85 * 2
    assert binary(np.array([[1.0]]), np.array([[2.0]])).numpy() == pytest.approx(each)
    assert "label_smoothing" not in inspect.signature(keras.losses.SparseCategoricalCrossentropy).parameters
