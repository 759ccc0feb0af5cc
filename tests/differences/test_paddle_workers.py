"""docs/differences.md, the entries on several processes of Paddle; and how ranks that do not find each other end."""

import json
import socket
import subprocess
import sys

import pytest

from backends.paddle import process, workers  # noqa: F401  # first: they turn static mode on

import paddle  # isort: skip
from paddle import distributed, nn, static  # isort: skip

from common.errors import UsageError
from common.tools.launch import launch
from common.worlds import LOOPBACK, Place, free_ports


def test_an_all_reduce_passes_the_gradient_of_its_own_rank_alone(tmp_path):
    """x is 1 and 2, the sum s = 3 in both ranks, and the sum of both ranks' s³ has the gradient 2 · 3s² = 54 by either x."""
    out = tmp_path / "found.json"
    launch("paddle", 2, "tests.workers.paddle_sums", [str(out)])
    assert json.loads(out.read_text()) == {"total": 3.0, "gradient": 27.0}


def test_a_synchronised_batch_norm_and_a_mean_over_the_ranks_are_a_gpus():
    with static.program_guard(static.Program(), static.Program()):
        x = static.data("x", [4, 3], "float32")
        with pytest.raises(TypeError, match="sync_batch_norm"):
            nn.SyncBatchNorm(3)(x)
        with pytest.raises(AttributeError, match="nccl_version"):
            distributed.all_reduce(paddle.assign(x), op=distributed.ReduceOp.AVG)


def test_the_store_waits_for_a_rank_0_that_is_not_there_longer_than_it_is_told():
    (port,) = free_ports(1)
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run(store(port, leads=False, timeout=1), capture_output=True, timeout=15)


def test_the_store_aborts_the_process_where_its_port_is_taken():
    with socket.create_server(("", 0)) as taken:
        done = subprocess.run(store(taken.getsockname()[1], leads=True, timeout=1), capture_output=True, timeout=60)
    assert done.returncode < 0


def store(port, leads, timeout):
    """The command that opens Paddle's store."""
    code = f"from paddle.base import core; core.TCPStore('{LOOPBACK}', {port}, {leads}, 2, {timeout})"
    return [sys.executable, "-c", code]


@pytest.mark.parametrize(
    "rank, said", [(0, r"rank 1, 2 did not come"), (1, "Connection refused")], ids=["rank 0", "rank 1"]
)
def test_a_rank_that_finds_no_others_says_where(rank, said):
    (port,) = free_ports(1)
    with pytest.raises(UsageError, match=rf"^rank {rank} of 3 found no others at {LOOPBACK}:{port} \(.*{said}.*\)"):
        workers.join(Place(rank, 3, f"{LOOPBACK}:{port}"), "cpu", 0.3)


def test_a_port_that_is_taken_is_told_in_one_line():
    with socket.create_server((LOOPBACK, 0)) as taken:
        address = f"{LOOPBACK}:{taken.getsockname()[1]}"
        with pytest.raises(UsageError, match=f"^rank 0 of 2 found no others at {address} .*in use") as told:
            workers.join(Place(0, 2, address), "cpu", 5.0)
    assert "\n" not in str(told.value)
