"""One Keras model behind the contract of `common.contract.Column`: NumPy in, NumPy out."""

from backends.tensorflow import process  # isort: skip

import contextlib
import functools

import numpy as np
import tensorflow as tf

from backends.tensorflow import optimizer, workers
from backends.tensorflow.layouts import arrays, canonical, floats, tensors, variables, write
from backends.tensorflow.noise import Draws
from backends.tensorflow.steps import Steps
from common.contract import Snapshot
from common.workers import ALONE


def _on_device(method):
    @functools.wraps(method)
    def run(self, *args, **kwargs):
        with tf.device(self.device):
            return method(self, *args, **kwargs)

    return run


class Column:
    def __init__(self, spec, module, parameters, *, dtype, device, seed, world=ALONE):
        process.check_device(device)
        self.spec, self.module, self.dtype, self.device = spec, module, dtype, process.DEVICES[device]
        self.world = world
        with workers.scope(world):
            self.state = module.build(spec, dtype, self.device)
        self.draws = Draws(spec.noise, seed, dtype)
        train_step = functools.partial(module.train_step, self.state)
        if world.count > 1:
            workers.share(self.state, spec, world)
            train_step = workers.in_replica(train_step)
        self.train_one = tf.function(train_step, jit_compile=world.count == 1, autograph=False)
        self.steps = Steps(spec, train_step, self.train_one, self.draws, dtype, self.device, world)
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
        return self.world.joined(arrays(self._looked_at(self.module.forward, inputs, noise)))

    @_on_device
    def losses(self, inputs, noise):
        return self._of_all(self._looked_at(self.module.losses, inputs, noise))

    @_on_device
    def gradients(self, inputs, noise):
        axes = {name: axes for name, (_, axes) in self._parameters().items()}
        found = self._looked_at(self._gradients, inputs, noise)
        return {name: canonical(gradient, axes[name.partition(".")[2]]) for name, gradient in found.items()}

    def _gradients(self, model, inputs, noise):
        """{"train.encoder.fc0.weight": ...}, in Keras's axes."""
        with tf.GradientTape(persistent=True) as tape:
            values = self.module.losses(model, inputs, noise)
        result = {}
        for update in self.spec.updates:
            one = self.state.optimizers[update.name]
            found = optimizer.gradients(one, values[update.objective], tape)
            by_variable = {id(v): gradient for v, gradient in zip(one.parameters, found, strict=True)}
            for name, (variable, _) in self._parameters().items():
                if name.split(".")[0] in update.networks:
                    result[f"{update.name}.{name}"] = by_variable[id(variable)]
        return result

    @_on_device
    def train_step(self, inputs, noise):
        self.step += 1
        return self._of_all(self.train_one(*self._own(inputs, noise)))

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

    def _looked_at(self, function, inputs, noise):
        """`function(model, inputs, noise)` of this rank's rows; the running statistics, which a pass in training mode moves, come
        back as they were."""
        before = self.statistics()
        given = self._own(inputs, noise)
        function = functools.partial(function, self.state.model)
        if self.world.count > 1:
            function = tf.function(workers.in_replica(function), autograph=False)
        found = function(*given)
        write(self._statistics(), before)
        return found

    @contextlib.contextmanager
    def alone(self):
        world, self.world = self.world, ALONE
        workers.share_batch_norms(self.state, self.spec, ALONE)
        try:
            yield
        finally:
            self.world = world
            workers.share_batch_norms(self.state, self.spec, world)

    # ------------------------------------------------------------------------------------- many steps

    @_on_device
    def upload(self, data):
        self.steps.upload(data)

    @_on_device
    def train_steps(self, indices, noise=None):
        indices, noise = self.world.rows(indices, axis=1), noise and self.world.rows(noise, axis=1)
        losses = self.steps(indices, noise, self.step)
        self.step += len(next(iter(indices.values())))
        return self.world.losses(losses, self.spec.reduction)

    @_on_device
    def native_noise(self, count, batch):
        draws = [self.draws.compiled(batch, tf.constant(self.step + k, tf.int64)) for k in range(count)]
        return {name: np.stack([one[name].numpy() for one in draws]) for name in draws[0]}

    def _of_all(self, values):
        return self.world.losses(floats(values), self.spec.reduction)

    def _own(self, *given):
        """Of global inputs or noise this rank's rows."""
        return self._tensors(*(self.world.rows(one) for one in given))

    def _tensors(self, *given):
        return [tensors(one, self.dtype) for one in given]


def _canonical(found):
    return {name: canonical(variable, axes) for name, (variable, axes) in found.items()}
