"""Loss terms that several model files share."""

from backends.tensorflow import process  # noqa: F401  # isort: skip

import tensorflow as tf


def bce(logits, target):
    """Mean binary cross-entropy of (B, 1) logits against one target, 0 or 1."""
    labels = tf.fill(tf.shape(logits), tf.cast(target, logits.dtype))
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits))
