"""Our own models through the door of `diff`: `tetrapla diff vae --backend pytorch --backend jax`.

A column (common.contract) is asked as a whole: what its model file computes in training and in evaluation, its losses among it,
gradients of every update, running statistics, and the specification's updates. What is between its layers is not looked at.
"""

import textwrap
from pathlib import Path

import numpy as np

import backends
from common import specs
from common.contract import Snapshot
from common.parity import Case
from common.probing import Arrays, Call, Description, Layer, Tensor
from common.specs.layers import BatchNorm, Conv, ConvTranspose, Dense

BATCH = 8
KINDS = {Dense: "dense", Conv: "conv", ConvTranspose: "conv_transpose", BatchNorm: "batch_norm"}

FILE = '''
"""{model} in {reference} and in {port}."""

import sys

sys.path.insert(0, {root!r})


def inputs(rng):
    from common.tools.diff import own

    return own.inputs({model!r})


def reference():
    from common.tools.diff import own

    return own.side({model!r}, {reference!r})


def port():
    from common.tools.diff import own

    return own.side({model!r}, {port!r})
'''


def case(model: str) -> Case:
    from common.data import digits  # scikit-learn, which takes a second and which a user's own file does not need

    spec = specs.get(model).calmed()
    return Case(spec.training.twin or spec, digits.load().train, batch=BATCH, steps=1)


def written(model: str, reference: str, port: str, folder: Path) -> Path:
    """A file as a user would write it, for a model in two backends. Raises UsageError if there is no such model or backend."""
    specs.get(model)
    names = {"reference": backends.check_name(reference), "port": backends.check_name(port)}
    path = folder / f"{model}.py"
    root = str(Path(__file__).parents[3])
    path.write_text(textwrap.dedent(FILE).lstrip().format(model=model, root=root, **names), encoding="utf-8")
    return path


def inputs(model: str) -> Arrays:
    """What one training step of the model is given, its noise too, and what it samples from, as "sampling ..."."""
    one = case(model)
    given, noise = one.first_batch()
    return given | noise | {f"sampling {name}": value for name, value in one.sampling_noise().items()}


def side(model: str, backend: str) -> dict:
    return {"model": lambda dtype: Probe(case(model), backend, dtype), "own": True, "call": tuple(inputs(model))}


class Probe:
    """A column in the place of a probe of a framework's models."""

    def __init__(self, one: Case, backend: str, dtype: str):
        self.case, self.backend, self.dtype, self.spec = one, backend, dtype, one.spec
        self.column = backends.create(backend, self.spec, one.parameters(), dtype=dtype)

    def describe(self) -> Description:
        layers = []
        for network in self.spec.networks:
            for layer in (*network.layers, *network.heads):
                if layer.parameters:
                    layers.append(self._layer(f"{network.name}.{layer.name}", layer))
        framework, versions = backends.TITLES[self.backend], backends.versions(self.backend)
        about = {"title": ", ".join(update.objective for update in self.spec.updates)}
        return Description(framework, versions, layers, self.dtype, loss=about, optimizer={"name": "unknown", "title": "the specification's"}, whole=True)  # fmt: skip

    def _layer(self, path, layer):
        shapes = {name: (shape, True) for name, shape in self.spec.parameter_shapes().items()}
        shapes |= {name: (shape, False) for name, shape in self.spec.statistic_shapes().items()}
        own = {
            name.rsplit(".", 1)[1]: (name, *about) for name, about in shapes.items() if name.rsplit(".", 1)[0] == path
        }
        return Layer(
            path, KINDS[type(layer)], type(layer).__name__, {}, {role: Tensor(*about) for role, about in own.items()}
        )

    def put(self, tensors: Arrays) -> None:
        values = {key.replace("/", "."): np.asarray(value) for key, value in tensors.items()}
        values = self.column.parameters() | self.column.statistics() | values
        split = (
            {n: values[n] for n in names} for names in (self.spec.parameter_shapes(), self.spec.statistic_shapes())
        )
        start = Snapshot.start(self.spec, self.case.parameters())
        self.column.restore(Snapshot(*split, start.moments, 0))

    def get(self) -> Arrays:
        found = self.column.parameters() | self.column.statistics()
        return {"/".join(name.rsplit(".", 1)): value for name, value in found.items()}

    def forward(self, given: list[np.ndarray], training: bool) -> tuple[Arrays, list[Call]]:
        inputs, noise, sampling = self._split(given)
        if training:
            found = self.column.forward(inputs, noise)
            return found | {name: np.array(value) for name, value in self.column.losses(inputs, noise).items()}, []
        jobs = {
            "encode": lambda: self.column.encode(inputs),
            "reconstruct": lambda: self.column.reconstruct(inputs, noise),
            "sample": lambda: self.column.sample(sampling),
        }
        return {name: run() for name, run in jobs.items() if getattr(self.spec, name)}, []

    def gradients(self, given: list[np.ndarray], rest: list[np.ndarray]) -> tuple[float, Arrays]:
        """A parameter that several updates move has a gradient of each, stacked."""
        inputs, noise, _ = self._split(given)
        found = self.column.gradients(inputs, noise)
        result = {}
        for name in self.spec.parameter_shapes():
            own = [found[f"{update.name}.{name}"] for update in self.spec.updates if f"{update.name}.{name}" in found]
            result["/".join(name.rsplit(".", 1))] = np.stack(own)
        return float(self.column.losses(inputs, noise)[self.spec.updates[0].objective]), result

    def train(self, given: list[np.ndarray], rest: list[np.ndarray], steps: int) -> list[float]:
        inputs, noise, _ = self._split(given)
        rows = [self.column.train_step(inputs, noise) for _ in range(steps)]
        return [float(row[update.objective]) for row in rows for update in self.spec.updates]

    def _split(self, given):
        """(inputs, noise, noise to sample from) of what `inputs` gave, in its order."""
        names = [one.name for one in self.spec.inputs], [one.name for one in self.spec.noise], [one.name for one in self.spec.sampling_noise]  # fmt: skip
        values = iter(given)
        return tuple({name: np.asarray(next(values)) for name in part} for part in names)
