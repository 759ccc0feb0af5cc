"""Many training steps: inputs gathered from a data set that lies on the device, compiled by XLA as one loop, or one by one; with
several processes one loop that XLA does not compile."""

from backends.tensorflow import process  # noqa: F401  # isort: skip

from dataclasses import dataclass

import keras
import tensorflow as tf

from backends.tensorflow.layouts import tensors
from backends.tensorflow.optimizer import Adam, Momentum, RMSProp
from common.specs.inputs import Images


@dataclass
class State:
    """A model and one optimiser per update of the specification; `train_step` changes both in place."""

    model: keras.Model
    optimizers: dict[str, Adam | Momentum | RMSProp]


def gather(inputs, data, indices, dtype):
    """{name: (B, *shape)}: the declared `inputs` at the rows `indices` {set: (B,)} of `data` {source: uint8 (N, ...)}."""
    return {one.name: _gather(one, tf.gather(data[one.source], indices[one.rows]), dtype) for one in inputs}


def _gather(one, values, dtype):
    if isinstance(one, Images):
        return tf.reshape(one.scale(tf.cast(values, dtype)), (values.shape[0], *one.shape))
    return tf.one_hot(values, one.classes, dtype=dtype)


class Steps:
    """`train_step` on rows of the uploaded data, again and again: one loop on the device, or one call a step of `train_one`,
    which is compiled. With several ranks it is given this rank's rows, and its losses are of these."""

    def __init__(self, spec, train_step, train_one, draws, dtype, device, world):
        self.spec, self.train_step, self.train_one, self.draws, self.dtype = spec, train_step, train_one, draws, dtype
        self.world = world
        # XLA has no collective operations for CPUs.
        self._loop = tf.function(self._loop, jit_compile=world.count == 1)
        # In a loop XLA leaves the fast path of convolutions on a CPU: 1.6 s for a weight gradient that takes 40 ms.
        self.one_by_one = spec.convolutional and device == process.DEVICES["cpu"] and world.count == 1

    def upload(self, data):
        self.data = {name: tf.constant(data[name]) for name in {one.source for one in self.spec.inputs}}

    def __call__(self, indices, noise, first):
        """{loss: (K,)} of the steps `first` and on, at the rows `indices` {set: (K, B)}; NumPy in, NumPy out. Without `noise`
        {name: (K, B, *shape)} they draw their own."""
        count = len(next(iter(indices.values())))
        return (self._one_by_one if self.one_by_one else self._at_once)(indices, noise, first, count)

    def _at_once(self, indices, noise, first, count):
        # Two rows at least, of which `count` run: from a stack or a loop of one, XLA drops the indexing, fuses the
        # step differently and so rounds it differently, and a run would depend on how it is cut into calls.
        rows = [0, 0] if count == 1 else slice(None)
        indices, noise = self._tensors(indices, noise, rows)
        table = self._loop(self.data, indices, noise, tf.constant(count), tf.constant(first, tf.int64))
        return {name: table[:count, column].numpy() for column, name in enumerate(self.loss_names)}

    def _one_by_one(self, indices, noise, first, count):
        rows = []
        for k in range(count):
            given = self._given(self.data, *self._tensors(indices, noise, k), tf.constant(first + k, tf.int64))
            rows.append(self.train_one(*given))
        return {name: tf.stack([row[name] for row in rows]).numpy() for name in rows[0]}

    def _tensors(self, indices, noise, rows):
        indices = {name: tf.constant(value[rows]) for name, value in indices.items()}
        return indices, noise and tensors({name: value[rows] for name, value in noise.items()}, self.dtype)

    def _loop(self, data, indices, noise, count, first):
        table = tf.TensorArray(self.dtype, next(iter(indices.values())).shape[0])
        for k in tf.range(count):  # AutoGraph makes this a loop on the device
            rows = {name: value[k] for name, value in indices.items()}
            one = {name: value[k] for name, value in noise.items()} if noise is not None else None
            table = table.write(k, self._step(data, rows, one, first + tf.cast(k, tf.int64)))
        return table.stack()

    @tf.autograph.experimental.do_not_convert  # it cannot read `match`, and the loop above is all there is to convert
    def _step(self, data, indices, noise, step):
        values = self.train_step(*self._inputs(data, indices, noise, step))
        self.loss_names = list(values)
        return tf.stack(list(values.values()))

    @tf.function(jit_compile=True, autograph=False)
    def _given(self, data, indices, noise, step):
        return self._inputs(data, indices, noise, step)

    def _inputs(self, data, indices, noise, step):
        """(inputs, noise) of one step."""
        if noise is None:
            noise = self._drawn(next(iter(indices.values())).shape[0], step)
        return gather(self.spec.inputs, data, indices, self.dtype), noise

    def _drawn(self, size, step):
        if self.world.count == 1:
            return self.draws(size, step)
        drawn = self.draws.compiled(
            self.world.count * size, step
        )  # the global batch's, of which this rank has its rows
        return {name: value[self.world.own(value.shape[0])] for name, value in drawn.items()}
