"""Canonical parameters: names, shapes and initial values, drawn in NumPy so that every backend starts alike."""

import numpy as np

from common.noise import stream
from common.specs.layers import BatchNorm
from common.specs.records import Spec


def initial_parameters(spec: Spec, seed: int) -> dict[str, np.ndarray]:
    """{"encoder.fc0.weight": (400, 784) float64, ...} by the specification's rule; each tensor has its own stream."""
    return {
        f"{path}.{kind}": np.broadcast_to(_draw(spec, layer, kind, f"{path}.{kind}", seed), shape).astype(float)
        for path, layer in spec.layers().items()
        for kind, shape in layer.parameters.items()
    }


def _draw(spec, layer, kind, name, seed):
    if isinstance(layer, BatchNorm):
        return {"weight": 1.0, "bias": 0.0}[kind]
    return spec.initial.draw(kind, layer, stream(seed, "parameters", name))
