"""What lies between layers where activations, pooling and the like are plain functions: the steps that make one array of another.

A step is {"kind": a kind of `layers`, its settings}; and of kinds that are none there

    transpose  axes
    scale      factor, shift: y = factor * x + shift
    select     of a sequence (N, T, ...) the step `at`: 0 or -1
    add, multiply, concatenate (axis)      of several sources, always first
"""

import functools
import itertools
import math

import numpy as np

from common.tools.diff.conventions.activations import CUBE, NAMES, ROOT
from common.tools.diff.conventions.base import Unknown, deviation
from common.tools.diff.conventions.layers import run
from common.tools.diff.conventions.order import RISING, canonical

STEPS = 3
SMALL = 200_000  # numbers, above which a search that failed on one sample is not repeated on all
NUMBERS = {
    "leaky_relu": [{"slope": s} for s in (0.01, 0.2, 0.3, 0.1, 1 / 6)],
    "gelu": [
        *({"approximate": a} for a in (False, True, "sigmoid")),
        {"approximate": False, "root": float(np.float32(ROOT))},
        {"approximate": True, "cube": float(np.float32(CUBE))},
    ],
    "hard_sigmoid": [{"slope": s, "offset": 0.5} for s in (1 / 6, 0.2)],
    "elu": [{"alpha": a} for a in (1.0, 0.1, 0.5)],
    "softplus": [{"beta": b, "threshold": t} for b in (1.0, 2.0, 0.5) for t in (None, 20.0)],
    "softmax": [{"axis": a} for a in (-1, 1)],
    "log_softmax": [{"axis": a} for a in (-1, 1)],
}
ACTIVATIONS = [
    {"kind": "activation", "name": name} | numbers
    for name in NAMES
    if name not in ("identity", "prelu", "bounded_relu", "celu")
    for numbers in NUMBERS.get(name, [{}])
]


def apply(step: dict, x: np.ndarray) -> np.ndarray:
    """One step. Raises Unknown where it does not fit."""
    about = {key: value for key, value in step.items() if key != "kind"}
    match step["kind"]:
        case "transpose":
            return x.transpose(about["axes"])
        case "scale":
            return about["factor"] * x + about["shift"]
        case "select":
            return x[:, about["at"]]
    return run(step["kind"], about, {}, [x], False)[0]


def _combined(sources):
    """[(steps, array)]: a source alone, or what may be made of all."""
    if len(sources) == 1:
        return [([], sources[0])]
    found = []
    if len({x.shape for x in sources}) == 1:
        found += [([{"kind": "add"}], sum(sources)), ([{"kind": "multiply"}], np.prod(sources, 0))]
    for axis in dict.fromkeys((1, sources[0].ndim - 1)):
        try:
            found.append(([{"kind": "concatenate", "axis": axis}], np.concatenate(sources, axis)))
        except ValueError:
            continue
    return found


def explain_glue(source: np.ndarray | list[np.ndarray], target: np.ndarray, tolerance: float) -> list[dict] | None:
    """At most three steps that make `target` of `source`, or of several sources; [] if they are equal, None if none are found.

    Activations come first; of steps that may change places, as ReLU and a maximum may, one order is tried.
    """
    sources = [np.asarray(x, np.float64) for x in (source if isinstance(source, (list, tuple)) else [source])]
    target = np.asarray(target, np.float64)
    if not target.size or not all(np.isfinite(x).all() and x.size for x in [*sources, target]):
        return None
    for first, x in _combined(sources):
        found = _explained(x, target, tolerance, STEPS - len(first))
        # Who cuts what was put together has not put it together.
        if found is not None and not (len(sources) > 1 and any(np.min(one.get("padding", 0)) < 0 for one in found if one["kind"] == "pad")):  # fmt: skip
            return canonical(first + found)
    return None


def _explained(x, y, tolerance, most):
    def fits(steps):
        found = followed(steps, x)
        return found is not None and found.shape == y.shape and deviation(y, found) < tolerance

    if fits([]):
        return []
    if x.shape == y.shape and most:
        if found := next((steps for steps in _elementwise(x, y, tolerance) if fits(steps)), None):
            return found
        if most > 1 and (found := next((steps for steps in _scaled(x, y) if fits(steps)), None)):
            return found
    # One sample and some channels are enough to reject by, where the first axes are theirs.
    part, wanted = x, y
    if x.ndim > 1 and y.ndim > 1 and len(x) == len(y):
        part, wanted = part[:1], wanted[:1]
        if x.ndim == y.ndim > 2 and x.shape[1] == y.shape[1]:
            part, wanted = part[:, :4], wanted[:, :4]
    found = next((steps for steps in _sequences(part, wanted, tolerance, most) if fits(steps)), None)
    if found is None and part is not x:
        found = next(
            ([step] for step in _steps(x.shape, y.shape) if step["kind"] == "transpose" and fits([step])), None
        )
    return found


def followed(steps: list[dict], x: np.ndarray) -> np.ndarray | None:
    """What the steps make of x; None where one does not fit."""
    try:
        for step in steps:
            x = apply(step, x)
    except (Unknown, ValueError):
        return None
    return x


def _sequences(x, y, tolerance, most):
    """Sequences that make y of x and change its arrangement: by themselves, with an activation after them, or before."""

    def meets(value):
        return value is not None and value.shape == y.shape and deviation(y, value) < tolerance

    paths = [path for path in _paths(x.shape, y.shape, most) if len(path) <= most]
    values = [followed(path, x) for path in paths]
    yield from (path for path, value in zip(paths, values, strict=True) if meets(value))
    longer = [
        (path, v)
        for path, v in zip(paths, values, strict=True)
        if len(path) < most and v is not None and v.shape == y.shape
    ]
    for path, value in longer:
        yield from (path + after for after in _elementwise(value, y, tolerance) if meets(followed(after, value)))
    active = [(before, apply(before, x)) for before in ACTIVATIONS]
    for path, _ in longer:
        # What only moves numbers, and a maximum of what rises, may as well come first: that was tried.
        op = next((step["op"] for step in path if "op" in step), None)
        if op is None and all(step["kind"] in ("transpose", "flatten", "reshape") for step in path):
            continue
        chosen = (one for one in active if op != "max" or one[0]["name"] not in RISING)
        yield from ([before, *path] for before, value in chosen if meets(followed(path, value)))


def _elementwise(x, y, tolerance):
    """Single steps that keep the shape and make y of x at some of its places; numbers are read off the values."""
    step = max(x.size // 500, 1)
    few, wanted = x.ravel()[::step], y.ravel()[::step]
    least = 1e3 * tolerance  # the largest of a few may be smaller than that of all, which deviations are relative to
    for one in ACTIVATIONS:
        if "axis" in one or deviation(wanted, apply(one, few)) < least:
            yield [one]
    low = few < 0
    if low.any():
        slope = float(np.median(wanted[low] / few[low]))
        if 0 < abs(slope) < 1:
            yield [{"kind": "activation", "name": "leaky_relu", "slope": float(f"{slope:.12g}")}]
    if step := _line(few, wanted):
        yield [step]


def _line(x, y):
    """The scale that makes y of x best, if there is one."""
    spread = x - x.mean()
    if (power := float(spread @ spread)) > 0 and (factor := float(spread @ (y - y.mean())) / power):
        shift = float(y.mean() - factor * x.mean())
        shift = shift if abs(shift) > 1e-12 * np.abs(y).max() else 0.0
        return {"kind": "scale", "factor": float(f"{factor:.12g}"), "shift": float(f"{shift:.12g}")}
    return None


def _scaled(x, y):
    """An activation and a scale after it."""
    step = max(x.size // 500, 1)
    few, wanted = x.ravel()[::step], y.ravel()[::step]
    for one in ACTIVATIONS:
        if "axis" not in one and (line := _line(apply(one, few), wanted)):
            yield [one, line]


def _paths(shape, target, most):
    """Steps that change the arrangement: one; a pad before a pool; what is flattened after it, or made a sequence."""
    yield from ([step] for step in _steps(shape, target))
    dims = len(shape) - 2
    if dims not in (1, 2, 3) or shape[0] != target[0]:
        return
    pads = [
        ({"kind": "pad", "padding": [ends] * dims, "mode": "constant", "value": 0.0}, (*shape[:2], *(n + sum(ends) for n in shape[2:])))
        for ends in ([0, 1], [1, 0], [1, 1])
    ]  # fmt: skip
    for pad, padded in pads:
        yield from ([pad, step] for step, after in _pools(padded) if after == tuple(target))
    if dims > 1:
        flat = (*shape[:2], math.prod(shape[2:]))
        yield from (
            [{"kind": "flatten", "first": 2}, step] for step in _steps(flat, target) if step["kind"] == "transpose"
        )
    if len(target) == 2 and target[1] % shape[1] == 0 and math.prod(shape) > math.prod(target):
        for before, start in [([], shape), *(([pad], padded) for pad, padded in pads if most > 2)]:
            for step, after in _pools(start):
                if math.prod(after) == math.prod(target):
                    yield from ([*before, step, last] for last in _steps(after, target))


def _pools(shape):
    """[(step, shape after it)]. Those with a padding come after those without."""
    return [(step, (*shape[:2], *after)) for step, after in _pools_of(tuple(shape[2:]))]


@functools.lru_cache(maxsize=1000)
def _pools_of(sides):
    found, dims = [], len(sides)
    for op in ("average", "max"):
        found.append(({"kind": "adaptive_pool", "op": op, "size": [1] * dims}, (1,) * dims))
    options = itertools.product((False, True), (0, 1, "same"), ("max", "average"), (2, 3), (2, 3, 1), (False, True))
    for ceil, padding, op, size, stride, counted in options:
        if stride > size or counted and (op == "max" or not padding) or ceil and padding == "same":
            continue
        if padding == "same":
            after = [-(-n // stride) for n in sides]
        else:
            after = [(n + 2 * padding - size) // stride + 1 for n in sides]
            # What `ceil` adds, if it adds anything.
            more = [-(-(n + 2 * padding - size) // stride) + 1 for n in sides]
            more = [m - ((m - 1) * stride >= n + padding) for n, m in zip(sides, more, strict=True)]
            if ceil and more == after:
                continue
            after = more if ceil else after
        if min(after) > 0:
            step = {"kind": "pool", "op": op, "size": [size] * dims, "stride": [stride] * dims, "padding": padding if padding == "same" else [[padding] * 2] * dims, "counted": counted, "ceil": ceil}  # fmt: skip
            found.append((step, tuple(after)))
    return found


def _steps(shape, target):
    """Single steps that lead from `shape` to `target`."""
    same_size = np.prod(shape) == np.prod(target)
    if len(shape) > 2 and (shape[0], *shape[2:]) == tuple(target):
        yield from ({"kind": "select", "at": at} for at in (-1, 0))
    if same_size and sorted(shape) == sorted(target) and len(shape) < 6:
        for axes in itertools.permutations(range(len(shape))):
            if axes != tuple(range(len(shape))) and tuple(shape[k] for k in axes) == tuple(target):
                yield {"kind": "transpose", "axes": list(axes)}
    if same_size and shape[:1] == target[:1] and len(shape) != len(target):
        if len(target) == 2:
            yield from (
                {"kind": "flatten", "first": 1, "order": order} for order in ("channels_first", "channels_last")
            )
        else:
            yield from ({"kind": "reshape", "shape": list(target[1:]), "order": order} for order in ("channels_first", "channels_last"))  # fmt: skip
    if len(shape) != len(target) or len(shape) < 3 or shape[:2] != target[:2] or len(shape) > 5:
        return
    yield from (step for step, after in _pools(shape) if after == tuple(target))
    more = [m - n for n, m in zip(shape[2:], target[2:], strict=True)]
    if any(more) and max(map(abs, more)) < 9:
        halves = [[d // 2, d - d // 2] for d in more]
        for ends in (halves, [half[::-1] for half in halves], [[0, d] for d in more], [[d, 0] for d in more]):
            for mode in ("constant", "reflect", "replicate", "circular") if min(more) >= 0 else ("constant",):
                yield {"kind": "pad", "padding": ends, "mode": mode, "value": 0.0}
    if tuple(shape) != tuple(target):
        size = {"kind": "resize", "size": list(target[2:])}
        yield from (size | {"mode": mode} for mode in ("nearest", "nearest-exact", "area"))
        yield from (size | {"mode": "linear"} | way for way in ({"corners": False}, {"corners": True}, {"half_pixel": False}, {"antialias": True}))  # fmt: skip
        yield from (size | {"mode": "cubic"} | way for way in ({"corners": False}, {"corners": True}, {"cubic": -0.5, "edge": "dropped"}))  # fmt: skip
