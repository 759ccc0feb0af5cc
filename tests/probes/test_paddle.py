"""Paddle's probe for `diff`: every layer that it knows against NumPy, its gradients and updates against Paddle's own and by hand."""

import math

import numpy as np
import pytest

from common.probing import Refused, mask
from common.processes import Children
from common.tools.diff.sides import Side, read_inputs

RANDOM = np.random.default_rng(1)
X3, X4 = RANDOM.normal(size=(2, 4, 11)), RANDOM.normal(size=(2, 4, 6, 7))


@pytest.fixture(scope="module", autouse=True)
def paddle(pytestconfig):
    """Paddle in dygraph and float64, as the process of a side is; static and float32 afterwards, as our columns need it."""
    assert "paddle" in pytestconfig.getoption("backend")
    from backends.paddle.process import paddle, quiet

    paddle.disable_static()
    paddle.set_default_dtype("float64")
    with quiet():
        yield paddle
    paddle.set_default_dtype("float32")
    paddle.enable_static()


@pytest.fixture(autouse=True)
def quiet():
    from backends.paddle import process

    with process.quiet():
        yield


def probe(model, dtype="float64", **side):
    from backends.paddle.probe import Probe

    return Probe({"model": model} | side, dtype)


def f32(value):
    return float(np.float32(value))


def close(found, expected, digits=1e-13):
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= digits * max(1, np.abs(expected).max())


# ------------------------------------------------------------------------------- layers in NumPy, canonical


def dense(t, s, x):
    return x @ t["weight"].T + t["bias"]


def windows(x, size, stride, pads, dilation, fill=0.0):
    """(N, C, places..., window...) of a padded x."""
    x = np.pad(x, [(0, 0), (0, 0), *pads], constant_values=fill)
    spans = [d * (k - 1) + 1 for k, d in zip(size, dilation, strict=True)]
    found = np.lib.stride_tricks.sliding_window_view(x, spans, tuple(range(2, x.ndim)))
    picks = [slice(None, None, s) for s in stride] + [slice(None, None, d) for d in dilation]
    return found[(slice(None), slice(None), *picks)]


def same(x, size, stride):
    totals = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(x.shape[2:], size, stride, strict=True)]
    return [(total // 2, total - total // 2) for total in totals]


def conv(t, s, x):
    w, groups, dims = t["weight"], s["groups"], x.ndim - 2
    pads = same(x, w.shape[2:], s["stride"]) if s["padding"] == "same" else s["padding"]
    if "mode" in s:
        x, pads = np.pad(x, [(0, 0), (0, 0), *pads], mode={"circular": "wrap", "reflect": "reflect"}[s["mode"]]), [(0, 0)] * dims  # fmt: skip
    found = windows(x, w.shape[2:], s["stride"], pads, s["dilation"])
    own = range(-dims, 0)
    parts = [
        np.tensordot(a, b, axes=([1, *own], [1, *own]))
        for a, b in zip(np.split(found, groups, 1), np.split(w, groups, 0), strict=True)
    ]
    out = np.moveaxis(np.concatenate(parts, -1), -1, 1)
    return out + t["bias"].reshape(-1, *[1] * dims) if "bias" in t else out


def conv_transpose(t, s, x):
    """Every input puts its kernel, scaled, at stride times its place."""
    w, groups, dims = t["weight"], s["groups"], x.ndim - 2
    spans = [d * (k - 1) + 1 for k, d in zip(w.shape[2:], s["dilation"], strict=True)]
    size = [(n - 1) * st + span for n, st, span in zip(x.shape[2:], s["stride"], spans, strict=True)]
    full = np.zeros((len(x), w.shape[1] * groups, *size))
    for group, (a, b) in enumerate(zip(np.split(x, groups, 1), np.split(w, groups, 0), strict=True)):
        outs = slice(group * w.shape[1], (group + 1) * w.shape[1])
        for place in np.ndindex(*x.shape[2:]):
            at = [slice(p * st, p * st + span, d) for p, st, span, d in zip(place, s["stride"], spans, s["dilation"], strict=True)]  # fmt: skip
            full[(slice(None), outs, *at)] += np.tensordot(a[(..., *place)], b, 1)
    cut = s["padding"]
    if cut == "same":
        cut = same(x, w.shape[2:], s["stride"])
    full = np.pad(full, [(0, 0), (0, 0), *((max(0, -a), max(0, -b)) for a, b in cut)])
    full = full[(..., *(slice(max(a, 0), n - max(b, 0)) for (a, b), n in zip(cut, full.shape[2:], strict=True)))]
    return full + t["bias"].reshape(-1, *[1] * dims)


def normed(x, axes, epsilon, weight, bias):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon) * weight + bias


def per_channel(value, x):
    return value.reshape(-1, *[1] * (x.ndim - 2))


def batch_norm(t, s, x):
    return normed(x, (0, *range(2, x.ndim)), f32(s["epsilon"]), *(per_channel(t[k], x) for k in ("weight", "bias")))


def layer_norm(t, s, x):
    return normed(x, tuple(range(-s["axes"], 0)), f32(s["epsilon"]), t["weight"], t["bias"])


def group_norm(t, s, x):
    split = x.reshape(len(x), s["groups"], -1)
    epsilon = f32(s["epsilon"]) if "epsilon" in s.get("float32", ()) else s["epsilon"]  # by the release of Paddle
    out = normed(split, -1, epsilon, 1, 0).reshape(x.shape)
    return out * per_channel(t["weight"], x) + per_channel(t["bias"], x)


def instance_norm(t, s, x):
    return normed(x, tuple(range(2, x.ndim)), f32(s["epsilon"]), *(per_channel(t[k], x) for k in ("weight", "bias")))


def pool(t, s, x):
    """One window after the other, by the words of the settings."""
    pads = same(x, s["size"], s["stride"]) if s["padding"] == "same" else s["padding"]
    sides = x.shape[2:]
    about = list(zip(sides, s["size"], s["stride"], pads, strict=True))
    up = s["ceil"]
    outs = [(n + a + b - k + (st - 1 if up else 0)) // st + 1 for n, k, st, (a, b) in about]
    out = np.empty((*x.shape[:2], *outs))
    for place in np.ndindex(*outs):
        starts = [p * st - a for p, (_, _, st, (a, _)) in zip(place, about, strict=True)]
        inside = [slice(max(i, 0), min(i + k, n)) for i, (n, k, _, _) in zip(starts, about, strict=True)]
        part = x[(..., *inside)].reshape(*x.shape[:2], -1)
        if s["op"] == "max":
            out[(..., *place)] = part.max(-1)
            continue
        # Padding after the input counts as far as there is padding before it ("as before").
        full = math.prod(min(i + k, n + a) - i for i, (n, k, _, (a, _)) in zip(starts, about, strict=True))
        out[(..., *place)] = part.sum(-1) / (full if s["counted"] else part.shape[-1])
    return out


def adaptive_pool(t, s, x):
    op = np.max if s["op"] == "max" else np.mean
    for axis, size in enumerate(s["size"], 2):
        n = x.shape[axis]
        parts = [x.take(range(k * n // size, -(-(k + 1) * n // size)), axis) for k in range(size)]
        x = np.stack([op(part, axis) for part in parts], axis)
    return x


def activation(t, s, x):
    sigmoid = lambda v: 1 / (1 + np.exp(-v))  # noqa: E731
    name = s["name"]
    if name in ("softmax", "log_softmax"):
        e = np.exp(x - x.max(s["axis"], keepdims=True))
        p = e / e.sum(s["axis"], keepdims=True)
        return p if name == "softmax" else np.log(p)
    if name == "gelu":
        inner = (2 / np.pi) ** 0.5 * (x + 0.044715 * x**3)
        return x * (1 + np.tanh(inner)) / 2 if s["approximate"] else x * (1 + np.vectorize(math.erf)(x / 2**0.5)) / 2
    clipped = lambda slope: np.clip(slope * x + s["offset"], 0, 1)  # noqa: E731
    return {
        "relu": lambda: np.maximum(x, 0),
        "relu6": lambda: np.clip(x, 0, 6),
        "leaky_relu": lambda: np.where(x > 0, x, s["slope"] * x),
        "elu": lambda: np.where(x > 0, x, f32(s["alpha"]) * np.expm1(x)),
        "selu": lambda: f32(1.0507009873554805) * np.where(x > 0, x, f32(1.6732632423543772) * np.expm1(x)),
        "silu": lambda: x * sigmoid(x),
        "softplus": lambda: np.log1p(np.exp(s["beta"] * x)) / s["beta"],
        "sigmoid": lambda: sigmoid(x),
        "tanh": lambda: np.tanh(x),
        "hard_sigmoid": lambda: clipped(f32(s["slope"])),
        "hard_swish": lambda: x * clipped(s["slope"]),
        "identity": lambda: x,
    }[name]()


def recurrent(kind):
    def run(t, s, x):
        sigmoid = lambda v: 1 / (1 + np.exp(-v))  # noqa: E731
        x = x.swapaxes(0, 1) if "batch" in s else x
        h = c = np.zeros((len(x), t["weight_hh"].shape[1]))
        outs = []
        for step in x.swapaxes(0, 1):
            given, kept = step @ t["weight_ih"].T + t["bias_ih"], h @ t["weight_hh"].T + t["bias_hh"]
            if kind == "lstm":
                i, f, g, o = np.split(given + kept, 4, 1)
                c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
                h = sigmoid(o) * np.tanh(c)
            else:
                (r, z, n), (hr, hz, hn) = np.split(given, 3, 1), np.split(kept, 3, 1)
                r, z = sigmoid(r + hr), sigmoid(z + hz)
                h = (1 - z) * np.tanh(n + r * hn) + z * h
            outs.append(h)
        outs = np.stack(outs, 0 if "batch" in s else 1)
        return outs

    return run


def attention(t, s, q, k=None, v=None):
    heads = lambda a: a.reshape(*a.shape[:2], s["heads"], -1).swapaxes(1, 2)  # noqa: E731
    given = {"query": q, "key": q if k is None else k, "value": q if v is None else v}
    q, k, v = (heads(given[n] @ t[f"{n}_weight"].T + t[f"{n}_bias"]) for n in ("query", "key", "value"))
    e = np.exp(q @ k.swapaxes(2, 3) / q.shape[-1] ** 0.5)
    out = (e / e.sum(-1, keepdims=True) @ v).swapaxes(1, 2)
    return out.reshape(*out.shape[:2], -1) @ t["out_weight"].T + t["out_bias"]


def resize(t, s, x):
    """Along one axis after the other."""
    for axis in range(2, x.ndim):
        n = x.shape[axis]
        scale = s["scale"][axis - 2] if isinstance(s["scale"], list) else s["scale"]
        m = s["size"][axis - 2] if s["size"] else int(n * scale)
        ratio = (n - 1) / (m - 1) if s["corners"] else n / m
        rows = []
        for k in range(m):
            at = ratio * k if s["corners"] or s.get("half_pixel") is False or s["mode"] == "nearest" else ratio * (k + 0.5) - 0.5  # fmt: skip
            if s["mode"] == "cubic":
                first = math.floor(at)
                d, a = at - first, -0.75
                near, far = lambda u: ((a + 2) * u - (a + 3)) * u * u + 1, lambda u: ((a * u - 5 * a) * u + 8 * a) * u - 4 * a  # noqa: E731, B023  # fmt: skip
                shares = (far(d + 1), near(d), near(1 - d), far(2 - d))
                rows.append(sum(w * x.take(min(max(first - 1 + j, 0), n - 1), axis) for j, w in enumerate(shares)))
                continue
            first = int(max(at, 0))
            d = 0 if s["mode"] == "nearest" else max(at, 0) - first
            rows.append((1 - d) * x.take(first, axis) + d * x.take(min(first + 1, n - 1), axis))
        x = np.stack(rows, axis)
    return x


def embedding(t, s, x):
    out = t["weight"][x]
    if s["padding"] is not None:
        out[x == s["padding"]] = 0
    return out


def pad(t, s, x):
    mode = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}[s["mode"]]
    more = {"constant_values": s["value"]} if s["mode"] == "constant" else {}
    return np.pad(x, [(0, 0), (0, 0), *map(tuple, s["padding"])], mode=mode, **more)


def flatten(t, s, x):
    return x.reshape(*x.shape[: s["first"]], -1)


NUMPY = {
    "dense": dense, "conv": conv, "conv_transpose": conv_transpose, "batch_norm": batch_norm, "layer_norm": layer_norm,
    "group_norm": group_norm, "instance_norm": instance_norm, "pool": pool, "adaptive_pool": adaptive_pool,
    "activation": activation, "lstm": recurrent("lstm"), "gru": recurrent("gru"), "attention": attention,
    "resize": resize, "embedding": embedding, "pad": pad, "flatten": flatten, "dropout": lambda t, s, x: x,
}  # fmt: skip
ACTIVATIONS = ("ReLU()", "ReLU6()", "LeakyReLU(0.3)", "ELU(0.3)", "SELU()", "GELU()", "GELU(True)", "Silu()", "Swish()", "Softplus(0.7)", "Sigmoid()", "Tanh()", "Softmax(1)", "LogSoftmax()", "Softmax2D()", "Hardsigmoid()", "Hardswish()", "Identity()")  # fmt: skip
SEQUENCE = RANDOM.normal(size=(2, 5, 4))
X5 = RANDOM.normal(size=(2, 4, 4, 5, 3))
# (as it is written, canonical input)
LAYERS = [
    ("Linear(4, 3)", SEQUENCE),
    ("Embedding(5, 3)", np.array([[0, 3], [4, 1]])),
    ("Embedding(5, 3, padding_idx=-2)", np.array([[0, 3], [4, 1]])),
    ("Conv1D(4, 6, 3, stride=2, padding=[1, 2], groups=2)", X3),
    ("Conv1D(4, 6, 3, padding=1, data_format='NLC')", X3),
    ("Conv1D(4, 6, 3, padding=2, padding_mode='circular')", X3),
    ("Conv2D(4, 4, 3, padding='SAME', stride=2)", X4),
    ("Conv2D(4, 3, (2, 3), padding='SAME', dilation=2)", X4),
    ("Conv2D(4, 4, 3, groups=4, dilation=(2, 1), bias_attr=False)", X4),
    ("Conv2D(4, 4, 3, padding=[0, 1, 2, 3])", X4),
    ("Conv2D(4, 4, 3, padding=[[0, 0], [0, 1], [2, 0], [0, 0]], data_format='NHWC')", X4),
    ("Conv2D(4, 4, 3, padding=1, padding_mode='reflect')", X4),
    ("Conv3D(4, 2, 2, padding='VALID')", X5),
    ("Conv1DTranspose(4, 3, 4, stride=3, padding=1, output_padding=2)", X3),
    ("Conv1DTranspose(4, 3, 4, stride=2, padding='SAME')", X3),
    ("Conv1DTranspose(4, 3, 4, padding='SAME')", X3),
    ("Conv2DTranspose(4, 6, 3, stride=2, padding=[1, 0], dilation=2, groups=2)", X4),
    ("Conv2DTranspose(4, 3, 3, stride=2, padding=1, data_format='NHWC')", X4),
    ("Conv3DTranspose(4, 2, 2, stride=2)", X5),
    ("BatchNorm(4, epsilon=0.1, dtype='float32')", X4),
    ("BatchNorm1D(4, epsilon=0.1)", X3[:, :, 0]),
    ("BatchNorm1D(4, epsilon=0.1, data_format='NLC')", X3),
    ("BatchNorm2D(4, epsilon=0.1, data_format='NHWC')", X4),
    ("BatchNorm3D(4, epsilon=0.1)", X5),
    ("LayerNorm([6, 7], epsilon=7e-4)", X4),
    ("GroupNorm(2, 4, epsilon=0.1)", X4),
    ("GroupNorm(2, 4, epsilon=0.1, data_format='NHWC')", X4),
    ("InstanceNorm1D(4, epsilon=0.1)", X3),
    ("InstanceNorm2D(4, epsilon=0.1)", X4),
    ("InstanceNorm3D(4, epsilon=0.1)", X5),
    ("MaxPool1D(3, 2, 1)", X3),
    ("MaxPool2D(3, 2, padding='SAME', data_format='NHWC')", X4),
    ("MaxPool3D(2)", X5),
    ("AvgPool1D(3, 2, 1, ceil_mode=True)", X3),
    ("AvgPool1D(4, 3, [0, 2], exclusive=False)", X3),
    ("AvgPool1D(4, 2, 'SAME', exclusive=False)", X3),
    ("AvgPool2D(3, 2, 1, exclusive=False)", X4),
    ("AvgPool2D((3, 2), 2, 1, data_format='NHWC')", X4),
    ("AvgPool3D(2, 1, 1)", X5),
    ("AdaptiveAvgPool1D(4)", X3),
    ("AdaptiveAvgPool2D(1)", X4),
    ("AdaptiveAvgPool2D((4, 3), data_format='NHWC')", X4),
    ("AdaptiveAvgPool3D(2)", X5),
    ("AdaptiveMaxPool1D(4)", X3),
    ("AdaptiveMaxPool2D((4, 3))", X4),
    ("AdaptiveMaxPool3D(2)", X5),
    ("LSTM(4, 3)", SEQUENCE),
    ("LSTM(4, 3, time_major=True)", SEQUENCE),
    ("GRU(4, 3)", SEQUENCE),
    ("MultiHeadAttention(4, 2)", SEQUENCE),
    ("MultiHeadAttention(4, 2, need_weights=True)", SEQUENCE),
    ("Upsample(size=[9, 4], mode='nearest')", X4),
    ("Upsample(size=[9, 4], mode='bilinear')", X4),
    ("Upsample(size=[9, 5], mode='bilinear', align_mode=1, data_format='NHWC')", X4),
    ("Upsample(scale_factor=2, mode='bilinear', align_corners=True)", X4),
    ("Upsample(size=[9, 10], mode='bicubic')", X4),
    ("Upsample(size=[5], mode='linear')", X3),
    ("Upsample(size=[7], mode='linear', align_mode=1)", X3),
    ("Upsample(size=[9, 4, 5], mode='trilinear')", X5),
    ("Upsample(size=[9, 10], mode='bicubic', align_corners=True)", X4),
    ("UpsamplingNearest2D(scale_factor=2)", X4),
    ("UpsamplingBilinear2D(size=[9, 4])", X4),
    ("Flatten()", X4),
    ("Flatten(2)", X4),
    ("Pad1D([1, 2], value=0.3)", X3),
    ("Pad2D([1, 2, 3, 0], mode='reflect')", X4),
    ("Pad2D([1, 2, 3, 0], mode='replicate', data_format='NHWC')", X4),
    ("Pad3D(1, mode='circular')", X5),
    ("ZeroPad2D(1)", X4),
    ("Dropout(0.3)", X4),
    *((name, 2 * X4) for name in ACTIVATIONS),
]  # fmt: skip


@pytest.mark.parametrize("written, x", LAYERS, ids=[written for written, _ in LAYERS])
def test_every_layer_alone_is_what_its_settings_say(paddle, written, x):
    layer = eval(f"nn.{written}", {"nn": paddle.nn})
    one = probe(paddle.nn.Sequential(layer))
    (described,) = one.describe().layers
    tensors = {key: 1 + RANDOM.normal(size=value.shape) / 2 for key, value in one.get().items()}
    one.put(tensors)
    got = one.get()
    assert set(got) == set(tensors) and all(np.array_equal(got[key], tensors[key]) for key in got)
    assert {f"0/{role}": t.shape for role, t in described.tensors.items()} == {k: v.shape for k, v in tensors.items()}
    own = {key.removeprefix("0/"): value for key, value in tensors.items()}
    training = described.kind == "batch_norm"
    found = one.alone("0", [x], training)
    expected = NUMPY[described.kind](own, described.settings, x)
    expected = expected if isinstance(expected, tuple) else (expected,)
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        close(a, b, 1e-6 if "positions" in described.settings.get("float32", ()) else 1e-13)


def network(paddle):
    nn = paddle.nn

    class Net(nn.Layer):
        """Of many layers, among them one in a structure, one called twice, a functional dropout and a parameter of its own."""

        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Conv2D(3, 4, 3, padding=1), nn.BatchNorm2D(4), nn.GELU(), nn.MaxPool2D(2))
            self.norm, self.attention = nn.LayerNorm(4), nn.MultiHeadAttention(4, 2)
            self.drop, self.head = nn.Dropout(0.3), nn.Linear(4, 5)
            self.scale = self.create_parameter([1], default_initializer=nn.initializer.Constant(1.5))

        def forward(self, x):
            x = self.body(x).flatten(2).transpose([0, 2, 1])
            x = self.drop(self.norm(x + self.attention(x)))
            x = nn.functional.dropout(self.drop(x), 0.4, training=self.training).mean(1)
            return {"logits": self.head(x) * self.scale, "code": x}

    return Net()


def inputs():
    random = np.random.default_rng(3)
    return random.normal(size=(4, 3, 6, 6)), random.integers(0, 5, 4)


def net(paddle, make=None, **more):
    model = network(paddle)
    loss = lambda out, y: paddle.nn.functional.cross_entropy(out["logits"], y) + (out["code"] ** 2).mean()  # noqa: E731
    optimizer = make(model.parameters()) if make else None
    return model, probe(model, loss=loss, optimizer=optimizer, **more)


def test_forward_is_the_models_own_and_its_calls_are_those_of_its_layers(paddle):
    model, one = net(paddle)
    x, _ = inputs()
    outputs, calls = one.forward([x], False)
    model.eval()
    own = model(paddle.to_tensor(x))
    assert all(np.array_equal(outputs[name], own[name].numpy()) for name in ("logits", "code")) and len(outputs) == 2
    assert [call.path for call in calls] == ["body.0", "body.1", "body.2", "body.3", "attention", "norm", "drop", "drop", "head"]  # fmt: skip
    for call in calls:  # from one to the next, and each alone
        for a, b in zip(one.alone(call.path, call.inputs, False), call.outputs, strict=True):
            assert np.array_equal(a, b)
    assert np.array_equal(calls[0].inputs[0], x) and np.array_equal(calls[1].inputs[0], calls[0].outputs[0])
    assert not model.head._forward_post_hooks
    assert [layer.path for layer in one.describe().layers if layer.kind == "unknown"] == ["scale"]


def test_every_dropout_is_replayed_by_its_number_in_the_pass(paddle):
    _, one = net(paddle)
    x, _ = inputs()
    outputs, calls = one.forward([x], True)
    again, _ = one.forward([x], True)
    assert all(np.array_equal(outputs[name], again[name]) for name in outputs)
    drops = [call for call in calls if call.path == "drop"]
    for number, call in enumerate(drops):
        assert np.array_equal(call.outputs[0], call.inputs[0] * (mask(number, call.inputs[0].shape, 0.3) * (1 / 0.7)))
    functional = drops[1].outputs[0] * mask(2, drops[1].outputs[0].shape, 0.4) / 0.6
    close(outputs["code"], functional.mean(1), 1e-15)
    late = probe(paddle.nn.Sequential(paddle.nn.Dropout(0.3, mode="downscale_in_infer")))
    assert late.describe().layers[0].settings == {"rate": 0.3, "scaled": "in evaluation"}
    assert np.array_equal(late.alone("0", [x], True)[0], x * mask(0, x.shape, 0.3))
    close(late.alone("0", [x], False)[0], x * (1 - f32(0.3)), 1e-15)
    whole = probe(paddle.nn.Sequential(paddle.nn.Dropout2D(0.3)))
    assert np.array_equal(whole.alone("0", [x], True)[0], x * (mask(0, (4, 3, 1, 1), 0.3) * (1 / 0.7)))


def test_what_cannot_be_replayed_is_refused_by_name(paddle):
    nn = paddle.nn
    for layer, x in ((nn.RReLU(), X4), (nn.AlphaDropout(), X4), (nn.LSTM(4, 3, num_layers=2, dropout=0.1), SEQUENCE)):
        one = probe(nn.Sequential(layer))
        one.forward([x], False)
        with pytest.raises(Refused, match=r"^0, nn\.\w+, draws"):
            one.forward([x], True)


def test_loss_and_gradients_are_paddles_own(paddle):
    model, one = net(paddle)
    x, y = inputs()
    value, found = one.gradients([x], [y])
    outputs, _ = one.forward([x], True)
    again, to_outputs = one.loss(outputs, [y])
    assert value == again
    p = np.exp(outputs["logits"]) / np.exp(outputs["logits"]).sum(1, keepdims=True)
    close(to_outputs["logits"], (p - np.eye(5)[y]) / 4, 1e-15)
    close(to_outputs["code"], 2 * outputs["code"] / outputs["code"].size, 1e-15)
    assert value == pytest.approx(-np.log(p[range(4), y]).mean() + (outputs["code"] ** 2).mean(), rel=1e-14)
    # Central differences, of a tensor that lies turned, of one below attention, and of the model's own.
    tensors = one.get()
    for key, at in (("head/weight", (3, 1)), ("attention/key_weight", (0, 2)), ("scale/", (0,)), ("body.0/weight", (1, 2, 0, 1))):  # fmt: skip
        losses = []
        for step in (1e-6, -1e-6):
            moved = tensors[key].copy()
            moved[at] += step
            one.put({key: moved})
            losses.append(one.gradients([x], [y])[0])
        one.put(tensors)
        assert found[key][at] == pytest.approx((losses[0] - losses[1]) / 2e-6, rel=1e-6, abs=1e-9)
    trainable = {f"{layer.path}/{role}" for layer in one.describe().layers for role, t in layer.tensors.items() if t.trainable}  # fmt: skip
    assert set(found) == trainable and {"body.1/mean", "body.1/variance"} == set(tensors) - trainable


def test_running_statistics_are_what_the_settings_say(paddle):
    one = probe(paddle.nn.Sequential(paddle.nn.BatchNorm2D(4, momentum=0.7)))
    one.put({"0/mean": np.full(4, 2.0), "0/variance": np.full(4, 3.0)})
    one.forward([X4], True)
    s = one.describe().layers[0].settings
    keep, variance = f32(s["keep"]), X4.var((0, 2, 3), ddof=int(s["unbiased"]))
    close(one.get()["0/mean"], keep * 2 + (1 - keep) * X4.mean((0, 2, 3)))
    close(one.get()["0/variance"], keep * 3 + (1 - keep) * variance)


# ------------------------------------------------------------------------------------------------ updates

RATE, START = 0.013, RANDOM.normal(size=(3, 2))
GRADIENTS = RANDOM.normal(size=(3, 3, 2))


def stepped(s, rates):
    """Three updates in NumPy, by the settings."""
    exact, s = s, s | {key: f32(s[key]) for key in s.get("float32", ())}
    w, first, second, buffer = START.copy(), 0.0, s.get("start", 0.0), 0.0
    found = []
    for t, (g, factor) in enumerate(zip(GRADIENTS, rates, strict=True), 1):
        rate = s["rate"] * factor
        if clip := s.get("clip"):
            g = np.clip(g, clip.get("low", -clip["value"]), clip["value"]) if clip["kind"] == "value" else g * min(1, clip["value"] / np.sqrt((g**2).sum()))  # fmt: skip
        g = g + s.get("l1", 0) * np.sign(w)
        if s["decoupled"]:
            w = w * (1 - rate * s["decay"])
        else:
            g = g + s["decay"] * w
        root = lambda v: np.sqrt(v + s["epsilon"]) if s["place"] == "root" else np.sqrt(v) + s["epsilon"]  # noqa: E731, B023
        match s["name"]:
            case "adam":
                first = s["beta1"] * first + (1 - s["beta1"]) * g
                second = s["beta2"] * second + (1 - s["beta2"]) * g**2
                buffer = np.maximum(buffer, second) if s["amsgrad"] else second
                one, two = (exact[key] * s[key] ** (t - 1) for key in ("beta1", "beta2"))  # as a Program keeps it
                w = w - rate * first / (1 - one) / root(buffer / (1 - two))
            case "sgd":
                buffer = s["momentum"] * buffer + g
                w = w - rate * (g + s["momentum"] * buffer if s["nesterov"] else buffer)
            case "rmsprop":
                first = s["keep"] * first + (1 - s["keep"]) * g
                second = s["keep"] * second + (1 - s["keep"]) * g**2
                buffer = s["momentum"] * buffer + rate * g / root(second - (first**2 if s["centered"] else 0))
                w = w - buffer
            case "adagrad":
                second = second + g**2
                w = w - rate * g / root(second)
        found.append(w)
    return found


OPTIMIZERS = [
    "Adam(RATE, 0.8, 0.97, 0.1, parameters=p)",
    "Adam(RATE, 0.8, 0.97, parameters=p, weight_decay=0.3, amsgrad=True)",
    "AdamW(RATE, 0.8, 0.97, parameters=p, weight_decay=0.3)",
    "SGD(RATE, parameters=p, weight_decay=paddle.regularizer.L2Decay(0.3))",
    "SGD(RATE, parameters=p, weight_decay=paddle.regularizer.L1Decay(0.3))",
    "SGD(RATE, parameters=p, grad_clip=paddle.nn.ClipGradByGlobalNorm(0.7), weight_decay=0.3)",
    "SGD(RATE, parameters=p, grad_clip=paddle.nn.ClipGradByValue(0.7, -0.2))",
    "Momentum(RATE, 0.8, parameters=p, weight_decay=0.3)",
    "Momentum(RATE, 0.8, parameters=p, use_nesterov=True)",
    "RMSProp(RATE, 0.8, 0.1, 0.7, parameters=p)",
    "RMSProp(RATE, 0.8, 0.1, 0.7, True, parameters=p, weight_decay=0.3)",
    "Adagrad(RATE, 0.1, parameters=p, initial_accumulator_value=0.2)",
    "SGD(paddle.optimizer.lr.StepDecay(RATE, 1), parameters=p)",
]


@pytest.mark.parametrize("written", OPTIMIZERS)
def test_an_update_is_the_settings_stepped_by_hand_and_begins_anew(paddle, written):
    layer = paddle.nn.Linear(2, 3, bias_attr=False)
    optimizer = eval(f"paddle.optimizer.{written}", {"paddle": paddle, "RATE": RATE, "p": layer.parameters()})
    one = probe(paddle.nn.Sequential(layer), optimizer=optimizer)
    settings, rates = one.describe().optimizer, (1.0, 0.5, 2.0)
    for _ in range(2):
        one.put({"0/weight": START})
        found = one.update([{"0/weight": g} for g in GRADIENTS], rates)
        for a, b in zip(found, stepped(settings, rates), strict=True):
            close(a["0/weight"], b, 1e-15)
    assert optimizer.get_lr() == RATE and not optimizer._accumulators


def test_training_is_gradients_and_updates_in_turn_from_the_state_that_was_handed_over(paddle):
    x, y = inputs()
    model, one = net(paddle, lambda p: paddle.optimizer.Adam(0.01, parameters=p))
    model(paddle.to_tensor(x))["code"].sum().backward()
    one.optimizer.step()  # before it is handed over, so it has moments
    tensors = one.get()
    losses = one.train([x], [y], 3)
    after, step = one.get(), []
    one.put(tensors)
    assert one.train([x], [y], 3) == losses and all(np.array_equal(one.get()[key], after[key]) for key in after)
    one.put(tensors)
    for _ in range(3):
        loss, slopes = one.gradients([x], [y])
        assert loss == losses[len(step)]
        step.append(slopes)
        statistics = {key: value for key, value in one.get().items() if key in ("body.1/mean", "body.1/variance")}
        one.put(tensors)
        one.put(statistics)
        one.put({key: value for key, value in one.update(step, [1.0] * len(step))[-1].items() if key not in statistics})
    for key, value in one.get().items():
        close(value, after[key], 1e-15)


def test_a_model_of_float32_is_cast_with_its_optimiser(paddle):
    paddle.set_default_dtype("float32")
    layer = paddle.nn.LSTM(4, 3)
    optimizer = paddle.optimizer.Adam(0.01, parameters=layer.parameters())
    paddle.set_default_dtype("float64")
    one = probe(layer, optimizer=optimizer, loss=lambda out: out[0].sum())
    assert one.describe().dtype == "float64" and all(v.dtype == np.float64 for v in one.get().values())
    _, slopes = one.gradients([SEQUENCE], [])
    (after,) = one.update([slopes], [1.0])
    assert all(v.dtype == np.float64 for v in after.values())
    float32 = probe(paddle.nn.Linear(2, 3), dtype="float32")
    assert float32.get()["/weight"].dtype == np.float32


def test_what_computes_in_float32_is_said(paddle):
    class Half(paddle.nn.Layer):
        def forward(self, x):
            return x.astype("float32")

    with pytest.raises(Refused, match="^0, Half, gives float32 although"):
        probe(paddle.nn.Sequential(Half(), paddle.nn.ReLU())).forward([X4], False)
    layer = paddle.nn.Linear(2, 3)
    clip = paddle.optimizer.SGD(0.1, parameters=layer.parameters(), grad_clip=paddle.nn.ClipGradByNorm(0.7))
    one = probe(layer, optimizer=clip)
    described = one.describe()
    assert (described.dtype, described.optimizer["clip"]) == ("float32", {"kind": "norm", "value": 0.7})
    assert "ClipGradByNorm" in described.dtype_why and layer.weight.dtype == paddle.float32
    weight, slope = one.get()["/weight"], np.full((3, 2), 2.0, "float32")
    (after,) = one.update([{"/weight": slope}], [1.0])
    close(after["/weight"], weight - 0.1 * 0.7 * slope / np.sqrt((slope**2).sum()), 1e-7)


def test_a_subclass_is_read_as_what_it_derives_from(paddle):
    class Mine(paddle.nn.Linear):
        def forward(self, x):
            return super().forward(x) + 1

    layers = [Mine(2, 2), paddle.nn.Linear(2, 2), paddle.nn.utils.weight_norm(paddle.nn.Linear(2, 2)), paddle.nn.LSTM(2, 2, 2)]  # fmt: skip
    found = probe(paddle.nn.Sequential(*layers)).describe().layers
    assert [(layer.path, layer.kind) for layer in found] == [("0", "dense"), ("1", "dense"), ("2", "unknown"), ("3", "unknown")]  # fmt: skip


def test_what_is_left_out_of_the_optimiser_or_has_other_numbers_is_said(paddle):
    nn = paddle.nn
    model = nn.Sequential(
        nn.Linear(2, 2), nn.Linear(2, 2, bias_attr=paddle.ParamAttr(learning_rate=0.1)), nn.Linear(2, 2)
    )
    model[0].bias.stop_gradient = True
    optimizer = paddle.optimizer.SGD(0.1, parameters=[*model[0].parameters(), *model[1].parameters()])
    described = probe(model, optimizer=optimizer).describe()
    trainable = [[t.trainable for t in layer.tensors.values()] for layer in described.layers]
    assert trainable == [[True, False], [True, True], [False, False]]
    assert described.optimizer["except"] == [model[1].bias.name]


def test_a_function_of_a_dict_of_tensors(paddle):
    parameters = {"w": paddle.to_tensor(START), "b": paddle.zeros([2])}
    optimizer = paddle.optimizer.SGD(0.1, parameters=list(parameters.values()))
    one = probe(
        lambda p, x: x @ p["w"] + p["b"], parameters=parameters, optimizer=optimizer, loss=lambda out: out.sum()
    )
    x = RANDOM.normal(size=(4, 3))
    outputs, calls = one.forward([x], True)
    close(outputs[""], x @ START, 1e-15)
    losses = one.train([x], [], 2)
    slope = np.repeat(x.sum(0)[:, None], 2, 1)
    close(one.get()["w/"], START - 0.2 * slope, 1e-15)
    assert not calls and losses[0] == pytest.approx((x @ START).sum(), rel=1e-14)
    assert [(layer.path, layer.kind) for layer in one.describe().layers] == [("w", "unknown"), ("b", "unknown")]


def test_a_loss_or_a_model_that_returns_something_else_is_refused(paddle):
    one = probe(paddle.nn.Linear(3, 2), loss=lambda out: out)
    with pytest.raises(Refused, match=r"one number, not \(2, 2\)"):
        one.loss({"": np.zeros((2, 2))}, [])

    class Names(paddle.nn.Layer):
        def forward(self, x):
            return "x"

    with pytest.raises(Refused, match="returns str; expected tensors"):
        probe(Names()).forward([X3], False)
    with pytest.raises(Refused, match="the optimiser is list; expected one of paddle.optimizer"):
        probe(paddle.nn.Linear(3, 2), optimizer=[])


# ------------------------------------------------------------------------------------- static Programs


@pytest.fixture
def static(paddle):
    paddle.enable_static()
    yield paddle.static
    paddle.disable_static()


def program(paddle, make=None, rate=0.3, **more):
    """x (N, 3) through dense, batch norm, dropout and dense to 2 classes."""
    main, startup = paddle.static.Program(), paddle.static.Program()
    with paddle.static.program_guard(main, startup), paddle.utils.unique_name.guard():
        x = paddle.static.data("image", [None, 3])
        y = paddle.static.data("label", [None], "int64")
        norm = paddle.nn.BatchNorm1D(4, momentum=0.7, epsilon=0.1)
        hidden = paddle.nn.functional.dropout(norm(paddle.nn.Linear(3, 4)(x)), rate)
        out = paddle.nn.Linear(4, 2)(hidden)
        loss = paddle.nn.functional.cross_entropy(out, y)
        if make:
            make().minimize(loss)
    from backends.paddle.probe import Probe

    side = {"program": main, "startup": startup, "feed": {"x": "image", "y": "label"}, "fetch": [out], "loss": loss}
    one = Probe(side | more, "float64")
    random = np.random.default_rng(4)
    one.put({key: 1 + random.normal(size=value.shape) / 2 for key, value in one.get().items()})
    return main, one


FED = RANDOM.normal(size=(6, 3)), RANDOM.integers(0, 2, 6)


def in_numpy(t, x, training, rate=0.3):
    h = x @ t["linear_0.w_0/"] + t["linear_0.b_0/"]
    mean, variance = (h.mean(0), h.var(0)) if training else (t["batch_norm1d_0.w_1/"], t["batch_norm1d_0.w_2/"])
    h = (h - mean) / np.sqrt(variance + f32(0.1)) * t["batch_norm1d_0.w_0/"] + t["batch_norm1d_0.b_0/"]
    h = h * mask(0, h.shape, rate) / (1 - rate) if training else h
    return h @ t["linear_1.w_0/"] + t["linear_1.b_0/"]


def test_a_program_is_run_as_it_is_in_both_modes_and_left_as_it_was(paddle, static):
    main, one = program(paddle, lambda: paddle.optimizer.Adam(0.1))
    text, (x, y) = str(main), FED
    for training in (False, True, False):
        tensors = one.get()
        outputs, calls = one.forward([x, y], training)
        close(outputs[""], in_numpy(tensors, x, training), 1e-14)
        h, keep = x @ tensors["linear_0.w_0/"] + tensors["linear_0.b_0/"], f32(0.7)
        old = tensors["batch_norm1d_0.w_2/"]
        close(one.get()["batch_norm1d_0.w_2/"], keep * old + (1 - keep) * h.var(0) if training else old, 1e-14)
        assert not calls and all(np.array_equal(one.get()[key], tensors[key]) for key in tensors if "linear" in key)
    one.train([x, y], [], 2)
    assert str(main) == text
    layers = {layer.path: layer.tensors[""].trainable for layer in one.describe().layers}
    assert {name for name, trainable in layers.items() if not trainable} == {"batch_norm1d_0.w_1", "batch_norm1d_0.w_2"}
    assert set(layers) == {key.rstrip("/") for key in one.get()}


def test_a_programs_gradients_with_an_optimiser_inside_or_none(paddle, static):
    x, y = FED
    _, alone = program(paddle)
    value, found = alone.gradients([x, y], [])
    tensors = alone.get()
    p = np.exp(in_numpy(tensors, x, True))
    assert value == pytest.approx(-np.log((p / p.sum(1, keepdims=True))[range(6), y]).mean(), rel=1e-14)
    for key, at in (("linear_0.w_0/", (2, 1)), ("batch_norm1d_0.b_0/", (3,)), ("linear_1.w_0/", (0, 1))):
        losses = []
        for step in (1e-6, -1e-6):
            moved = tensors[key].copy()
            moved[at] += step
            q = np.exp(in_numpy(tensors | {key: moved}, x, True))
            losses.append(-np.log((q / q.sum(1, keepdims=True))[range(6), y]).mean())
        assert found[key][at] == pytest.approx((losses[0] - losses[1]) / 2e-6, rel=1e-6, abs=1e-9)
    assert len(found) == 6
    clip = paddle.nn.ClipGradByGlobalNorm(1e-3)
    _, inside = program(paddle, lambda: paddle.optimizer.Momentum(0.1, weight_decay=0.3, grad_clip=clip))
    again, slopes = inside.gradients([x, y], [])
    assert again == value and set(slopes) == set(found)
    for key in found:
        close(slopes[key], found[key], 1e-16)
    _, evaluated = program(paddle, lambda: paddle.optimizer.SGD(0.1), mode="eval")
    p = np.exp(in_numpy(evaluated.get(), x, False))
    value, slopes = evaluated.gradients([x, y], [])
    assert value == pytest.approx(-np.log((p / p.sum(1, keepdims=True))[range(6), y]).mean(), rel=1e-14)
    close(slopes["linear_1.b_0/"], (p / p.sum(1, keepdims=True) - np.eye(2)[y]).mean(0), 1e-15)


PROGRAM_OPTIMIZERS = [written for written in OPTIMIZERS if "ByValue" not in written]  # which PIR has not


@pytest.mark.parametrize("written", PROGRAM_OPTIMIZERS)
def test_an_update_inside_a_program_is_the_settings_stepped_by_hand(paddle, static, written):
    main, startup = static.Program(), static.Program()
    with static.program_guard(main, startup), paddle.utils.unique_name.guard():
        x = static.data("x", [None, 3])
        loss = paddle.nn.Linear(3, 2, bias_attr=False)(x).sum()
        eval(f"paddle.optimizer.{written.replace('parameters=p', 'parameters=None')}", {"paddle": paddle, "RATE": RATE}).minimize(loss)  # fmt: skip
    one = probe(None, program=main, startup=startup, feed={"x": "x"}, fetch=[loss], loss=loss)
    settings, rates = one.describe().optimizer, (1.0, 0.5, 2.0)
    for _ in range(2):
        one.put({"linear_0.w_0/": START})
        found = one.update([{"linear_0.w_0/": g} for g in GRADIENTS], rates)
        for a, b in zip(found, stepped(settings, rates), strict=True):
            close(a["linear_0.w_0/"], b, 1e-15)
    one.put({"linear_0.w_0/": START})
    given = RANDOM.normal(size=(4, 3))
    losses = one.train([given], [], 2)
    assert losses[0] == pytest.approx((given @ START).sum(), rel=1e-14)
    after = one.get()["linear_0.w_0/"]
    one.put({"linear_0.w_0/": START})
    slopes = {"linear_0.w_0/": np.repeat(given.sum(0)[:, None], 2, 1)}
    close(one.update([slopes, slopes], [1.0, 1.0])[-1]["linear_0.w_0/"], after, 1e-14)


def test_what_a_program_cannot_be_asked_is_refused(paddle, static):
    from backends.paddle.probe import Probe

    main, one = program(paddle)
    with pytest.raises(Refused, match="no layers that could be run alone"):
        one.alone("", [], False)
    with pytest.raises(Refused, match="cannot be asked of given outputs"):
        one.loss({}, [])
    with pytest.raises(Refused, match="no optimiser inside"):
        one.train(list(FED), [], 1)
    side = {"program": main, "startup": None, "feed": {"x": "image"}, "fetch": one.fetch}
    with pytest.raises(Refused, match="has no value in the Scope"):
        Probe(side, "float64").get()
    with pytest.raises(Refused, match="is fed no 'picture'; it is fed image, label"):
        Probe(side | {"feed": {"x": "picture"}}, "float64")
    with pytest.raises(Refused, match="has no variable 'out'"):
        Probe(side | {"fetch": ["out"]}, "float64")
    with pytest.raises(Refused, match="needs feed="):
        Probe({"program": main}, "float64")
    with pytest.raises(Refused, match="expected one of PIR"):
        Probe(side | {"program": object()}, "float64")
    noisy, startup = static.Program(), static.Program()
    with static.program_guard(noisy, startup):
        out = static.data("image", [None, 3]) + paddle.randn([3])
    with pytest.raises(Refused, match="draws at random, with pd_op.gaussian"):
        Probe({"program": noisy, "startup": startup, "feed": {"x": "image"}, "fetch": [out]}, "float64").forward(
            [FED[0]], False
        )
    with pytest.raises(Refused, match="without loss="):
        one.the_loss = None
        one.gradients(list(FED), [])


def test_what_a_program_writes_beside_its_outputs_is_written_in_training(paddle, static):
    main, startup = static.Program(), static.Program()
    with static.program_guard(main, startup), paddle.utils.unique_name.guard():
        x = static.data("x", [None, 3])
        running = static.create_parameter([3], "float64", name="running")
        running.stop_gradient = True
        paddle.assign(paddle.mean(x, 0), running)
        loss = paddle.nn.Linear(3, 2)(x).sum()
        paddle.optimizer.SGD(0.1).minimize(loss)
    one = probe(None, program=main, startup=startup, feed={"x": "x"}, fetch=[loss], loss=loss)
    one.put({"running/": np.zeros(3)})
    one.forward([FED[0]], False)
    assert not one.get()["running/"].any()
    tensors = one.get()
    for ask in (lambda: one.forward([FED[0]], True), lambda: one.gradients([FED[0]], [])):
        one.put({"running/": np.zeros(3)})
        ask()
        close(one.get()["running/"], FED[0].mean(0), 1e-15)
        assert all(np.array_equal(one.get()[key], tensors[key]) for key in tensors if key != "running/")


def test_a_program_of_float32_is_judged_in_it(paddle, static):
    paddle.set_default_dtype("float32")
    main, one = program(paddle)
    paddle.set_default_dtype("float64")
    described = one.describe()
    assert (described.dtype, described.dtype_why) == ("float32", "the Program was built with parameters of float32")
    assert one.forward(list(FED), True)[0][""].dtype == np.float32


# ---------------------------------------------------------------------------------- a process of its own

FILE = """
import numpy as np

def inputs(rng):
    return {"x": rng.normal(size=(6, 4)), "y": rng.integers(0, 2, 6)}

def reference():
    import paddle
    model = paddle.nn.Sequential(paddle.nn.Linear(4, 3), paddle.nn.Dropout(0.5), paddle.nn.Tanh(), paddle.nn.Linear(3, 2))
    optimizer = paddle.optimizer.Adam(0.1, parameters=model.parameters())
    return dict(model=model, loss=paddle.nn.functional.cross_entropy, optimizer=optimizer)

def port():
    import paddle
    paddle.enable_static()
    main, startup = paddle.static.Program(), paddle.static.Program()
    with paddle.static.program_guard(main, startup):
        x, y = paddle.static.data("image", [None, 4]), paddle.static.data("label", [None], "int64")
        out = paddle.nn.Linear(4, 3)(x)
        out = paddle.nn.Linear(3, 2)(paddle.tanh(paddle.nn.functional.dropout(out)))
        loss = paddle.nn.functional.cross_entropy(out, y)
        paddle.optimizer.Adam(0.1).minimize(loss)
    return dict(program=main, startup=startup, feed={"x": "image", "y": "label"}, fetch=[out], loss=loss)
"""


def test_layers_and_the_same_as_a_program_from_processes_of_their_own(tmp_path):
    (tmp_path / "mine.py").write_text(FILE)
    with Children() as children:
        _, given = read_inputs(children, tmp_path / "mine.py", tmp_path, 120, None)
        layers, whole = (Side(children, tmp_path / "mine.py", name, tmp_path, "float64", 120) for name in ("reference", "port"))  # fmt: skip
        layers.wait(), whole.wait()
        tensors = {key: value / 2 + 1 for key, value in layers.get().items()}
        names = dict(zip(["0/weight", "0/bias", "3/weight", "3/bias"], sorted(whole.get(), key=lambda key: (key.split(".")[0], "b_0" in key)), strict=True))  # fmt: skip
        layers.put(tensors)
        whole.put({own: tensors[key].T for key, own in names.items()})
        close(
            *(side.ask("forward", given, inputs=True, training=True)[1]["output/"] for side in (layers, whole)), 1e-15
        )
        (one, slopes), (two, others) = (side.ask("gradients", given, inputs=True) for side in (layers, whole))
        assert one["value"] == pytest.approx(two["value"], rel=1e-14)
        for key, own in names.items():
            close(slopes[key], others[own].T, 1e-15)
        losses = [side.ask("train", given, inputs=True, steps=3)[0]["losses"] for side in (layers, whole)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-6)  # a Program's β are of float32
        assert losses[0][0] == one["value"] != losses[0][2]
    assert not list(tmp_path.glob("*[0-9].tensors"))
