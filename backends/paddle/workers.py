"""Several processes that train one model: an all-reduce in every update's Program, by gloo on CPUs and NCCL on GPUs, under
`paddle.distributed.launch` or whatever else sets PADDLE_TRAINER_ID, PADDLE_TRAINERS_NUM and PADDLE_MASTER."""

from backends.paddle import process  # isort: skip

import math
import os
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import numpy as np
import paddle
from paddle import distributed

from backends.paddle.exact import tensor
from common.errors import UsageError
from common.workers import ALONE, World
from common.worlds import LOOPBACK, Place

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
    try:
        _meeting = Meeting(place, timeout)
        _connect(place, device, timeout)
    except (OSError, RuntimeError, ValueError, SystemError) as error:  # the last two are what Paddle's store raises
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UsageError(
            f"rank {place.rank} of {place.count} found no others at {place.address} ({lines[0]}); start all ranks, with one "
            "address that is free and can be reached"
        ) from None
    return World(place.rank, place.count, _total(device))


def leave() -> None:
    """Say goodbye to the other ranks."""
    _meeting.hold()
    _meeting.close()


def meet(world: World) -> None:
    """Wait for all ranks of `world`, before a call in which they compute something together. Raises RuntimeError if one is gone."""
    if world.count > 1:
        _meeting.hold()


class Meeting:
    """Connections of rank 0 with all others, over which they wait for each other, `timeout` seconds at most. gloo waits 30 and cannot
    be told to wait longer, as it must while rank 0 evaluates; Paddle's store takes 40 ms for a word, and waits without end for
    a rank 0 that is not there."""

    def __init__(self, place: Place, timeout: float):
        host, _, port = place.address.rpartition(":")
        self.rank, self.end, self.deadline = place.rank, (host, int(port)), time.monotonic() + timeout
        self.peers = {0: self._found()} if place.rank else self._gathered(place.count)
        for peer in self.peers.values():
            peer.settimeout(timeout)

    def _left(self):
        return max(self.deadline - time.monotonic(), 1e-3)

    def _gathered(self, count):
        """{rank: connection} of all others."""
        host, port = self.end
        found = {}
        with socket.create_server((host if host == LOOPBACK else "", port), backlog=count) as server:
            while len(found) < count - 1:
                server.settimeout(self._left())
                try:
                    peer, _ = server.accept()
                except TimeoutError:
                    missing = ", ".join(str(rank) for rank in range(1, count) if rank not in found)
                    raise TimeoutError(f"rank {missing} did not come") from None
                rank = self._rank_of(peer)
                if 0 < rank < count and rank not in found:
                    found[rank] = peer
                else:
                    peer.close()
        return found

    def _rank_of(self, peer):
        """What `_found` says; 0 of a stranger, who says nothing."""
        peer.settimeout(min(self._left(), 5.0))
        try:
            return int.from_bytes(peer.recv(4), "big")
        except OSError:
            return 0

    def _found(self):
        """The connection with rank 0, which may not be there yet."""
        while True:
            try:
                peer = socket.create_connection(self.end, self._left())
                peer.sendall(self.rank.to_bytes(4, "big"))
                return peer
            except OSError:
                if time.monotonic() > self.deadline:
                    raise
                time.sleep(0.05)

    def hold(self, word: bytes = b".") -> bytes:
        """Wait for the others; the few bytes that rank 0 says. Raises RuntimeError if one of them is gone."""
        if self.rank:
            self._each(lambda peer: peer.sendall(b"."))
            return self._each(lambda peer: peer.recv(64))
        self._each(lambda peer: peer.recv(1))
        self._each(lambda peer: peer.sendall(word))
        return word

    def _each(self, act):
        for rank, peer in self.peers.items():
            try:
                done = act(peer)
            except OSError as error:
                raise RuntimeError(f"rank {rank}: {error}") from None
            if done == b"":
                raise RuntimeError(f"rank {rank} has gone")
        return done

    def close(self):
        for peer in self.peers.values():
            peer.close()


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
