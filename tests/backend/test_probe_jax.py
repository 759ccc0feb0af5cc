"""The probe of foreign models in JAX: what it says and does beside the model's own call, jax.grad, optax and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from backends.jax.probe import Probe
from common.probing import mask

DTYPE = "float64"


@pytest.fixture(autouse=True)
def only(backend):
    if backend != "jax":
        pytest.skip("the probe of JAX")  # merged with the other columns' one day
    with jax.enable_x64(True):
        yield


def cross_entropy(outputs, labels):
    return optax.softmax_cross_entropy_with_integer_labels(outputs, labels).mean()


class Net(nnx.Module):
    def __init__(self, rngs):
        self.conv = nnx.Conv(3, 6, (3, 3), strides=2, rngs=rngs)
        self.norm = nnx.BatchNorm(6, rngs=rngs)
        self.body = nnx.List([nnx.Linear(6 * 16, 7, rngs=rngs), nnx.Dropout(0.3)])
        self.shift = nnx.Param(jnp.zeros(7))
        self.last = nnx.Linear(7, 5, use_bias=False, rngs=rngs)

    def __call__(self, x):
        x = jax.nn.relu(self.norm(self.conv(x)))
        for layer in self.body:
            x = layer(x.reshape(len(x), -1))
        return self.last(x + self.shift)


def inputs(seed=0):
    random = np.random.default_rng(seed)
    return random.normal(size=(8, 8, 8, 3)), random.integers(0, 5, 8)


def probe(**side):
    one = Probe({"model": Net(nnx.Rngs(0)), "loss": cross_entropy, "optimizer": optax.adam(1e-3)} | side, DTYPE)
    random = np.random.default_rng(1)
    one.put({key: random.uniform(0.5, 1.5, value.shape) for key, value in one.get().items()})
    return one


def own(one):
    """The user's module with the probe's numbers in float64, and no help of the probe."""
    model = Net(nnx.Rngs(0))
    state = nnx.state(model)
    for path, variable in nnx.to_flat_state(state):
        if (name := ".".join(map(str, path))) in one.values:
            variable.set_value(one.values[name])
    nnx.update(model, state)
    return model


def test_what_the_layers_are():
    found = {layer.path: layer for layer in probe().describe().layers}
    assert list(found) == ["conv", "norm", "body.0", "body.1", "last", "shift"]
    assert found["conv"].settings == {"stride": [2, 2], "padding": "same", "dilation": [1, 1], "groups": 1}
    assert found["norm"].settings == {"epsilon": 1e-5, "keep": 0.99, "unbiased": False}
    assert found["conv"].tensors["weight"].shape == (6, 3, 3, 3)
    assert [tensor.trainable for tensor in found["norm"].tensors.values()] == [True, True, False, False]
    assert found["body.1"].settings == {"rate": 0.3}
    assert found["last"].tensors["weight"].shape == (5, 7) and found["shift"].kind == "unknown"


def test_forward_is_the_models_own():
    one, (x, _) = probe(), inputs()
    model = own(one)
    model.eval()
    assert one.forward([x], False)[0][""] == pytest.approx(np.asarray(model(jnp.asarray(x))), rel=1e-12)


def test_training_replays_dropout_and_moves_the_statistics():
    one, (x, _) = probe(), inputs()
    before = one.get()
    outputs, calls = one.forward([x], True)
    assert [call.path for call in calls] == ["conv", "norm", "body.0", "body.1", "last"]
    dropped = calls[3]
    assert dropped.outputs[0] == pytest.approx(dropped.inputs[0] * mask(0, (8, 7), 0.3) / 0.7, rel=1e-12)
    images = calls[1].inputs[0]
    assert images.shape == (8, 6, 4, 4)
    after = one.get()
    assert after["norm/mean"] == pytest.approx(0.99 * before["norm/mean"] + 0.01 * images.mean((0, 2, 3)), rel=1e-12)
    assert after["norm/variance"] == pytest.approx(
        0.99 * before["norm/variance"] + 0.01 * images.var((0, 2, 3)), rel=1e-12
    )
    assert outputs[""] == pytest.approx((dropped.outputs[0] + after["shift/"]) @ after["last/weight"].T, rel=1e-12)


def test_gradients_are_jax_grad(backend):
    one, (x, y) = probe(mode="eval"), inputs()
    model = own(one)
    model.eval()
    value, found = nnx.value_and_grad(lambda model: cross_entropy(model(jnp.asarray(x)), jnp.asarray(y)))(model)
    loss, gradients = one.gradients([x], [y])
    assert loss == pytest.approx(float(value), rel=1e-12)
    assert gradients["conv/weight"] == pytest.approx(
        np.asarray(found["conv"]["kernel"][...]).transpose(3, 2, 0, 1), rel=1e-9
    )
    assert gradients["last/weight"] == pytest.approx(np.asarray(found["last"]["kernel"][...]).T, rel=1e-9)
    assert gradients["shift/"] == pytest.approx(np.asarray(found["shift"][...]), rel=1e-9)
    assert set(gradients) == set(one.get()) - {"norm/mean", "norm/variance"}


def test_updates_by_hand():
    one, beta1, beta2 = probe(optimizer=optax.adam(1e-3)), 0.9, 0.999
    start, random = one.get(), np.random.default_rng(2)
    given = [{"last/weight": random.normal(size=(5, 7))} for _ in range(3)]
    found, weight, m, v = one.update(given, [1, 0.5, 2]), start["last/weight"], 0, 0
    for t, (one_gradient, rate) in enumerate(zip(given, [1, 0.5, 2], strict=True), 1):
        g = one_gradient["last/weight"]
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        weight = weight - 1e-3 * rate * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + 1e-8)
        assert found[t - 1]["last/weight"] == pytest.approx(weight, rel=1e-12)
    assert np.array_equal(found[2]["shift/"], start["shift/"])


def test_put_and_get():
    one, random = probe(), np.random.default_rng(3)
    given = {key: random.normal(size=value.shape) for key, value in one.get().items()}
    one.put(given)
    found = one.get()
    assert all(np.array_equal(found[key], given[key]) for key in given)


def test_a_plain_function():
    x, y = np.ones((4, 3)), np.arange(4.0)
    parameters = {"w": np.arange(3.0), "more": {"b": np.array(0.5)}}
    side = {
        "model": lambda p, x: x @ p["w"] + p["more"]["b"],
        "parameters": parameters,
        "loss": lambda o, y: ((o - y) ** 2).mean(),
    }
    one = Probe(side | {"optimizer": optax.sgd(0.1)}, DTYPE)
    assert set(one.get()) == {"w/", "more.b/"}
    residual = 3.5 - y
    loss, gradients = one.gradients([x], [y])
    assert loss == pytest.approx((residual**2).mean())
    assert gradients["more.b/"] == pytest.approx(2 * residual.mean())
    assert gradients["w/"] == pytest.approx(np.full(3, 2 * residual.mean()))
    one.train([x], [y], 1)
    assert one.get()["more.b/"] == pytest.approx(0.5 - 0.1 * 2 * residual.mean())
