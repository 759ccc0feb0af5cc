"""A side of `tetrapla diff` in each framework: every kind of layer beside NumPy, then a network with its gradients and updates.

What differs between frameworks stands in tests/backend/probes.
"""

import importlib
import importlib.util

import numpy as np
import pytest

from common import probing
from tests import layers_in_numpy

CLOSE = {"float64": 1e-10, "float32": 3e-6}


@pytest.fixture(scope="module")
def theirs(backend):
    if importlib.util.find_spec(f"tests.backend.probes.{backend}") is None:
        pytest.skip(f"tests/backend/probes has no {backend}.py yet")
    return importlib.import_module(f"tests.backend.probes.{backend}")


@pytest.fixture
def make(backend, theirs):
    """probe(function that returns a side, {name: array}); in float32 if it says that float64 it cannot."""
    probe = importlib.import_module(f"backends.{backend}.probe").Probe

    def create(build, inputs):
        for dtype in ("float64", "float32"):
            with theirs.floats(dtype):
                given = {name: v.astype(dtype) if v.dtype.kind == "f" else v for name, v in inputs.items()}
                found = probe(build() | {"inputs": given}, dtype)
                about = found.describe()
            if about.dtype == dtype:
                return found
            assert about.dtype_why
        raise AssertionError(about)

    return create


def drawn(probe, rng):
    """Random values for every tensor."""
    return {key: rng.uniform(0.5, 1.5, v.shape) if key.endswith("variance") else rng.normal(size=v.shape) / 2 for key, v in probe.get().items()}  # fmt: skip


def close(found, expected, dtype="float64"):
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= CLOSE[dtype] * max(1.0, np.abs(expected).max())


@pytest.mark.parametrize("kind", probing.KINDS)
def test_a_layer_alone_is_what_its_settings_say(make, theirs, kind):
    if kind in theirs.LACKS:
        assert kind not in theirs.CASES
        return
    for build in theirs.CASES[kind]:
        rng = np.random.default_rng(0)
        with theirs.floats("float64"):
            case = build()
        x = rng.integers(0, case["integers"], case["shape"]) if case["integers"] else 2 * rng.normal(size=case["shape"])
        given = theirs.native(x) if case["images"] else x
        probe = make(lambda build=build: {"model": theirs.model(build()["layer"])}, {"x": given})
        given = given.astype(probe.dtype) if given.dtype.kind == "f" else given
        probe.put(values := drawn(probe, rng))
        assert all(np.array_equal(value, values[key].astype(value.dtype)) for key, value in probe.get().items())
        (layer,) = (one for one in probe.describe().layers)
        assert layer.kind == kind
        assert set(probing.KINDS[kind][0]) <= set(layer.settings)
        assert set(layer.tensors) <= set(probing.KINDS[kind][1]) | {
            f"{p}_bias" for p in ("query", "key", "value", "out")
        }
        assert {f"{layer.path}/{role}": one.shape for role, one in layer.tensors.items()} == {
            k: v.shape for k, v in values.items()
        }
        held = {role: values[f"{layer.path}/{role}"] for role in layer.tensors}
        arrays = [x] * (3 if kind == "attention" else 1)
        for training in (False, True)[: 1 + (kind != "dropout")]:
            expected = layers_in_numpy.compute(
                kind, layer.settings, held, arrays if kind == "attention" else x, training
            )
            (found,) = probe.alone(layer.path, arrays, training)
            close(found, expected, probe.dtype)
            probe.put(values)
            _, (call,) = probe.forward([given], training)
            assert call.path == layer.path
            assert len(call.inputs) == len(arrays) and all(np.array_equal(a, x.astype(a.dtype)) for a in call.inputs)
            close(call.outputs[0], expected, probe.dtype)
            assert len(call.outputs) == 1
