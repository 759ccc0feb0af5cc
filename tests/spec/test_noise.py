"""Replayed noise: declared distributions, reproducible draw by draw, different wherever it should be."""

import numpy as np
import pytest

from common.data.batches import batch_indices, batches_per_epoch
from common.errors import DataError
from common.noise import draw, draw_steps, stream
from common.specs.draws import Bernoulli, Noise, Normal, OneHot, Uniform

RECORDS = (Noise("a", (3,), Normal(0.0, 1.0)), Noise("b", (2, 2), Normal(1.0, 5.0)))


def test_shapes_and_moments():
    values = draw(RECORDS, 20_000, seed=1, purpose="training", step=7)
    assert {name: value.shape for name, value in values.items()} == {"a": (20_000, 3), "b": (20_000, 2, 2)}
    for name, mean, std in (("a", 0, 1), ("b", 1, 5)):
        count = values[name].size
        assert values[name].mean() == pytest.approx(mean, abs=5 * std / np.sqrt(count))
        assert values[name].std() == pytest.approx(std, rel=5 / np.sqrt(2 * count))


def test_uniform_and_bernoulli():
    records = (Noise("u", (3,), Uniform(-1.0, 3.0)), Noise("b", (3,), Bernoulli(0.7)))
    values = draw(records, 20_000, seed=1, purpose="training", step=7)
    assert -1 <= values["u"].min() < -0.99
    assert 2.99 < values["u"].max() <= 3
    assert values["u"].std() == pytest.approx(4 / np.sqrt(12), rel=0.01)
    assert set(np.unique(values["b"])) == {0, 1}
    assert values["b"].mean() == pytest.approx(0.7, abs=5 * np.sqrt(0.21 / values["b"].size))


def test_one_hot():
    values = draw((Noise("c", (10,), OneHot()),), 20_000, seed=1, purpose="training", step=7)["c"]
    assert set(np.unique(values)) == {0, 1}
    assert (values.sum(axis=1) == 1).all()
    assert values.sum(axis=0) == pytest.approx(2000, abs=5 * np.sqrt(2000 * 0.9))


def test_any_step_can_be_drawn_alone():
    many = draw_steps(RECORDS, 4, 0, "training", range(3, 6))
    alone = draw(RECORDS, 4, 0, "training", 4)
    assert all(np.array_equal(many[name][1], alone[name]) for name in alone)


def test_streams_differ_in_every_key():
    keys = [
        (0, "training", "a", 0),
        (1, "training", "a", 0),
        (0, "sampling", "a", 0),
        (0, "training", "b", 0),
        (0, "training", "a", 1),
    ]
    assert len({stream(*key).normal() for key in keys}) == len(keys)
    assert stream(*keys[0]).normal() == stream(*keys[0]).normal()


def test_every_epoch_is_another_permutation():
    everything = {"all": np.arange(100)}
    order = batch_indices(everything, 10, seed=0, steps=range(20))["all"]
    first, second = order[:10].ravel(), order[10:].ravel()
    assert sorted(first) == sorted(second) == list(range(100))
    assert not np.array_equal(first, second)
    assert np.array_equal(batch_indices(everything, 10, 0, range(7, 13))["all"], order[7:13])


def test_the_incomplete_batch_is_dropped():
    assert batches_per_epoch(1437, 128) == 11
    assert len(np.unique(batch_indices({"all": np.arange(25)}, 10, 0, range(2))["all"])) == 20
    with pytest.raises(DataError, match="5 images do not fill one batch of 10"):
        batches_per_epoch(5, 10)
