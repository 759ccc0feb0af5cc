"""Every kind of layer that a probe knows, in NumPy from its canonical settings and tensors: what `alone` is compared with.

Written from the definitions: loops over a kernel's places and over time. Arrays are canonical, channels axis 1.
"""

import math
from itertools import product

import numpy as np

GELU = {"root": math.sqrt(0.5), "cube": 0.044715}


def compute(kind, settings, tensors, x, training=False):
    """The output of one layer of x, or of (query, key, value) for attention; some settings may be rounded to "float32"."""
    for name in set(settings.get("float32", ())) - {"gradient"}:
        settings = settings | {name: float(np.float32(settings.get(name, GELU.get(name))))}
    if settings.get("batch"):  # the axis of the samples, where it is not the first
        swapped = [np.swapaxes(one, 0, 1) for one in x] if isinstance(x, list) else np.swapaxes(x, 0, 1)
        return compute(kind, settings | {"batch": 0}, tensors, swapped, training).swapaxes(0, 1)
    return globals()[kind](settings, tensors, x, training)


def per_channel(value, x):
    return value.reshape(1, -1, *[1] * (x.ndim - 2))


def dense(settings, t, x, training):
    return x @ t["weight"].T + t.get("bias", 0.0)


def embedding(settings, t, x, training):
    return t["weight"][x]


def sides(padding, x, size, stride, dilation):
    """[[before, after]] of every side."""
    found = []
    for k, (n, s, d) in enumerate(zip(size, stride, dilation, strict=True)):
        extent = (n - 1) * d + 1
        if padding == "same":
            total = max((-(-x.shape[k + 2] // s) - 1) * s + extent - x.shape[k + 2], 0)
            found.append((total // 2, total - total // 2))
        else:
            found.append((extent - 1, 0) if padding == "causal" else tuple(padding[k]))
    return found


def windows(x, size, stride, dilation):
    """(place in the kernel, what of x it meets) of every place."""
    counts = [(n - (k - 1) * d - 1) // s + 1 for n, k, s, d in zip(x.shape[2:], size, stride, dilation, strict=True)]
    for place in product(*map(range, size)):
        cut = [
            slice(p * d, p * d + (n - 1) * s + 1, s) for p, d, n, s in zip(place, dilation, counts, stride, strict=True)
        ]
        yield place, x[(slice(None), slice(None), *cut)]


MODES = {"zeros": "constant", "circular": "wrap", "replicate": "edge"}  # what NumPy calls otherwise


def conv(settings, t, x, training):
    weight, size = t["weight"], t["weight"].shape[2:]
    around = sides(settings["padding"], x, size, settings["stride"], settings["dilation"])
    mode = settings.get("mode", "zeros")
    x = np.pad(x, [(0, 0), (0, 0), *around], MODES.get(mode, mode))
    groups, out = settings["groups"], 0.0
    for place, part in windows(x, size, settings["stride"], settings["dilation"]):
        w = weight[(slice(None), slice(None), *place)].reshape(groups, -1, weight.shape[1])
        split = part.reshape(len(x), groups, weight.shape[1], *part.shape[2:])
        out = out + np.einsum("goi,bgi...->bgo...", w, split).reshape(len(x), -1, *part.shape[2:])
    return out + per_channel(t["bias"], out) if "bias" in t else out


def conv_transpose(settings, t, x, training):
    weight, stride, dilation, groups = t["weight"], settings["stride"], settings["dilation"], settings["groups"]
    size, many = weight.shape[2:], weight.shape[1]
    full = [(n - 1) * s + (k - 1) * d + 1 for n, s, k, d in zip(x.shape[2:], stride, size, dilation, strict=True)]
    out = np.zeros((len(x), groups * many, *full))
    split = x.reshape(len(x), groups, -1, *x.shape[2:])
    for place in product(*map(range, size)):
        w = weight[(slice(None), slice(None), *place)].reshape(groups, -1, many)
        cut = [
            slice(p * d, p * d + (n - 1) * s + 1, s)
            for p, d, n, s in zip(place, dilation, x.shape[2:], stride, strict=True)
        ]
        made = np.einsum("gio,bgi...->bgo...", w, split)
        out[(slice(None), slice(None), *cut)] += made.reshape(len(x), -1, *x.shape[2:])
    more = [(max(-a, 0), max(-b, 0)) for a, b in settings["padding"]]
    cut = [slice(max(a, 0), n - max(b, 0)) for (a, b), n in zip(settings["padding"], full, strict=True)]
    out = np.pad(out[(slice(None), slice(None), *cut)], [(0, 0), (0, 0), *more])
    return out + per_channel(t["bias"], out) if "bias" in t else out


def scaled(t, x, found):
    return found * per_channel(t["weight"], x) + per_channel(t["bias"], x) if "weight" in t else found


def batch_norm(settings, t, x, training):
    mean, variance = t["mean"], t["variance"]
    if training:
        axes = (0, *range(2, x.ndim))
        mean, variance = x.mean(axes), x.var(axes)
    return scaled(t, x, (x - per_channel(mean, x)) / np.sqrt(per_channel(variance, x) + settings["epsilon"]))


def layer_norm(settings, t, x, training):
    axes = tuple(range(-settings["axes"], 0))
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / np.sqrt(variance + settings["epsilon"]) * t.get("weight", 1.0) + t.get("bias", 0.0)


def rms_norm(settings, t, x, training):
    axes = tuple(range(-settings["axes"], 0))
    epsilon = np.finfo(np.float64).eps if settings["epsilon"] is None else settings["epsilon"]
    return x / np.sqrt((x**2).mean(axes, keepdims=True) + epsilon) * t.get("weight", 1.0)


def group_norm(settings, t, x, training):
    split = x.reshape(len(x), settings["groups"], -1)
    mean, variance = split.mean(2, keepdims=True), split.var(2, keepdims=True)
    return scaled(t, x, ((split - mean) / np.sqrt(variance + settings["epsilon"])).reshape(x.shape))


def instance_norm(settings, t, x, training):
    return group_norm(settings | {"groups": x.shape[1]}, t, x, training)


def pool(settings, t, x, training):
    """An average counts the zeros of the padding or not, and never what a window lacks that `ceil` lets begin inside."""
    size, stride = settings["size"], settings["stride"]
    steps = settings.get("dilation", [1] * len(size))
    around = sides(settings["padding"], x, size, stride, steps)
    lacking = []
    for n, (a, b), k, s, d in zip(x.shape[2:], around, size, stride, steps, strict=True):
        starts = [i for i in range(0, n + a, s) if settings["ceil"] and i < n + a + b - (k - 1) * d - 1 + s]
        lacking.append(max(max(starts, default=0) + (k - 1) * d + 1 - (n + a + b), 0))
    widths = [(0, 0), (0, 0), *((a, b + more) for (a, b), more in zip(around, lacking, strict=True))]
    parts = np.stack([part for _, part in windows(np.pad(x, widths, constant_values=-np.inf), size, stride, steps)])
    if settings["op"] == "max":
        return parts.max(0)
    ones = np.pad(np.ones(x.shape), [(0, 0), (0, 0), *around], constant_values=float(settings["counted"]))
    ones = np.pad(ones, [(0, 0), (0, 0), *((0, more) for more in lacking)])
    count = sum(part for _, part in windows(ones, size, stride, steps))
    return np.where(np.isfinite(parts), parts, 0.0).sum(0) / settings.get("divisor", count)


def adaptive_pool(settings, t, x, training):
    reduce = np.max if settings["op"] == "max" else np.mean
    for axis, m in enumerate(settings["size"], start=2):
        n = x.shape[axis]
        parts = [reduce(x.take(range(i * n // m, -(-(i + 1) * n // m)), axis), axis, keepdims=True) for i in range(m)]
        x = np.concatenate(parts, axis)
    return x


def dropout(settings, t, x, training):
    return x


def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def activation(s, t, x, training):
    erf = np.vectorize(math.erf)
    positive, negative = np.maximum(x, 0.0), np.minimum(x, 0.0)
    hard = lambda: np.clip(s["slope"] * x + s["offset"], 0.0, 1.0)  # noqa: E731
    cubic = lambda: np.tanh(math.sqrt(2 / math.pi) * (x + s.get("cube", GELU["cube"]) * x**3))  # noqa: E731
    return {
        "relu": lambda: positive,
        "relu6": lambda: np.minimum(positive, 6.0),
        "leaky_relu": lambda: positive + s["slope"] * negative,
        "bounded_relu": lambda: np.where(
            x >= s["threshold"],
            np.minimum(x, np.inf if s["most"] is None else s["most"]),
            s["slope"] * (x - s["threshold"]),
        ),
        "prelu": lambda: positive + per_channel(t["weight"], x) * negative,
        "celu": lambda: positive + s["alpha"] * np.expm1(negative / s["alpha"]),
        "elu": lambda: positive + s["alpha"] * np.expm1(negative),
        "selu": lambda: 1.0507009873554805 * (positive + 1.6732632423543772 * np.expm1(negative)),
        "gelu": lambda: x / 2 * (1 + (cubic() if s["approximate"] else erf(x * s.get("root", GELU["root"])))),
        "silu": lambda: x * sigmoid(x),
        "softplus": lambda: np.log1p(np.exp(s["beta"] * x)) / s["beta"],
        "sigmoid": lambda: sigmoid(x),
        "tanh": lambda: np.tanh(x),
        "softmax": lambda: softmax(x, s["axis"]),
        "log_softmax": lambda: np.log(softmax(x, s["axis"])),
        "hard_sigmoid": hard,
        "hard_swish": lambda: x * hard(),
        "hard_tanh": lambda: np.clip(x, s["low"], s["high"]),
        "mish": lambda: x * np.tanh(np.log1p(np.exp(x))),
        "log_sigmoid": lambda: np.log(sigmoid(x)),
        "softsign": lambda: x / (1 + np.abs(x)),
        "identity": lambda: x,
    }[s["name"]]()


def lstm(settings, t, x, training):
    hidden = t["weight_hh"].shape[1]
    h = c = np.zeros((len(x), hidden))
    found = []
    for step in x.swapaxes(0, 1):
        rows = step @ t["weight_ih"].T + h @ t["weight_hh"].T + t.get("bias_ih", 0.0) + t.get("bias_hh", 0.0)
        i, f, g, o = np.split(rows, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        found.append(h)
    return np.stack(found, 1)


def gru(settings, t, x, training):
    hidden = t["weight_hh"].shape[1]
    h, found = np.zeros((len(x), hidden)), []
    parts = [np.split(t[f"weight_{way}"], 3) for way in ("ih", "hh")]
    (ar, az, an), (br, bz, bn) = (np.split(t.get(f"bias_{way}", np.zeros(3 * hidden)), 3) for way in ("ih", "hh"))
    (wr, wz, wn), (ur, uz, un) = parts
    for step in x.swapaxes(0, 1):
        r = sigmoid(step @ wr.T + ar + h @ ur.T + br)
        z = sigmoid(step @ wz.T + az + h @ uz.T + bz)
        inner = r * (h @ un.T + bn) if settings["reset_after"] else (r * h) @ un.T + bn
        h = (1 - z) * np.tanh(step @ wn.T + an + inner) + z * h
        found.append(h)
    return np.stack(found, 1)


def attention(settings, t, given, training):
    heads = settings["heads"]
    q, k, v = (
        (x @ t[f"{part}_weight"].T + t.get(f"{part}_bias", 0.0)).reshape(*x.shape[:2], heads, -1).swapaxes(1, 2)
        for x, part in zip(given, ("query", "key", "value"), strict=True)
    )
    found = softmax(q @ k.swapaxes(2, 3) / math.sqrt(q.shape[-1]), -1) @ v
    return found.swapaxes(1, 2).reshape(*given[0].shape[:2], -1) @ t["out_weight"].T + t.get("out_bias", 0.0)


def resize(settings, t, x, training):
    """Half-pixel centres, or corners that stay."""
    scales = settings["scale"] if isinstance(settings["scale"], (list, tuple)) else [settings["scale"]] * (x.ndim - 2)
    sizes = [settings["size"]] * (x.ndim - 2) if isinstance(settings["size"], int) else settings["size"]
    sizes = sizes or [int(n * s) for n, s in zip(x.shape[2:], scales, strict=True)]
    for axis, m in enumerate(sizes, start=2):
        n = x.shape[axis]
        place = np.arange(m) * (n - 1) / (m - 1) if settings["corners"] else (np.arange(m) + 0.5) * n / m - 0.5
        if settings["mode"].startswith("nearest"):
            x = x.take(
                np.arange(m) * n // m if settings["mode"] == "nearest" else np.floor(place + 0.5).astype(int), axis
            )
            continue
        place = np.clip(place, 0, n - 1)
        low = np.minimum(np.floor(place).astype(int), n - 1)
        share = (place - low).reshape(-1, *[1] * (x.ndim - axis - 1))
        x = x.take(low, axis) * (1 - share) + x.take(np.minimum(low + 1, n - 1), axis) * share
    return x


def flatten(settings, t, x, training):
    if settings.get("order") == "channels_last":
        x = np.moveaxis(x, 1, -1)
    return x.reshape(*x.shape[: settings["first"]], -1)


def reshape(settings, t, x, training):
    return x.reshape(len(x), *settings["shape"])


def pad(settings, t, x, training):
    mode = MODES.get(settings["mode"], settings["mode"])
    more = {"constant_values": settings["value"]} if mode == "constant" else {}
    return np.pad(x, [(0, 0), (0, 0), *settings["padding"]], mode, **more)
