"""The PyTorch engine: everything about running a model that does not depend on the model.

Canonical names and layouts are PyTorch's own, so parameters pass in and out untranslated. Eager mode with the fused
Adam; the data set sits on the device as uint8 and each step gathers and scales its batch there.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from common.errors import UsageError
from common.specs.records import Bernoulli, Normal, Uniform

# TF32 rounds float32 inputs to 10 bits of mantissa on recent GPUs; PyTorch leaves it on for convolutions.
torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False


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
    )


def has_gpu():
    return torch.cuda.is_available()


class Column:
    """One model in PyTorch, behind the contract of `common.contract.Column`."""

    def __init__(self, spec, module, parameters, *, dtype, device, seed):
        if device == "gpu" and not has_gpu():
            raise UsageError("device 'gpu' was asked for, but PyTorch finds no CUDA device; use --device cpu")
        self.spec, self.module, self.seed = spec, module, seed
        self.dtype = {"float32": torch.float32, "float64": torch.float64}[dtype]
        self.device = torch.device({"cpu": "cpu", "gpu": "cuda"}[device])
        self.generator = torch.Generator(self.device)
        self.state = module.build(spec, self.dtype, self.device)
        self.restore(parameters, {}, 0)

    # ------------------------------------------------------------------------- parameters and moments

    def parameters(self):
        return {name: _numpy(value) for name, value in self.state.model.named_parameters()}

    def moments(self):
        return {name: _numpy(value) for name, value in self._moments().items()}

    def restore(self, parameters, moments, step):
        self.step = step
        _copy(dict(self.state.model.named_parameters()), parameters)
        for update in self.spec.updates:
            optimizer = self.state.optimizers[update.name]
            for parameter in optimizer.param_groups[0]["params"]:
                # What Adam itself creates at its first step; fused Adam keeps the count on the parameter's device.
                optimizer.state[parameter] = {
                    "step": torch.tensor(float(step), device=self.device),
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }
        if moments:
            _copy(self._moments(), moments)

    def _moments(self):
        names = {parameter: name for name, parameter in self.state.model.named_parameters()}
        return {
            f"{update}.{moment}.{names[parameter]}": optimizer.state[parameter][key]
            for update, optimizer in self.state.optimizers.items()
            for moment, key in (("first", "exp_avg"), ("second", "exp_avg_sq"))
            for parameter in optimizer.param_groups[0]["params"]
        }

    # -------------------------------------------------------------------------------- one call, one job

    @torch.no_grad()
    def forward(self, x, noise):
        return _arrays(self.module.forward(self.state.model, self._tensor(x), self._tensors(noise)))

    @torch.no_grad()
    def losses(self, x, noise):
        return _floats(self.module.losses(self.state.model, self._tensor(x), self._tensors(noise)))

    def gradients(self, x, noise):
        values = self.module.losses(self.state.model, self._tensor(x), self._tensors(noise))
        result = {}
        for update in self.spec.updates:
            moved = {n: p for n, p in self.state.model.named_parameters() if n.split(".")[0] in update.networks}
            gradients = torch.autograd.grad(values[update.objective], list(moved.values()), retain_graph=True)
            result |= {f"{update.name}.{name}": _numpy(g) for name, g in zip(moved, gradients, strict=True)}
        return result

    def train_step(self, x, noise):
        self.step += 1
        return _floats(self.module.train_step(self.state, self._tensor(x), self._tensors(noise)))

    @torch.no_grad()
    def encode(self, x):
        return _numpy(self.module.encode(self.state.model, self._tensor(x)))

    @torch.no_grad()
    def reconstruct(self, x, noise):
        return _numpy(self.module.reconstruct(self.state.model, self._tensor(x), self._tensors(noise)))

    @torch.no_grad()
    def sample(self, noise):
        return _numpy(self.module.sample(self.state.model, self._tensors(noise)))

    # ------------------------------------------------------------------------------------- many steps

    def upload(self, images):
        self.images = torch.tensor(images, device=self.device)  # a copy: from_numpy would share the memory

    def train_steps(self, indices, noise=None):
        indices = torch.from_numpy(indices).to(self.device)
        noise = self._tensors(noise) if noise is not None else None
        rows = []
        for k, batch in enumerate(indices):
            x = self.spec.scale(self.images[batch].to(self.dtype)).reshape(len(batch), *self.spec.input_shape)
            one = {n: v[k] for n, v in noise.items()} if noise is not None else self._draw(len(batch), self.step)
            values = self.module.train_step(self.state, x, one)
            rows.append(torch.stack([value.detach() for value in values.values()]))  # read once, after the loop
            self.step += 1
        table = torch.stack(rows).cpu().numpy()
        return {name: table[:, column] for column, name in enumerate(values)}

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

    def _tensor(self, array):
        return torch.as_tensor(np.asarray(array), dtype=self.dtype, device=self.device)

    def _tensors(self, arrays):
        return {name: self._tensor(array) for name, array in arrays.items()}


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
