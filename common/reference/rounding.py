"""The oracle computed inexactly, on purpose: how far rounding alone may move each of its results.

Monte Carlo arithmetic: the result of every operation, forwards, backwards and in the optimiser, is moved by a random
error of up to `error`, relative; equal numbers are moved equally, as they are rounded equally. A sum, so also a matrix
product, is moved by up to `error` times √(S·P), where S is the sum of its terms' absolute values, and P the size of its
partial sums: the larger of |sum| and the root of the sum of squares. It is S where all terms have one sign; where signs
are random it lies between what many short chains of additions give and what one long chain does, for implementations add
in an order of their own. Each term of a sum is thus moved by more than its own rounding, so that inputs and weights are
moved too, anew at each use. Zeros stay zeros.
"""

from dataclasses import replace

import numpy as np
from autograd.extend import VSpace, vspace
from autograd.numpy.numpy_boxes import ArrayBox

from common.reference.column import Reference

EXACT = {np.negative, np.positive, np.absolute, np.sign, np.maximum, np.minimum, np.conjugate}
PRODUCTS = {np.dot, np.tensordot}
BLOCK = 1 << 15  # elements moved at once: what fits a processor's cache


class Errors:
    """Numbers from U(-error, error) that look random and depend on the value to be moved and on `seed` alone."""

    def __init__(self, error: float, seed):
        random = np.random.Generator(np.random.SFC64(seed))
        self._pool = random.uniform(-error, error, 1 << 16)
        self._salt, self._factor = random.integers(1 << 63, size=2, dtype=np.uint64) | np.uint64(1)
        self._hash, self._room = np.empty(BLOCK, np.uint64), np.empty(BLOCK)

    def move(self, values: np.ndarray, sizes: np.ndarray) -> None:
        """Add to each of `values` its error times its size; both are contiguous and of one shape."""
        values, sizes = values.reshape(-1), sizes.reshape(-1)
        for first in range(0, len(values), BLOCK):
            part = values[first : first + BLOCK]
            places, room = self._hash[: len(part)], self._room[: len(part)]
            np.bitwise_xor(part.view(np.uint64), self._salt, out=places)
            places *= self._factor
            places >>= np.uint64(48)
            self._pool.take(places.view(np.int64), out=room, mode="wrap")
            room *= sizes[first : first + BLOCK]
            part += room


class Inexact(np.ndarray):
    """A float64 array whose every operation is off, by `errors`."""

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
            moved = like.moved(result, _size(result, lambda power: np.matmul(*(np.abs(v) ** power for v in plain))))
        elif ufunc is np.add and method == "reduce":
            moved = like.moved(result, _size(result, lambda p: np.add.reduce(np.abs(plain[0]) ** p, **options)))
        else:
            moved = like.moved(result, result)
        if out:
            _plain(out[0])[...] = _plain(moved)
            return out[0]
        return moved

    def __array_function__(self, function, types, arguments, options):
        if function in PRODUCTS:
            plain = [_plain(value) for value in arguments[:2]]

            def product(*factors):
                return function(*factors, *arguments[2:], **options)

            result = product(*plain)
            return self.moved(result, _size(result, lambda power: product(*(np.abs(v) ** power for v in plain))))
        return self.wrap(super().__array_function__(function, types, arguments, options))

    def wrap(self, result):
        """`result` as it is, with operations that are as inexact as ours."""
        if _real(result):
            result = np.asarray(result).view(Inexact)
            result.errors = self.errors
        return result

    def moved(self, result, size):
        """`result` with an error of up to the relative one times `size`."""
        if not (isinstance(result, np.ndarray) and result.flags.owndata and result.flags.c_contiguous):
            result = np.array(result, order="C")
        self.errors.move(result, np.ascontiguousarray(size))
        return self.wrap(result)


def _size(total, powers):
    """√(S·P) of a sum or of products; `powers(p)` is the sum of its terms' absolute values to the power p."""
    return np.sqrt(powers(1) * np.maximum(np.abs(total), np.sqrt(powers(2))))


def _real(value):
    return isinstance(value, (np.ndarray, np.floating)) and value.dtype == np.float64


def _zeros(value):
    """Whether nothing is added: autograd repeats a maximum by such a sum, and then looks for the places it stood in."""
    return not isinstance(value, Inexact) and not np.any(value)


def _plain(value):
    return value.view(np.ndarray) if isinstance(value, Inexact) else value


ArrayBox.register(Inexact)
VSpace.register(Inexact, lambda value: vspace(_plain(value)))


class Numbers:
    """The numbers of an optimiser, at each use moved by up to `times` what `dtype` makes of them, which is nothing in
    float64: 1 - 0.999 loses three digits of a rounded 0.999, and implementations round in different places."""

    def __init__(self, record, like: Inexact, random: np.random.Generator, dtype: str, times: float):
        self._record, self._like, self._random, self._dtype, self._times = record, like, random, np.dtype(dtype), times

    def __getattr__(self, name):
        value = getattr(self._record, name)
        rounding = float(self._dtype.type(value)) - value
        return self._like.wrap(np.float64(value + self._random.uniform(-1, 1) * self._times * rounding))


class InexactReference(Reference):
    """The oracle in inexact arithmetic: every operation is off by up to `error`, and the numbers of the optimiser by as
    many roundings to `dtype`."""

    def __init__(self, spec, parameters, *, dtype: str, error: float, seed: int):
        self._like = np.zeros(()).view(Inexact)
        self._like.errors = Errors(error, seed)
        random, times = np.random.Generator(np.random.SFC64(seed)), 2 * error / np.finfo(dtype).eps
        updates = tuple(replace(u, adam=Numbers(u.adam, self._like, random, dtype, times)) for u in spec.updates)
        super().__init__(replace(spec, updates=updates), parameters)

    def restore(self, snapshot):
        super().restore(snapshot)
        for values in (self._parameters, self._statistics, self._moments):
            values.update({name: self._like.wrap(value) for name, value in values.items()})
