"""Native noise: the random draws of a step, made on the device by TensorFlow's counter-based generator."""

from backends.tensorflow import process  # noqa: F401  # isort: skip

import zlib

import numpy as np
import tensorflow as tf

from common.specs.draws import Bernoulli, Normal, OneHot, Uniform


class Draws:
    """The draws that a specification declares, in `dtype`; those of step k depend on (seed, k) alone.

    A call inside a function that XLA compiles draws what `compiled` draws; an eager one draws other numbers.
    """

    def __init__(self, declared, seed, dtype):
        self.declared, self.seed, self.dtype = declared, seed, dtype

    def __call__(self, batch: int, step) -> dict[str, tf.Tensor]:
        return {noise.name: self._draw(noise, (batch, *noise.shape), step) for noise in self.declared}

    @tf.function(jit_compile=True, autograph=False)
    def compiled(self, batch, step):
        return self(batch, step)

    def _draw(self, noise, shape, step):
        # XLA reads the lower 32 bits of each half of a seed; SeedSequence mixes seed and name into the first half.
        mixed = np.random.SeedSequence((self.seed, zlib.crc32(noise.name.encode()))).generate_state(1)[0]
        seed = tf.stack([tf.constant(mixed, tf.int64), tf.cast(step, tf.int64)])
        match noise.distribution:
            case Normal(mean, std):
                return tf.random.stateless_normal(shape, seed, mean, std, self.dtype)
            case Uniform(low, high):
                return tf.random.stateless_uniform(shape, seed, low, high, self.dtype)
            case Bernoulli(keep):
                return tf.cast(tf.random.stateless_uniform(shape, seed, 0.0, 1.0, self.dtype) < keep, self.dtype)
            case OneHot():
                classes = tf.random.stateless_uniform(shape[:-1], seed, 0, shape[-1], tf.int32)
                return tf.one_hot(classes, shape[-1], dtype=self.dtype)
