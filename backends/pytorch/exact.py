"""What stands in a model file in place of PyTorch's own, because that means something else or is not exact in float64."""

from backends.pytorch import process  # noqa: F401  # isort: skip

import torch
from torch import distributed, nn
from torch.nn import functional as F


class BatchNorm(nn.Module):
    """nn.BatchNorm keeps an unbiased variance among its running statistics, the other frameworks a biased one: other
    numbers in float32 too. `momentum` is what is kept of them, where PyTorch names what is taken of the batch's. With several
    `workers` the batch is that of all ranks, on a CPU too, which nn.SyncBatchNorm refuses."""

    def __init__(self, features, momentum, epsilon):
        super().__init__()
        self.momentum, self.epsilon, self.workers = momentum, epsilon, 1
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))

    def forward(self, x):
        kept = (self.running_mean, self.running_var)
        if not self.training:
            return F.batch_norm(x, *kept, self.weight, self.bias, False, 0.0, self.epsilon)
        others = (0, *range(2, x.dim()))
        if self.workers > 1:
            mean = Sum.apply(x.mean(others)) / self.workers
            centred = x - _per_feature(mean, x)
            variance = Sum.apply((centred**2).mean(others)) / self.workers
            self._move(mean.detach(), variance.detach())
            scale = self.weight * torch.rsqrt(variance + self.epsilon)
            return centred * _per_feature(scale, x) + _per_feature(self.bias, x)
        with torch.no_grad():
            variance, mean = torch.var_mean(x, others, correction=0)
        self._move(mean, variance)
        return F.batch_norm(x, None, None, self.weight, self.bias, True, 0.0, self.epsilon)

    def _move(self, mean, variance):
        self.running_mean.lerp_(mean, 1 - self.momentum)
        self.running_var.lerp_(variance, 1 - self.momentum)


def _per_feature(values, x):
    """values (C,) beside x (B, C, ...)."""
    return values.reshape(-1, *(1 for _ in x.shape[2:]))


class Sum(torch.autograd.Function):
    """The sum over all ranks, whose gradient is that of the sum of all ranks' losses."""

    @staticmethod
    def forward(context, x):
        x = x.clone()
        distributed.all_reduce(x)
        return x

    @staticmethod
    def backward(context, gradient):
        gradient = gradient.clone()
        distributed.all_reduce(gradient)
        return gradient
