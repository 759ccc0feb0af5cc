"""Directional derivatives from function values alone, to check gradients that were computed analytically."""

from collections.abc import Callable, Mapping

import numpy as np


def directional_derivative(function: Callable[[dict], float], at: Mapping, direction: Mapping, h: float) -> float:
    """d/dt function(at + t·direction) at t = 0, by a central difference of eighth order with step `h`.

    The truncation error falls with h⁸, so that h can stay large enough for rounding (ε/h) to stay small.
    """
    weights = {1: 4 / 5, 2: -1 / 5, 3: 4 / 105, 4: -1 / 280}

    def value(t):
        return function({name: at[name] + t * direction[name] for name in at})

    return sum(weight * (value(k * h) - value(-k * h)) for k, weight in weights.items()) / h


def random_direction(like: Mapping, random: np.random.Generator) -> dict[str, np.ndarray]:
    """A direction whose entries have the scale of each tensor's own, so that no tensor drowns another."""
    return {name: random.normal(size=value.shape) * (np.std(value) + 1e-3) for name, value in like.items()}
