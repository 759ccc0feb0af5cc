"""Pooling by windows, and to a size."""

import itertools

import numpy as np

from common.probing import Arrays
from common.tools.diff.conventions.base import BOTH, REQUIRED, Knob, Unknown, one_of, read, sides
from common.tools.diff.conventions.convolution import PADDINGS, resolved, windows

OPS = ("max", "average")


def _padding_of(about, shape, size, stride, dilation):
    window = [d * (k - 1) + 1 for k, d in zip(size, dilation, strict=True)]
    ends = []
    for n, s, w, (a, b) in zip(shape, stride, window, resolved(about["padding"], shape, stride, window), strict=True):
        more = 0
        if about["ceil"]:
            # PyTorch's rule: no window begins beyond the input and what is padded before it.
            count = -(-(n + a + b - w) // s) + 1
            if not about["beyond"] and (count - 1) * s >= n + a:
                count -= 1
            more = max((count - 1) * s + w - (n + a + b), 0)
        ends.append((a, b, more))
    return ends


def _widened(x, ends, value):
    widths = [(0, 0), (0, 0), *((a, b + more) for a, b, more in ends)]
    return np.pad(x, widths, constant_values=value) if any(a or b for a, b in widths) else x


def pool(settings: dict, tensors: Arrays, inputs: list[np.ndarray], training: bool) -> list[np.ndarray]:
    """counted: an average divides by its padding too. ceil: a last part of a window makes an output, beyond: even one that
    begins after the input. counted_after "as before": as many zeros count after the input as before it. fill: what is padded for a maximum, "lowest" or 0. divisor: what an average divides by."""
    about = read("pool", settings, DEFAULTS["pool"])
    x, op = inputs[0], one_of("pool", "op", about["op"], OPS)
    dims = x.ndim - 2
    size, dilation = sides(about["size"], dims), sides(about["dilation"], dims)
    stride = size if about["stride"] is None else sides(about["stride"], dims)
    ends = _padding_of(about, x.shape[2:], size, stride, dilation)
    last = tuple(range(-dims, 0))
    if op == "max":
        value = 0.0 if about["fill"] == 0 else -np.inf
        return [windows(_widened(x, ends, value), size, stride, dilation).max(last)]
    total = windows(_widened(x, ends, 0.0), size, stride, dilation).sum(last)
    if about["divisor"]:
        return [total / about["divisor"]]
    ones = np.ones((1, 1, *x.shape[2:]))
    if about["counted"]:
        counted = [(a, min(a, b + more) if about["counted_after"] else b) for a, b, more in ends]
        ones = _widened(ones, [(a, b, 0) for a, b in counted], 1.0)
        ones = _widened(ones, [(0, 0, b + more - c) for (_, b, more), (_, c) in zip(ends, counted, strict=True)], 0.0)
    else:
        ones = _widened(ones, ends, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return [total / windows(ones, size, stride, dilation).sum(last)]


def adaptive_pool(settings: dict, tensors: Arrays, inputs: list[np.ndarray], training: bool) -> list[np.ndarray]:
    """Windows from ⌊i n / m⌋ to ⌈(i + 1) n / m⌉ of n pixels for m."""
    about = read("adaptive_pool", settings, DEFAULTS["adaptive_pool"])
    x, op = inputs[0], one_of("adaptive_pool", "op", about["op"], OPS)
    dims = x.ndim - 2
    size = [n if m is None else m for n, m in zip(x.shape[2:], sides(about["size"], dims), strict=True)]
    if min(size) < 1:
        raise Unknown(f"adaptive_pool to {size}")
    parts = [
        [slice(i * n // m, -(-(i + 1) * n // m)) for i in range(m)] for n, m in zip(x.shape[2:], size, strict=True)
    ]
    out = np.empty((*x.shape[:2], *size))
    last = tuple(range(2, x.ndim))
    for place in itertools.product(*(range(m) for m in size)):
        part = x[(..., *(axis[i] for axis, i in zip(parts, place, strict=True)))]
        out[(..., *place)] = part.max(last) if op == "max" else part.mean(last)
    return [out]


DEFAULTS = {
    "pool": {"op": REQUIRED, "size": REQUIRED, "stride": None, "padding": 0, "dilation": 1, "counted": False, "ceil": False, "fill": "lowest", "divisor": None, "beyond": False, "counted_after": None},
    "adaptive_pool": {"op": REQUIRED, "size": 1},
}  # fmt: skip
RUN = {"pool": pool, "adaptive_pool": adaptive_pool}


def _paddings(settings):
    padding, found = settings.get("padding", 0), list(PADDINGS[:4])
    if isinstance(padding, (list, tuple)) and all(isinstance(one, (list, tuple)) for one in padding):
        found += [[[b, a] for a, b in padding], [[0, a + b] for a, b in padding]]
    return (*found, 1)


MAX, AVERAGE = "Max pooling: steps and padding", "Average pooling that counts its padding"
OP = Knob("maximum or average", MAX, OPS)
KNOBS = {
    "pool": {
        "counted": Knob("whether an average counts its padding", AVERAGE, BOTH),
        "ceil": Knob("whether a last part of a window makes an output", MAX, (False, True)),
        "padding": Knob("how much is padded at which end", MAX, _paddings),
        "beyond": Knob("whether a window that begins after the input makes an output", MAX, BOTH),
        "counted_after": Knob("how many zeros after the input an average counts", AVERAGE, (None, "as before")),
        "stride": Knob("the step of the window", MAX, (None, 1, 2)),
        "fill": Knob("what is padded for a maximum", MAX, ("lowest", 0)),
        "op": OP,
        "size": Knob("the window", MAX, (2, 3)),
        "dilation": Knob("the distance of a window's numbers", MAX),
        "divisor": Knob("what an average divides by", AVERAGE),
    },
    "adaptive_pool": {"op": OP, "size": Knob("the size of the result", MAX, (1,))},
}  # fmt: skip
