"""docs/differences.md, the entries on several processes of PyTorch."""

import os

import psutil
import pytest

from backends.pytorch import process  # noqa: F401  # isort: skip

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from backends.pytorch.workers import Objective
from common.worlds import LOOPBACK, free_ports


@pytest.fixture
def group():
    """This process as the only rank of a group."""
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def test_a_synchronised_batch_norm_refuses_a_cpu(group):
    with pytest.raises(ValueError, match="SyncBatchNorm expected input tensor to be on"):
        nn.SyncBatchNorm(3)(torch.zeros(4, 3))


def test_the_store_listens_on_all_addresses():
    (port,) = free_ports(1)
    store = distributed.TCPStore(LOOPBACK, port, 1, True)
    found = [
        one.laddr.ip
        for one in psutil.Process(os.getpid()).net_connections("inet")
        if one.status == psutil.CONN_LISTEN and one.laddr.port == port
    ]
    assert found in (["::"], ["0.0.0.0"])
    del store


def test_the_objective_of_an_update_reduces_the_gradients_of_its_own_parameters(group):
    """Two networks; what the loss passes through the second on its way to the first stays what this rank finds: the reducer of one update
    does not hear of the other's parameters."""
    first, second = nn.Linear(2, 2), nn.Linear(2, 1)
    shared = [DistributedDataParallel(Objective(one.parameters(), 3.0), init_sync=False) for one in (first, second)]
    for turn in (0, 1):
        objective = second(first(torch.ones(1, 2))).sum()
        wanted = torch.autograd.grad(objective, [*first.parameters(), *second.parameters()], retain_graph=True)
        for one in (first, second):
            one.zero_grad()
        shared[turn](objective).backward()
        found = [parameter.grad for one in (first, second) for parameter in one.parameters()]
        for a, b in zip(wanted, found, strict=True):
            torch.testing.assert_close(3 * a, b)
