"""The catalogue of conventions against a framework's own layers, losses and optimisers, under settings drawn at random."""

import importlib

import numpy as np
import pytest

from common.tools.diff.conventions import explain, glue, layers, losses, updates
from common.tools.diff.conventions.base import deviation

TIGHT = 1e-12


@pytest.fixture(scope="module")
def theirs(backend):
    """The framework's side: tests/probes/conventions_<backend>.py."""
    return importlib.import_module(f"tests.probes.conventions_{backend}")


def test_every_layer_is_what_the_framework_computes(theirs):
    """LAYERS: {name: function of a generator -> (kind, settings, tensors, inputs, training, outputs)}."""
    for name, case in theirs.LAYERS.items():
        for seed in range(20):
            kind, settings, tensors, inputs, training, outputs = case(np.random.default_rng(seed))
            assert explain.explain(kind, settings, tensors, inputs, outputs, training, TIGHT) == settings, (
                name,
                seed,
                settings,
            )


def test_what_a_batch_norm_keeps_is_what_the_framework_keeps(theirs):
    for seed in range(20):
        settings, tensors, x, kept = theirs.statistics(np.random.default_rng(seed))
        found = layers.statistics(settings, tensors, [x])
        assert max(deviation(kept[role], found[role]) for role in ("mean", "variance")) < TIGHT


def test_every_loss_of_the_framework_is_named(theirs):
    """LOSSES: {name: function of a generator -> (output, target, value, gradient, what is to be found)}."""
    for name, case in theirs.LOSSES.items():
        x, y, value, gradient, wanted = case(np.random.default_rng(0))
        found = losses.explain_loss({"": x}, {"y": y}, value, {"": gradient}, 1e-9)
        assert found is not None and wanted.items() <= found.items(), (name, found)


def test_every_optimiser_of_the_framework_is_explained_by_what_it_declares(theirs):
    """OPTIMISERS: {name: (settings, function(parameters, gradients, rates) -> parameters after each update)}."""
    rng = np.random.default_rng(0)
    parameters = {"a": rng.normal(size=(4, 3)), "b": rng.normal(size=5)}
    gradients = [
        {name: 10.0**-k * rng.normal(size=value.shape) for name, value in parameters.items()} for k in range(4)
    ]
    rates = [1.0, 0.5, 2.0, 2.0]
    for name, (settings, run) in theirs.OPTIMISERS.items():
        after = run(parameters, gradients, rates)
        assert updates.explain_update(settings, parameters, gradients, rates, after, 1e-10) == settings, name


def test_every_function_between_layers_is_found(theirs):
    """FUNCTIONS: [(function of an array (3, 4, 6, 6), the steps that are to be found)]."""
    x = np.random.default_rng(0).normal(size=(3, 4, 6, 6))
    for function, steps in theirs.FUNCTIONS:
        assert glue.explain_glue(x, function(x), TIGHT) == steps
