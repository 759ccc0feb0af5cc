"""Mistakes that a data-parallel engine can make, planted in one of ours; each changes what the ranks compute together."""

import contextlib
import dataclasses

import numpy as np

from common.workers import World


@contextlib.contextmanager
def planted(name: str, backend: str, world: World):
    """The world to build a column with, while the mistake `name` is made; "none" for none."""
    with contextlib.ExitStack() as patches:
        yield MISTAKES[name](backend, world, patches) if name != "none" else world


def _summed(backend, world, patches):
    """Gradients are summed over the ranks and not averaged: Adam hides it."""
    return dataclasses.replace(world, count=world.count)


class _SameRows(World):
    def own(self, batch):
        return slice(0, batch // self.count)


def _same_rows(backend, world, patches):
    """Each rank takes the first rows."""
    return _SameRows(world.rank, world.count, world.total)


class _OwnNoise(World):
    def rows(self, given, axis=0):
        found = super().rows(given, axis)
        if self.rank and "images" not in given:  # its own stream: here the rows turned around
            found = {name: np.flip(array, axis).copy() for name, array in found.items()}
        return found


def _own_noise(backend, world, patches):
    """Every rank draws from a stream of its own."""
    return _OwnNoise(world.rank, world.count, world.total)


MISTAKES = {"the same rows": _same_rows, "own noise": _own_noise}
