"""The oracle as a column: a specification executed in NumPy float64, with gradients by reverse-mode `autograd`."""

import numpy as np
from autograd import grad

from common.reference.adam import adam_update
from common.reference.networks import Networks
from common.specs.records import Spec


class Reference:
    """The specification itself, behind the same contract as the four backends (`common.contract.Column`)."""

    def __init__(self, spec: Spec, parameters):
        self.spec = spec
        self.restore(parameters, {}, 0)

    def parameters(self):
        return dict(self._parameters)

    def moments(self):
        return dict(self._moments)

    def restore(self, parameters, moments, step):
        self.step = step
        self._parameters = {name: np.asarray(value, np.float64) for name, value in parameters.items()}
        self._moments = dict(moments) or {
            f"{update.name}.{moment}.{name}": np.zeros(shape)
            for update in self.spec.updates
            for moment in ("first", "second")
            for name, shape in self.spec.parameter_shapes(update.networks).items()
        }

    def forward(self, x, noise):
        return self.spec.forward(Networks(self.spec, self._parameters), x, noise)

    def losses(self, x, noise):
        return _floats(self.spec.losses(Networks(self.spec, self._parameters), x, noise))

    def loss_at(self, update, parameters, x, noise):
        """The objective of `update` with `parameters` in place of the current ones."""
        return update.losses(Networks(self.spec, {**self._parameters, **parameters}), x, noise)[update.objective]

    def gradient(self, update, x, noise):
        moved = {name: self._parameters[name] for name in self.spec.parameter_shapes(update.networks)}
        return grad(lambda values: self.loss_at(update, values, x, noise))(moved)

    def gradients(self, x, noise):
        return {
            f"{update.name}.{name}": value
            for update in self.spec.updates
            for name, value in self.gradient(update, x, noise).items()
        }

    def train_step(self, x, noise):
        self.step += 1
        values = {}
        for update in self.spec.updates:
            values |= _floats(update.losses(Networks(self.spec, self._parameters), x, noise))
            for name, gradient in self.gradient(update, x, noise).items():
                first, second = f"{update.name}.first.{name}", f"{update.name}.second.{name}"
                self._parameters[name], self._moments[first], self._moments[second] = adam_update(
                    update.adam,
                    self._parameters[name],
                    gradient,
                    self._moments[first],
                    self._moments[second],
                    self.step,
                )
        return values

    def upload(self, images):
        self._images = images

    def train_steps(self, indices, noise):
        rows = []
        for k, batch in enumerate(indices):
            x = self.spec.scale(self._images[batch].astype(np.float64)).reshape(len(batch), *self.spec.input_shape)
            rows.append(self.train_step(x, {name: value[k] for name, value in noise.items()}))
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}

    def encode(self, x):
        return self.spec.encode(Networks(self.spec, self._parameters), x)

    def reconstruct(self, x, noise):
        return self.spec.reconstruct(Networks(self.spec, self._parameters), x, noise)

    def sample(self, noise):
        return self.spec.sample(Networks(self.spec, self._parameters), noise)


def _floats(values):
    return {name: float(value) for name, value in values.items()}
