"""Resizing: an axis at a time, by a matrix (outputs, inputs) of weights."""

import math

import numpy as np

from common.probing import Arrays
from common.tools.diff.conventions.base import BOTH, Knob, Unknown, one_of, read, sides

MODES = ("nearest", "nearest-exact", "linear", "cubic", "area")


def _triangle(x, a):
    return np.maximum(1 - np.abs(x), 0)


def _keys(x, a):
    """Keys's cubic kernel; a: its slope at 1."""
    x = np.abs(x)
    near, far = ((a + 2) * x - (a + 3)) * x * x + 1, ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


KERNELS = {"linear": (_triangle, 1), "cubic": (_keys, 2)}


def _places(n: int, m: int, scale: float, about, half_pixel: bool) -> np.ndarray:
    """Where each of m pixels lies among n; `scale`: input pixels for one of the output."""
    number = np.float32 if about["positions"] == "float32" else np.float64
    i, half = np.arange(m).astype(number), number(0.5)
    if about["corners"]:
        return i * number((n - 1) / (m - 1)) if m > 1 else np.zeros(1, number)
    return (i + half) * number(scale) - half if half_pixel else i * number(scale)


def matrix(n: int, m: int, scale: float, about: dict) -> np.ndarray:
    mode = one_of("resize", "mode", about["mode"], MODES)
    found, rows = np.zeros((m, n)), np.arange(m)
    if mode == "area":
        for i in range(m):
            found[i, i * n // m : -(-(i + 1) * n // m)] = 1
        return found / found.sum(1, keepdims=True)
    if mode.startswith("nearest"):
        centred = mode == "nearest-exact" if about["half_pixel"] is None else about["half_pixel"]
        places = _places(n, m, scale, about, centred) + (0.5 if centred or about["corners"] else 0)
        # A product that should be whole may be just below it.
        index = np.floor(np.where(np.abs(places - np.round(places)) < 1e-9, np.round(places), places))
        found[rows, np.clip(index.astype(int), 0, n - 1)] = 1
        return found
    kernel, reach = KERNELS[mode]
    places = _places(n, m, scale, about, about["half_pixel"] is not False)
    wide = max(scale, 1.0) if about["antialias"] else 1.0
    steps = math.ceil(reach * wide)
    for k in range(-steps, steps + 1):
        index = np.floor(places).astype(int) + k
        weights = kernel((index - places.astype(np.float64)) / wide, about["cubic"] if mode == "cubic" else None)
        weights = weights.astype(places.dtype)
        if about["antialias"] or about["edge"] == "dropped":
            weights = np.where((index >= 0) & (index < n), weights, 0)
        np.add.at(found, (rows, np.clip(index, 0, n - 1)), weights)
    return found if about["positions"] == "float32" else found / found.sum(1, keepdims=True)


def resize(settings: dict, tensors: Arrays, inputs: list[np.ndarray], training: bool) -> list[np.ndarray]:
    """size: of the result, or scale: its ratio to the input. corners: corner pixels stay where they are. half_pixel: pixels are
    squares, so that their middles lie at half; False: they lie at multiples. cubic: the kernel's slope at 1. edge: what lies
    outside is the edge's pixel ("held"), or has no weight ("dropped"). ratio: "given" by scale, or of the "sizes". positions: the
    type in which places and weights are computed."""
    about = read("resize", settings, DEFAULTS["resize"])
    x = inputs[0]
    dims = x.ndim - 2
    one_of("resize", "edge", about["edge"], ("held", "dropped"))
    if about["size"] is None and about["scale"] is None:
        raise Unknown("resize needs a size or a scale")
    if about["antialias"] and about["corners"]:
        raise Unknown("resize: antialias with corners that stay is not understood")
    scales = sides(about["scale"], dims)
    sizes = [math.floor(n * s) for n, s in zip(x.shape[2:], scales, strict=True)] if about["size"] is None else sides(about["size"], dims)  # fmt: skip
    for axis, (m, s) in enumerate(zip(sizes, scales, strict=True), 2):
        n = x.shape[axis]
        scale = n / m if s is None or about["size"] is not None or about["ratio"] == "sizes" else 1 / s
        x = np.moveaxis(np.tensordot(matrix(n, m, scale, about), x, (1, axis)), 0, axis)
    return [x]


RUN = {"resize": resize}
DEFAULTS = {
    "resize": {
        "size": None, "scale": None, "mode": "nearest", "corners": False, "half_pixel": None, "cubic": -0.75, "edge": "held",
        "antialias": False, "ratio": "given", "positions": "float64",
    }
}  # fmt: skip

RESIZE = "Resizing: corners, half pixels and kernels"
KNOBS = {
    "resize": {
        "mode": Knob("how values between pixels are found", RESIZE, MODES),
        "corners": Knob("whether corner pixels stay where they are", RESIZE, BOTH),
        "half_pixel": Knob("whether a pixel lies at its middle or at its corner", RESIZE, (None, True, False)),
        "cubic": Knob("the cubic kernel's slope at 1", RESIZE, (-0.75, -0.5)),
        "edge": Knob("whether what lies outside is the edge's pixel or nothing", RESIZE, ("held", "dropped")),
        "antialias": Knob("whether what is made smaller is averaged first", RESIZE, BOTH),
        "ratio": Knob(
            "whether places follow from the scale that is given or from the sizes", RESIZE, ("given", "sizes")
        ),
    }
}
