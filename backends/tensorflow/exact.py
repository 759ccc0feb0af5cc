"""What stands in a model file in place of TensorFlow's own, because that means something else or is not exact in float64."""

from backends.tensorflow import process  # noqa: F401  # isort: skip

import tensorflow as tf


def leaky_relu(x, slope):
    """tf.nn.leaky_relu keeps its slope as a float32 attribute, also where x is float64."""
    return tf.nn.leaky_relu(x, slope) if x.dtype == tf.float32 else tf.where(x > 0, x, slope * x)
