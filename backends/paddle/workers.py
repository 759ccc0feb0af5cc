"""Several processes that train one model: an all-reduce in every update's Program, by gloo on CPUs and NCCL on GPUs, under
`paddle.distributed.launch` or whatever else sets PADDLE_TRAINER_ID, PADDLE_TRAINERS_NUM and PADDLE_MASTER."""

from backends.paddle import process  # isort: skip

import math
import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import numpy as np
import paddle
from paddle import distributed

from backends.paddle.exact import tensor
from common.meeting import Meeting, not_met
from common.workers import ALONE, World
from common.worlds import Place

# Of an all-reduce in a static Program Paddle knows no gradient, nor has nn.SyncBatchNorm any on a CPU.
BATCH_NORM = {"cpu": "per replica", "gpu": "per replica"}
LOST = (RuntimeError,)  # what an operation raises when another rank is gone
RING = "0"  # the connections that `distributed.all_reduce` takes in a Program

# ------------------------------------------------------------------------------- the others, and where they are


def join(place: Place, device: str, timeout: float) -> World:
    """Meet the other ranks, for `timeout` seconds at most. Raises UsageError, which says where, if they do not come."""
    global _meeting
    if device == "gpu":
        chosen = os.environ.get("FLAGS_selected_gpus")  # by paddle.distributed.launch, one for each of its processes
        process.use_gpu(int(chosen) if chosen else place.rank % paddle.device.cuda.device_count())
    _meeting = Meeting(place, timeout)
    try:
        _connect(place, device, timeout)
    except (OSError, RuntimeError, ValueError, SystemError) as error:  # the last two are what Paddle's store raises
        raise not_met(place, error) from None
    return World(place.rank, place.count, _total(device))


def leave() -> None:
    """Say goodbye to the other ranks."""
    _meeting.hold()
    _meeting.close()


def meet(world: World) -> None:
    """Wait for all ranks of `world`, before a call in which they compute something together. Raises RuntimeError if one is gone."""
    if world.count > 1:
        _meeting.hold()


# gloo waits 30 seconds and cannot be told to wait longer, as it must while rank 0 evaluates; Paddle's store takes 40 ms for a word, and
# waits without end for a rank 0 that is not there.
_meeting: Meeting | None = None  # Paddle's own connections are the process's too


def _connect(place, device, timeout):
    """Paddle's own connections of all ranks, which meet at a store of rank 0, at a port that this one chooses."""
    core, (host, _, _) = paddle.base.core, place.address.rpartition(":")
    paddle.set_flags({"FLAGS_tcp_store_using_libuv": False})  # which aborts the process where a port is taken
    # A store listens on all interfaces until it is let go of, which the connections that are made by it never do: so the one that
    # listens is another than the one that they are given.
    listening = None
    if place.rank == 0:
        with closing(socket.create_server(("", 0))) as server:
            port = server.getsockname()[1]
        listening = core.TCPStore(host, port, True, 1, math.ceil(timeout))
        _meeting.hold(str(port).encode())
    else:
        port = int(_meeting.hold())
    store = core.TCPStore(host, port, False, 1, math.ceil(timeout))
    if device == "gpu":
        core.CommContextManager.set_device_id(process.GPU)
        core.CommContextManager.create_nccl_comm_context(store, RING, place.rank, place.count, "")
    else:
        core.CommContextManager.create_gloo_comm_context(store, RING, place.rank, place.count)
    _meeting.hold()
    del listening


def _total(device):
    """`World.total`: a Program that sums (N,) over the ranks, in float64."""
    main = paddle.static.Program()
    with paddle.static.program_guard(main, paddle.static.Program()):
        given = paddle.static.data("given", [None], "float64")
        total = paddle.assign(given)
        distributed.all_reduce(total)
    executor = paddle.static.Executor(process.place(device))

    def run(array):
        if not array.size:
            return array
        _meeting.hold()
        feed = {"given": np.asarray(array, np.float64).reshape(-1)}
        (values,) = executor.run(main, feed=feed, fetch_list=[total])
        return values.reshape(array.shape).astype(array.dtype)

    return run


# --------------------------------------------------------------------------------- in Programs that are being built

_sharing = (ALONE, "mean")  # whose gradients they join, and how: the specification's `reduction`


@contextmanager
def sharing(world: World, reduction: str) -> Iterator[None]:
    """Programs that are built in this block are run by all ranks of `world` together: they join gradients by `reduction`."""
    global _sharing
    before, _sharing = _sharing, (world, reduction)
    try:
        yield
    finally:
        _sharing = before


def shared_world() -> World:
    """That of the Program which is being built."""
    return _sharing[0]


def clip() -> paddle.nn.clip.ClipGradBase | None:
    """What an optimiser does with its gradients before anything else, where there are several ranks."""
    return JoinedGradients() if shared_world().count > 1 else None


class JoinedGradients(paddle.nn.clip.ClipGradBase):
    """No clipping: all an update's gradients become those of the global batch, by one all-reduce."""

    def _pir_clip(self, params_grads):
        parameters, gradients = zip(*params_grads, strict=True)
        return list(zip(parameters, joined(gradients), strict=True))


def joined(gradients) -> list:
    """Values of the global batch, from each rank's gradients of its own rows."""
    world, reduction = _sharing
    return list(gradients) if world.count == 1 else _reduced(gradients, reduction)


def average(statistics) -> None:
    """Set each of these variables to its mean over the ranks."""
    if statistics and shared_world().count > 1:
        for variable, mean in zip(statistics, _reduced(statistics, "mean"), strict=True):
            paddle.assign(mean, variable)  # in place, so in every run of the Program


def _reduced(values, reduction):
    """One collective for all: half the time of one for each."""
    flat = paddle.concat([value.reshape([-1]) for value in values])
    distributed.all_reduce(flat)
    if reduction == "mean":
        flat = flat / tensor(shared_world().count)
    parts = paddle.split(flat, [math.prod(value.shape) for value in values])
    return [part.reshape(value.shape) for part, value in zip(parts, values, strict=True)]
