"""The processes that train one model together: each holds all of its parameters, and takes its own rows of every batch.

Nothing here carries a byte: `World.total` is given by the framework's own engine (backends/*/workers.py), and so are the
gradients' means, inside each training step.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from common.contract import Arrays, Snapshot
from common.errors import UsageError
from common.specs.records import Spec


def _itself(array):
    return array


@dataclass(frozen=True)
class World:
    """This process is `rank` of `count`. `total(array)` is the sum of every rank's array of one shape and float dtype, and the
    same bits in all of them; all ranks have to ask for it together, as for everything here that says "together".
    """

    rank: int = 0
    count: int = 1
    total: Callable[[np.ndarray], np.ndarray] = _itself

    @property
    def leads(self) -> bool:
        """Whether this is the rank that writes files and speaks to the user."""
        return self.rank == 0

    def own(self, batch: int) -> slice:
        """The rows of a global batch that are this rank's: the ranks in order, as many each. Raises UsageError unless `count`
        divides it."""
        self.check_batch(batch)
        each = batch // self.count
        return slice(self.rank * each, (self.rank + 1) * each)

    def check_batch(self, batch: int) -> None:
        """Raises UsageError unless `count` divides a global batch of so many rows."""
        if batch % self.count:
            raise UsageError(
                f"a batch of {batch} cannot be dealt to {self.count} workers in equal parts; use a --batch-size that {self.count} "
                "divides"
            )

    def rows(self, given: Mapping[str, np.ndarray], axis: int = 0) -> Arrays:
        """This rank's rows of {name: array with the global batch along `axis`}."""
        before = (slice(None),) * axis
        return {name: array[(*before, self.own(array.shape[axis]))] for name, array in given.items()}

    def gather(self, array: np.ndarray) -> np.ndarray:
        """(count, *shape): every rank's array of one shape and dtype, in order of ranks. Together."""
        if self.count == 1:
            return array[None]
        places = np.zeros((self.count, *array.shape), np.float64)  # adding zeros is exact
        places[self.rank] = array
        return self.total(places).astype(array.dtype)

    def joined(self, arrays: Mapping[str, np.ndarray]) -> Arrays:
        """{name: (B, ...)} of the global batch, from every rank's rows of it. Together."""
        return {name: np.concatenate(self.gather(array)) for name, array in arrays.items()}

    def losses(self, values: Mapping[str, np.ndarray], reduction: str) -> Arrays:
        """{name: (...)} of the global batch, from those of every rank's rows: their sum or their mean, as the specification's
        `reduction` says. Together."""
        if self.count == 1:
            return dict(values)
        table = np.stack([np.asarray(value, np.float64) for value in values.values()])
        table = self.total(table) / (self.count if reduction == "mean" else 1)
        return {
            name: row.astype(np.asarray(value).dtype) for (name, value), row in zip(values.items(), table, strict=True)
        }

    def led(self, snapshot: Snapshot) -> Snapshot:
        """The leading rank's `snapshot`, of one model, in every rank. Together."""
        if self.count == 1:
            return snapshot

        def of(arrays: Arrays) -> Arrays:
            return {name: self.gather(np.asarray(array))[0] for name, array in arrays.items()}

        step = int(self.gather(np.array(float(snapshot.step)))[0])
        return Snapshot(of(snapshot.parameters), of(snapshot.statistics), of(snapshot.moments), step)

    def agree(self, about: Mapping[str, object]) -> None:
        """Raises UsageError, in every rank, unless what each says `about` itself {what: value} is the same. Together."""
        texts = [f"{what}: {value}" for what, value in about.items()]
        # 48 bits of a digest are a whole number that a float64 holds.
        digests = np.array([int(hashlib.sha256(text.encode()).hexdigest()[:12], 16) for text in texts], np.float64)
        found = self.gather(digests)
        for column, (what, value) in enumerate(about.items()):
            others = np.flatnonzero(found[:, column] != found[0, column])
            if len(others):
                ranks = ", ".join(map(str, others))
                raise UsageError(
                    f"rank {ranks} of {self.count} has another {what} than rank 0 (rank {self.rank} has {value}); start all "
                    "of them with the same"
                )


ALONE = World()


def batch_norm_of(spec: Spec, kind: str) -> str | None:
    """What a run says of its batch norms: `kind`, "global" or "per replica", where the model has any."""
    return kind if spec.statistic_shapes() else None
