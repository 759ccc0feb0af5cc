"""What all families of conventions need: settings that are read strictly, knobs, and the measure of agreement."""

import itertools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")

REQUIRED = object()
BOTH = (True, False)
EPSILONS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-15, 0.0)


class Unknown(Exception):
    """Settings that the catalogue does not understand, in one line."""


@dataclass(frozen=True)
class Knob:
    """One setting: what it is, in one line; the heading of docs/differences.md that tells of it; what else it may be.

    `values` may be a function of the settings. alone: they are tried by themselves, not together with another change.
    """

    says: str
    anchor: str
    values: tuple | Callable[[dict], Any] = ()
    alone: bool = False

    def candidates(self, settings: dict, name: str) -> list:
        """Other values that frameworks use for the setting `name`."""
        values = self.values(settings) if callable(self.values) else self.values
        now, found = settings.get(name), []
        for value in values:
            if not same(value, now) and not any(same(value, one) for one in found):
                found.append(value)
        return found


def same(a: object, b: object) -> bool:
    """Equal settings: False is not 0, lists are tuples."""
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return isinstance(a, bool) == isinstance(b, bool) and a == b


def read(kind: str, settings: dict, defaults: dict) -> dict:
    """`settings` with `defaults`. Raises Unknown for one that is not among them, unless it says nothing."""
    found = dict(defaults)
    for name, value in settings.items():
        if name in defaults:
            found[name] = value
        elif value is not None and value is not False:
            raise Unknown(f"{kind} has no setting {name!r} that is understood; expected {', '.join(defaults)}")
    if missing := [name for name, value in found.items() if value is REQUIRED]:
        raise Unknown(f"{kind} needs the setting {missing[0]!r}, which is not given")
    return found


def one_of(kind: str, name: str, value: T, values: Collection[T]) -> T:
    """`value`, if it is one of `values`; raises Unknown."""
    if value not in values:
        raise Unknown(f"{kind}: {name} is {value!r}; expected one of {', '.join(map(str, values))}")
    return value


def rounded(settings: dict, names: Collection[str]) -> dict:
    """`settings` with the floats `names` as float32 holds them."""
    return {k: float(np.float32(v)) if k in names and isinstance(v, float) else v for k, v in settings.items()}


def floats(settings: dict, more: tuple = ()) -> list[list[str]]:
    """What of `settings`, and of `more`, may have passed through float32: nothing, each float alone, two of them, ..."""
    names = [name for name, value in settings.items() if isinstance(value, float) and float(np.float32(value)) != value]
    names = [*names, *more][:8]
    return [list(part) for size in range(len(names) + 1) for part in itertools.combinations(names, size)]


def sides(value: Sequence | float | None, dims: int) -> list:
    """One value a spatial axis."""
    value = [value] * dims if isinstance(value, (int, float)) or value is None else list(value)
    if len(value) != dims:
        raise Unknown(f"expected {dims} numbers, one a spatial axis, found {value}")
    return value


def pairs(value: Sequence | float | None, dims: int) -> list[tuple[int, int]]:
    """[(before, after)] of each spatial axis, of a number, a number an axis, or a pair an axis."""
    found = [(one, one) if isinstance(one, int) else tuple(one) for one in sides(value, dims)]
    if any(len(one) != 2 for one in found):
        raise Unknown(f"expected a pair [before, after] a spatial axis, found {value}")
    return found


def channels(value: np.ndarray, dims: int) -> np.ndarray:
    """(C,) so that it broadcasts over (N, C, ...) of `dims` axes."""
    return value.reshape((1, -1) + (1,) * (dims - 2))


def deviation(expected: np.ndarray, found: np.ndarray) -> float:
    """Largest absolute difference, relative to the largest magnitude of both; infinite where shapes differ but for axes of
    size 1, or where only one is finite."""
    expected, found = np.asarray(expected), np.asarray(found)
    if expected.shape != found.shape:
        if [n for n in expected.shape if n != 1] != [n for n in found.shape if n != 1]:
            return float("inf")
        found = found.reshape(expected.shape)
    if not expected.size or np.array_equal(expected, found):
        return 0.0
    if not (np.isfinite(expected).all() and np.isfinite(found).all()):
        return float("inf")
    scale = max(float(np.abs(expected).max()), float(np.abs(found).max()))
    return float(np.abs(expected - found).max()) / scale


def deviations(expected: list[np.ndarray], found: list[np.ndarray]) -> float:
    """The largest of several; infinite if their number differs."""
    if len(expected) != len(found):
        return float("inf")
    return max((deviation(a, b) for a, b in zip(expected, found, strict=True)), default=0.0)
