"""The oracle as a column: a specification executed in NumPy float64, with gradients by reverse-mode `autograd`."""

import contextlib
from collections.abc import Mapping

import numpy as np
from autograd import grad
from autograd.tracer import getval

from common.contract import Arrays, Snapshot
from common.data.batches import model_inputs
from common.noise import draw_steps
from common.reference.adam import adam_update
from common.reference.momentum import momentum_update
from common.reference.networks import Networks
from common.reference.rmsprop import rmsprop_update
from common.specs.records import Adam, Momentum, RMSProp, Spec, Update

RULES = {Adam.moments: adam_update, Momentum.moments: momentum_update, RMSProp.moments: rmsprop_update}


class Reference:
    """The specification itself, behind the same contract as the four backends (`common.contract.Column`)."""

    def __init__(self, spec: Spec, parameters: Arrays, seed: int = 0):
        self.spec, self.seed = spec, seed
        self.restore(Snapshot.start(spec, parameters))

    def parameters(self) -> Arrays:
        return dict(self._parameters)

    def statistics(self) -> Arrays:
        return dict(self._statistics)

    def moments(self) -> Arrays:
        return dict(self._moments)

    def restore(self, snapshot: Snapshot) -> None:
        self.step = snapshot.step
        self._parameters = _float64(snapshot.parameters)
        self._statistics = _float64(snapshot.statistics)
        self._moments = _float64(snapshot.moments)

    def alone(self) -> contextlib.AbstractContextManager:
        return contextlib.nullcontext()

    def forward(self, inputs: Arrays, noise: Arrays) -> Arrays:
        return self.spec.forward(self._networks(training=True), inputs, noise)

    def losses(self, inputs: Arrays, noise: Arrays) -> dict[str, float]:
        return _floats(self.spec.losses(self._networks(training=True), inputs, noise))

    def loss_at(self, update: Update, parameters: Arrays, inputs: Arrays, noise: Arrays) -> np.number:
        """The objective of `update` with `parameters` in place of the current ones."""
        return update.losses(self._networks(training=True, **parameters), inputs, noise)[update.objective]

    def gradients(self, inputs: Arrays, noise: Arrays) -> Arrays:
        return {
            f"{update.name}.{name}": value
            for update in self.spec.updates
            for name, value in self._gradient(update, inputs, noise, update.networks)[0].items()
        }

    def train_step(self, inputs: Arrays, noise: Arrays) -> dict[str, float]:
        self.step += 1
        values, accumulated, taken = {}, {}, []
        for update in self.spec.updates:
            everything = tuple(network.name for network in self.spec.networks)
            networks = everything if self.spec.accumulates else update.networks
            gradients, losses, statistics = self._gradient(update, inputs, noise, networks)
            values |= losses
            taken.append((update, gradients))
            if self.spec.simultaneous:
                continue
            self._statistics = statistics
            if self.spec.accumulates:
                accumulated = {name: accumulated.get(name, 0) + gradient for name, gradient in gradients.items()}
                gradients = {name: accumulated[name] for name in self.spec.parameter_shapes(update.networks)}
            self._move(update, gradients)
        if self.spec.simultaneous:
            self._statistics = statistics  # of the one pass
            for update, gradients in taken:
                self._move(update, gradients)
        return values

    def _move(self, update, gradients):
        rule = RULES[update.optimizer.moments]
        for name, gradient in gradients.items():
            kept = [f"{update.name}.{moment}.{name}" for moment in update.optimizer.moments]
            moments = [self._moments[one] for one in kept]
            self._parameters[name], *found = rule(
                update.optimizer, self._parameters[name], gradient, *moments, self.step
            )
            self._moments.update(zip(kept, found, strict=True))

    def _gradient(self, update, inputs, noise, networks):
        """(gradients of the update's objective in the parameters of `networks`, its losses, the running statistics after
        its passes)."""
        moved = {name: self._parameters[name] for name in self.spec.parameter_shapes(networks)}
        losses, networks = {}, self._networks(training=True)

        def objective(values):
            networks.parameters = {**self._parameters, **values}
            losses.update(update.losses(networks, inputs, noise))
            return losses[update.objective]

        gradients = grad(objective)(moved)
        return gradients, _floats(losses), {name: getval(value) for name, value in networks.statistics.items()}

    def _networks(self, training, **parameters):
        return Networks(self.spec, self._parameters | parameters, self._statistics, training)

    def upload(self, data: Mapping[str, np.ndarray]) -> None:
        self._data = data

    def train_steps(self, indices: Arrays, noise: Arrays | None = None) -> Arrays:
        count, batch = next(iter(indices.values())).shape
        noise, rows = noise or self.native_noise(count, batch), []
        for k in range(count):
            inputs = model_inputs(self.spec, self._data, {name: rows[k] for name, rows in indices.items()})
            rows.append(self.train_step(inputs, {name: value[k] for name, value in noise.items()}))
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}

    def native_noise(self, count: int, batch: int) -> Arrays:
        return draw_steps(self.spec.noise, batch, self.seed, "training", range(self.step, self.step + count))

    def encode(self, inputs: Arrays) -> np.ndarray:
        return self.spec.encode(self._networks(training=False), inputs)

    def reconstruct(self, inputs: Arrays, noise: Arrays) -> np.ndarray:
        return self.spec.reconstruct(self._networks(training=False), inputs, noise)

    def sample(self, noise: Arrays) -> np.ndarray:
        return self.spec.sample(self._networks(training=False), noise)


def _float64(arrays):
    return {name: np.asarray(value, np.float64) for name, value in arrays.items()}


def _floats(values):
    return {name: float(getval(value)) for name, value in values.items()}
