"""Gradient descent with momentum, as common.specs.records.Momentum has it."""

from common.specs.records import Momentum


def momentum_update(momentum: Momentum, parameter, gradient, velocity, step: int):
    """New (parameter, velocity) after update number `step`, counted from 1; float64, of one shape."""
    velocity = momentum.momentum * velocity + gradient
    rate = momentum.learning_rate * momentum.steps.factor(step - 1)
    return parameter - rate * velocity, velocity
