"""Mistakes that data-parallel training can make, made on purpose; what two ranks compute together then is not one process's."""

import contextlib
from unittest import mock

import backends
from common.workers import World


class SameRows(World):
    def own(self, batch):
        return slice(0, batch // self.count)


class OverlappingRows(World):
    """The first row of rank 1 is the last of rank 0, and the last of all is nobody's."""

    def own(self, batch):
        rows = super().own(batch)
        return slice(rows.start - self.rank, rows.stop - self.rank)


class OwnNoise(World):
    """Rank 1 draws other numbers than it would as part of one process: here the negatives."""

    def rows(self, given, axis=0):
        found = super().rows(given, axis)
        return found if "images" in given or not self.rank else {name: -array for name, array in found.items()}


WORLDS = {"the same rows": SameRows, "overlapping rows": OverlappingRows, "own noise": OwnNoise}

# Of the engines: {mistake: {backend: (module, name, what stands in its place)}}. Where XLA shards the batch, as in JAX, a sum over it
# is one over all ranks, and these mistakes cannot be made.
ENGINES = {
    "summed": {
        "pytorch": ("workers", "Objective", lambda real, world: lambda p, factor: real(p, factor * world.count)),
        "tensorflow": (
            "optimizer",
            "of_all_ranks",
            lambda real, world: lambda one, found: [g * world.count for g in real(one, found)],
        ),
        "paddle": (
            "workers",
            "_reduced",
            lambda real, world: lambda v, how: [one * world.count for one in real(v, how)],
        ),
    },
    "one not reduced": {
        "pytorch": ("workers", "Objective", lambda real, world: lambda p, factor: real(p[1:], factor)),
        "tensorflow": (
            "optimizer",
            "of_all_ranks",
            lambda real, world: lambda one, found: [found[0], *real(one, found)[1:]],
        ),
        "paddle": ("workers", "_reduced", lambda real, world: lambda v, how: [v[0], *real(v[1:], how)]),
    },
    "statistics of a rank": {
        "pytorch": ("workers", "share_batch_norms", lambda real, world: lambda state, world: None),
        "tensorflow": ("workers", "share_batch_norms", lambda real, world: lambda state, spec, world: None),
        "paddle": ("workers", "average", lambda real, world: lambda statistics: None),
    },
}
NAMES = (*WORLDS, *ENGINES)


@contextlib.contextmanager
def made(name: str, backend: str, world: World):
    """The world to build a column with, while the mistake `name` is made; "" for none."""
    if name in WORLDS:
        yield WORLDS[name](world.rank, world.count, world.total)
    elif name in ENGINES:
        part, attribute, other = ENGINES[name][backend]
        module = backends.engine(backend, part)
        with mock.patch.object(module, attribute, other(getattr(module, attribute), world)):
            yield world
    else:
        yield world


def of(backend: str) -> list[str]:
    """Those that can be made in a backend."""
    return [*WORLDS, *(name for name, made in ENGINES.items() if backend in made)]
