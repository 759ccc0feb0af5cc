"""The oracle computed inexactly, on purpose: how far rounding alone may move each of its results.

Monte Carlo arithmetic: the result of every operation, forwards, backwards and in the optimiser, is moved by a random
error of up to `error`, relative; equal numbers are moved equally, as they are rounded equally. Zeros stay zeros.

A sum of n terms, also in a matrix product, is moved by up to `error` times P·(1 + √n / 4), where P is the size of its
partial sums: the larger of |sum| and the root of the sum of squares. Rounding each partial sum of one long chain of
additions makes an error of about P·√n / 4 roundings, and no implementation adds in a worse order; many do in a better one.
Where terms repeat, as they do over the plain ground of a picture, such a chain rounds alike again and again, and m of them make
an error of up to |sum|·m / 2: that is a bound, and counts for itself, not for one of FACTOR roundings.
Each term is thus moved by more than its own rounding, so that inputs and weights are moved too, anew at each use.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from autograd.extend import VSpace
from autograd.numpy.numpy_boxes import ArrayBox
from autograd.numpy.numpy_vspaces import ArrayVSpace

from common.contract import Arrays, Snapshot
from common.reference.column import Reference
from common.specs.records import Optimizer, Spec

EXACT = {np.negative, np.positive, np.absolute, np.sign, np.maximum, np.minimum, np.conjugate}
PRODUCTS = {np.dot, np.tensordot}
FACTOR = 16  # roundings by which every operation is off where bars are made (common.parity)
BLOCK = 1 << 15  # elements moved at once: what fits a processor's cache


class Errors:
    """Numbers from U(-error, error) that look random and depend on `seed` and the value to be moved, as `dtype` holds it,
    alone."""

    def __init__(self, error: float, seed: int, dtype: str = "float64"):
        self._random = np.random.Generator(np.random.SFC64(seed))
        self._pool = self._random.uniform(-error, error, 1 << 16)
        self._salt, self._factor = self._random.integers(1 << 63, size=2, dtype=np.uint64) | np.uint64(1)
        self._dtype, self._bits = np.dtype(dtype), {"float64": np.uint64, "float32": np.uint32}[dtype]
        self._hash, self._room = np.empty(BLOCK, np.uint64), np.empty(BLOCK)

    def move(self, values: np.ndarray, sizes: np.ndarray) -> None:
        """Add to each of `values` its error times its size; both are contiguous and of one shape."""
        values, sizes = values.reshape(-1), sizes.reshape(-1)
        for first in range(0, len(values), BLOCK):
            part, room = values[first : first + BLOCK], self._room[: len(values) - first]
            np.multiply(self._draw(part, room), sizes[first : first + BLOCK], out=room)
            part += room

    def _draw(self, values, room):
        """The errors of `values`, perhaps in `room`."""
        places = self._hash[: len(values)]
        places[:] = values.astype(self._dtype, copy=False).view(self._bits)
        places ^= self._salt
        places *= self._factor
        places >>= np.uint64(48)
        return self._pool.take(places.view(np.int64), out=room, mode="wrap")


class Fresh(Errors):
    """Errors that do not look at the value: a fifth of the time. For an optimiser, which computes nothing twice."""

    def _draw(self, values, room):
        first = self._random.integers(len(self._pool) - len(values) + 1)
        return self._pool[first : first + len(values)]


class Inexact(np.ndarray):
    """A float64 array whose every operation is off, by `errors`; of several operands, by those of the first."""

    def __array_finalize__(self, source):
        self.errors = getattr(source, "errors", None)

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
        like = next(v for v in (*inputs, *(out or ())) if isinstance(v, Inexact) and v.errors is not None)
        plain = [_plain(value) for value in inputs]
        result = getattr(ufunc, method)(*plain, **options)
        if result is None:  # in place, at indices
            return None
        if not _real(result):
            return result
        if ufunc in EXACT or (ufunc is np.add and method == "__call__" and any(map(_zeros, inputs))):
            moved = like.wrap(result)
        elif ufunc is np.matmul:
            moved = like.moved(result, _size(result, np.matmul(*map(np.square, plain)), plain[0].shape[-1]))
        elif ufunc is np.add and method == "reduce":
            squares = np.add.reduce(np.square(plain[0]), **options)
            size = _size(result, squares, plain[0].size / np.size(result))
            if plain[0].ndim == 2 and options.get("axis") == 1:  # a sum over all places of each feature
                size = size + np.abs(result) * _repeated(plain[0]).reshape(result.shape) / 2 / FACTOR
            moved = like.moved(result, size)
        else:
            moved = like.moved(result, result)
        if out:
            _plain(out[0])[...] = _plain(moved)
            return out[0]
        return moved

    def __array_function__(self, function, types, arguments, options):
        if function in PRODUCTS:
            a, b, *rest = arguments
            return self.products(lambda a, b: function(a, b, *rest, **options), a, b)
        return self.wrap(super().__array_function__(function, types, arguments, options))

    def products(self, function: Callable, a: np.ndarray, b: np.ndarray, terms: float | None = None) -> "Inexact":
        """function(a, b), each element of it a sum of so many products; by default of as many as a matrix product has."""
        a, b = _plain(a), _plain(b)
        result = function(a, b)
        (a_squares, a_largest), (b_squares, b_largest) = _squares(a), _squares(b)
        squares = function(a_squares, b_squares).astype(np.float64) * (a_largest * b_largest) ** 2
        return self.moved(result, _size(result, squares, terms or (a.size * b.size / np.size(result)) ** 0.5))

    def wrap(self, result: object) -> object:
        """`result` as it is, with operations that are as inexact as ours."""
        if _real(result):
            return _inexact(result, self.errors)
        return result

    def moved(self, result: np.ndarray | np.floating, size: np.ndarray) -> "Inexact":
        """`result` with an error of up to the relative one times `size`."""
        if not (isinstance(result, np.ndarray) and result.flags.owndata and result.flags.c_contiguous):
            result = np.array(result, order="C")
        self.errors.move(result, np.ascontiguousarray(size))
        return self.wrap(result)


def _inexact(values, errors):
    """`values` as an array whose operations are off by `errors`."""
    values = np.asarray(values).view(Inexact)
    values.errors = errors
    return values


def _squares(values):
    """(squares of the values in parts of the largest, the largest): in float32, which is enough for the size of an error, and half
    the work."""
    largest = max(np.max(np.abs(values), initial=0.0), np.finfo(np.float64).tiny)
    return np.square((values / largest).astype(np.float32)), largest


def _size(total, squares, terms):
    """What a sum of so many terms is moved in proportion to; `squares`, the sum of their squares, is overwritten."""
    size = np.asarray(squares)
    np.sqrt(size, out=size)
    np.maximum(size, np.abs(total), out=size)
    size *= 1 + terms**0.5 / 4
    return size


def _repeated(terms):
    """Of each row, how many equal the one before."""
    return np.count_nonzero(terms[:, 1:] == terms[:, :-1], axis=1)


def _real(value):
    return isinstance(value, (np.ndarray, np.floating)) and value.dtype == np.float64


def _zeros(value):
    """Whether nothing is added: autograd repeats a maximum by such a sum, and then looks for the places it stood in."""
    return not isinstance(value, Inexact) and not np.any(value)


def _plain(value):
    return value.view(np.ndarray) if isinstance(value, Inexact) else value


class InexactSpace(ArrayVSpace):
    """What autograd collects gradients in: sums that begin at its zeros are inexact too."""

    def __init__(self, value: Inexact):
        super().__init__(_plain(value))
        self.errors = value.errors

    def zeros(self) -> Inexact:
        return _inexact(super().zeros(), self.errors)


ArrayBox.register(Inexact)
VSpace.register(Inexact, InexactSpace)


class Numbers:
    """The numbers of an optimiser, at each use moved up or down by `times` what `dtype` makes of them, nothing in
    float64: 1 - 0.999 loses three digits of a rounded 0.999, and implementations round in different places."""

    def __init__(self, record: Optimizer, like: Inexact, random: np.random.Generator, dtype: str, times: float):
        self._record, self._like, self._random, self._dtype, self._times = record, like, random, np.dtype(dtype), times

    def __getattr__(self, name):
        value = getattr(self._record, name)
        if not isinstance(value, int | float):  # what it is made of
            return value
        rounding = float(self._dtype.type(value)) - value
        return self._like.wrap(np.float64(value + self._random.choice((-1, 1)) * self._times * rounding))


class InexactReference(Reference):
    """The oracle in inexact arithmetic: every operation is off by up to `error`, and the numbers of the optimiser by as
    many roundings to `dtype`."""

    def __init__(self, spec: Spec, parameters: Arrays, *, dtype: str, error: float, seed: int):
        self._like, fresh = (_inexact(0.0, kind(error, seed, dtype)) for kind in (Errors, Fresh))
        random, times = np.random.Generator(np.random.SFC64(seed)), 2 * error / np.finfo(dtype).eps
        updates = tuple(replace(u, optimizer=Numbers(u.optimizer, fresh, random, dtype, times)) for u in spec.updates)
        super().__init__(replace(spec, updates=updates), parameters)

    def restore(self, snapshot: Snapshot) -> None:
        super().restore(snapshot)
        for values in (self._parameters, self._statistics, self._moments):
            values.update({name: self._like.wrap(value) for name, value in values.items()})
