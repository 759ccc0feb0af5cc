"""Terms that several model files share: of losses, and dropout."""

from backends.tensorflow import process  # noqa: F401  # isort: skip

import tensorflow as tf


def bce(logits, target):
    """Mean binary cross-entropy of (B, 1) logits against one target, 0 or 1."""
    labels = tf.fill(tf.shape(logits), tf.cast(target, logits.dtype))
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits))


def complement(p):
    """1 - p of probabilities, to which an epsilon may be added: of (1 - p) + 1e-8 alone a compiled step makes (1 + 1e-8) - p, where
    float32 has lost the epsilon."""
    return tf.maximum(1 - p, 0)


def dropout(h, mask, keep):
    """Of h (B, features) what the mask, 1 where a unit is kept, leaves, with the probability `keep`; all of it without a mask."""
    return h if mask is None else h * mask / keep
