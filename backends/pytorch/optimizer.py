"""The optimisers of the specification, as PyTorch's users have them, and how their state is found."""

from backends.pytorch import process  # noqa: F401  # isort: skip

import itertools

import torch
from torch import nn

from common.specs import records

OPTIMIZERS = (records.Adam,)  # that are written here


def adam(update, model):
    """PyTorch's Adam, restricted to the update's networks. It is Algorithm 1 as it stands; weight_decay is coupled L2."""
    parameters = itertools.chain.from_iterable(model.get_submodule(name).parameters() for name in update.networks)
    return torch.optim.Adam(
        parameters,
        lr=update.optimizer.learning_rate,
        betas=(update.optimizer.beta1, update.optimizer.beta2),
        eps=update.optimizer.epsilon,
        weight_decay=update.optimizer.l2,
        fused=True,
        capturable=next(model.parameters()).is_cuda,  # in a CUDA graph
    )


def update(optimizer, loss):
    """One step of `optimizer` on `loss`, by its parameters alone; gradients that other losses left are cleared first."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def begin(optimizer: torch.optim.Adam, count: int) -> None:
    """Give every parameter what Adam itself creates at its first step, with `count` steps done and moments to be written."""
    for parameter in optimizer.param_groups[0]["params"]:
        optimizer.state[parameter] = {
            "step": torch.tensor(float(count), device=parameter.device),  # fused Adam keeps it on the device
            "exp_avg": torch.empty_like(parameter),
            "exp_avg_sq": torch.empty_like(parameter),
        }


def moments(model: nn.Module, optimizers: dict[str, torch.optim.Adam]) -> dict[str, torch.Tensor]:
    """{"train.first.encoder.fc0.weight": ...} of every optimiser, by its update's name."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {
        f"{update}.{moment}.{names[parameter]}": optimizer.state[parameter][key]
        for update, optimizer in optimizers.items()
        for moment, key in (("first", "exp_avg"), ("second", "exp_avg_sq"))
        for parameter in optimizer.param_groups[0]["params"]
    }
