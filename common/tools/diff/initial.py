"""Initial values: whether each side's own function drew a tensor from the same distribution, before `diff` puts its numbers.

The criterion is the two-sample test of Kolmogorov and Smirnov, on a tensor's elements and on their sizes, at 1e-6 for each tensor
of 64 elements or more. It asks nothing of the distribution and sees spread, mean and shape; sizes see a spread twice as well. At 64
elements it sees a standard deviation that is about three times as large, at 4,096 one that is a seventh larger. A difference is a note
and no verdict: a port that starts elsewhere computes the same.
"""

import math

import numpy as np

from common.probing import Arrays
from common.tools.diff.verdict import Start

LEAST, CHANCE = 64, 1e-6
DIGITS = 6  # a constant that one side rounds to float32 is the same constant


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """The largest distance between the shares of elements up to any value, 0 to 1."""
    a, b = (np.sort(_rounded(one)) for one in (a, b))
    places = np.concatenate([a, b])
    shares = (np.searchsorted(one, places, side="right") / one.size for one in (a, b))
    return float(np.abs(next(shares) - next(shares)).max())


def allowed(size: int) -> float:
    """What two draws of one distribution, `size` elements each, exceed in either of two tests with probability CHANCE."""
    return math.sqrt(-math.log(CHANCE / 4) / size)


def differing(reference: Arrays, port: Arrays, keys: dict[str, str]) -> list[Start]:
    """Of the tensors `keys` {key of the reference: key of the port} those that start from other distributions."""
    found = []
    for key, other in keys.items():
        a, b = reference.get(key), port.get(other)
        if a is None or b is None or a.size < LEAST or a.size != b.size or not (np.isfinite(a).all() and np.isfinite(b).all()):  # fmt: skip
            continue
        if max(distance(a, b), distance(np.abs(a), np.abs(b))) > allowed(a.size):
            found.append(Start(key, other, _spread(a), _spread(b)))
    return found


def _spread(array):
    one = array.astype(np.float64)
    return float(one.std()), float(one.min()), float(one.max())


def _rounded(array):
    flat = array.astype(np.float64).ravel()
    scale = 10.0 ** (DIGITS - np.ceil(np.log10(np.abs(flat), out=np.zeros_like(flat), where=flat != 0)))
    return np.round(flat * scale) / scale
