"""Canonical names and layouts are PyTorch's own, but for the names of running statistics; arrays in and out."""

from backends.pytorch import process  # noqa: F401  # isort: skip

import numpy as np
import torch
from torch import nn

BUFFERS = {"mean": "running_mean", "variance": "running_var"}


def statistics(model: nn.Module, names) -> dict[str, torch.Tensor]:
    """{"generator.bn0.mean": buffer} for canonical `names`."""
    split = (name.rsplit(".", 1) for name in names)
    return {f"{path}.{kind}": model.get_buffer(f"{path}.{BUFFERS[kind]}") for path, kind in split}


@torch.no_grad()
def write(targets: dict[str, torch.Tensor], arrays) -> None:
    """Each target becomes the array of its name."""
    for name, target in targets.items():
        target.copy_(torch.as_tensor(np.asarray(arrays[name])))


def numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy().copy()  # a CPU tensor's array is a view that later steps would change


def arrays(tensors) -> dict[str, np.ndarray]:
    return {name: numpy(tensor) for name, tensor in tensors.items()}


def floats(tensors) -> dict[str, float]:
    return {name: tensor.item() for name, tensor in tensors.items()}
