"""A side of `tetrapla diff` in each framework: every kind of layer beside NumPy, then a network with its gradients and updates.

How a framework has them stands in its file beside this one; Paddle and JAX, whose models come in several kinds, have files of their own.
"""

import importlib

import numpy as np
import pytest

from common import probing
from tests import layers_in_numpy

CLOSE = {"float64": 1e-10, "float32": 3e-6}


@pytest.fixture(scope="module")
def theirs(backend):
    return importlib.import_module(f"tests.probes.{backend}")


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


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # of an even kernel PyTorch says that it copies
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


# ------------------------------------------------------------------------------------------------ a network

ORDER = ["conv", "activation", "batch_norm", "pool", "dropout", "flatten", "dropout", "dense"]


@pytest.fixture
def data(theirs):
    """x in the framework's layout, y."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(6, 3, 8, 6)), rng.integers(0, 5, 6)
    return {"x": theirs.native(x)}, x, y


@pytest.fixture
def network(make, theirs, data):
    """(probe, {path: layer} in the order of calls, values) of one way to write the network, with random values."""

    def create(build):
        probe = make(build, data[0])
        layers = {one.path: one for one in probe.describe().layers}
        probe.put(values := drawn(probe, np.random.default_rng(2)))
        called = [call.path for call in probe.forward(list(data[0].values()), False)[1]]
        assert sorted(called) == sorted(layers)
        probe.put(values)
        return probe, {path: layers[path] for path in called}, values

    return create


def through(layers, values, x, training, rate):
    """[(what NumPy has for the input, for the output) of every layer], dropout with the masks of both sides."""
    found, number = [], 0
    for path, layer in layers.items():
        held = {role: values[f"{path}/{role}"] for role in layer.tensors}
        made = layers_in_numpy.compute(layer.kind, layer.settings, held, x, training)
        if layer.kind == "dropout" and training and rate:
            made = x * probing.mask(number, x.shape, rate) / (1 - rate)
            number += 1
        found.append((x, made))
        x = made
    return found


def cross_entropy(logits, y):
    return -np.mean(np.log(layers_in_numpy.softmax(logits, -1))[np.arange(len(y)), y])


@pytest.mark.parametrize("rate", (0.0, 0.4))
def test_every_call_of_a_network_is_recorded(network, theirs, data, rate):
    for build in theirs.NETWORKS.values():
        probe, layers, values = network(lambda build=build: build(rate))
        assert [one.kind for one in layers.values()] == ORDER
        for training in (False, True):
            probe.put(values)
            outputs, calls = probe.forward(list(data[0].values()), training)
            state = probe.get()
            expected = through(layers, values, data[1], training, rate)
            for call, (x, made) in zip(calls, expected, strict=True):
                close(call.inputs[0], x)
                close(call.outputs[0], made)
                close(probe.alone(call.path, call.inputs, training)[0], made)
            close(outputs[""], expected[-1][1])
        norm = layers[calls[2].path]
        x = expected[2][0]
        count = x.size / x.shape[1]
        variance = x.var((0, 2, 3)) * (count / (count - 1) if norm.settings["unbiased"] else 1)
        for role, value in (("mean", x.mean((0, 2, 3))), ("variance", variance)):
            keep, key = norm.settings["keep"], f"{norm.path}/{role}"
            close(state[key], keep * values[key] + (1 - keep) * value)


def test_a_network_does_what_the_framework_does(network, theirs, data):
    for build in theirs.NETWORKS.values():
        probe, layers, values = network(lambda build=build: build(0.0))
        output, loss, gradients = theirs.own(probe.side, data[0]["x"], data[2])
        probe.put(values)
        close(probe.forward(list(data[0].values()), True)[0][""], output)
        value, found = probe.gradients(list(data[0].values()), [data[2]])
        assert abs(value - loss) < 1e-12
        named = [f"{one.path}/{role}" for one in layers.values() for role in ("weight", "bias") if role in one.tensors]
        assert sorted(found) == sorted(named)
        for key, expected in zip(named, gradients, strict=True):
            close(found[key], expected)


@pytest.mark.parametrize("rate", (0.0, 0.4))
def test_gradients_are_those_of_the_loss(network, theirs, data, rate):
    """Central differences of NumPy's network, in a direction for each tensor; the loss alone by each logit."""
    probe, layers, values = network(lambda: theirs.NETWORKS["sequential"](rate))
    value, found = probe.gradients(list(data[0].values()), [data[2]])

    def loss(values):
        return cross_entropy(through(layers, values, data[1], True, rate)[-1][1], data[2])

    assert abs(value - loss(values)) < 1e-12
    rng, step = np.random.default_rng(3), 1e-6
    for key, gradient in found.items():
        way = rng.normal(size=gradient.shape)
        slope = (loss(values | {key: values[key] + step * way}) - loss(values | {key: values[key] - step * way})) / (
            2 * step
        )
        assert abs((gradient * way).sum() - slope) < 1e-7 * max(1.0, abs(slope))
    logits = rng.normal(size=(6, 5))
    value, slopes = probe.loss({"": logits}, [data[2]])
    assert abs(value - cross_entropy(logits, data[2])) < 1e-12
    close(slopes[""], (layers_in_numpy.softmax(logits, -1) - np.eye(5)[data[2]]) / 6)


def stepped(about, state, value, gradient, norm, rate):
    """`value` after one update in canonical terms; `norm` that of all gradients together. `state` keeps what is kept."""
    rate, decay, count = about["rate"] * rate, about["decay"], state.setdefault("count", 0) + 1
    state["count"] = count
    if "clip_norm" in about:
        gradient = gradient * min(1.0, about["clip_norm"] / np.linalg.norm(gradient))
    if "clip_global_norm" in about:
        gradient = gradient * min(1.0, about["clip_global_norm"] / norm)
    if "clip_value" in about:
        gradient = np.clip(gradient, -about["clip_value"], about["clip_value"])
    if about.get("decoupled"):
        value = value - rate * decay * value
    else:
        gradient = gradient + decay * value
    zero, inside = np.zeros_like(value), about.get("place") == "root"
    root = lambda v: np.sqrt(v + about["epsilon"]) if inside else np.sqrt(v) + about["epsilon"]  # noqa: E731
    if about["name"] == "adam":
        state["m"] = about["beta1"] * state.get("m", zero) + (1 - about["beta1"]) * gradient
        state["v"] = about["beta2"] * state.get("v", zero) + (1 - about["beta2"]) * gradient**2
        state["most"] = np.maximum(state.get("most", zero), state["v"])
        m, v = state["m"] / (1 - about["beta1"] ** count), state["most" if about["amsgrad"] else "v"]
        share = 1 - about["beta2"] ** count
        return value - rate * m / (
            np.sqrt(v / share) + about["epsilon"] / (np.sqrt(share) if about["place"] == "hat" else 1)
        )
    if about["name"] == "rmsprop":
        state["v"] = about["keep"] * state.get("v", zero + about["start"]) + (1 - about["keep"]) * gradient**2
        state["m"] = about["keep"] * state.get("m", zero) + (1 - about["keep"]) * gradient
        gradient = gradient / root(state["v"] - (state["m"] ** 2 if about["centered"] else 0))
    if about["name"] == "adagrad":
        state["v"] = state.get("v", zero + about["start"]) + gradient**2
        return value - rate / (1 + (count - 1) * about.get("rate_decay", 0.0)) * gradient / root(state["v"])
    momentum = about["momentum"]
    given = rate * gradient if about.get("rate_inside") else gradient
    state["b"] = momentum * state["b"] + (1 - about.get("dampening", 0.0)) * given if "b" in state else given
    moved = given + momentum * state["b"] if about.get("nesterov") else state["b"]
    return value - (moved if about.get("rate_inside") else rate * moved)


def test_updates_are_what_the_settings_say(network, theirs, data):
    rates, rng = (1.0, 0.5, 2.0), np.random.default_rng(4)
    for build in theirs.OPTIMIZERS:
        probe, layers, values = network(lambda build=build: theirs.network_with(build))
        about = probe.describe().optimizer
        keys = [f"{p}/{r}" for p, one in layers.items() for r, tensor in one.tensors.items() if tensor.trainable]
        given = [{key: rng.normal(size=values[key].shape) for key in keys} for _ in rates]
        expected, states = dict(values), {key: {} for key in keys}
        for _ in range(2):  # the second time as fresh as the first
            probe.put(values)
            found = probe.update(given, rates)
            expected, states = dict(values), {key: {} for key in keys}
            for gradients, rate, after in zip(given, rates, found, strict=True):
                norm = np.sqrt(sum((g**2).sum() for g in gradients.values()))
                expected |= {k: stepped(about, states[k], expected[k], gradients[k], norm, rate) for k in keys}
                for key, value in after.items():
                    close(value, expected[key])


def test_a_trajectory_is_gradients_and_updates(network, theirs, data):
    x, rest = list(data[0].values()), [data[2]]
    probe, layers, values = network(lambda: theirs.network_with(theirs.OPTIMIZERS[0]))
    about, states, losses = probe.describe().optimizer, {}, []
    for _ in range(3):
        loss, gradients = probe.gradients(x, rest)
        losses.append(loss)
        moved = probe.get()
        probe.put({k: stepped(about, states.setdefault(k, {}), moved[k], g, 0.0, 1.0) for k, g in gradients.items()})
    probe.put(values)
    assert np.allclose(probe.train(x, rest, 3), losses, rtol=1e-10, atol=0)


def test_what_is_frozen_is_not_trained(network, theirs, data):
    probe, layers, values = network(theirs.frozen)
    for layer in layers.values():
        for role, tensor in layer.tensors.items():
            assert tensor.trainable == (layer.kind != "batch_norm" and role in ("weight", "bias"))
    found = probe.gradients(list(data[0].values()), [data[2]])[1]
    assert sorted(key.split("/")[1] for key in found) == ["bias", "bias", "weight", "weight"]


@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_what_only_this_framework_has(make, theirs, backend):
    if importlib.util.find_spec(name := f"tests.probes.{backend}_own") is not None:
        for check in importlib.import_module(name).CHECKS:
            check(make)
