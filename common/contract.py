"""The contract between the four backends and everything that is framework-neutral.

A model file (`backends/*/vae.py`) is plain functions in its framework's own types, the same names in all four:

    build(spec, ...)                   -> state: networks and optimisers (Paddle: Programs)
    forward(model, inputs, noise)      -> {name: (B, ...)}
    losses(model, inputs, noise)       -> {name: scalar}
    train_step(state, inputs, noise)   -> {name: scalar}; applies all of the specification's updates, in its order
    encode(model, inputs), reconstruct(model, inputs, noise), sample(model, noise)     where the model has them

`inputs` holds what a step is given of the data set and `noise` every random draw, named as in the specification, so a step
is a pure function of them. `train_step` updates the state in place in all four; under JAX the state is made of nnx modules,
which are split into pure values around jit and scan.

What does not depend on the model is each backend's engine, the same files in all four folders:

    process.py     what is set before the framework is imported, threads, precision; imported before all others
    optimizer.py   the specification's optimisers, and their state by canonical names
    layouts.py     canonical names and axes to the framework's own, and back
    noise.py       native noise
    terms.py       terms that several models share: of losses, and dropout
    exact.py       what stands in for the framework's own where that is inexact in float64, or means something else
    steps.py       inputs gathered on the device; many training steps a call
    workers.py     several processes that train one model, by the framework's own means
    column.py      `Column`, which speaks NumPy only: canonical names and layouts, float64 or float32 arrays
    export.py      the framework's own file format
    timing.py      what the benchmarks ask: a tutorial's step, the profiler, the yardstick

The oracle (`common.reference.column`) is a Column too, so a comparison treats all five alike.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from common.specs.records import Spec

STEPS_PER_CALL = 100  # training steps that the host asks for at once

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Snapshot:
    """All that training changes, in canonical names and layouts: what a checkpoint holds and `restore` takes."""

    parameters: Arrays
    statistics: Arrays  # running statistics of batch norms; most models have none
    moments: Arrays
    step: int

    @classmethod
    def start(cls, spec: Spec, parameters: Arrays) -> "Snapshot":
        """Before the first step: running means 0, running variances 1, all moments 0."""
        statistics = {
            name: np.full(shape, float(name.endswith(".variance"))) for name, shape in spec.statistic_shapes().items()
        }
        return cls(parameters, statistics, {name: np.zeros(s) for name, s in spec.moment_shapes().items()}, 0)

    @classmethod
    def of(cls, column: "Column") -> "Snapshot":
        """Copies of what `column` holds now."""
        return cls(column.parameters(), column.statistics(), column.moments(), column.step)


class Column(Protocol):
    """One model in one framework with its current parameters. Constructed as

        Column(spec, module, parameters, *, dtype, device, seed, world)

    dtype: "float64" | "float32", of parameters, inputs and results. device: "cpu" | "gpu". seed: of native noise.
    `inputs` and `noise` are {name: (B, *shape)}, as the specification names them; both are cast to dtype; `encode` and
    `reconstruct` need only the inputs that they use. Batch norms use and move their running statistics as
    `common.specs.layers.BatchNorm` says: `encode`, `reconstruct` and `sample` run in evaluation mode, all else in training
    mode.
    """

    spec: Spec
    step: int  # training steps done since the initial parameters

    def parameters(self) -> Arrays:
        """Current values by canonical name, in canonical layout and order."""

    def statistics(self) -> Arrays:
        """Running statistics of the batch norms: {"generator.bn0.mean": ..., "generator.bn0.variance": ...}."""

    def moments(self) -> Arrays:
        """What optimisers keep: {"train.first.encoder.fc0.weight": ..., "train.second...": ...}, keyed by update first; of
        Momentum "train.velocity...", one of each parameter."""

    def restore(self, snapshot: Snapshot) -> None:
        """Continue from here."""

    def alone(self) -> AbstractContextManager:
        """While it lasts, this process computes by itself on all rows, whatever its world."""

    def forward(self, inputs: Arrays, noise: Arrays) -> Arrays:
        """Every named output of the specification's `forward`; changes nothing."""

    def losses(self, inputs: Arrays, noise: Arrays) -> dict[str, float]:
        """Every loss of every update at the current parameters; changes nothing."""

    def gradients(self, inputs: Arrays, noise: Arrays) -> Arrays:
        """{"train.encoder.fc0.weight": ...}: d objective / d parameter of each update at the current parameters,
        without L2; changes nothing."""

    def train_step(self, inputs: Arrays, noise: Arrays) -> dict[str, float]:
        """One training step; the losses as computed on the way."""

    def upload(self, data: Mapping[str, np.ndarray]) -> None:
        """Place {"images": uint8 (N, ...), "labels": uint8 (N,)} on the device, for `train_steps`."""

    def train_steps(self, indices: Arrays, noise: Arrays | None = None) -> Arrays:
        """K training steps in one call: indices {set: (K, B)} into the uploaded data, by the sets that the inputs come from
        (`spec.rows`); noise {name: (K, B, *shape)}.

        Without noise the device draws its own, from (seed, step). Returns {loss: (K,)}. The inputs are gathered and
        scaled inside the compiled step. This is the path that training uses.
        """

    def native_noise(self, count: int, batch: int) -> Arrays:
        """{name: (count, batch, *shape)}: what `train_steps` without noise would draw for its next `count` steps."""

    def encode(self, inputs: Arrays) -> np.ndarray: ...

    def reconstruct(self, inputs: Arrays, noise: Arrays) -> np.ndarray: ...

    def sample(self, noise: Arrays) -> np.ndarray: ...
