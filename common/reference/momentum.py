"""Gradient descent with momentum, as common.specs.records.Momentum has it."""

import numpy as np

from common.specs.records import Momentum


def momentum_update(
    momentum: Momentum, parameter: np.ndarray, gradient: np.ndarray, velocity: np.ndarray, step: int
) -> tuple[np.ndarray, np.ndarray]:
    """New (parameter, velocity) after update number `step`, counted from 1; float64, of one shape."""
    velocity = momentum.momentum * velocity + gradient
    rate = momentum.learning_rate * momentum.steps.factor(step - 1)
    return parameter - rate * velocity, velocity
