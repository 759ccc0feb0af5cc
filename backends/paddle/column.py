"""One Paddle model behind the contract of `common.contract.Column`: NumPy in, NumPy out."""

import contextlib

import numpy as np

from backends.paddle import optimizer, process, workers
from backends.paddle.layouts import Layouts
from backends.paddle.noise import fresh, seeds
from backends.paddle.steps import State, uploaded_name
from common.contract import Snapshot
from common.workers import ALONE


class Column:
    state: State

    def __init__(self, spec, module, parameters, *, dtype, device, seed, world=ALONE):
        process.check_device(device)
        self.spec, self.module, self.dtype, self.seed, self.world = spec, module, dtype, seed, world
        self.layouts = Layouts(spec)
        with workers.sharing(world, spec.reduction):
            self.state = module.build(spec, dtype, device)
        self.state.complete(module, world)
        self.restore(Snapshot.start(spec, parameters))

    # ------------------------------------------------------------------------- parameters and moments

    def parameters(self):
        return {name: self._read(name) for name in self.spec.parameter_shapes()}

    def statistics(self):
        return {name: self._read(name) for name in self.spec.statistic_shapes()}

    def moments(self):
        return {name: self._read(of, variable) for name, (variable, of) in optimizer.moments(self.spec).items()}

    def restore(self, snapshot):
        self.step = snapshot.step
        for name, array in (snapshot.parameters | snapshot.statistics).items():
            self._write(name, self.layouts.to_paddle(name, array))
        for name, (variable, of) in optimizer.moments(self.spec).items():
            self._write(variable, self.layouts.to_paddle(of, snapshot.moments[name]))
        for variable, power in optimizer.powers(self.spec, self.step, self.dtype):
            self._write(variable, power)

    def _read(self, name, variable=None):
        """The array of `variable`, which is laid out as the parameter or running statistic `name`; of `name` itself."""
        return self.layouts.to_canonical(name, self._tensor(variable or name))

    def _write(self, variable, array):
        self._tensor(variable).set(np.asarray(array, self.dtype), self.state.place)

    def _tensor(self, variable):
        return self.state.scope.find_var(variable).get_tensor()

    # -------------------------------------------------------------------------------- one call, one job

    def forward(self, inputs, noise):
        return self.world.joined(self._look("forward", inputs, noise))

    def losses(self, inputs, noise):
        return self._of_all(self._look("losses", inputs, noise))

    def gradients(self, inputs, noise):
        result = {}
        workers.meet(self.world)
        for update in self.spec.updates:
            for name, value in self._look(f"{update.name}.gradients", inputs, noise).items():
                result[f"{update.name}.{name}"] = self.layouts.to_canonical(name, value)
        return result

    def train_step(self, inputs, noise):
        self._follow(self.step)
        self.step += 1
        workers.meet(self.world)
        return self._of_all(self.module.train_step(self.state, self.world.rows(inputs), self.world.rows(noise)))

    def encode(self, inputs):
        return self.state.run("encode", inputs)["encode"]

    def reconstruct(self, inputs, noise):
        return self.state.run("reconstruct", inputs, noise)["reconstruct"]

    def sample(self, noise):
        return self.state.run("sample", noise=noise)["sample"]

    def _look(self, job, inputs, noise):
        """Run a Program in training mode; the running statistics, which it moves, come back as they were."""
        before = self.statistics()
        values = self.state.run(job, self.world.rows(inputs), self.world.rows(noise))
        for name, array in before.items():
            self._write(name, array)
        return values

    def _of_all(self, values):
        return {name: float(value) for name, value in self.world.losses(values, self.spec.reduction).items()}

    @contextlib.contextmanager
    def alone(self):
        world, self.world = self.world, ALONE
        try:
            yield
        finally:
            self.world = world

    # ------------------------------------------------------------------------------------- many steps

    def upload(self, data):
        for source in {one.source for one in self.spec.inputs}:
            # Images one a row, so that a Program need not know their sides.
            array = np.ascontiguousarray(data[source]).reshape(len(data[source]), -1)
            array = array[:, 0] if source == "labels" else array
            self.state.scope.var(uploaded_name(source)).get_tensor().set(array, self.state.place)

    def train_steps(self, indices, noise=None):
        # One run per update: several updates unrolled in one Program are no faster.
        rows, indices = [], self.world.rows(indices, axis=1)
        noise = noise and self.world.rows(noise, axis=1)
        workers.meet(self.world)
        for k in range(len(next(iter(indices.values())))):
            self._seed(self.step)
            self._follow(self.step)
            inputs = {f"{name}.indices": batch[k] for name, batch in indices.items()}
            one = {name: value[k] for name, value in noise.items()} if noise is not None else None
            rows.append(self.module.train_step(self.state, inputs, one))
            self.step += 1
        losses = {name: np.array([row[name] for row in rows]) for name in rows[0]}
        return self.world.losses(losses, self.spec.reduction)

    def native_noise(self, count, batch):
        draws, rows = [], {f"{self.spec.rows[0]}.indices": np.zeros(batch)}
        for step in range(self.step, self.step + count):
            self._seed(step)
            draws.append({})
            for name in fresh(self.spec):
                draws[-1] |= self.state.run(f"{name}.noise", rows)
        return {name: np.stack([one[name] for one in draws]) for name in draws[0]}

    def _follow(self, step):
        for variable, rate in optimizer.rates(self.spec, step):
            self._write(variable, [rate])

    def _seed(self, step):
        found = seeds(self.spec, self.seed, step)
        self.state.noise_seeds = found | {f"{name}.noise": one for name, one in found.items()}
