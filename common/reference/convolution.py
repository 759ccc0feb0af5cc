"""A convolution and its two adjoints, each a sum of products over the places (i, j) of a kernel.

Each is the derivative of the others, and the first adjoint is the transposed convolution: no zeros are set between pixels, to
be multiplied. Images are (B, C, H, W), weights (O, C, k, k), `sides` are (H, W); with `padding` zeros around the images.
"""

from collections.abc import Callable

import numpy as np
from autograd.extend import defvjp, primitive


@primitive
def correlate(x: np.ndarray, weight: np.ndarray, stride: int, padding: int) -> np.ndarray:
    """(B, O, H', W') of x (B, C, H, W): Σ over (i, j) of x, shifted, times weight[:, :, i, j]."""

    def run(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
        framed, size = _framed(x, padding), weight.shape[2]
        places = [(side - size) // stride + 1 for side in framed.shape[1:3]]
        y = np.zeros((len(x) * places[0] * places[1], len(weight)), np.result_type(x, weight))
        for i, j, at in _shifts(size, stride, places):
            y += _rows(framed[at]) @ weight[:, :, i, j].T
        return _images(y, (len(x), *places, len(weight)))

    return _products(run, x, weight, (weight.shape[1] ** 0.5 + weight.shape[2]) ** 2)


@primitive
def transposed(y: np.ndarray, weight: np.ndarray, stride: int, padding: int, sides: tuple[int, int]) -> np.ndarray:
    """(B, C, H, W) of y (B, O, H', W'), whose pixels each add weight[o] to `stride` times their place: the adjoint of
    `correlate` in its images."""

    def run(y: np.ndarray, weight: np.ndarray) -> np.ndarray:
        framed = np.zeros((len(y), *(side + 2 * padding for side in sides), weight.shape[1]), np.result_type(y, weight))
        rows, places = _rows(np.moveaxis(y, 1, -1)), y.shape[2:]
        for i, j, at in _shifts(weight.shape[2], stride, places):
            framed[at] += (rows @ weight[:, :, i, j]).reshape(len(y), *places, -1)
        inside = framed[:, padding : padding + sides[0], padding : padding + sides[1]]
        return _images(inside, inside.shape)

    return _products(run, y, weight, (weight.shape[0] ** 0.5 + weight.shape[2]) ** 2)


@primitive
def of_weight(x: np.ndarray, y: np.ndarray, stride: int, padding: int, size: int) -> np.ndarray:
    """(O, C, size, size) of x (B, C, H, W) and y (B, O, H', W'): the adjoint of `correlate` in its weight."""

    def run(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        framed, rows = _framed(x, padding), _rows(np.moveaxis(y, 1, -1))
        weight = np.empty((y.shape[1], x.shape[1], size, size), np.result_type(x, y))
        for i, j, at in _shifts(size, stride, y.shape[2:]):
            weight[:, :, i, j] = rows.T @ _rows(framed[at])
        return weight

    return _products(run, x, y, y.size / y.shape[1])


defvjp(
    correlate,
    lambda _, x, weight, stride, padding: lambda g: transposed(g, weight, stride, padding, x.shape[2:]),
    lambda _, x, weight, stride, padding: lambda g: of_weight(x, g, stride, padding, weight.shape[2]),
)
defvjp(
    transposed,
    lambda _, y, weight, stride, padding, sides: lambda g: correlate(g, weight, stride, padding),
    lambda _, y, weight, stride, padding, sides: lambda g: of_weight(g, y, stride, padding, weight.shape[2]),
)


def _framed(x, padding):
    """x (B, C, H, W) as (B, H + 2 padding, W + 2 padding, C), so that a shift of it is rows of one product."""
    around = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    return np.pad(np.moveaxis(x, 1, -1), around)


def _shifts(size, stride, places):
    """(i, j, where the kernel's place (i, j) lies, over all of its `places`) in what `_framed` gives."""
    for i in range(size):
        for j in range(size):
            rows, columns = (slice(k, k + (n - 1) * stride + 1, stride) for k, n in zip((i, j), places, strict=True))
            yield i, j, (slice(None), rows, columns)


def _rows(x):
    """x (B, H, W, C) as (B H W, C)."""
    return x.reshape(-1, x.shape[-1])


def _images(rows, shape):
    """Rows as (B, C, H, W), of the `shape` (B, H, W, C)."""
    return np.ascontiguousarray(np.moveaxis(rows.reshape(shape), -1, 1))


def _products(run: Callable, a: np.ndarray, b: np.ndarray, terms: float) -> np.ndarray:
    """run(a, b), linear in both; where one is inexact (common.reference.rounding), as inexact as a sum of so many products.

    A framework may add the products of one place of the kernel first, and those sums one to the next: for n products at each of k × k
    places the errors of both chains, √n and k of them, add up.
    """
    inexact = next((value for value in (a, b) if hasattr(value, "products")), None)
    return run(a, b) if inexact is None else inexact.products(run, a, b, terms)
