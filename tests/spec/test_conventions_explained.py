"""That the catalogue names the convention that was planted, exactly that, and nothing where nothing fits."""

import math

import numpy as np
import pytest

from common.tools.diff.conventions import explain, layers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 6, 7, 8))
TIGHT = 1e-12

IMAGE = {"weight": RNG.normal(size=(6, 6, 3, 3)), "bias": RNG.normal(size=6)}
NORM = {
    "weight": RNG.normal(size=6),
    "bias": RNG.normal(size=6),
    "mean": RNG.normal(size=6),
    "variance": RNG.uniform(0.5, 2, 6),
}
LAST = {"weight": RNG.normal(size=8), "bias": RNG.normal(size=8)}
SQUARE = {"weight": RNG.normal(size=(8, 8)), "bias": RNG.normal(size=8)}
BN = {"epsilon": 1e-5, "keep": 0.9, "unbiased": True}
INDICES = RNG.integers(0, 5, (4, 9))

# (kind, what is declared, what was planted in one or two settings, tensors, input)
PLANTED = [
    ("activation", {"name": "gelu", "approximate": False}, {"approximate": True}, {}, X),
    ("activation", {"name": "gelu", "approximate": True}, {"approximate": "sigmoid"}, {}, X),
    *(("activation", {"name": "leaky_relu", "slope": 0.01}, {"slope": s}, {}, X) for s in (0.1, 0.2, 0.3)),
    ("activation", {"name": "hard_sigmoid", "slope": 1 / 6, "offset": 0.5}, {"slope": 0.2}, {}, X),
    ("activation", {"name": "softmax", "axis": -1}, {"axis": 1}, {}, X),
    ("activation", {"name": "log_softmax", "axis": 1}, {"axis": 0}, {}, X),
    ("activation", {"name": "elu", "alpha": 1.0}, {"alpha": 0.1}, {}, X),
    ("activation", {"name": "softplus", "beta": 1.0, "threshold": None}, {"threshold": 20.0}, {}, 20 * X),
    ("activation", {"name": "relu"}, {"name": "silu"}, {}, X),
    ("activation", {"name": "relu"}, {"name": "leaky_relu", "slope": 0.2}, {}, X),
    ("activation", {"name": "leaky_relu", "slope": 0.3}, {"float32": ["slope"]}, {}, X),
    ("dropout", {"rate": 0.3, "number": 4}, {"rate": 0.7}, {}, X),
    ("dropout", {"rate": 0.3, "number": 4}, {"scaled": "in evaluation"}, {}, X),
    ("dense", {}, {"transposed": True}, SQUARE, X),
    ("embedding", {"padding": 0, "zeros": False}, {"zeros": True}, {"weight": RNG.normal(size=(5, 4))}, INDICES),
    ("embedding", {"padding": None}, {"padding": -1, "zeros": True}, {"weight": RNG.normal(size=(5, 4))}, INDICES),
    ("embedding", {}, {"scale": "root"}, {"weight": RNG.normal(size=(5, 4))}, INDICES),
    ("flatten", {"first": 1}, {"order": "channels_last"}, {}, X),
    ("reshape", {"shape": [6, 56]}, {"order": "channels_last"}, {}, X.reshape(4, -1)),
    ("pad", {"padding": [[1, 0], [0, 1]], "mode": "constant"}, {"mode": "reflect"}, {}, X),
    ("pad", {"padding": [[0, 1], [0, 1]]}, {"padding": [[1, 0], [1, 0]]}, {}, X),
    ("conv", {"stride": 2, "padding": [[1, 1], [1, 1]]}, {"padding": [[0, 1], [0, 1]]}, IMAGE, X[:, :, :6, :6]),
    ("conv", {"stride": 2, "padding": "half"}, {"padding": "same"}, IMAGE, X[:, :, :6]),
    ("conv", {"padding": [[1, 1], [1, 1]]}, {"turned": True}, IMAGE, X),
    ("conv", {"padding": [[1, 1], [1, 1]]}, {"swapped": True}, IMAGE, X),
    ("conv", {"padding": [[1, 1], [1, 1]]}, {"transposed": True}, IMAGE, X),
    ("conv", {"padding": [[1, 1], [1, 1]]}, {"mode": "reflect"}, IMAGE, X),
    ("conv", {"padding": "same", "dilation": 1}, {"dilation": 2}, IMAGE, X),
    ("conv", {"stride": 2, "padding": "half"}, {"padding": "same", "turned": True}, IMAGE, X[:, :, :6]),
    ("conv_transpose", {"stride": 2, "padding": "same"}, {"turned": True}, IMAGE, X),
    ("conv_transpose", {"stride": 2, "padding": "same"}, {"padding": "same_lower"}, IMAGE, X),
    ("conv_transpose", {"stride": 2, "padding": [[1, 0], [1, 0]]}, {"padding": [[0, 1], [0, 1]]}, IMAGE, X),
    *(("batch_norm", BN, {"epsilon": e}, NORM, X) for e in (1e-3, 1e-6, 1e-12)),
    ("batch_norm", BN, {"frozen": True}, NORM, X),
    ("batch_norm", BN, {"place": "outside"}, NORM, X),
    ("batch_norm", BN, {"normalised": "unbiased"}, NORM, X),
    ("batch_norm", BN, {"axis": -1}, NORM, np.moveaxis(X, 1, -1)[:, :6, :6]),
    ("batch_norm", BN, {"epsilon": 1e-3, "normalised": "unbiased"}, NORM, X),
    *(("layer_norm", {"epsilon": 1e-5, "axes": 1}, {"epsilon": e}, LAST, X) for e in (1e-3, 1e-6, 1e-12)),
    ("layer_norm", {"epsilon": 1e-6, "axes": 1}, {"unbiased": True, "place": "outside"}, LAST, X),
    ("layer_norm", {"epsilon": 1e-6, "axes": 1}, {"offset": 1.0}, LAST, X),
    ("layer_norm", {"epsilon": 1e-6, "axes": 1}, {"axes": 2}, {}, X),
    ("group_norm", {"epsilon": 1e-5, "groups": 2}, {"epsilon": 1e-6}, NORM, X),
    ("group_norm", {"epsilon": 1e-5, "groups": 2}, {"interleaved": True}, NORM, X),
    ("group_norm", {"epsilon": 1e-5, "groups": 2}, {"groups": 1}, NORM, X),
    ("instance_norm", {"epsilon": 1e-5}, {"epsilon": 1e-3}, {}, X),
    ("instance_norm", {"epsilon": 1e-5}, {"unbiased": True}, {}, X),
    ("rms_norm", {"epsilon": 1e-5}, {"epsilon": 1e-6}, {"weight": LAST["weight"]}, X),
    ("rms_norm", {"epsilon": 1e-5}, {"offset": 1.0}, {"weight": LAST["weight"]}, X),
    ("pool", {"op": "average", "size": 3, "stride": 2, "padding": 1, "counted": True}, {"counted": False}, {}, X),
    ("pool", {"op": "max", "size": 3, "stride": 2, "padding": 1}, {"padding": "same"}, {}, X[:, :, :6]),
    ("pool", {"op": "max", "size": 3, "stride": 2, "padding": 0}, {"ceil": True}, {}, X),
    ("pool", {"op": "max", "size": 3, "stride": 2, "padding": 1}, {"fill": 0}, {}, -abs(X)),
    ("pool", {"op": "max", "size": 2, "stride": None}, {"stride": 1}, {}, X),
    ("pool", {"op": "max", "size": 2}, {"op": "average"}, {}, X),
    ("adaptive_pool", {"op": "average", "size": [3, 3]}, {"op": "max"}, {}, X),
]  # fmt: skip


def planted_id(case):
    return f"{case[0]}-{'-'.join(case[2])}-{list(case[2].values())[0]}"


@pytest.mark.parametrize("case", PLANTED, ids=planted_id)
def test_what_was_planted_is_named_and_nothing_else(case):
    kind, declared, planted, tensors, x = case
    true = declared | planted
    outputs = layers.run(kind, true, tensors, [x], True)
    assert explain.explain(kind, true, tensors, [x], outputs, True, TIGHT) == true
    found = explain.explain(kind, declared, tensors, [x], outputs, True, TIGHT)
    assert {name for name in found if found[name] != declared.get(name)} == set(planted)
    for name in planted:  # the same, or as a padding in words
        assert found[name] == true[name] or not explain.differing(kind, found, true, tensors, [x], True)
    assert set(explain.differing(kind, declared, true, tensors, [x], True)) == set(planted)


@pytest.mark.parametrize("kind", sorted({case[0] for case in PLANTED}))
def test_what_nothing_explains_is_left_unexplained(kind):
    _, declared, _, tensors, x = next(case for case in PLANTED if case[0] == kind)
    outputs = layers.run(kind, declared, tensors, [x], True)
    noise = [one + 1e-6 * RNG.normal(size=one.shape) for one in outputs]
    assert explain.explain(kind, declared, tensors, [x], noise, True, TIGHT) is None
    assert explain.explain(kind, declared, tensors, [x], [one * math.nan for one in outputs], True, TIGHT) is None


@pytest.mark.parametrize(
    "planted", [{"keep": 0.99}, {"keep": 0.1}, {"unbiased": False}, {"keep": 0.99, "unbiased": False}], ids=str
)
def test_what_a_batch_norm_keeps_is_explained_too(planted):
    true = BN | planted
    outputs, state = layers.run("batch_norm", true, NORM, [X], True), layers.statistics(true, NORM, [X])
    assert explain.explain("batch_norm", BN, NORM, [X], outputs, True, TIGHT, state) == true
    assert explain.differing("batch_norm", BN, true, NORM, [X], True) == list(planted)
    assert explain.differing("batch_norm", BN, true, NORM, [X], False) == []


def test_settings_that_differ_and_change_nothing_are_not_named():
    same = {"padding": "same", "stride": 2}
    assert (
        explain.differing("conv", same, {"padding": [[0, 1], [0, 1]], "stride": [2, 2]}, IMAGE, [X[:, :, :6]], True)
        == []
    )
    assert explain.differing("activation", {"name": "relu"}, {"name": "relu6"}, {}, [X], True) == []
