"""Native noise: the random draws of a step, made on the device by PyTorch's own generator."""

from backends.pytorch import process  # noqa: F401  # isort: skip

import numpy as np
import torch
from torch.nn import functional as F

from common.specs.draws import Bernoulli, Normal, OneHot, Uniform


class Draws:
    """The draws that a specification declares, in `dtype` on `device`; those of step k depend on (seed, k) alone."""

    def __init__(self, declared, seed, dtype, device):
        self.declared, self.seed = declared, seed
        self.kind = {"dtype": dtype, "device": device, "generator": torch.Generator(device)}

    def __call__(self, batch: int, step: int) -> dict[str, torch.Tensor]:
        # Seeded per step, so that a resumed run draws what an uninterrupted one would. SeedSequence mixes both numbers
        # into 32 bits, because the CPU generator ignores the upper half of a 64-bit seed.
        seed = np.random.SeedSequence((self.seed, step)).generate_state(1)[0]
        self.kind["generator"].manual_seed(int(seed))
        return {noise.name: self._draw(noise.distribution, (batch, *noise.shape)) for noise in self.declared}

    def _draw(self, distribution, shape):
        match distribution:
            case Normal(mean, std):
                return torch.randn(shape, **self.kind) * std + mean
            case Uniform(low, high):
                return torch.rand(shape, **self.kind) * (high - low) + low
            case Bernoulli(keep):
                return (torch.rand(shape, **self.kind) < keep).to(self.kind["dtype"])
            case OneHot():
                kind = self.kind | {"dtype": torch.int64}
                return F.one_hot(torch.randint(shape[-1], shape[:-1], **kind), shape[-1]).to(self.kind["dtype"])
