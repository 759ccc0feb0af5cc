"""What only a probe of PyTorch's models meets; every function is a check, `make` that of test_layers."""

import numpy as np
import torch
from torch import nn

from backends.pytorch.probe import Probe
from tests import layers_in_numpy
from tests.probes.pytorch import Itself, side

RNG = np.random.default_rng(5)


def close(found, expected, least=1e-12):
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < least * max(1.0, np.abs(expected).max())


def squares(output, y):
    return ((output - y) ** 2).sum()


def check_the_projections_of_attention_are_trained(make):
    """Three in one tensor: each has its rows of the gradient, is moved by what is given for it, and is listed once."""
    x, y = RNG.normal(size=(2, 2, 5, 6))
    build = lambda: side(Itself(nn.MultiheadAttention(6, 2, batch_first=True)), loss=squares)  # noqa: E731
    probe = make(build, {"x": x})
    (layer,) = probe.describe().layers
    assert len(layer.tensors) == 8 and all(one.trainable for one in layer.tensors.values())
    before = probe.get()
    _, found = probe.gradients([x], [y])
    assert {key: value.shape for key, value in found.items()} == {key: value.shape for key, value in before.items()}

    def loss(values):
        held = {key.rsplit("/", 1)[1]: value for key, value in values.items()}
        return squares(layers_in_numpy.attention({"heads": 2}, held, [x] * 3, True), y)

    for key, gradient in found.items():
        way, step = RNG.normal(size=gradient.shape), 1e-6
        ends = [loss(before | {key: before[key] + sign * step * way}) for sign in (1, -1)]
        assert abs((gradient * way).sum() - (ends[0] - ends[1]) / (2 * step)) < 1e-6
    given = {key: RNG.normal(size=value.shape) for key, value in before.items()}
    for key, value in probe.update([given], [0.5])[0].items():
        close(value, before[key] - 0.05 * given[key])


def check_gradients_in_float64_for_a_model_in_float32(make):
    model = nn.Linear(3, 2, dtype=torch.float32)
    probe = Probe(side(model), "float32")
    before, given = probe.get(), {"/weight": RNG.normal(size=(2, 3))}
    close(probe.update([given], [1.0])[0]["/weight"], before["/weight"] - 0.1 * given["/weight"], 1e-6)


CHECKS = [value for name, value in list(globals().items()) if name.startswith("check_")]
