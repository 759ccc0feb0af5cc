"""docs/differences.md, what PyTorch's optimisers, clipping and label smoothing show by themselves."""

import inspect
import math

import pytest
import torch
from torch.nn import functional as F


def places(make, gradients, start=0.0, rates=None):
    """Where a float64 parameter is after each update, of the optimiser that `make` makes of [parameter]."""
    parameter = torch.tensor([start], dtype=torch.float64, requires_grad=True)
    optimizer, found = make([parameter]), []
    for k, gradient in enumerate(gradients):
        if rates:
            optimizer.param_groups[0]["lr"] = rates[k]
        parameter.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
        found.append(parameter.item())
    return found


def default(function, name):
    return inspect.signature(function).parameters[name].default


def test_rmsprop_adds_epsilon_outside_the_root_and_starts_at_zero():
    (at,) = places(lambda p: torch.optim.RMSprop(p, lr=1.0, alpha=0.9, eps=1e-4), [1e-3])
    assert at == pytest.approx(-1e-3 / (math.sqrt(0.1 * 1e-6) + 1e-4), rel=1e-12)


def test_the_first_move_of_rmsprop_by_default():
    """Of a gradient of 1e-3: 10.0 rates, α being 0.99 and ε 1e-8."""
    (at,) = places(lambda p: torch.optim.RMSprop(p, lr=1.0), [1e-3])
    assert at == pytest.approx(-1e-3 / (math.sqrt(0.01 * 1e-6) + 1e-8), rel=1e-12)
    assert at == pytest.approx(-10.0, abs=0.01)


def test_momentum_keeps_the_rate_outside_of_the_velocity():
    """Gradients of 1, the rate cut to a tenth after the first update: the second moves by 0.1 · (0.9 + 1)."""
    made = (
        lambda p: torch.optim.SGD(p, lr=1.0, momentum=0.9),
        lambda p: torch.optim.RMSprop(p, lr=1.0, alpha=0.0, eps=0.0, momentum=0.9),
    )
    for make in made:
        assert places(make, [1.0, 1.0], rates=[1.0, 0.1]) == pytest.approx([-1, -1.19])


def test_nesterov_adds_the_next_step_of_the_velocity():
    """g + m v: 1 + 0.9 · 1, then 1 + 0.9 · 1.9."""
    found = places(lambda p: torch.optim.SGD(p, lr=1.0, momentum=0.9, nesterov=True), [1.0, 1.0])
    assert found == pytest.approx([-1.9, -1.9 - 2.71])


def test_the_first_gradient_is_not_dampened():
    """Velocities 1 and 0.9 · 1 + 0.1 · 1, not 0.1 and 0.19."""
    assert places(lambda p: torch.optim.SGD(p, lr=1.0, momentum=0.9, dampening=0.9), [1.0, 1.0]) == pytest.approx([-1, -2])  # fmt: skip
    assert (default(torch.optim.SGD, "momentum"), default(torch.optim.SGD, "dampening")) == (0, 0)


def test_adagrad_starts_at_zero_and_adds_epsilon_outside_the_root():
    """So that its first move by default is the rate whatever the gradient is."""
    (at,) = places(lambda p: torch.optim.Adagrad(p, lr=1.0, eps=1e-4, initial_accumulator_value=1e-7), [1e-3])
    assert at == pytest.approx(-1e-3 / (math.sqrt(1e-7 + 1e-6) + 1e-4), rel=1e-12)
    (at,) = places(lambda p: torch.optim.Adagrad(p, lr=1.0), [1e-3])
    assert at == pytest.approx(-1e-3 / (1e-3 + 1e-10), rel=1e-12)


def test_adagrad_has_a_rate_that_falls_by_itself():
    """lr_decay 1: the second rate is a half. Squares of the gradients 1 and 1 are summed."""
    found = places(lambda p: torch.optim.Adagrad(p, lr=1.0, lr_decay=1.0, eps=0.0), [1.0, 1.0])
    assert found == pytest.approx([-1, -1 - 0.5 / math.sqrt(2)])


def test_weight_decay_is_coupled_but_in_adamw():
    """A weight of 1 without a gradient: Adam, which divides λθ by its own size, moves it by the whole rate; AdamW by rate · λ."""
    for make, at in ((torch.optim.Adam, 1 - 1e-3), (torch.optim.AdamW, 1 - 1e-3 * 0.1)):
        found = places(lambda p, make=make: make(p, lr=1e-3, eps=1e-30, weight_decay=0.1), [0.0], start=1.0)
        assert found == pytest.approx([at], rel=1e-12)
    assert default(torch.optim.AdamW, "weight_decay") == 1e-2


def test_decay_is_multiplied_by_the_rate_of_the_step():
    """By 1e-3, then by 1e-4."""
    found = places(lambda p: torch.optim.AdamW(p, weight_decay=0.1), [0.0, 0.0], 1.0, rates=[1e-3, 1e-4])
    assert found == pytest.approx([1 - 1e-4, (1 - 1e-4) * (1 - 1e-5)], rel=1e-13)


def clipped(gradients, limit):
    given = [torch.zeros(1, dtype=torch.float64) for _ in gradients]
    for one, gradient in zip(given, gradients, strict=True):
        one.grad = torch.tensor([gradient], dtype=torch.float64)
    torch.nn.utils.clip_grad_norm_(given, limit)
    return [one.grad.item() for one in given]


def test_clipping_takes_the_norm_of_all_and_adds_to_it():
    """Of 3 and 4 the norm is 5; 1e-6 is added to it before it divides. Of a norm of 1e-4 that is 1%."""
    assert clipped([3.0, 4.0], 1.0) == pytest.approx([3 / (5 + 1e-6), 4 / (5 + 1e-6)], rel=1e-14)
    assert clipped([1e-4], 1e-4) == pytest.approx([1e-4 / 1.01], rel=1e-12)
    assert clipped([0.3, 0.4], 1.0) == [0.3, 0.4]


def test_coupled_decay_comes_after_clipping():
    """The optimiser adds it to the gradient that the user has clipped: 3 clipped to 1, and 0.1 · 10 added."""
    parameter = torch.tensor([10.0], dtype=torch.float64, requires_grad=True)
    parameter.grad = torch.tensor([3.0], dtype=torch.float64)
    torch.nn.utils.clip_grad_norm_([parameter], 1.0)
    torch.optim.SGD([parameter], lr=1.0, weight_decay=0.1).step()
    assert parameter.item() == pytest.approx(10 - (1 + 1), abs=1e-6)


def test_label_smoothing_spreads_over_all_classes():
    """Logits 2, 0, 0, the first class right: shares 1 - a + a / 3, a / 3, a / 3."""
    logits, label = torch.tensor([[2.0, 0.0, 0.0]], dtype=torch.float64), torch.tensor([0])
    total = math.log(math.exp(2) + 2)
    loss = F.cross_entropy(logits, label, label_smoothing=0.3)
    assert loss.item() == pytest.approx(0.8 * (total - 2) + 0.2 * total)
    assert default(F.cross_entropy, "label_smoothing") == 0
