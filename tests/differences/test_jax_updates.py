"""docs/differences.md, what Optax's optimisers, clipping and label smoothing show by themselves."""

import inspect
import math

import jax
import optax
import pytest
from jax import numpy as jnp

from backends.jax import process  # noqa: F401  (turns x64 on, as every run here has it)


def places(rule, gradients, start=0.0):
    """Where a float64 parameter is after each update."""
    parameter, found = jnp.float64(start), []
    state = rule.init(parameter)
    for gradient in gradients:
        step, state = rule.update(jnp.float64(gradient), state, parameter)
        parameter = optax.apply_updates(parameter, step)
        found.append(float(parameter))
    return found


def cut(rate):
    """A rate that falls to a tenth after the first update."""
    return lambda count: jnp.where(count < 1, rate, rate / 10)


def default(function, name):
    return inspect.signature(function).parameters[name].default


def test_rmsprop_adds_epsilon_inside_the_root_and_starts_at_zero():
    """By default; eps_in_sqrt=False adds it outside."""
    (at,) = places(optax.rmsprop(1.0, decay=0.9, eps=1e-4), [1e-3])
    assert at == pytest.approx(-1e-3 / math.sqrt(0.1 * 1e-6 + 1e-4), rel=1e-12)
    (at,) = places(optax.rmsprop(1.0, decay=0.9, eps=1e-4, eps_in_sqrt=False), [1e-3])
    assert at == pytest.approx(-1e-3 / (math.sqrt(0.1 * 1e-6) + 1e-4), rel=1e-12)


def test_the_first_move_of_rmsprop_by_default():
    """Of a gradient of 1e-3: 3.0 rates, the decay being 0.9 and ε 1e-8."""
    (at,) = places(optax.rmsprop(1.0), [1e-3])
    assert at == pytest.approx(-1e-3 / math.sqrt(0.1 * 1e-6 + 1e-8), rel=1e-12)
    assert at == pytest.approx(-3.015, abs=1e-3)


def test_momentum_keeps_the_rate_outside_of_the_velocity_but_in_rmsprop():
    """Gradients of 1, the rate cut to a tenth after the first update: the second moves by 0.1 · (0.9 + 1), or by 0.9 + 0.1."""
    assert places(optax.sgd(cut(1.0), momentum=0.9), [1.0, 1.0]) == pytest.approx([-1, -1.19])
    assert places(optax.rmsprop(cut(1.0), decay=0.0, eps=0.0, momentum=0.9), [1.0, 1.0]) == pytest.approx([-1, -2])
    assert default(optax.sgd, "momentum") is None


def test_nesterov_adds_the_next_step_of_the_velocity():
    """g + m v: 1 + 0.9 · 1, then 1 + 0.9 · 1.9."""
    found = places(optax.sgd(1.0, momentum=0.9, nesterov=True), [1.0, 1.0])
    assert found == pytest.approx([-1.9, -1.9 - 2.71])


def test_adagrad_starts_at_a_tenth_and_adds_epsilon_inside_the_root():
    """So that its first move of a gradient of 1e-3 is 0.003 of the rate."""
    (at,) = places(optax.adagrad(1.0, initial_accumulator_value=0.0, eps=1e-4), [1e-3])
    assert at == pytest.approx(-1e-3 / math.sqrt(1e-6 + 1e-4), rel=1e-12)
    (at,) = places(optax.adagrad(1.0), [1e-3])
    assert at == pytest.approx(-1e-3 / math.sqrt(0.1 + 1e-6 + 1e-7), rel=1e-12)


def test_weight_decay_is_coupled_where_it_comes_before_the_moments():
    """A weight of 1 without a gradient: coupled, Adam moves it by the whole rate; adamw by rate · λ."""
    coupled = optax.chain(optax.add_decayed_weights(0.1), optax.adam(1e-3, eps=1e-30))
    assert places(coupled, [0.0], start=1.0) == pytest.approx([1 - 1e-3], rel=1e-12)
    assert places(optax.adamw(1e-3, weight_decay=0.1), [0.0], start=1.0) == pytest.approx([1 - 1e-4], rel=1e-12)
    assert default(optax.adamw, "weight_decay") == 1e-4


def test_decay_is_multiplied_by_the_rate_of_the_step():
    """By 1e-3, then by 1e-4."""
    found = places(optax.adamw(cut(1e-3), weight_decay=0.1), [0.0, 0.0], start=1.0)
    assert found == pytest.approx([1 - 1e-4, (1 - 1e-4) * (1 - 1e-5)], rel=1e-13)


def clipped(rule, gradients):
    given = [jnp.float64(one) for one in gradients]
    return [float(one) for one in rule.update(given, rule.init(given), given)[0]]


def test_clipping_takes_the_norm_of_all_and_adds_nothing_to_it():
    assert clipped(optax.clip_by_global_norm(1.0), [3.0, 4.0]) == pytest.approx([0.6, 0.8], rel=1e-14)
    assert clipped(optax.clip_by_global_norm(1e-4), [2e-4]) == pytest.approx([1e-4], rel=1e-14)
    assert clipped(optax.clip(1.0), [3.0, -4.0]) == [1, -1]


def test_decay_is_clipped_where_it_comes_first():
    """3 clipped to 1, and 0.1 · 10 added; or 3 + 1 clipped to 1."""
    decay, clip, step = optax.add_decayed_weights(0.1), optax.clip_by_global_norm(1.0), optax.sgd(1.0)
    assert places(optax.chain(clip, decay, step), [3.0], start=10.0) == pytest.approx([8])
    assert places(optax.chain(decay, clip, step), [3.0], start=10.0) == pytest.approx([9])


def test_label_smoothing_spreads_over_all_classes():
    """Logits 2, 0, 0, the first class right: shares 1 - a + a / 3, a / 3, a / 3."""
    total = math.log(math.exp(2) + 2)
    shares = optax.smooth_labels(jax.nn.one_hot(0, 3, dtype=jnp.float64), 0.3)
    loss = optax.softmax_cross_entropy(jnp.array([2.0, 0.0, 0.0]), shares)
    assert float(loss) == pytest.approx(0.8 * (total - 2) + 0.2 * total)
