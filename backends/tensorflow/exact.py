"""What stands in a model file in place of TensorFlow's own, because that means something else or is not exact in float64."""

from backends.tensorflow import process  # noqa: F401  # isort: skip

import tensorflow as tf
from keras import layers


def leaky_relu(x, slope):
    """tf.nn.leaky_relu keeps its slope as a float32 attribute, also where x is float64."""
    return tf.nn.leaky_relu(x, slope) if x.dtype == tf.float32 else tf.where(x > 0, x, slope * x)


class BatchNorm(layers.BatchNormalization):
    """Keras's, which with several `workers` sees the rows of all of them. Its own `synchronized=True` takes the variance as
    E[x²] − E[x]², which cancels."""

    workers = 1

    def call(self, inputs, training=False):
        if self.workers == 1 or not training:
            return super().call(inputs, training=training)
        ranks, others = tf.distribute.get_replica_context(), list(range(inputs.shape.rank - 1))
        mean = ranks.all_reduce("mean", tf.reduce_mean(inputs, others))
        centred = inputs - mean
        variance = ranks.all_reduce("mean", tf.reduce_mean(centred**2, others))
        for kept, found in ((self.moving_mean, mean), (self.moving_variance, variance)):
            kept.assign(self.momentum * kept + (1 - self.momentum) * found)
        return centred * (self.gamma * tf.math.rsqrt(variance + self.epsilon)) + self.beta
