"""Several processes that train one model: DistributedDataParallel, with gloo on CPUs and NCCL on GPUs, under `torchrun` or
whatever else sets RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT."""

from backends.pytorch import process  # isort: skip

import datetime
import os
import socket

import numpy as np
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from backends.pytorch.exact import BatchNorm
from common.meeting import not_met
from common.workers import World
from common.worlds import LOOPBACK, Place

BATCH_NORM = {"cpu": "global", "gpu": "global"}
LOST = (RuntimeError,)  # what an operation raises when another rank is gone


def join(place: Place, device: str, timeout: float) -> World:
    """Meet the other ranks, for `timeout` seconds at most. Raises UsageError, which says where, if they do not come."""
    if place.address.startswith(f"{LOOPBACK}:"):
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    kind, where = ("nccl" if device == "gpu" else "gloo"), torch.device(process.DEVICES[device])
    if device == "gpu":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", place.rank)) % torch.cuda.device_count())
    span = datetime.timedelta(seconds=timeout)
    try:
        store = None if "TORCHELASTIC_RUN_ID" in os.environ else _store(place, span)  # torchrun has one, and says where
        meeting = {"store": store} if store else {"init_method": "env://"}
        distributed.init_process_group(kind, rank=place.rank, world_size=place.count, timeout=span, **meeting)
        distributed.barrier()
    except (
        RuntimeError,
        ValueError,
        OSError,
    ) as error:  # DistStoreError, DistNetworkError and gloo's are RuntimeErrors
        raise not_met(place, error) from None

    def total(array):
        tensor = torch.from_numpy(np.array(array, order="C")).to(where)
        distributed.all_reduce(tensor)
        return tensor.cpu().numpy()

    return World(place.rank, place.count, total)


def _store(place, span):
    """Where the ranks meet: kept by rank 0, which listens at the place's own address; TCPStore by itself would at all."""
    host, _, port = place.address.rpartition(":")
    if place.rank:
        return distributed.TCPStore(host, int(port), place.count, False, span)
    listener = socket.create_server((host, int(port)))
    return distributed.TCPStore(host, int(port), place.count, True, span, master_listen_fd=listener.detach())


def leave() -> None:
    """Say goodbye to the other ranks, once all have come so far."""
    distributed.barrier()
    distributed.destroy_process_group()


class Objective(nn.Module):
    """What DistributedDataParallel wraps for one update: it passes the objective on, a model of several networks being none whose
    forward pass DDP could wrap. DDP averages; of losses that are summed over the batch it has to be the sum."""

    def __init__(self, parameters, factor):
        super().__init__()
        self.parameters_of_the_update, self.factor = nn.ParameterList(parameters), factor

    def forward(self, objective):
        return objective * self.factor


def share(state, spec, world: World) -> None:
    """Have every update's gradients averaged over the ranks on their way back, and batch norms see all rows."""
    for optimizer in state.optimizers.values():
        objective = Objective(optimizer.param_groups[0]["params"], world.count if spec.reduction == "sum" else 1)
        optimizer.shared = DistributedDataParallel(objective, init_sync=False)  # all ranks start from the same
    share_batch_norms(state, world)


def share_batch_norms(state, world: World) -> None:
    """Have batch norms see the rows of all ranks of `world`."""
    for module in state.model.modules():
        if isinstance(module, BatchNorm):
            module.workers = world.count
