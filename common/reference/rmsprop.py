"""RMSProp, as common.specs.records.RMSProp has it."""

import numpy as np

from common.specs.records import RMSProp


def rmsprop_update(
    rmsprop: RMSProp, parameter: np.ndarray, gradient: np.ndarray, square: np.ndarray, step: int
) -> tuple[np.ndarray, np.ndarray]:
    """New (parameter, mean square) after any update; float64, of one shape."""
    square = rmsprop.decay * square + (1 - rmsprop.decay) * gradient**2
    return parameter - rmsprop.learning_rate * gradient / (np.sqrt(square) + rmsprop.epsilon), square
