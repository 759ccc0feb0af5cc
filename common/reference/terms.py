"""Element-wise functions and loss terms that several specifications share."""

from autograd import numpy as np


def sigmoid(x):
    return 0.5 * (np.tanh(0.5 * x) + 1)  # no overflow at either end


def softplus(x):
    """log(1 + eˣ), finite for every x."""
    positive = np.real(x) > 0
    return np.where(positive, x, 0.0) + np.log1p(np.exp(np.where(positive, -x, x)))


def bce_with_logits(logits, target):
    """-target·log σ(logits) - (1 - target)·log(1 - σ(logits)), element by element, finite for every logit."""
    return softplus(logits) - target * logits


def log_softmax(logits):
    """log of the probabilities of (..., classes) logits."""
    shifted = logits - np.max(np.real(logits), axis=-1, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=-1, keepdims=True))
