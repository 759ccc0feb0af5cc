"""Which loss it is: value and gradient of the known ones, in canonical words.

Settings:

    name       squared | absolute | huber (smooth L1 of β is that of δ = β, times 1 / β) | log_cosh | bce | cross_entropy | kl | hinge
    reduction  mean (over every element, or every label) | batch (summed, divided by the first axis) | sum; times `factor`
    takes      logits | probabilities | log_probabilities
    guard      of probabilities: none | ["clip", ε] | ["log", lowest] | ["add", ε]: what keeps their logarithm finite
    smoothing  of labels; spread: even, a / K for each of K classes | others, a / (K - 1) for each but the right one
    float32    ["labels"]: smoothed ones are rounded
    normalised probabilities are divided by their sum first
"""

import itertools
import math
from collections.abc import Iterator

import numpy as np

from common.probing import Arrays
from common.tools.diff.conventions.activations import log_softmax, sigmoid, softplus
from common.tools.diff.conventions.base import deviation

DELTAS = (1.0, 0.5, 2.0, 0.1, 1.5, 5.0, 10.0, 1 / 9)
SMOOTHINGS = (0.0, 0.1, 0.05, 0.2, 0.01, 0.02, 0.15, 0.25, 0.3)
GUARDS = ("none", ("clip", 1e-7), ("log", -100.0), *(("add", e) for e in (1e-7, 1e-8, 1e-10, 1e-12, 1e-15, 1e-6, 1e-5)), *(("clip", e) for e in (1e-8, 1e-12, 1e-6, 1e-5)))  # fmt: skip
FACTORS = (1.0, 0.5, 2.0)
LEAST = float(np.float32(1e-12))  # what PyTorch divides by at least, where its logarithm is held at -100


def _log(p, guard):
    """(log p, its derivative) as `guard` has it."""
    kind, number = guard if guard != "none" else ("none", 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        if kind == "clip":
            inside = (p >= number) & (p <= 1 - number)
            q = np.clip(p, number, 1 - number)
            return np.log(q), inside / q
        if kind == "add":
            return np.log(p + number), 1 / (p + number)
        if kind == "log":
            return np.maximum(np.log(p), number), 1 / np.maximum(p, LEAST)
        return np.log(p), 1 / p


def _distances(x, y) -> Iterator:
    """Of regression: ({name, numbers}, elements, derivatives)."""
    r = x - y
    size = np.abs(r)
    yield {"name": "squared"}, r * r, 2 * r
    yield {"name": "absolute"}, size, np.sign(r)
    for delta in DELTAS:
        near = size <= delta
        huber, slope = np.where(near, 0.5 * r * r, delta * (size - 0.5 * delta)), np.where(near, r, delta * np.sign(r))
        yield {"name": "huber", "delta": delta}, huber, slope
    yield {"name": "log_cosh"}, size + np.log1p(np.exp(-2 * size)) - math.log(2), np.tanh(r)


def _binary(x, y) -> Iterator:
    is_probability = x.min() >= 0 and x.max() <= 1
    for a in SMOOTHINGS:
        t = y * (1 - a) + a / 2
        about = {"name": "bce", "smoothing": a}
        yield about | {"takes": "logits"}, softplus(x) - t * x, sigmoid(x) - t
        for guard in GUARDS if is_probability else ():
            (log, slope), (other, down) = _log(x, guard), _log(1 - x, guard)
            if guard != "none" and guard[0] == "log":
                slope, down = (1 - x) / np.maximum(x * (1 - x), LEAST), x / np.maximum(x * (1 - x), LEAST)
            with np.errstate(invalid="ignore"):
                yield about | {"takes": "probabilities", "guard": guard}, -t * log - (1 - t) * other, -t * slope + (1 - t) * down  # fmt: skip
    if set(np.unique(y)) <= {-1.0, 1.0}:
        yield {"name": "hinge"}, np.maximum(1 - x * y, 0), np.where(x * y < 1, -y, 0.0)


def _smoothed(t, ones, a, spread, count):
    """Labels with a share `a` spread over all classes, or over the others; `ones`: what a label's shares sum to."""
    return t * (1 - a) + (ones.astype(t.dtype) * (a / count) if spread == "even" else (1 - t) * (a / (count - 1)))


def _classes(x, t, axis) -> Iterator:
    """`t`: each class's share, of x's shape. Elements are one number a label."""
    count = x.shape[axis]
    log, ones = log_softmax(x, axis), t.sum(axis, keepdims=True)
    is_probability = x.min() >= 0 and x.max() <= 1
    # Paddle smooths labels in float32, and takes their sum for 1.
    for narrow, spread, a in itertools.product((False, True), ("even", "others"), SMOOTHINGS):
        if (spread == "others" or narrow) and (not a or count < 2):
            continue
        t_a = _smoothed(t, ones, a, spread, count)
        if narrow:
            t_a = _smoothed(t.astype(np.float32), ones, np.float32(a), spread, np.float32(count)).astype(np.float64)
        about = {"name": "cross_entropy", "smoothing": a, "axis": axis} | ({"spread": spread} if a else {})
        about |= {"float32": ["labels"]} if narrow else {}
        total = ones if narrow else t_a.sum(axis, keepdims=True)
        yield about | {"takes": "logits"}, -(t_a * log).sum(axis), np.exp(log) * total - t_a
        yield about | {"takes": "log_probabilities"}, -(t_a * x).sum(axis), -t_a
        for guard, normalised in itertools.product(GUARDS if is_probability else (), (False, True)):
            total = x.sum(axis, keepdims=True) if normalised else 1.0
            value, slope = _log(x / total, guard)
            with np.errstate(invalid="ignore"):
                down = -t_a * slope
                if normalised:
                    down = (down - (down * x).sum(axis, keepdims=True) / total) / total
                more = {"takes": "probabilities", "guard": guard, "normalised": normalised}
                yield about | more, -np.where(t_a == 0, 0, t_a * value).sum(axis), down


def _divergences(x, y) -> Iterator:
    """kl(y, x)."""
    if y.min() >= 0:
        entropy = np.where(y > 0, y * np.log(np.where(y > 0, y, 1)), 0)
        yield {"name": "kl", "takes": "log_probabilities", "against": "probabilities"}, entropy - y * x, -y
        if x.min() >= 0:
            for guard in GUARDS:
                log, slope = _log(x, guard)
                first = entropy
                if guard != "none" and guard[0] != "log":
                    first = y * _log(y, guard)[0]
                with np.errstate(invalid="ignore"):
                    yield {"name": "kl", "takes": "probabilities", "guard": guard}, first - y * log, -y * slope
    if y.max() <= 0:
        yield (
            {"name": "kl", "takes": "log_probabilities", "against": "log_probabilities"},
            np.exp(y) * (y - x),
            -np.exp(y),
        )


def _hypotheses(x, y) -> Iterator:
    """(settings, elements, derivative of their sum with respect to x)."""
    if y.dtype.kind in "iub":
        for axis in dict.fromkeys((1, x.ndim - 1)) if x.ndim > 1 else ():
            shape = x.shape[:axis] + x.shape[axis + 1 :]
            labels = y.reshape(shape) if y.size == math.prod(shape) else None
            if labels is None or x.shape[axis] < 2:
                continue
            # PyTorch's own mark, and those that people use, for labels that do not count
            for ignored in (None, -100, -1, 255, 0):
                if ignored is not None and not (labels == ignored).any():
                    continue
                kept = np.ones(shape, bool) if ignored is None else labels != ignored
                if (labels[kept] < 0).any() or (labels[kept] >= x.shape[axis]).any() or not kept.any():
                    continue
                t = np.expand_dims(np.where(kept, labels, 0), axis) == np.arange(x.shape[axis]).reshape([-1 if k == axis else 1 for k in range(x.ndim)])  # fmt: skip
                for about, terms, slopes in _classes(x, t * np.expand_dims(kept, axis).astype(float), axis):
                    more = {"labels": "integers"} | ({} if ignored is None else {"ignored": ignored})
                    keeps = np.expand_dims(kept, axis)
                    yield about | more, terms[kept], np.where(keeps, slopes, 0)
    y = y.astype(np.float64)
    if x.size == y.size:
        t = y.reshape(x.shape)
        yield from _distances(x, t)
        if t.min() >= -1 and t.max() <= 1:
            yield from _binary(x, t)
        for axis in dict.fromkeys((1, x.ndim - 1)) if x.ndim > 1 and t.min() >= 0 else ():
            yield from ((about | {"labels": "shares"}, terms, slopes) for about, terms, slopes in _classes(x, t, axis))
        yield from _divergences(x, t)
    if x.shape != y.shape:
        # Shapes that broadcast: (N, 1) less (N,) is (N, N), the mistake of which every framework but Keras is silent.
        try:
            both = np.broadcast_arrays(x, y)
        except ValueError:
            return
        if both[0].size > x.size:
            for about, terms, slopes in _distances(both[0].astype(float), both[1].astype(float)):
                axes = tuple(
                    k
                    for k in range(both[0].ndim)
                    if k < both[0].ndim - x.ndim or x.shape[k - both[0].ndim + x.ndim] == 1
                )
                yield about | {"broadcast": True}, terms, slopes.sum(axes, keepdims=True).reshape(x.shape)


def _reduced(weight: float, count: int, batch: int, factors: tuple, tolerance: float) -> dict:
    """The words for a factor of the sum."""
    kinds = {"mean": 1 / count, "batch": 1 / batch, "sum": 1.0}
    for factor in factors:
        for name, one in kinds.items():
            if abs(weight - factor * one) < tolerance * weight:
                return {"reduction": name, "factor": factor}
    return {"reduction": "sum", "factor": weight}


def explain_loss(outputs: Arrays, rest: Arrays, value: float, gradient: Arrays, tolerance: float) -> dict | None:
    """The loss of one output and one of `rest` that has this value and this gradient, both within `tolerance` (relative), with
    "output" and "target", their names. None if no known loss has, as where it has several terms."""
    moved = [name for name, g in gradient.items() if np.any(g)]
    if len(moved) != 1 or not np.isfinite(value):
        return None
    x, wanted = np.asarray(outputs[moved[0]], np.float64), np.asarray(gradient[moved[0]], np.float64)
    if not (np.isfinite(x).all() and np.isfinite(wanted).all()):
        return None
    for name, target in rest.items():
        for about, terms, slopes in _hypotheses(x, np.asarray(target)):
            total = float(terms.sum())
            if not (np.isfinite(total) and np.isfinite(slopes).all()) or not slopes.any():
                continue
            weight = float((slopes * wanted).sum() / (slopes * slopes).sum())
            if weight <= 0 or deviation(wanted, weight * slopes) >= tolerance:
                continue
            if abs(value - weight * total) < tolerance * weight * float(np.abs(terms).sum()):
                about = {key: list(one) if isinstance(one, tuple) else one for key, one in about.items()}
                factors = (*FACTORS, *((1 / about["delta"],) if "delta" in about else ()))
                words = _reduced(weight, terms.size, len(x) if x.ndim else 1, factors, max(10 * tolerance, 1e-9))
                return about | words | {"output": moved[0], "target": name}
    return None
