"""The steps between layers: what was done is found, in the words that were used, and nothing where nothing was."""

import time

import numpy as np
import pytest
from scipy import special

from common.tools.diff.conventions.glue import apply, explain_glue

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 4, 6, 6))
ACT, POOL = {"kind": "activation"}, {"kind": "pool", "ceil": False}
MAX = POOL | {"op": "max", "size": [2, 2], "stride": [2, 2], "padding": [[0, 0]] * 2, "counted": False}
PADDED = POOL | {"op": "average", "size": [3, 3], "stride": [2, 2], "padding": [[1, 1]] * 2}
FLAT = {"kind": "flatten", "first": 1}
CASES = [
    [],
    *([ACT | step] for step in ({"name": "relu"}, {"name": "leaky_relu", "slope": 0.2}, {"name": "gelu", "approximate": True}, {"name": "gelu", "approximate": False}, {"name": "silu"}, {"name": "tanh"}, {"name": "softmax", "axis": 1}, {"name": "hard_sigmoid", "slope": 0.2, "offset": 0.5})),
    [ACT | {"name": "leaky_relu", "slope": 0.07}],
    [{"kind": "scale", "factor": 2.0, "shift": -1.0}],
    [MAX],
    [PADDED | {"counted": False}],
    [PADDED | {"counted": True}],
    [POOL | {"op": "max", "size": [3, 3], "stride": [2, 2], "padding": "same", "counted": False}],
    [POOL | {"op": "max", "size": [3, 3], "stride": [1, 1], "padding": [[1, 1]] * 2, "counted": False}],
    [{"kind": "pad", "padding": [[0, 1], [0, 1]], "mode": "constant", "value": 0.0}],
    [{"kind": "pad", "padding": [[2, 2], [2, 2]], "mode": "reflect", "value": 0.0}],
    [{"kind": "transpose", "axes": [0, 2, 3, 1]}],
    [{"kind": "transpose", "axes": [0, 1, 3, 2]}],
    [FLAT | {"order": "channels_first"}],
    [FLAT | {"order": "channels_last"}],
    [{"kind": "resize", "size": [12, 12], "mode": "nearest"}],
    [{"kind": "resize", "size": [12, 12], "mode": "linear", "corners": True}],
    [{"kind": "resize", "size": [12, 12], "mode": "linear", "corners": False}],
    [ACT | {"name": "silu"}, MAX],
    [ACT | {"name": "relu"}, FLAT | {"order": "channels_last"}],
    [PADDED | {"counted": True}, ACT | {"name": "relu"}],
    [ACT | {"name": "silu"}, MAX, FLAT | {"order": "channels_last"}],
    [ACT | {"name": "gelu", "approximate": False}, {"kind": "adaptive_pool", "op": "average", "size": [1, 1]}, FLAT | {"order": "channels_first"}],
    [{"kind": "reshape", "shape": [36, 4], "order": "channels_last"}],
]  # fmt: skip


@pytest.mark.parametrize(
    "steps",
    CASES,
    ids=lambda steps: "-".join(f"{s['kind']}:{s.get('name', s.get('op', ''))}" for s in steps) or "nothing",
)
def test_steps_are_found(steps):
    y = X
    for step in steps:
        y = apply(step, y)
    found = explain_glue(X, y, 1e-12)
    z = X
    for step in found:
        z = apply(step, z)
    np.testing.assert_allclose(z, y, rtol=0, atol=1e-12 * abs(y).max())
    # In an order of their own, as ReLU and a permutation may change places, and where a global pool is flattened either way.
    assert {step["kind"] for step in found} == {step["kind"] for step in steps}
    assert (
        [one for one in found if one not in steps] == []
        or steps[-1]["kind"] == "flatten"
        and steps[-2]["kind"] == "adaptive_pool"
    )


def test_by_scipys_functions():
    assert explain_glue(X, special.expit(X), 1e-12) == [ACT | {"name": "sigmoid"}]
    assert explain_glue(X, special.log_softmax(X, -1), 1e-12) == [ACT | {"name": "log_softmax", "axis": -1}]
    assert explain_glue(X, X.transpose(0, 2, 3, 1).reshape(3, -1), 1e-12) == [FLAT | {"order": "channels_last"}]


def test_several_sources():
    other = RNG.normal(size=X.shape)
    assert explain_glue([X, other], np.maximum(X + other, 0), 1e-12) == [{"kind": "add"}, ACT | {"name": "relu"}]
    assert explain_glue([X, other], X * other, 1e-12) == [{"kind": "multiply"}]
    joined = np.concatenate([X, other[:, :2]], 1)
    assert explain_glue([X, other[:, :2]], joined, 1e-12) == [{"kind": "concatenate", "axis": 1}]
    assert explain_glue([other, X], np.concatenate([X, other], 1), 1e-12) is None


def test_nothing_is_found_where_nothing_is_and_soon():
    big = RNG.normal(size=(4, 64, 28, 28))
    start = time.process_time()
    for y in (
        RNG.normal(size=big.shape),
        RNG.normal(size=(4, 64, 14, 14)),
        RNG.normal(size=(4, 10)),
        big + 1e-6 * RNG.normal(size=big.shape),
    ):
        assert explain_glue(big, y, 1e-12) is None
    assert time.process_time() - start < 60
    assert explain_glue(X, X * np.nan, 1e-12) is None
