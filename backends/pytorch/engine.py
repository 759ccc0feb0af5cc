"""The PyTorch engine: everything about running a model that does not depend on the model.

Canonical layouts are PyTorch's own, and so are the names, but for those of running statistics. Eager mode with the fused
Adam; the data set sits on the device as uint8 and each step gathers and scales its batch there. On a GPU, many steps
are launches of one CUDA graph.
"""

import contextlib
import itertools
import os
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from common.contract import Snapshot
from common.environment import amd_processor
from common.errors import UsageError
from common.specs.records import Bernoulli, Normal, OneHot, Uniform

# On AMD processors MKL multiplies float32 matrices on its AVX2 path; oneDNN, which PyTorch brings for convolutions, is
# twice as fast. PyTorch hands it the products of those who permit bfloat16 inside. It is held to instructions without
# bfloat16, so that it computes them in float32 all the same (it reads this when it is first used).
if amd_processor():
    os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX512_CORE"
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"
# TF32 rounds float32 inputs to 10 bits of mantissa on recent GPUs; PyTorch leaves it on for convolutions.
torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False


# PyTorch's names of a batch norm's running statistics.
BUFFERS = {"mean": "running_mean", "variance": "running_var"}


@dataclass
class State:
    """A model and one optimiser per update of the specification; `train_step` changes both in place."""

    model: nn.Module
    optimizers: dict[str, torch.optim.Adam]


def adam(update, model):
    """PyTorch's Adam, restricted to the update's networks. It is Algorithm 1 as it stands; weight_decay is coupled L2."""
    parameters = itertools.chain.from_iterable(model.get_submodule(name).parameters() for name in update.networks)
    return torch.optim.Adam(
        parameters,
        lr=update.adam.learning_rate,
        betas=(update.adam.beta1, update.adam.beta2),
        eps=update.adam.epsilon,
        weight_decay=update.adam.l2,
        fused=True,
        capturable=next(model.parameters()).is_cuda,  # in a CUDA graph
    )


def has_gpu():
    return torch.cuda.is_available()


class Column:
    """One model in PyTorch, behind the contract of `common.contract.Column`."""

    def __init__(self, spec, module, parameters, *, dtype, device, seed):
        if device == "gpu" and not has_gpu():
            raise UsageError("device 'gpu' was asked for, but PyTorch finds no CUDA device; use --device cpu")
        self.spec, self.module, self.seed = spec, module, seed
        self.train_one = module.accumulating_train_step if spec.accumulates else module.train_step
        self.dtype = {"float32": torch.float32, "float64": torch.float64}[dtype]
        self.device = torch.device({"cpu": "cpu", "gpu": "cuda"}[device])
        self.generator = torch.Generator(self.device)
        self.state = module.build(spec, self.dtype, self.device)
        self.restore(Snapshot.start(spec, parameters))

    # ------------------------------------------------------------------------- parameters and moments

    def parameters(self):
        return {name: _numpy(value) for name, value in self.state.model.named_parameters()}

    def statistics(self):
        return {name: _numpy(value) for name, value in self._statistics().items()}

    def moments(self):
        return {name: _numpy(value) for name, value in self._moments().items()}

    def restore(self, snapshot):
        self.step = snapshot.step
        self.graphs = {}  # by batch; they hold the addresses of moments that are replaced here
        for update in self.spec.updates:
            optimizer = self.state.optimizers[update.name]
            for parameter in optimizer.param_groups[0]["params"]:
                # What Adam itself creates at its first step; fused Adam keeps the count on the parameter's device.
                optimizer.state[parameter] = {
                    "step": torch.tensor(float(snapshot.step), device=self.device),
                    "exp_avg": torch.empty_like(parameter),
                    "exp_avg_sq": torch.empty_like(parameter),
                }
        _copy(dict(self.state.model.named_parameters()), snapshot.parameters)
        _copy(self._statistics(), snapshot.statistics)
        _copy(self._moments(), snapshot.moments)

    def _statistics(self):
        names = (name.rsplit(".", 1) for name in self.spec.statistic_shapes())
        return {f"{path}.{kind}": self.state.model.get_buffer(f"{path}.{BUFFERS[kind]}") for path, kind in names}

    def _moments(self):
        names = {parameter: name for name, parameter in self.state.model.named_parameters()}
        return {
            f"{update}.{moment}.{names[parameter]}": optimizer.state[parameter][key]
            for update, optimizer in self.state.optimizers.items()
            for moment, key in (("first", "exp_avg"), ("second", "exp_avg_sq"))
            for parameter in optimizer.param_groups[0]["params"]
        }

    # -------------------------------------------------------------------------------- one call, one job

    def forward(self, x, noise):
        with self._looking_on():
            return _arrays(self.module.forward(self.state.model, self._tensor(x), self._tensors(noise)))

    def losses(self, x, noise):
        with self._looking_on():
            return _floats(self.module.losses(self.state.model, self._tensor(x), self._tensors(noise)))

    def gradients(self, x, noise):
        with self._looking_on(), torch.enable_grad():
            values = self.module.losses(self.state.model, self._tensor(x), self._tensors(noise))
            result = {}
            for update in self.spec.updates:
                moved = {n: p for n, p in self.state.model.named_parameters() if n.split(".")[0] in update.networks}
                gradients = torch.autograd.grad(values[update.objective], list(moved.values()), retain_graph=True)
                result |= {f"{update.name}.{name}": _numpy(g) for name, g in zip(moved, gradients, strict=True)}
            return result

    def train_step(self, x, noise):
        self.step += 1
        return _floats(self.train_one(self.state, self._tensor(x), self._tensors(noise)))

    def encode(self, x):
        with self._evaluating():
            return _numpy(self.module.encode(self.state.model, self._tensor(x)))

    def reconstruct(self, x, noise):
        with self._evaluating():
            return _numpy(self.module.reconstruct(self.state.model, self._tensor(x), self._tensors(noise)))

    def sample(self, noise):
        with self._evaluating():
            return _numpy(self.module.sample(self.state.model, self._tensors(noise)))

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
        """Training mode, without gradients; the running statistics come back as they were."""
        before = {name: buffer.clone() for name, buffer in self._statistics().items()}
        with torch.no_grad():
            yield
            for name, buffer in self._statistics().items():
                buffer.copy_(before[name])

    # ------------------------------------------------------------------------------------- many steps

    def upload(self, images):
        self.images = torch.tensor(images, device=self.device)  # a copy: from_numpy would share the memory
        self.graphs = {}

    def train_steps(self, indices, noise=None):
        indices = torch.from_numpy(indices).to(self.device)
        noise = self._tensors(noise) if noise is not None else None
        rows = []
        for k, batch in enumerate(indices):
            one = {n: v[k] for n, v in noise.items()} if noise is not None else self._draw(len(batch), self.step)
            rows.append(self._many(batch, one)(batch, one))  # read once, after the loop
            self.step += 1
        table = torch.stack(rows).cpu().numpy()
        return {name: table[:, column] for column, name in enumerate(self.loss_names)}

    def _many(self, batch, noise):
        """One of many steps, as a CUDA graph where there is a GPU."""
        if self.device.type == "cpu" or self.spec.accumulates:  # gradients that live on are not a graph's own
            return self._one_of_many
        if len(batch) not in self.graphs:
            self.graphs[len(batch)] = Graph(self._one_of_many, self.state, batch, noise)
        return self.graphs[len(batch)]

    def _one_of_many(self, batch, noise):
        x = self.spec.scale(self.images[batch].to(self.dtype)).reshape(len(batch), *self.spec.input_shape)
        values = self.train_one(self.state, x, noise)
        self.loss_names = list(values)
        return torch.stack([value.detach() for value in values.values()])

    def native_noise(self, count, batch):
        draws = [self._draw(batch, self.step + k) for k in range(count)]
        return {name: _numpy(torch.stack([one[name] for one in draws])) for name in draws[0]}

    def _draw(self, batch, step):
        # Seeded per step, so that a resumed run draws what an uninterrupted one would. SeedSequence mixes both numbers
        # into 32 bits, because the CPU generator ignores the upper half of a 64-bit seed.
        self.generator.manual_seed(int(np.random.SeedSequence((self.seed, step)).generate_state(1)[0]))
        return {noise.name: self._draw_one(noise.distribution, (batch, *noise.shape)) for noise in self.spec.noise}

    def _draw_one(self, distribution, shape):
        kind = {"dtype": self.dtype, "device": self.device, "generator": self.generator}
        match distribution:
            case Normal(mean, std):
                return torch.randn(shape, **kind) * std + mean
            case Uniform(low, high):
                return torch.rand(shape, **kind) * (high - low) + low
            case Bernoulli(keep):
                return (torch.rand(shape, **kind) < keep).to(self.dtype)
            case OneHot():
                classes = torch.randint(shape[-1], shape[:-1], device=self.device, generator=self.generator)
                return nn.functional.one_hot(classes, shape[-1]).to(self.dtype)

    def _tensor(self, array):
        return torch.as_tensor(np.asarray(array), dtype=self.dtype, device=self.device)

    def _tensors(self, arrays):
        return {name: self._tensor(array) for name, array in arrays.items()}


class Graph:
    """`step(batch, noise)` as one CUDA graph, for inputs of these shapes: a call copies its inputs into place, launches all
    kernels at once, and returns a copy of the output.

    The graph keeps the addresses of what it was captured with: parameters, moments and images must be changed in place.
    """

    def __init__(self, step, state, batch, noise):
        self.batch, self.noise = batch.clone(), {name: value.clone() for name, value in noise.items()}
        before = [tensor.detach().clone() for tensor in _moved(state)]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):  # libraries allocate at first use, which cannot be captured
                step(self.batch, self.noise)
        torch.cuda.current_stream().wait_stream(stream)
        state.model.zero_grad(set_to_none=True)  # the graph's own gradients lie in its own memory
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.output = step(self.batch, self.noise)
        with torch.no_grad():
            for tensor, value in zip(_moved(state), before, strict=True):
                tensor.copy_(value)

    def __call__(self, batch, noise):
        self.batch.copy_(batch)
        for name, place in self.noise.items():
            place.copy_(noise[name])
        self.graph.replay()
        return self.output.clone()


def _moved(state):
    """All that a training step changes."""
    yield from state.model.parameters()
    yield from state.model.buffers()
    for optimizer in state.optimizers.values():
        for kept in optimizer.state.values():
            yield from kept.values()


@torch.no_grad()
def _copy(targets, arrays):
    for name, target in targets.items():
        target.copy_(torch.as_tensor(np.asarray(arrays[name])))


def _numpy(tensor):
    return tensor.detach().cpu().numpy().copy()  # a CPU tensor's array is a view that later steps would change


def _arrays(tensors):
    return {name: _numpy(tensor) for name, tensor in tensors.items()}


def _floats(tensors):
    return {name: tensor.item() for name, tensor in tensors.items()}
