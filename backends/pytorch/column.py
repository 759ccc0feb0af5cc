"""One PyTorch model behind the contract of `common.contract.Column`: NumPy in, NumPy out."""

from backends.pytorch import process  # isort: skip

import contextlib

import numpy as np
import torch

from backends.pytorch import optimizer, workers
from backends.pytorch.layouts import arrays, floats, numpy, statistics, write
from backends.pytorch.noise import Draws
from backends.pytorch.steps import Steps
from common.contract import Snapshot
from common.errors import UsageError
from common.workers import ALONE

DTYPES = {"float32": torch.float32, "float64": torch.float64}


class Column:
    def __init__(self, spec, module, parameters, *, dtype, device, seed, world=ALONE):
        process.check_device(device)
        self.spec, self.module, self.world = spec, module, world
        self.dtype, self.device = DTYPES[dtype], torch.device(process.DEVICES[device])
        self.state = module.build(spec, self.dtype, self.device)
        self.draws = Draws(spec.noise, seed, self.dtype, self.device)
        self.train_one = module.accumulating_train_step if spec.accumulates else module.train_step
        self.steps = Steps(spec, self._train_one, self.state, self.dtype, self.device)
        if world.count > 1:
            if spec.accumulates:
                raise UsageError(f"{spec.name} lets gradients add up from update to update; train it with one worker")
            workers.share(self.state, spec, world)
        self.restore(Snapshot.start(spec, parameters))

    def _train_one(self, state, inputs, noise):
        return self.train_one(state, inputs, noise)  # which a benchmark may have compiled

    # ------------------------------------------------------------------------- parameters and moments

    def parameters(self):
        return arrays(dict(self.state.model.named_parameters()))

    def statistics(self):
        return arrays(self._statistics())

    def moments(self):
        return arrays(optimizer.moments(self.state.model, self.state.optimizers))

    def restore(self, snapshot):
        self.step = snapshot.step
        self.steps.forget()
        for one in self.state.optimizers.values():
            optimizer.begin(one, snapshot.step)
        write(dict(self.state.model.named_parameters()), snapshot.parameters)
        write(self._statistics(), snapshot.statistics)
        write(optimizer.moments(self.state.model, self.state.optimizers), snapshot.moments)

    def _statistics(self):
        return statistics(self.state.model, self.spec.statistic_shapes())

    # -------------------------------------------------------------------------------- one call, one job

    def forward(self, inputs, noise):
        with self._looking_on(), torch.no_grad():
            return self.world.joined(arrays(self.module.forward(self.state.model, *self._own(inputs, noise))))

    def losses(self, inputs, noise):
        with self._looking_on(), torch.no_grad():
            return self._of_all(self.module.losses(self.state.model, *self._own(inputs, noise)))

    def gradients(self, inputs, noise):
        with self._looking_on():
            values = self.module.losses(self.state.model, *self._own(inputs, noise))
            result = {}
            for update in self.spec.updates:
                optimizer.take(self.state.optimizers[update.name], values[update.objective])
                moved = {n: p for n, p in self.state.model.named_parameters() if n.split(".")[0] in update.networks}
                result |= {f"{update.name}.{name}": numpy(p.grad) for name, p in moved.items()}
            self.state.model.zero_grad(set_to_none=True)
            return result

    def train_step(self, inputs, noise):
        self._follow()
        self.step += 1
        return self._of_all(self.train_one(self.state, *self._own(inputs, noise)))

    def encode(self, inputs):
        with self._evaluating():
            return numpy(self.module.encode(self.state.model, *self._tensors(inputs)))

    def reconstruct(self, inputs, noise):
        with self._evaluating():
            return numpy(self.module.reconstruct(self.state.model, *self._tensors(inputs, noise)))

    def sample(self, noise):
        with self._evaluating():
            return numpy(self.module.sample(self.state.model, *self._tensors(noise)))

    @contextlib.contextmanager
    def _evaluating(self):
        """Evaluation mode, without gradients."""
        self.state.model.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self.state.model.train()

    @contextlib.contextmanager
    def _looking_on(self):
        """Training mode; the running statistics come back as they were."""
        before = self.statistics()
        yield
        write(self._statistics(), before)

    @contextlib.contextmanager
    def alone(self):
        world, self.world = self.world, ALONE
        workers.share_batch_norms(self.state, ALONE)
        try:
            yield
        finally:
            self.world = world
            workers.share_batch_norms(self.state, world)

    # ------------------------------------------------------------------------------------- many steps

    def upload(self, data):
        self.steps.upload(data)

    def train_steps(self, indices, noise=None):
        count, size = next(iter(indices.values())).shape
        own = self.world.own(size)
        indices = {name: torch.from_numpy(rows[:, own]).to(self.device) for name, rows in indices.items()}
        (noise,) = self._tensors(self.world.rows(noise, axis=1)) if noise is not None else (None,)
        rows = []
        for k in range(count):
            if noise is None:  # that of the global batch, of which these are rows
                one = {name: drawn[own] for name, drawn in self.draws(size, self.step).items()}
            else:
                one = {name: given[k] for name, given in noise.items()}
            self._follow()
            rows.append(self.steps({name: batch[k] for name, batch in indices.items()}, one))
            self.step += 1
        table = torch.stack(rows).cpu().numpy()  # read once, after the loop
        losses = {name: table[:, column] for column, name in enumerate(self.steps.loss_names)}
        return self.world.losses(losses, self.spec.reduction)

    def _follow(self):
        if optimizer.follow(self.spec, self.state.optimizers, self.step):
            self.steps.forget()  # graphs, which hold the rates of before

    def native_noise(self, count, batch):
        draws = [self.draws(batch, self.step + k) for k in range(count)]
        return {name: numpy(torch.stack([one[name] for one in draws])) for name in draws[0]}

    def _of_all(self, values):
        return self.world.losses(floats(values), self.spec.reduction)

    def _own(self, *given):
        """Of global inputs or noise this rank's rows."""
        return self._tensors(*(self.world.rows(one) for one in given))

    def _tensors(self, *given):
        kind = {"dtype": self.dtype, "device": self.device}
        return [{name: torch.as_tensor(np.asarray(array), **kind) for name, array in one.items()} for one in given]
