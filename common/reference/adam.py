"""Adam as printed: Algorithm 1 of Kingma & Ba 2014 (arXiv 1412.6980), or with its section 2's ε̂, with coupled L2."""

import numpy as np

from common.specs.records import Optimizer

# Elements at a time: intermediate results stay in the processor's cache. Of InfoGAN's 13 million parameters at once, most
# of an update's time went into memory that was asked of the system for each of them anew.
BLOCK = 16_384


def adam_update(
    adam: Optimizer, parameter: np.ndarray, gradient: np.ndarray, first: np.ndarray, second: np.ndarray, step: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """New (parameter, first moment, second moment) after update number `step`, counted from 1; float64, of one shape."""
    given = [np.ravel(array) for array in (parameter, gradient, first, second)]
    starts = range(0, max(parameter.size, 1), BLOCK)
    blocks = [_update(adam, *(array[start : start + BLOCK] for array in given), step) for start in starts]
    return tuple(np.concatenate(parts).reshape(parameter.shape) for parts in zip(*blocks, strict=True))


def _update(adam, parameter, gradient, first, second, step):
    if adam.l2:
        gradient = gradient + adam.l2 * parameter
    first = adam.beta1 * first + (1 - adam.beta1) * gradient
    second = adam.beta2 * second + (1 - adam.beta2) * gradient**2
    if adam.epsilon_hat:
        rate = adam.learning_rate * np.sqrt(1 - adam.beta2**step) / (1 - adam.beta1**step)
        return parameter - rate * first / (np.sqrt(second) + adam.epsilon), first, second
    corrected_first = first / (1 - adam.beta1**step)
    corrected_second = second / (1 - adam.beta2**step)
    parameter = parameter - adam.learning_rate * corrected_first / (np.sqrt(corrected_second) + adam.epsilon)
    return parameter, first, second
