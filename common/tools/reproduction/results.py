"""One training run of a reproduction: what is to be run, and what it left."""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import safetensors.numpy

from common.data import Dataset
from common.specs import get
from common.specs.records import Spec
from common.tools import figures, training

LATE = 100  # updates at the end whose mean says where a loss has come to


@dataclass(frozen=True)
class Run:
    """A model in a framework. `steps`, `evaluate_every` None: the specification's length; once an epoch."""

    model: str
    backend: str
    seed: int = 0
    steps: int | None = None
    evaluate_every: int | None = None
    keep: int = 1  # test images whose codes are kept at each evaluation, beside samples
    scale: float = 1.0  # times the steps; below 1 it is a trial
    labelled: int | None = None  # training images whose labels may be used; None: as the specification has it
    batch: int | None = None  # None: the specification's
    bound: bool = False  # to its backend: in the others it is not written

    @property
    def name(self) -> str:
        return f"{self.model}-{self.backend}-{self.seed}" + (f"-{self.labelled}" if self.labelled else "")

    def at(self, backend: str | None, scale: float, seed: int) -> "Run":
        """This run in another backend, if one is given, shortened, with `seed` added to its own."""
        return replace(self, backend=backend or self.backend, scale=scale, seed=self.seed + seed)

    def steps_on(self, data: Dataset) -> int:
        spec = get(self.model)
        steps = training.steps_of(spec, data, self.batch or training.batch_size(spec, data), None, self.steps)
        return max(1, round(steps * self.scale))

    def options(self, data: Dataset) -> list[str]:
        """The arguments of `tetrapla train`."""
        words = [self.model, "--backend", self.backend, "--seed", self.seed, "--steps", self.steps_on(data)]
        if self.evaluate_every:
            words += ["--evaluate-every", max(1, round(self.evaluate_every * self.scale))]
        if self.batch:
            words += ["--batch-size", self.batch]
        if self.labelled:  # as many as there are, on smaller data
            smallest = np.unique(data.train_labels, return_counts=True)[1]
            words += ["--labelled", min(self.labelled, len(smallest) * smallest.min())]
        return [str(word) for word in (*words, "--keep", self.keep)]


@dataclass(frozen=True)
class Result:
    """What a run's folder holds. `probe`: what the article's file took from the trained model."""

    run: Run
    folder: Path
    spec: Spec
    description: dict
    metrics: list[dict]
    probe: dict[str, np.ndarray]

    @classmethod
    def read(cls, run: Run, folder: Path) -> "Result":
        """Raises UsageError if the folder is none of a run."""
        metrics = training.read_metrics(folder / "metrics.jsonl")
        probe = safetensors.numpy.load_file(folder / "probe.safetensors")
        return cls(run, folder, get(run.model), training.read_run(folder), metrics, probe)

    @cached_property
    def kept(self) -> dict[int, dict[str, np.ndarray]]:
        return training.read_kept(self.folder)

    @property
    def steps(self) -> int:
        return self.metrics[-1]["step"]

    @property
    def seconds(self) -> float:
        return sum(session.get("seconds", 0.0) for session in self.description["sessions"])

    @cached_property
    def training_rows(self) -> list[dict]:
        return [row for row in self.metrics if "test" not in row]

    @cached_property
    def test_rows(self) -> list[dict]:
        return [row for row in self.metrics if "test" in row]

    def curve(self, name: str, points: int = 250) -> tuple[np.ndarray, np.ndarray]:
        """(steps, values) of a loss in training, as means of blocks of steps: single batches would only be noise."""
        return figures.curve(self.training_rows, name, points)

    def late(self, name: str, step: float = math.inf) -> float | None:
        """The mean of a loss over the last LATE updates up to `step`; None where the model has no such loss."""
        found = [row[name] for row in self.training_rows if name in row and row["step"] <= step][-LATE:]
        return float(np.mean(found)) if found else None

    def tests(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """(steps, values) of a loss per test image at each evaluation."""
        rows = self.test_rows
        return np.array([row["step"] for row in rows]), np.array([row["test"][name] for row in rows])

    def test_at(self, name: str, epoch: float) -> float | None:
        """The test loss at the end of an epoch; None if there was no evaluation."""
        found = [row["test"][name] for row in self.test_rows if abs(row["epoch"] - epoch) < 1e-3]
        return found[-1] if found else None
