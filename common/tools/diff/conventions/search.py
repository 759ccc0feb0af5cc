"""Which settings give what was found: those that are declared, single changes of them, pairs of changes."""

import itertools
from collections.abc import Callable

from common.tools.diff.conventions.base import Knob, Unknown, deviations, same


class Search:
    """Over the `knobs`; `defaults` are what settings are where nothing is said; `fits(settings)` tells whether they explain what
    was found, and may raise Unknown."""

    def __init__(self, knobs: dict[str, Knob], defaults: dict, fits: Callable[[dict], bool]):
        self.knobs, self.defaults, self.fits = knobs, defaults, fits

    def find(self, settings: dict) -> dict | None:
        """The settings that fit with the fewest changes, knobs in their order; None if none do."""
        if self._fits(settings):
            return settings
        known = {name: value for name, value in self.defaults.items() if name in self.knobs} | settings
        singles = [(name, value) for name, knob in self.knobs.items() for value in knob.candidates(known, name)]
        for name, value in singles:
            if self._fits(settings | {name: value}):
                return settings | {name: value}
        paired = [(name, value) for name, value in singles if not self.knobs[name].alone]
        for (a, x), (b, y) in itertools.combinations(paired, 2):
            if a != b and self._fits(settings | {a: x, b: y}):
                return settings | {a: x, b: y}
        return None

    def _fits(self, settings):
        try:
            return self.fits(settings)
        except Unknown:
            return False


def changing(
    a: dict, b: dict, defaults: dict, results: Callable[[dict], list], least: float, aside: tuple = ()
) -> list[str]:
    """Of the settings in which a and b differ those that change `results` by more than `least`, relative: exchanged alone, in a or in b; or all, if only together."""
    known = {name: value for name, value in defaults.items() if name in a or name in b}
    a, b = known | a, known | b
    names = [
        name for name in (*a, *(n for n in b if n not in a)) if name not in aside and not same(a.get(name), b.get(name))
    ]

    def differ(one: dict, other: dict) -> bool:
        try:
            first = results(one)
        except Unknown:
            return True
        try:
            return deviations(first, results(other)) > least
        except Unknown:
            return True

    if not names or not differ(a, b):
        return []
    return [name for name in names if differ(a, moved(a, b, name)) or differ(moved(b, a, name), b)] or names


def moved(settings: dict, other: dict, name: str) -> dict:
    """`settings` with the other's `name`, or without it where the other has none."""
    found = {key: value for key, value in settings.items() if key != name}
    return found | ({name: other[name]} if name in other else {})
