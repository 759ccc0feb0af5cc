"""What stands in a model file in place of PyTorch's own, because that means something else or is not exact in float64."""

from backends.pytorch import process  # noqa: F401  # isort: skip

import torch
from torch import nn
from torch.nn import functional as F


class BatchNorm(nn.Module):
    """nn.BatchNorm keeps an unbiased variance among its running statistics, the other frameworks a biased one: other
    numbers in float32 too. `momentum` is what is kept of them, where PyTorch names what is taken of the batch's."""

    def __init__(self, features, momentum, epsilon):
        super().__init__()
        self.momentum, self.epsilon = momentum, epsilon
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))

    def forward(self, x):
        kept = (self.running_mean, self.running_var)
        if not self.training:
            return F.batch_norm(x, *kept, self.weight, self.bias, False, 0.0, self.epsilon)
        with torch.no_grad():
            variance, mean = torch.var_mean(x, (0, *range(2, x.dim())), correction=0)
            self.running_mean.lerp_(mean, 1 - self.momentum)
            self.running_var.lerp_(variance, 1 - self.momentum)
        return F.batch_norm(x, None, None, self.weight, self.bias, True, 0.0, self.epsilon)
