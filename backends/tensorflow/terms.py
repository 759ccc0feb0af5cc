"""Loss terms that several model files share."""

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
