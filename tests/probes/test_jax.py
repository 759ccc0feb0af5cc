"""The probe of foreign models in JAX: what it says and does beside the model's own call, jax.grad, optax and closed forms."""

import functools

import flax.linen as nn
import flax.linen.recurrent
import flax.nnx.nn.recurrent
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from backends.jax.probe import Probe
from common.probing import Refused, mask, startup

DTYPE = "float64"


@pytest.fixture(autouse=True)
def prepared(monkeypatch):
    """As the server prepares a side's process."""
    for module in (flax.nnx.nn.recurrent, flax.linen.recurrent):
        for cell in vars(module).values():
            if isinstance(cell, type) and "initialize_carry" in vars(cell):
                monkeypatch.setattr(cell, "initialize_carry", cell.initialize_carry)  # restored when the test ends
        startup.carries(module, DTYPE)
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


def test_gradients_in_training_move_the_statistics_as_a_pass_does():
    one, (x, y) = probe(), inputs()
    before = one.get()
    one.forward([x], True)
    expected = one.get()
    one.put(before)
    one.gradients([x], [y])
    found = one.get()
    assert (found["norm/variance"] != before["norm/variance"]).all()
    assert all(found[key] == pytest.approx(expected[key], rel=1e-12) for key in expected)


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


# ------------------------------------------------------- every layer alone, beside NumPy, in nnx and in linen


def windows(x, size, stride, dilation):
    """(N, C, outputs..., window...) of a padded (N, C, ...)."""
    view = np.lib.stride_tricks.sliding_window_view(
        x, [d * (k - 1) + 1 for k, d in zip(size, dilation, strict=True)], range(2, x.ndim)
    )
    return view[
        (slice(None), slice(None), *(slice(None, None, s) for s in stride), *(slice(None, None, d) for d in dilation))
    ]


def conv(stride, padding, dilation=(1, 1), groups=1, mode="constant"):
    def run(t, x):
        x = np.pad(x, [(0, 0), (0, 0), *padding], mode=mode)
        seen, weight = windows(x, t["weight"].shape[2:], stride, dilation), t["weight"]
        parts = [
            np.einsum("nchwij,ocij->nohw", a, b)
            for a, b in zip(np.split(seen, groups, 1), np.split(weight, groups), strict=True)
        ]
        return np.concatenate(parts, 1) + t["bias"].reshape(-1, 1, 1)

    return run


def transposed(stride, cut, turned=False, dilation=(1, 1)):
    """Every number of x lays a kernel over the result, of which `cut` is taken off."""

    def run(t, x):
        weight = t["weight"][:, :, ::-1, ::-1] if turned else t["weight"]
        (n, _, h, w), (kh, kw), (sh, sw) = x.shape, weight.shape[2:], stride
        whole = np.zeros(
            (
                n,
                weight.shape[1],
                (h - 1) * sh + (kh - 1) * dilation[0] + 1 + 9,
                (w - 1) * sw + (kw - 1) * dilation[1] + 1 + 9,
            )
        )
        for i, j, a, b in np.ndindex(h, w, kh, kw):
            whole[:, :, i * sh + a * dilation[0], j * sw + b * dilation[1]] += x[:, :, i, j] @ weight[:, :, a, b]
        (top, bottom), (left, right) = cut
        end = [size - 9 - one for size, one in zip(whole.shape[2:], (bottom, right), strict=True)]
        return whole[:, :, top : end[0], left : end[1]] + t["bias"].reshape(-1, 1, 1)

    return run


def normed(axes, epsilon, centred=True, groups=None):
    def run(t, x):
        y = x if groups is None else x.reshape(len(x), groups, -1)
        mean = y.mean(axes, keepdims=True) if centred else 0
        y = ((y - mean) / np.sqrt((y * y).mean(axes, keepdims=True) - mean**2 + epsilon)).reshape(x.shape)
        shape = (-1,) if axes == -1 and groups is None else (-1,) + (1,) * (x.ndim - 2)
        return y * t["weight"].reshape(shape) + t.get("bias", np.zeros(1)).reshape(shape)

    return run


def batch(t, x):
    mean, variance, weight, bias = (t[name].reshape(-1, 1, 1) for name in ("mean", "variance", "weight", "bias"))
    return (x - mean) / np.sqrt(variance + 0.01) * weight + bias


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(t, x):
    h = c = np.zeros((len(x), t["weight_hh"].shape[1]))
    found = []
    for step in x.swapaxes(0, 1):
        i, f, g, o = np.split(step @ t["weight_ih"].T + h @ t["weight_hh"].T + t["bias_ih"], 4, 1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        found.append(h)
    return np.stack(found, 1)


def gru(t, x):
    h = np.zeros((len(x), t["weight_hh"].shape[1]))
    found = []
    for step in x.swapaxes(0, 1):
        r, z, n = np.split(step @ t["weight_ih"].T + t["bias_ih"], 3, 1)
        hr, hz, hn = np.split(h @ t["weight_hh"].T, 3, 1)
        r, z = sigmoid(r + hr), sigmoid(z + hz)
        h = (1 - z) * np.tanh(n + r * (hn + t.get("bias_hn", 0))) + z * h
        found.append(h)
    return np.stack(found, 1)


def attention(t, x):
    def heads(name):
        return np.stack(np.split(x @ t[f"{name}_weight"].T + t[f"{name}_bias"], 2, 2), 1)

    q, k, v = map(heads, ("query", "key", "value"))
    scores = np.exp(q @ k.swapaxes(2, 3) / np.sqrt(q.shape[-1]))
    found = np.concatenate([*np.moveaxis(scores / scores.sum(-1, keepdims=True) @ v, 1, 0)], 2)
    return found @ t["out_weight"].T + t["out_bias"]


def dense(t, x):
    return x @ t["weight"].T + t["bias"]


IMAGE, ROWS, SEQUENCE = (2, 4, 7, 6), (5, 4), (3, 6, 4)
R = nnx.Rngs(0)
UP = {"strides": (2, 3)}
# (kind, settings that are to be said, nnx, linen, the inputs' canonical shape, what is to come out)
LAYERS = {
    "dense": ("dense", {}, lambda: nnx.Linear(4, 3, rngs=R), lambda: nn.Dense(3), SEQUENCE, dense),
    "general": ("dense", {}, lambda: nnx.LinearGeneral(4, 3, rngs=R), lambda: nn.DenseGeneral(3), ROWS, dense),
    "valid": ("conv", {"padding": [[0, 0]] * 2}, lambda: nnx.Conv(4, 6, (3, 2), padding="VALID", rngs=R), lambda: nn.Conv(6, (3, 2), padding="VALID"), IMAGE, conv((1, 1), [(0, 0)] * 2)),
    "same": ("conv", {"padding": "same", "stride": [2, 2]}, lambda: nnx.Conv(4, 6, (3, 3), 2, rngs=R), lambda: nn.Conv(6, (3, 3), 2), IMAGE, conv((2, 2), [(1, 1), (0, 1)])),
    "lower": ("conv", {"padding": "same_lower"}, lambda: nnx.Conv(4, 6, (2, 2), padding="SAME_LOWER", rngs=R), lambda: nn.Conv(6, (2, 2), padding="SAME_LOWER"), IMAGE, conv((1, 1), [(1, 0)] * 2)),
    "explicit": ("conv", {"padding": [[1, 2], [0, 1]]}, lambda: nnx.Conv(4, 6, (3, 3), padding=((1, 2), (0, 1)), rngs=R), lambda: nn.Conv(6, (3, 3), padding=((1, 2), (0, 1))), IMAGE, conv((1, 1), [(1, 2), (0, 1)])),
    "circular": ("conv", {"padding": [[1, 1], [0, 1]], "mode": "circular"}, lambda: nnx.Conv(4, 6, (3, 2), padding="CIRCULAR", rngs=R), lambda: nn.Conv(6, (3, 2), padding="CIRCULAR"), IMAGE, conv((1, 1), [(1, 1), (0, 1)], mode="wrap")),
    "grouped": ("conv", {"groups": 2, "dilation": [2, 1]}, lambda: nnx.Conv(4, 6, (3, 3), padding=1, kernel_dilation=(2, 1), feature_group_count=2, rngs=R), lambda: nn.Conv(6, (3, 3), padding=1, kernel_dilation=(2, 1), feature_group_count=2), IMAGE, conv((1, 1), [(1, 1)] * 2, (2, 1), 2)),
    "up_same": ("conv_transpose", {"turned": False}, lambda: nnx.ConvTranspose(4, 6, (4, 2), (2, 3), transpose_kernel=True, rngs=R), lambda: nn.ConvTranspose(6, (4, 2), (2, 3), transpose_kernel=True), IMAGE, transposed((2, 3), ((1, 1), (0, -1)))),
    "up_valid": ("conv_transpose", {"padding": [[0, 0], [0, -1]]}, lambda: nnx.ConvTranspose(4, 6, (4, 2), (2, 3), padding="VALID", transpose_kernel=True, rngs=R), lambda: nn.ConvTranspose(6, (4, 2), (2, 3), padding="VALID", transpose_kernel=True), IMAGE, transposed((2, 3), ((0, 0), (0, -1)))),
    "up_turned": ("conv_transpose", {"turned": True, "padding": [[1, 0], [2, 1]]}, lambda: nnx.ConvTranspose(4, 6, (3, 3), (2, 2), padding=((1, 2), (0, 1)), rngs=R), lambda: nn.ConvTranspose(6, (3, 3), (2, 2), padding=((1, 2), (0, 1))), IMAGE, transposed((2, 2), ((1, 0), (2, 1)), turned=True)),
    "up_dilated": ("conv_transpose", {"dilation": [2, 1]}, lambda: nnx.ConvTranspose(4, 6, (3, 3), (2, 2), padding=2, kernel_dilation=(2, 1), transpose_kernel=True, rngs=R), lambda: nn.ConvTranspose(6, (3, 3), (2, 2), padding=2, kernel_dilation=(2, 1), transpose_kernel=True), IMAGE, transposed((2, 2), ((2, 2), (0, 0)), dilation=(2, 1))),
    "batch": ("batch_norm", {"epsilon": 0.01, "keep": 0.8, "unbiased": False}, lambda: nnx.BatchNorm(4, momentum=0.8, epsilon=0.01, rngs=R), lambda: nn.BatchNorm(True, momentum=0.8, epsilon=0.01), IMAGE, batch),
    "layer": ("layer_norm", {"epsilon": 1e-6, "axes": 1}, lambda: nnx.LayerNorm(4, rngs=R), lambda: nn.LayerNorm(), SEQUENCE, normed(-1, 1e-6)),
    "rms": ("rms_norm", {"epsilon": 0.1, "axes": 1}, lambda: nnx.RMSNorm(4, epsilon=0.1, rngs=R), lambda: nn.RMSNorm(0.1), SEQUENCE, normed(-1, 0.1, centred=False)),
    "group": ("group_norm", {"epsilon": 1e-6, "groups": 2}, lambda: nnx.GroupNorm(4, 2, rngs=R), lambda: nn.GroupNorm(None, group_size=2), IMAGE, normed(-1, 1e-6, groups=2)),
    "instance": ("instance_norm", {"epsilon": 1e-6}, lambda: nnx.InstanceNorm(4, rngs=R), lambda: nn.InstanceNorm(), IMAGE, normed((2, 3), 1e-6)),
    "lstm": ("lstm", {"layers": 1, "both_ways": False}, lambda: nnx.RNN(nnx.LSTMCell(4, 5, rngs=R)), lambda: nn.RNN(nn.LSTMCell(5)), SEQUENCE, lstm),
    "fast_lstm": ("lstm", {}, lambda: nnx.RNN(nnx.OptimizedLSTMCell(4, 5, rngs=R), return_carry=True), lambda: nn.RNN(nn.OptimizedLSTMCell(5), return_carry=True), SEQUENCE, lstm),
    "gru": ("gru", {"reset_after": True}, lambda: nnx.RNN(nnx.GRUCell(4, 5, rngs=R), time_major=True), lambda: nn.RNN(nn.GRUCell(5), time_major=True), SEQUENCE, gru),
    "attention": ("attention", {"heads": 2}, lambda: nnx.MultiHeadAttention(2, 4, qkv_features=6, decode=False, rngs=R), lambda: nn.MultiHeadDotProductAttention(2, qkv_features=6), SEQUENCE, attention),
}  # fmt: skip


class Around(nn.Module):
    layer: nn.Module

    def __call__(self, x):
        return self.layer(x)


class AroundNnx(nnx.Module):
    def __init__(self, layer):
        self.layer = layer

    def __call__(self, x):
        return self.layer(x)


def side_of(library, made, x):
    """A model with one layer, that is called on `x`."""
    if library == "nnx":
        return AroundNnx(made())
    model = Around(made())
    return model, model.init(jax.random.key(0), jnp.asarray(x, "float32"))


@pytest.mark.parametrize("library", ("nnx", "linen"))
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_alone(name, library):
    kind, settings, *made, shape, expected = LAYERS[name]
    random = np.random.default_rng(0)
    x = random.normal(size=shape)
    own = np.moveaxis(x, 1, -1) if shape is IMAGE else x.swapaxes(0, 1) if name == "gru" else x
    one = Probe({"model": side_of(library, made[library == "linen"], own)}, DTYPE)
    one.look([own])
    (layer,) = one.describe().layers
    assert (layer.path, layer.kind, layer.settings | settings) == ("layer", kind, layer.settings)
    one.put(
        {
            key: random.uniform(0.5, 1.5, value.shape) * random.choice([-1, 1], value.shape) ** ("variance" not in key)
            for key, value in one.get().items()
        }
    )
    tensors = {role: one.get()[f"layer/{role}"] for role in layer.tensors}
    assert {role: tensor.shape for role, tensor in layer.tensors.items()} == {r: v.shape for r, v in tensors.items()}
    (found,) = one.alone("layer", [x], training=False)
    assert found == pytest.approx(expected(tensors, x), rel=1e-10, abs=1e-12)
    outputs, (call,) = one.forward([own], False)
    assert np.array_equal(call.inputs[0], x) and call.outputs[0] == pytest.approx(found, rel=1e-12)
    assert one.describe().dtype == "float64"
    lines = one.source("layer", training=False)
    assert bool(lines) == (kind not in ("lstm", "gru", "attention"))
    if lines:
        scope = {"np": np, "data": tensors | {"x0": x}}
        exec("\n".join(lines), scope)
        assert scope["y"] == pytest.approx(found, rel=1e-12)


# ------------------------------------------------------------------------------- whole models, in linen and nnx


class Block(nn.Module):
    width: int

    @nn.compact
    def __call__(self, x, train: bool):
        shift = self.param("shift", nn.initializers.ones, (self.width,))
        y = nn.BatchNorm(use_running_average=not train, momentum=0.9)(nn.Conv(self.width, (3, 3), use_bias=False)(x))
        return nn.Dropout(0.4, deterministic=not train)(nn.relu(y) + shift)


class Linen(nn.Module):
    @nn.compact
    def __call__(self, x, train=True):
        x = Block(6, name="first")(x, train)
        x = Block(5, name="second")(x, train)
        x = x.reshape(len(x), -1, 5)
        x = nn.RNN(nn.GRUCell(4))(x)
        x = nn.MultiHeadDotProductAttention(2)(x, x)
        return {"logits": nn.Dense(5)(nn.LayerNorm()(x.mean(1)))}


@functools.cache
def variables_of_linen():
    return Linen().init(jax.random.key(0), jnp.asarray(inputs()[0][:1], "float32"), train=False)


def linen(**side):
    model, variables, (x, _) = Linen(), variables_of_linen(), inputs()
    one = Probe(
        {"model": (model, variables), "loss": lambda o, y: cross_entropy(o["logits"], y), "optimizer": optax.sgd(0.1)}
        | side,
        DTYPE,
    )
    one.look([x])
    random = np.random.default_rng(1)
    one.put({key: random.uniform(0.2, 0.7, value.shape) for key, value in one.get().items()})
    return one


def test_linen_layers_calls_and_statistics():
    one, (x, _) = linen(), inputs()
    kinds = {layer.path: layer.kind for layer in one.describe().layers}
    assert kinds == {
        "first.Conv_0": "conv", "first.BatchNorm_0": "batch_norm", "first.Dropout_0": "dropout",
        "second.Conv_0": "conv", "second.BatchNorm_0": "batch_norm", "second.Dropout_0": "dropout",
        "RNN_0": "gru", "MultiHeadDotProductAttention_0": "attention", "LayerNorm_0": "layer_norm", "Dense_0": "dense",
        "first.shift": "unknown", "second.shift": "unknown",
    }  # fmt: skip
    before = one.get()
    outputs, calls = one.forward([x], True)
    assert [call.path for call in calls] == [path for path in kinds if "shift" not in path]
    seen = {call.path: call for call in calls}
    for number, name in enumerate(("first.Dropout_0", "second.Dropout_0")):
        given = seen[name].inputs[0]  # channels first, as the mask is
        assert seen[name].outputs[0] == pytest.approx(given * mask(number, given.shape, 0.4) / 0.6, rel=1e-12)
        assert one.alone(name, [given], True)[0] == pytest.approx(seen[name].outputs[0], rel=1e-12)
    assert one.get()["second.BatchNorm_0/mean"] == pytest.approx(
        0.9 * before["second.BatchNorm_0/mean"] + 0.1 * seen["second.BatchNorm_0"].inputs[0].mean((0, 2, 3)), rel=1e-12
    )
    assert list(outputs) == ["logits"]
    for call in calls:  # each again by itself, from where the pass started
        one.put(before)
        assert one.alone(call.path, call.inputs, True)[0] == pytest.approx(call.outputs[0], rel=1e-10)


def test_linen_forward_and_gradients_are_its_own():
    one, (x, y) = linen(mode="eval"), inputs()
    variables = one.model._variables(one.values)
    expected = Linen().apply(variables, jnp.asarray(x), train=False)["logits"]
    assert one.forward([x], False)[0]["logits"] == pytest.approx(np.asarray(expected), rel=1e-12)

    def loss(params):
        return cross_entropy(
            Linen().apply(variables | {"params": params}, jnp.asarray(x), train=False)["logits"], jnp.asarray(y)
        )

    value, own = jax.value_and_grad(loss)(variables["params"])
    found, gradients = one.gradients([x], [y])
    assert found == pytest.approx(float(value), rel=1e-12)
    assert gradients["second.Conv_0/weight"] == pytest.approx(
        np.asarray(own["second"]["Conv_0"]["kernel"]).transpose(3, 2, 0, 1), rel=1e-8, abs=1e-14
    )
    assert gradients["first.shift/"] == pytest.approx(np.asarray(own["first"]["shift"]), rel=1e-8, abs=1e-14)
    cell = own["GRUCell_0"]
    assert gradients["RNN_0/weight_ih"] == pytest.approx(
        np.concatenate([np.asarray(cell[g]["kernel"]).T for g in ("ir", "iz", "in")]), rel=1e-8, abs=1e-14
    )
    assert gradients["MultiHeadDotProductAttention_0/out_weight"] == pytest.approx(
        np.asarray(own["MultiHeadDotProductAttention_0"]["out"]["kernel"]).reshape(-1, 4).T, rel=1e-8, abs=1e-14
    )
    before = one.get()
    one.train([x], [y], 1)
    after = one.get()
    assert all(after[key] == pytest.approx(before[key] - 0.1 * gradients[key], rel=1e-12) for key in gradients)


def test_linen_put_and_get():
    one, random = linen(), np.random.default_rng(3)
    given = {key: random.normal(size=value.shape) for key, value in one.get().items()}
    one.put(given)
    found = one.get()
    assert all(np.array_equal(found[key], given[key]) for key in given)


class Noisy(nnx.Module):
    def __init__(self, rngs):
        self.dense, self.rngs = nnx.Linear(4, 4, rngs=rngs), rngs

    def __call__(self, x, deterministic):
        return self.dense(x) + (0 if deterministic else self.rngs.noise.normal(x.shape))


def test_no_draw_is_left_to_chance():
    one, x = Probe({"model": Noisy(nnx.Rngs(0))}, DTYPE), np.ones((2, 4))
    one.forward([x], False)
    with pytest.raises(Refused, match=r"draws from rngs.*; no draw may be left to chance"):
        one.forward([x], True)

    class Drawing(nn.Module):
        train: bool = False

        @nn.compact
        def __call__(self, x):
            return nn.Dense(3)(x) + (jax.random.normal(self.make_rng("noise"), (3,)) if self.train else 0)

    one = Probe({"model": (Drawing(), Drawing().init(jax.random.key(0), x))}, DTYPE)
    one.look([x])
    with pytest.raises(Refused, match='the model draws: .*PRNG for "noise"'):
        one.forward([x], True)


def test_what_computes_in_float32_is_named():
    class Narrow(nnx.Module):
        def __init__(self, rngs):
            self.one, self.two = nnx.Linear(3, 3, rngs=rngs), nnx.Linear(3, 3, dtype=jnp.float32, rngs=rngs)

        def __call__(self, x):
            return self.two(self.one(x)).astype(x.dtype)

    one = Probe({"model": Narrow(nnx.Rngs(0))}, DTYPE)
    one.look([np.ones((2, 3))])
    assert (one.describe().dtype, one.describe().dtype_why) == ("float32", "two (nnx.Linear) computes in float32")
    inside = Probe(
        {"model": lambda p, x: (x.astype(jnp.float32) @ p["w"]).astype(x.dtype), "parameters": {"w": np.ones((3, 3))}},
        DTYPE,
    )
    inside.look([np.ones((2, 3))])
    assert inside.describe().dtype_why == "something in the model computes in float32"


def test_an_nnx_optimizer_and_what_it_trains():
    class Last(nnx.Param):
        pass

    class Two(nnx.Module):
        def __init__(self, rngs):
            self.first = nnx.Linear(3, 3, rngs=rngs)
            self.last = Last(jnp.ones(3))

        def __call__(self, x):
            return self.first(x) @ self.last

    model, x, y = Two(nnx.Rngs(0)), np.ones((4, 3)), np.arange(4.0)
    side = {
        "model": model,
        "loss": lambda o, y: ((o - y) ** 2).mean(),
        "optimizer": nnx.Optimizer(model, optax.sgd(0.1), wrt=Last),
    }
    one = Probe(side, DTYPE)
    trained = {tensor.name: tensor.trainable for layer in one.describe().layers for tensor in layer.tensors.values()}
    assert trained == {"first.kernel": False, "first.bias": False, "last": True}
    before = one.get()
    one.train([x], [y], 2)
    after = one.get()
    assert np.array_equal(before["first/weight"], after["first/weight"]) and (before["last/"] != after["last/"]).all()
    frozen = optax.partition({"a": optax.sgd(0.1), "b": optax.set_to_zero()}, {"w": "a", "b": "b"})
    one = Probe(
        {
            "model": lambda p, x: x @ p["w"] + p["b"],
            "parameters": {"w": np.ones(3), "b": np.ones(())},
            "optimizer": frozen,
        },
        DTYPE,
    )
    assert [layer.tensors[""].trainable for layer in one.describe().layers] == [False, True]


# ------------------------------------------------------------------------------------------------------------ optax

G, RATES = [np.array([0.5, -2.0]), np.array([0.1, 3.0]), np.array([-1.0, 0.2])], [1, 0.5, 2]


def moving(rule):
    """Parameters after each update; `rule(g, p, t, rate)` says what is added."""
    p, found = np.array([1.0, -1.0]), []
    for t, (g, rate) in enumerate(zip(G, RATES, strict=True), 1):
        p = p + rule(g, p, t, rate)
        found.append(p)
    return found


def adam(root=0.0, decay=0.0, largest=False):
    m, v, top = np.zeros(2), np.zeros(2), np.zeros(2)

    def rule(g, p, t, rate):
        nonlocal m, v, top
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        corrected = v / (1 - 0.999**t)
        top = np.maximum(top, corrected)
        return -0.01 * rate * (m / (1 - 0.9**t) / (np.sqrt((top if largest else corrected) + root) + 1e-8) + decay * p)

    return rule


def momentum(nesterov=False, decay=0.0, clip=np.inf):
    velocity = np.zeros(2)

    def rule(g, p, t, rate):
        nonlocal velocity
        g = g * min(1, clip / np.linalg.norm(g)) + decay * p
        velocity = 0.9 * velocity + g
        return -0.01 * rate * (g + 0.9 * velocity if nesterov else velocity)

    return rule


def rmsprop(epsilon, inside, start, momentum):
    v, velocity = np.full(2, start), np.zeros(2)

    def rule(g, p, t, rate):
        nonlocal v, velocity
        v = 0.8 * v + 0.2 * g * g
        velocity = momentum * velocity - 0.01 * rate * g / (np.sqrt(v + epsilon) if inside else np.sqrt(v) + epsilon)
        return velocity

    return rule


def adagrad():
    v = np.full(2, 0.1)

    def rule(g, p, t, rate):
        nonlocal v
        v = v + g * g
        return -0.01 * rate * g / np.sqrt(v + 1e-7)

    return rule


ADAM = {
    "name": "adam",
    "rate": 0.01,
    "beta1": 0.9,
    "beta2": 0.999,
    "epsilon": 1e-8,
    "place": "outside",
    "amsgrad": False,
}
# {name: (transformation, what is to be said of it, what it is to do)}
OPTAX = {
    "adam": (optax.adam(0.01), ADAM | {"decay": 0.0, "epsilon_root": 0.0}, adam()),
    "adam_root": (optax.adam(0.01, eps_root=0.1), ADAM | {"epsilon_root": 0.1}, adam(root=0.1)),
    "adamw": (optax.adamw(0.01, weight_decay=0.3), ADAM | {"decay": 0.3, "decoupled": True}, adam(decay=0.3)),
    "amsgrad": (optax.amsgrad(0.01), ADAM | {"amsgrad": "corrected"}, adam(largest=True)),
    "schedule": (optax.adam(optax.constant_schedule(0.01)), ADAM, adam()),
    "injected": (optax.inject_hyperparams(optax.adam)(0.01), ADAM, adam()),
    "named": (optax.named_chain(("a", optax.scale_by_adam()), ("b", optax.scale(-0.01))), ADAM, adam()),
    "sgd": (optax.sgd(0.01), {"name": "sgd", "rate": 0.01, "momentum": 0.0}, lambda g, p, t, rate: -0.01 * rate * g),
    "momentum": (optax.sgd(0.01, momentum=0.9), {"name": "sgd", "momentum": 0.9, "nesterov": False, "rate_inside": False}, momentum()),
    "nesterov": (optax.sgd(0.01, 0.9, nesterov=True), {"momentum": 0.9, "nesterov": True}, momentum(nesterov=True)),
    "coupled": (optax.chain(optax.add_decayed_weights(0.2), optax.sgd(0.01, 0.9)), {"name": "sgd", "decay": 0.2, "decoupled": False}, momentum(decay=0.2)),
    "clipped": (optax.chain(optax.clip_by_global_norm(0.5), optax.sgd(0.01, 0.9)), {"name": "sgd", "clip": {"kind": "global_norm", "value": 0.5}}, momentum(clip=0.5)),
    "rmsprop": (optax.rmsprop(0.01, 0.8, eps=0.1), {"name": "rmsprop", "keep": 0.8, "epsilon": 0.1, "place": "root", "start": 0.0, "momentum": 0.0}, rmsprop(0.1, True, 0.0, 0.0)),
    "rmsprop_outside": (optax.rmsprop(0.01, 0.8, eps=0.1, initial_scale=1.0, eps_in_sqrt=False), {"place": "outside", "start": 1.0}, rmsprop(0.1, False, 1.0, 0.0)),
    "rmsprop_momentum": (optax.rmsprop(0.01, 0.8, eps=0.1, momentum=0.9), {"momentum": 0.9, "rate_inside": True}, rmsprop(0.1, True, 0.0, 0.9)),
    "injected_momentum": (optax.inject_hyperparams(optax.rmsprop)(0.01, 0.8, eps=0.1, momentum=0.9), {"momentum": 0.9, "rate_inside": True}, rmsprop(0.1, True, 0.0, 0.9)),
    "adagrad": (optax.adagrad(0.01), {"name": "adagrad", "epsilon": 1e-7, "place": "root", "start": 0.1}, adagrad()),
}  # fmt: skip


@pytest.mark.parametrize("name", OPTAX)
def test_optax(name):
    transformation, said, rule = OPTAX[name]
    side = {"model": lambda p, x: x @ p["w"], "parameters": {"w": np.array([1.0, -1.0])}, "optimizer": transformation}
    one = Probe(side, DTYPE)
    settings = one.describe().optimizer
    assert settings | said == settings
    found = one.update([{"w/": g} for g in G], RATES)
    assert np.stack([step["w/"] for step in found]) == pytest.approx(np.stack(moving(rule)), rel=1e-12)
    one.put({"w/": np.array([1.0, -1.0])})
    assert one.update([{"w/": G[0]}], [1])[0]["w/"] == pytest.approx(
        found[0]["w/"], rel=1e-14
    )  # nothing is left behind


@pytest.mark.parametrize("unknown", (optax.lion(0.1), optax.masked(optax.sgd(0.1), {"w": True}), optax.adam(optax.linear_schedule(1.0, 0.0, 5))), ids=("lion", "masked", "schedule"))  # fmt: skip
def test_an_optimizer_that_cannot_be_told(unknown):
    side = {"model": lambda p, x: x @ p["w"], "parameters": {"w": np.array([1.0, -1.0])}, "optimizer": unknown}
    assert Probe(side, DTYPE).describe().optimizer["name"] == "unknown"
