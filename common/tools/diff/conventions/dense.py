"""Dense layers and embeddings, and what only orders numbers: flatten, reshape, padding."""

from collections.abc import Sequence

import numpy as np

from common.probing import Arrays
from common.tools.diff.conventions.base import BOTH, REQUIRED, Knob, Unknown, one_of, pairs, read

ORDERS = ("channels_first", "channels_last")
MODES = {"constant": "constant", "zeros": "constant", "reflect": "reflect", "replicate": "edge", "edge": "edge", "circular": "wrap", "symmetric": "symmetric"}  # fmt: skip


def dense(settings: dict, tensors: Arrays, inputs: list[np.ndarray], training: bool) -> list[np.ndarray]:
    """Over the last axis. transposed: a square weight is taken for its transpose."""
    about = read("dense", settings, DEFAULTS["dense"])
    weight, x = tensors["weight"], inputs[0]
    weight = weight if about["transposed"] else weight.T
    if x.shape[-1] != weight.shape[0]:
        raise Unknown(f"dense: an input of {x.shape[-1]} numbers, a weight for {weight.shape[0]}")
    return [x @ weight + tensors.get("bias", 0.0)]


def embedding(settings: dict, tensors: Arrays, inputs: list[np.ndarray], training: bool) -> list[np.ndarray]:
    """padding: a row that is not trained; zeros: 0 comes out for it, whatever it holds. scale: a factor, or "root" of D."""
    about = read("embedding", settings, DEFAULTS["embedding"])
    weight, index = tensors["weight"], inputs[0].astype(np.int64)
    if index.size and not (-len(weight) <= index.min() and index.max() < len(weight)):
        raise Unknown(f"embedding: an index out of the {len(weight)} rows")
    found = weight[index] * (np.sqrt(weight.shape[1]) if about["scale"] == "root" else about["scale"])
    if about["padding"] is not None and about["zeros"]:
        found[index % len(weight) == about["padding"] % len(weight)] = 0
    return [found]


def flatten(settings: dict, tensors: Arrays, inputs: list[np.ndarray], training: bool) -> list[np.ndarray]:
    """order: in which an image's numbers are read; the input itself is (N, C, ...)."""
    about = read("flatten", settings, DEFAULTS["flatten"])
    one_of("flatten", "order", about["order"], ORDERS)
    x, first = inputs[0], about["first"]
    first, last = first % inputs[0].ndim, about["last"] % inputs[0].ndim
    # Keras's layer turns channels that are first to the end.
    if (about["order"] == "channels_last" or about["turned"]) and x.ndim > 2 and first == 1:
        x = np.moveaxis(x, 1, -1)
    return [x.reshape(*x.shape[:first], -1, *x.shape[last + 1 :])]


def reshape(settings: dict, tensors: Arrays, inputs: list[np.ndarray], training: bool) -> list[np.ndarray]:
    """shape: of one sample, -1 for what is left; channels_last: what comes out is read as (..., C) and given as (C, ...)."""
    about = read("reshape", settings, DEFAULTS["reshape"])
    one_of("reshape", "order", about["order"], ORDERS)
    x, shape = inputs[0], tuple(about["shape"])
    try:
        if about["order"] == "channels_last" and len(shape) > 1:
            return [np.moveaxis(x.reshape(len(x), *shape[1:], shape[0]), -1, 1)]
        return [x.reshape(len(x), *shape)]
    except ValueError:
        raise Unknown(f"reshape: {x.shape[1:]} into {shape}") from None


def padded(
    x: np.ndarray, padding: int | Sequence, mode: str = "constant", value: float = 0.0, dims: int | None = None
) -> np.ndarray:
    """`x` with its last `dims` axes padded by [(before, after)]; a negative number cuts."""
    dims = dims or len(padding)
    each = pairs(padding, dims)
    one_of("pad", "mode", mode, MODES)
    inside = [slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(x.shape[-dims:], each, strict=True)]
    x = x[(..., *inside)]
    widths = [(0, 0)] * (x.ndim - dims) + [(max(a, 0), max(b, 0)) for a, b in each]
    if not any(a or b for a, b in widths):
        return x
    if MODES[mode] == "constant":
        return np.pad(x, widths, constant_values=value)
    return np.pad(x, widths, mode=MODES[mode])


def pad(settings: dict, tensors: Arrays, inputs: list[np.ndarray], training: bool) -> list[np.ndarray]:
    """padding: [[before, after], ...] of the last axes."""
    about = read("pad", settings, DEFAULTS["pad"])
    x, padding = inputs[0], about["padding"]
    dims = x.ndim - 2 if isinstance(padding, int) else len(padding)
    return [padded(x, padding, about["mode"], about["value"] or 0.0, dims)]


DEFAULTS = {
    "dense": {"transposed": False},
    "embedding": {"padding": None, "zeros": False, "scale": 1.0, "mask": None},
    "flatten": {"first": 1, "last": -1, "order": "channels_first", "turned": None},
    "reshape": {"shape": REQUIRED, "order": "channels_first"},
    "pad": {"padding": REQUIRED, "mode": "constant", "value": 0.0},
}
RUN = {"dense": dense, "embedding": embedding, "flatten": flatten, "reshape": reshape, "pad": pad}


def _swapped(settings):
    """The same numbers at the other ends, or on the other axes."""
    padding = settings.get("padding")
    if not isinstance(padding, (list, tuple)):
        return ()
    each = pairs(padding, len(padding))
    return [[b, a] for a, b in each], [list(one) for one in each[::-1]]


FLATTENING = "Flattening between convolutions and dense layers"
KNOBS = {
    "dense": {"transposed": Knob("a weight is kept (out, in) or (in, out)", "Layout of a dense layer", BOTH)},
    "embedding": {
        "padding": Knob("the row that is kept at 0", "The padding row of an embedding", (None, 0, 1, -1)),
        "zeros": Knob("whether 0 comes out for the padding row whatever it holds", "The padding row of an embedding", BOTH),
        "scale": Knob("a factor of what is looked up", "The padding row of an embedding", (1.0, "root")),
    },
    "flatten": {
        "order": Knob("whether C, H, W or H, W, C is read", FLATTENING, ORDERS),
        "first": Knob("the first axis that is flattened", FLATTENING, (1, 0, 2)),
    },
    "reshape": {"order": Knob("whether C, H, W or H, W, C is read", FLATTENING, ORDERS)},
    "pad": {
        "mode": Knob("what is padded with", "Padding with other than zeros", tuple(MODES)),
        "value": Knob("the number that is padded with", "Padding with other than zeros", (0.0, 1.0, -1.0)),
        "padding": Knob("how much is padded at which end", '"same" is not a padding of 1', _swapped),
    },
}  # fmt: skip
