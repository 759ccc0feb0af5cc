"""The optimisers of the specification, as PyTorch's users have them, and how their state is found."""

from backends.pytorch import process  # noqa: F401  # isort: skip

import itertools

import torch
from torch import nn

from common.specs import records
from common.specs.records import Spec

OPTIMIZERS = (records.Adam, records.Momentum, records.RMSProp)  # that are written here
KEPT = {
    "first": "exp_avg",
    "second": "exp_avg_sq",
    "velocity": "momentum_buffer",
    "square": "square_avg",
}  # by PyTorch's names


def create(update, model):
    """The update's optimiser, as the specification has it."""
    rules = {records.Adam: adam, records.Momentum: momentum, records.RMSProp: rmsprop}
    return rules[type(update.optimizer)](update, model)


def adam(update, model):
    """PyTorch's Adam, restricted to the update's networks. It is Algorithm 1 as it stands; weight_decay is coupled L2."""
    return torch.optim.Adam(
        _parameters(update, model),
        lr=update.optimizer.learning_rate,
        betas=(update.optimizer.beta1, update.optimizer.beta2),
        eps=update.optimizer.epsilon,
        weight_decay=update.optimizer.l2,
        fused=True,
        capturable=next(model.parameters()).is_cuda,  # in a CUDA graph
    )


def momentum(update, model):
    """PyTorch's SGD, restricted to the update's networks; `follow` sets its rate."""
    return torch.optim.SGD(
        _parameters(update, model),
        lr=update.optimizer.learning_rate,
        momentum=update.optimizer.momentum,
        dampening=0.0,
        weight_decay=0.0,
        nesterov=False,
        fused=True,
    )


def rmsprop(update, model):
    """PyTorch's RMSprop, restricted to the update's networks: ε stands outside the root in it."""
    return torch.optim.RMSprop(
        _parameters(update, model),
        lr=update.optimizer.learning_rate,
        alpha=update.optimizer.decay,
        eps=update.optimizer.epsilon,
        weight_decay=0.0,
        momentum=0.0,
        centered=False,
        foreach=True,
        capturable=next(model.parameters()).is_cuda,  # in a CUDA graph
    )


def _parameters(update, model):
    return itertools.chain.from_iterable(model.get_submodule(name).parameters() for name in update.networks)


def follow(spec: Spec, optimizers: dict[str, torch.optim.Optimizer], done: int) -> bool:
    """Give every optimiser whose rate falls in steps that of the update after `done`; whether any was given another."""
    changed = False
    for update in spec.updates:
        if isinstance(update.optimizer, records.Momentum):
            (group,) = optimizers[update.name].param_groups
            rate = update.optimizer.learning_rate * update.optimizer.steps.factor(done)
            changed |= rate != group["lr"]
            group["lr"] = rate
    return changed


def update(optimizer, loss):
    """One step of `optimizer` on `loss`, by its parameters alone; gradients that other losses left are cleared first."""
    optimizer.zero_grad(set_to_none=True)
    of_all_ranks(optimizer, loss).backward()
    optimizer.step()


def update_all(optimizers, objectives):
    """One step of every optimiser on its objective, by its parameters alone; all gradients are taken before any of them
    moves."""
    for name, optimizer in optimizers.items():
        take(optimizer, objectives[name])
    for optimizer in optimizers.values():
        optimizer.step()


def take(optimizer, objective):
    """Leave the objective's gradient in the optimiser's parameters, and in no others."""
    optimizer.zero_grad(set_to_none=True)
    of_all_ranks(optimizer, objective).backward(inputs=optimizer.param_groups[0]["params"], retain_graph=True)


def of_all_ranks(optimizer, objective):
    """The objective, whose gradients are averaged over all ranks on their way back where there are several (workers.share)."""
    return optimizer.shared(objective) if hasattr(optimizer, "shared") else objective


def begin(optimizer: torch.optim.Optimizer, count: int) -> None:
    """Give every parameter what the optimiser itself creates at its first step, with `count` steps done and moments to be
    written."""
    for parameter in optimizer.param_groups[0]["params"]:
        if isinstance(optimizer, torch.optim.SGD):
            optimizer.state[parameter] = {"momentum_buffer": torch.empty_like(parameter)}
            continue
        kept = ("square_avg",) if isinstance(optimizer, torch.optim.RMSprop) else ("exp_avg", "exp_avg_sq")
        step = torch.tensor(float(count), device=parameter.device)  # fused Adam keeps it on the device
        optimizer.state[parameter] = {"step": step} | {name: torch.empty_like(parameter) for name in kept}


def moments(model: nn.Module, optimizers: dict[str, torch.optim.Optimizer]) -> dict[str, torch.Tensor]:
    """{"train.first.encoder.fc0.weight": ...} of every optimiser, by its update's name."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {
        f"{update}.{moment}.{names[parameter]}": optimizer.state[parameter][key]
        for update, optimizer in optimizers.items()
        for moment, key in KEPT.items()
        for parameter in optimizer.param_groups[0]["params"]
        if key in optimizer.state[parameter]
    }
