"""The probe of foreign models in JAX: what it says and does beside the model's own call, jax.grad, optax and closed forms."""

import flax.linen as nn
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
