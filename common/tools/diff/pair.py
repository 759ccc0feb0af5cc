"""What the stages of `diff` know of the two sides and share: descriptions, numbers, the verdict that grows."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.probing import Arrays, Description
from common.tools.diff import numbers, repro
from common.tools.diff.sides import Side
from common.tools.diff.verdict import Cause, Row, Verdict


@dataclass
class Pass:
    """A forward pass of one side: outputs, and each call as (path, inputs, outputs)."""

    outputs: Arrays
    calls: list[tuple[str, list[np.ndarray], list[np.ndarray]]]

    def of(self, path: str) -> list:
        return [call for call in self.calls if call[0] == path]

    def numbered(self) -> Iterator[tuple[int, str, list[np.ndarray], list[np.ndarray]]]:
        """(the how manieth call of its layer it is, path, inputs, outputs) of each."""
        seen = {}
        for path, ins, outs in self.calls:
            seen[path] = seen.get(path, -1) + 1
            yield seen[path], path, ins, outs

    @property
    def order(self) -> list[str]:
        return [path for path, _, _ in self.calls]


def forward(side: Side, inputs: Arrays, training: bool) -> Pass:
    answer, arrays = side.ask("forward", inputs, inputs=True, training=training)
    calls = []
    for k, (path, ins, outs) in enumerate(answer["calls"]):
        given, made = ([arrays[f"call/{k}/{way}/{j}"] for j in range(n)] for way, n in (("in", ins), ("out", outs)))
        calls.append((path, given, made))
    return Pass(
        {name.removeprefix("output/"): value for name, value in arrays.items() if name.startswith("output/")}, calls
    )


class Pair:
    """Two sides that are asked; `verdict` grows stage by stage."""

    def __init__(self, file: Path, sides: tuple[Side, Side], inputs: Arrays, about: dict, dtype: str):
        self.inputs, self.dtype, self.mode = inputs, dtype, about["mode"]
        self.reference, self.port = sides
        self.rng = np.random.default_rng(1)
        self.described: tuple[Description, Description] = tuple(side.describe() for side in sides)
        a, b = self.described
        self.verdict = Verdict(str(file), dtype, (a.framework, b.framework), (a.versions, b.versions))
        self.pins = about["pins"]
        self.rows: dict[str, Row] = {}
        self.repro: repro.Repro | None = None
        self.noise: dict[str, float] = {}  # {layer: what its numbers' passing through float32 makes of its output}
        self.rounded = 0.0  # likewise of an update, or of running statistics
        # {path of a layer: the layer of padding before it} and {path: the one that cuts what it gives}, of both sides
        self.leads: tuple[dict, dict] = ({}, {})
        self.tails: tuple[dict, dict] = ({}, {})
        self.axes: dict[str, tuple] = {}  # {path of a layer of the port: (from, to) of the axis of its channels}
        self.unlike = ""  # how the outputs differ in structure
        self.restored: set[Side] = set()  # those that hold `values`

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.reference, self.port

    def restore(self) -> None:
        """Every stage begins with the same numbers; a side that has them still is given none."""
        for side, values in ((self.reference, lambda: self.values), (self.port, self.theirs)):
            if side not in self.restored:
                side.put(values())
                self.restored.add(side)

    def theirs(self) -> Arrays:
        keys = self.matching.keys()
        return {keys[key]: value for key, value in self.values.items() if key in keys}

    def moved(self) -> Arrays:
        """The weights, each off by a rounding; those of a layer of which a number passes through float32 by as much as that makes."""
        self.restored.discard(self.reference)
        found = numbers.moved(self.values, self.dtype, self.rng)
        for path, apart in self.noise.items():
            for key in self.values:
                if key.rsplit("/", 1)[0] == path and key.rsplit("/", 1)[1] not in ("mean", "variance"):
                    found[key] = self.values[key] * (1 + apart * self.rng.choice((-1.0, 1.0), self.values[key].shape))
        return found

    def tensors(self, path: str) -> Arrays:
        """{role: array} of the reference's layer."""
        return {key.rsplit("/", 1)[1]: value for key, value in self.values.items() if key.rsplit("/", 1)[0] == path}

    def add(self, cause: Cause) -> None:
        """Once for a layer in both modes, if it is the same."""
        if not any((one.where, one.settings) == (cause.where, cause.settings) for one in self.verdict.causes):
            self.verdict.causes.append(cause)
