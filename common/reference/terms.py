"""Element-wise functions and loss terms that several specifications share."""

from autograd import numpy as np


def sigmoid(x):
    return 0.5 * (np.tanh(0.5 * x) + 1)  # no overflow at either end


def bce_with_logits(logits, target):
    """-target·log σ(logits) - (1 - target)·log(1 - σ(logits)), element by element, finite for every logit."""
    return np.logaddexp(0.0, logits) - target * logits
