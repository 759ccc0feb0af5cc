"""docs/differences.md, what Paddle's optimisers, clipping and label smoothing show by themselves, in dynamic mode."""

import contextlib
import inspect
import math

import numpy as np
import pytest

from backends.paddle import process  # noqa: F401  # first: it turns static mode on

import paddle  # isort: skip
from paddle import nn  # isort: skip


@contextlib.contextmanager
def dynamic():
    """Dynamic mode, in float64."""
    paddle.disable_static()
    paddle.set_default_dtype("float64")
    try:
        yield
    finally:
        paddle.set_default_dtype("float32")
        paddle.enable_static()


def parameter(value):
    made = paddle.create_parameter([1], "float64", default_initializer=nn.initializer.Constant(value))
    made.stop_gradient = False
    return made


def places(make, gradients, start=0.0, rates=None):
    """Where a float64 parameter is after each update, of the optimiser that `make` makes of [parameter]."""
    with dynamic():
        moved = parameter(start)
        optimizer, found = make([moved]), []
        for k, gradient in enumerate(gradients):
            if rates:
                optimizer.set_lr(rates[k])
            moved.grad = paddle.to_tensor([gradient], dtype="float64")
            optimizer.step()
            found.append(moved.item())
        return found


def default(function, name):
    return inspect.signature(function).parameters[name].default


def test_rmsprop_adds_epsilon_inside_the_root_and_starts_at_zero():
    (at,) = places(lambda p: paddle.optimizer.RMSProp(1.0, rho=0.9, epsilon=1e-4, parameters=p), [1e-3])
    assert at == pytest.approx(-1e-3 / math.sqrt(0.1 * 1e-6 + 1e-4), rel=1e-6)


def test_the_first_move_of_rmsprop_by_default():
    """Of a gradient of 1e-3: 0.98 rates, ρ being 0.95 and ε 1e-6."""
    (at,) = places(lambda p: paddle.optimizer.RMSProp(1.0, parameters=p), [1e-3])
    assert at == pytest.approx(-1e-3 / math.sqrt(0.05 * 1e-6 + 1e-6), rel=1e-6)
    assert at == pytest.approx(-0.976, abs=1e-3)


def test_momentum_keeps_the_rate_outside_of_the_velocity_but_in_rmsprop():
    """Gradients of 1, the rate cut to a tenth after the first update: the second moves by 0.1 · (0.9 + 1), or by 0.9 + 0.1."""
    found = places(lambda p: paddle.optimizer.Momentum(1.0, 0.9, p), [1.0, 1.0], rates=[1.0, 0.1])
    assert found == pytest.approx([-1, -1.19], rel=1e-6)
    found = places(lambda p: paddle.optimizer.RMSProp(1.0, rho=0.0, epsilon=1e-30, momentum=0.9, parameters=p), [1.0, 1.0], rates=[1.0, 0.1])  # fmt: skip
    assert found == pytest.approx([-1, -2], rel=1e-6)
    assert default(paddle.optimizer.Momentum, "momentum") == 0.9


def test_nesterov_adds_the_next_step_of_the_velocity():
    """g + m v: 1 + 0.9 · 1, then 1 + 0.9 · 1.9."""
    found = places(lambda p: paddle.optimizer.Momentum(1.0, 0.9, p, use_nesterov=True), [1.0, 1.0])
    assert found == pytest.approx([-1.9, -1.9 - 2.71], rel=1e-6)


def test_adagrad_starts_at_zero_and_adds_epsilon_outside_the_root():
    """So that its first move by default is 0.999 of the rate for a gradient of 1e-3."""
    made = {"epsilon": 1e-4, "initial_accumulator_value": 1e-7}
    (at,) = places(lambda p: paddle.optimizer.Adagrad(1.0, parameters=p, **made), [1e-3])
    assert at == pytest.approx(-1e-3 / (math.sqrt(1e-7 + 1e-6) + 1e-4), rel=1e-6)
    (at,) = places(lambda p: paddle.optimizer.Adagrad(1.0, parameters=p), [1e-3])
    assert at == pytest.approx(-1e-3 / (1e-3 + 1e-6), rel=1e-6)


def test_weight_decay_is_coupled_but_in_adamw():
    """A weight of 1 without a gradient: Adam, which divides λθ by its own size, moves it by the whole rate; AdamW by rate · λ."""
    for make, at in ((paddle.optimizer.Adam, 1 - 1e-3), (paddle.optimizer.AdamW, 1 - 1e-3 * 0.1)):
        found = places(lambda p, make=make: make(1e-3, parameters=p, weight_decay=0.1), [0.0], start=1.0)
        assert found == pytest.approx([at], rel=1e-9)
    assert default(paddle.optimizer.AdamW, "weight_decay") == 1e-2


def test_decay_is_multiplied_by_the_rate_of_the_step():
    """By 1e-3, then by 1e-4."""
    found = places(lambda p: paddle.optimizer.AdamW(1e-3, parameters=p, weight_decay=0.1), [0.0, 0.0], 1.0, [1e-3, 1e-4])  # fmt: skip
    assert found == pytest.approx([1 - 1e-4, (1 - 1e-4) * (1 - 1e-5)], rel=1e-9)


def test_numbers_of_optimisers_pass_through_float32():
    """In float64: Momentum's μ and decay, AdamW's decay, RMSProp's ρ, ε and momentum, Adagrad's ε."""
    tenth, most, tiny = (float(np.float32(value)) for value in (0.1, 0.9, 1e-4))
    momentum = places(lambda p: paddle.optimizer.Momentum(1.0, 0.9, p), [1.0, 1.0])[1]
    assert momentum == pytest.approx(-1 - (most + 1), rel=1e-15)
    decay = places(lambda p: paddle.optimizer.Momentum(1.0, 0.9, p, weight_decay=0.1), [0.0], start=1.0)[0]
    assert decay == pytest.approx(1 - tenth, rel=1e-15)
    adamw = places(lambda p: paddle.optimizer.AdamW(1.0, parameters=p, weight_decay=0.1), [0.0], start=1.0)[0]
    assert adamw == pytest.approx(1 - tenth, rel=1e-15)
    found = places(lambda p: paddle.optimizer.RMSProp(1.0, 0.9, 1e-4, 0.9, parameters=p), [1e-3, 0.0])
    first = 1e-3 / math.sqrt((1 - most) * 1e-6 + tiny)
    assert found == pytest.approx([-first, -first * (1 + most)], rel=1e-12)
    adagrad = places(lambda p: paddle.optimizer.Adagrad(1.0, 1e-4, p), [1e-3])[0]
    assert adagrad == pytest.approx(-1e-3 / (1e-3 + tiny), rel=1e-14)
    for rounded, exact in ((tenth, 0.1), (most, 0.9), (tiny, 1e-4)):
        assert abs(rounded / exact - 1) > 1e-9  # the bars tell them apart


def clipped(gradients, clip, dtype="float64"):
    with dynamic():
        moved = [parameter(0.0).astype(dtype).detach() for _ in gradients]
        pairs = [(one, paddle.to_tensor([g], dtype=dtype)) for one, g in zip(moved, gradients, strict=True)]
        return [g.item() for _, g in clip(pairs)]


def test_clipping_divides_by_the_larger_of_norm_and_limit():
    """Of all together; nothing is added to a norm that divides. ClipGradByNorm takes each by itself, and not in float64."""
    assert clipped([3.0, 4.0], nn.ClipGradByGlobalNorm(1.0)) == pytest.approx([0.6, 0.8], rel=1e-12)
    assert clipped([2e-4], nn.ClipGradByGlobalNorm(1e-4)) == pytest.approx([1e-4], rel=1e-7)
    assert clipped([3.0, 4.0], nn.ClipGradByNorm(1.0), "float32") == pytest.approx([1, 1], rel=1e-6)
    assert clipped([3.0, -4.0], nn.ClipGradByValue(1.0)) == [1, -1]
    with pytest.raises(RuntimeError, match="not registered"):
        clipped([3.0], nn.ClipGradByNorm(1.0))


def test_coupled_decay_comes_after_clipping():
    """3 clipped to 1, and 0.1 · 10 added."""
    clip = nn.ClipGradByGlobalNorm(1.0)
    found = places(lambda p: paddle.optimizer.SGD(1.0, p, weight_decay=0.1, grad_clip=clip), [3.0], start=10.0)
    assert found == pytest.approx([8], rel=1e-6)


def test_label_smoothing_spreads_over_all_classes():
    """Logits 2, 0, 0, the first class right: shares 1 - a + a / 3, a / 3, a / 3."""
    total = math.log(math.exp(2) + 2)
    with dynamic():
        logits, label = paddle.to_tensor([[2.0, 0.0, 0.0]], "float64"), paddle.to_tensor([0])
        loss = nn.functional.cross_entropy(logits, label, label_smoothing=0.3).item()
        shares = nn.functional.label_smooth(paddle.to_tensor([[1.0, 0.0]], "float64")).tolist()
    assert loss == pytest.approx(0.8 * (total - 2) + 0.2 * total, rel=1e-7)
    assert shares == [pytest.approx([0.95, 0.05], rel=1e-7)]  # 0.1 unless it is told otherwise
