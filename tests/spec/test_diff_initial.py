"""Initial values of `diff`: the criterion at known distances, no false alarm, what it sees."""

import math

import numpy as np
import pytest

from common.tools.diff import initial


def test_the_distance_of_known_samples():
    a = np.arange(100.0)
    assert initial.distance(a, a + 50) == 0.5
    assert initial.distance(a, a) == 0.0
    assert initial.distance(np.zeros(64), np.ones(64)) == 1.0
    assert initial.distance(np.full(64, 0.1), np.full(64, np.float32(0.1))) == 0.0  # the same constant, rounded


def test_the_bar_is_that_of_the_two_sample_test():
    """c(α) √(2 / n) with c(α) = √(−ln(α / 2) / 2), α half of 1e-6 for each of two tests."""
    c = math.sqrt(-math.log(0.5e-6 / 2) / 2)
    assert initial.allowed(64) == pytest.approx(c * math.sqrt(2 / 64))


@pytest.mark.parametrize("draw", ["standard_normal", "uniform", "standard_t"])
def test_two_draws_of_one_distribution_are_never_told_apart(draw):
    rng = np.random.default_rng(0)
    for size in (64, 1000):
        for _ in range(300):
            a, b = (getattr(rng, draw)(*((3,) if draw == "standard_t" else ()), size=size) for _ in range(2))
            assert initial.differing({"k": a}, {"k": b}, {"k": "k"}) == []


@pytest.mark.parametrize(
    ("size", "a", "b"), [((8, 8), 0.2, 0.05), ((64, 16), 0.2, 0.14), ((64, 64), 0.2, 0.17)], ids=str
)  # fmt: skip
def test_another_spread_is_seen(size, a, b):
    rng = np.random.default_rng(1)
    ours, theirs = (scale * rng.standard_normal(size) for scale in (a, b))
    (found,) = initial.differing({"head/weight": ours}, {"out/weight": theirs}, {"head/weight": "out/weight"})
    assert found.words == f"head/weight has a standard deviation of {ours.std():.2g} in the reference, {theirs.std():.2g} in the port"  # fmt: skip
    assert found.reference[1:] == (ours.min(), ours.max())


def test_the_same_spread_of_another_shape_is_told_by_its_bounds():
    rng = np.random.default_rng(2)
    ours, theirs = rng.standard_normal(20000), math.sqrt(3) * rng.uniform(-1, 1, 20000)
    (found,) = initial.differing({"k": ours}, {"k": theirs}, {"k": "k"})
    assert "(-1.7 to 1.7) in the port" in found.words


def test_what_is_small_or_not_finite_is_not_judged():
    zeros, ones = np.zeros(63), np.ones(63)
    assert initial.differing({"k": zeros}, {"k": ones}, {"k": "k"}) == []
    assert initial.differing({"k": np.full(64, np.nan)}, {"k": np.ones(64)}, {"k": "k"}) == []
    assert len(initial.differing({"k": np.zeros(64)}, {"k": np.ones(64)}, {"k": "k"})) == 1
