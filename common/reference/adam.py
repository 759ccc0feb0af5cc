"""Adam as printed: Algorithm 1 of Kingma & Ba 2014 (arXiv 1412.6980), with coupled L2."""

import numpy as np

from common.specs.records import Adam


def adam_update(adam: Adam, parameter, gradient, first, second, step: int):
    """New (parameter, first moment, second moment) after update number `step`, counted from 1."""
    gradient = gradient + adam.l2 * parameter
    first = adam.beta1 * first + (1 - adam.beta1) * gradient
    second = adam.beta2 * second + (1 - adam.beta2) * gradient**2
    corrected_first = first / (1 - adam.beta1**step)
    corrected_second = second / (1 - adam.beta2**step)
    parameter = parameter - adam.learning_rate * corrected_first / (np.sqrt(corrected_second) + adam.epsilon)
    return parameter, first, second
