"""One Keras model behind the contract of `common.contract.Column`: NumPy in, NumPy out."""

from backends.tensorflow import process  # isort: skip

import contextlib
import functools

import numpy as np
import tensorflow as tf

from backends.tensorflow import optimizer
from backends.tensorflow.layouts import arrays, canonical, floats, tensors, variables, write
from backends.tensorflow.noise import Draws
from backends.tensorflow.steps import Steps
from common.contract import Snapshot


def _on_device(method):
    @functools.wraps(method)
    def run(self, *args, **kwargs):
        with tf.device(self.device):
            return method(self, *args, **kwargs)

    return run


class Column:
    def __init__(self, spec, module, parameters, *, dtype, device, seed):
        process.check_device(device)
        self.spec, self.module, self.dtype, self.device = spec, module, dtype, process.DEVICES[device]
        self.state = module.build(spec, dtype, self.device)
        self.draws = Draws(spec.noise, seed, dtype)
        train_step = functools.partial(module.train_step, self.state)
        self.train_one = tf.function(train_step, jit_compile=True, autograph=False)
        self.steps = Steps(spec, train_step, self.train_one, self.draws, dtype, self.device)
        self.variables = variables(self.state.model, spec)
        self.restore(Snapshot.start(spec, parameters))

    # ------------------------------------------------------------------------- parameters and moments

    def parameters(self):
        return _canonical(self._parameters())

    def statistics(self):
        return _canonical(self._statistics())

    def moments(self):
        return _canonical(optimizer.moments(self._parameters(), self.state.optimizers))

    @_on_device
    def restore(self, snapshot):
        self.step = snapshot.step
        for one in self.state.optimizers.values():
            optimizer.begin(one, snapshot.step)
        write(self._parameters(), snapshot.parameters)
        write(self._statistics(), snapshot.statistics)
        write(optimizer.moments(self._parameters(), self.state.optimizers), snapshot.moments)

    def _parameters(self):
        return {name: self.variables[name] for name in self.spec.parameter_shapes()}

    def _statistics(self):
        return {name: self.variables[name] for name in self.spec.statistic_shapes()}

    # -------------------------------------------------------------------------------- one call, one job

    @_on_device
    def forward(self, inputs, noise):
        with self._looking_on():
            return arrays(self.module.forward(self.state.model, *self._tensors(inputs, noise)))

    @_on_device
    def losses(self, inputs, noise):
        with self._looking_on():
            return floats(self.module.losses(self.state.model, *self._tensors(inputs, noise)))

    @_on_device
    def gradients(self, inputs, noise):
        with self._looking_on(), tf.GradientTape(persistent=True) as tape:
            values = self.module.losses(self.state.model, *self._tensors(inputs, noise))
        result = {}
        for update in self.spec.updates:
            moved = {n: v for n, v in self._parameters().items() if n.split(".")[0] in update.networks}
            gradients = tape.gradient(values[update.objective], [variable for variable, _ in moved.values()])
            for (name, (_, axes)), gradient in zip(moved.items(), gradients, strict=True):
                result[f"{update.name}.{name}"] = canonical(gradient, axes)
        return result

    @_on_device
    def train_step(self, inputs, noise):
        self.step += 1
        return floats(self.train_one(*self._tensors(inputs, noise)))

    # Keras's networks are in evaluation mode unless a call says `training=True`, as forward and losses do.

    @_on_device
    def encode(self, inputs):
        return self.module.encode(self.state.model, *self._tensors(inputs)).numpy()

    @_on_device
    def reconstruct(self, inputs, noise):
        return self.module.reconstruct(self.state.model, *self._tensors(inputs, noise)).numpy()

    @_on_device
    def sample(self, noise):
        return self.module.sample(self.state.model, *self._tensors(noise)).numpy()

    @contextlib.contextmanager
    def _looking_on(self):
        """The running statistics, which a pass in training mode moves, come back as they were."""
        before = self.statistics()
        yield
        write(self._statistics(), before)

    # ------------------------------------------------------------------------------------- many steps

    @_on_device
    def upload(self, data):
        self.steps.upload(data)

    @_on_device
    def train_steps(self, indices, noise=None):
        losses = self.steps(indices, noise, self.step)
        self.step += len(next(iter(indices.values())))
        return losses

    @_on_device
    def native_noise(self, count, batch):
        draws = [self.draws.compiled(batch, tf.constant(self.step + k, tf.int64)) for k in range(count)]
        return {name: np.stack([one[name].numpy() for one in draws]) for name in draws[0]}

    def _tensors(self, *given):
        return [tensors(one, self.dtype) for one in given]


def _canonical(found):
    return {name: canonical(variable, axes) for name, (variable, axes) in found.items()}
