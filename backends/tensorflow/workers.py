"""Several processes that train one model: MultiWorkerMirroredStrategy, with TensorFlow's own rings on CPUs and NCCL on GPUs, for
whatever sets TF_CONFIG."""

from backends.tensorflow import process  # isort: skip

import contextlib
import json
import os
import signal
import socket
import time

import numpy as np
import tensorflow as tf

from backends.tensorflow.layouts import batch_norms
from common.errors import UsageError
from common.workers import World
from common.worlds import LOOPBACK, Place

BATCH_NORM = {"cpu": "global", "gpu": "global"}
LOST = (tf.errors.OpError,)  # what an operation raises when another rank is gone

_made = []  # the strategy, of which a process has one


def join(place: Place, device: str, timeout: float) -> World:
    """Meet the other ranks, for `timeout` seconds at most. Raises UsageError, which says where, if they do not come."""
    process.check_device(device)
    ends = json.loads(os.environ["TF_CONFIG"])["cluster"]["worker"]
    _choose_devices(ends, place.rank, device)
    try:
        _meet(ends, place.rank, timeout)
        options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=timeout)
        strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    except (OSError, *LOST) as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise UsageError(
            f"rank {place.rank} of {place.count} found no others at {place.address} ({said[0]}); start all ranks, with "
            "addresses that are free and can be reached"
        ) from None
    # TensorFlow has taken SIGTERM for a notice that this process may go on after.
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
    _made.append(strategy)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float64)], autograph=False)
    def added(values):
        # Inside a replica a tensor has a device, without which nothing is reduced.
        return strategy.run(lambda: tf.distribute.get_replica_context().all_reduce("sum", tf.identity(values)))

    def total(array):
        flat = np.ravel(array).astype(np.float64)
        return added(flat).numpy().reshape(array.shape).astype(array.dtype)

    return World(place.rank, place.count, total)


def leave() -> None:
    """Say goodbye to the other ranks."""
    _made.clear()


def strategy() -> tf.distribute.Strategy:
    """What `join` has made."""
    return _made[0]


def scope(world: World):
    """Where variables are made that all ranks of `world` keep alike."""
    return strategy().scope() if world.count > 1 else contextlib.nullcontext()


def in_replica(function):
    """`function`, where it may reduce over the ranks: inside a tf.function alone."""
    return lambda *given: strategy().run(function, args=given)


def share(state, spec, world: World) -> None:
    """Have every update's gradients reduced over the ranks, and batch norms see all rows."""
    for one in state.optimizers.values():
        one.reduction = spec.reduction
    share_batch_norms(state, spec, world)


def share_batch_norms(state, spec, world: World) -> None:
    """Have batch norms see the rows of all ranks of `world`."""
    for layer in batch_norms(state.model, spec):
        layer.workers = world.count


def _choose_devices(ends, rank, device):
    """One GPU for each rank of this machine, or none: the strategy takes all that it sees."""
    gpus = tf.config.list_physical_devices("GPU")
    hosts = [end.rpartition(":")[0] for end in ends]
    before = hosts[:rank].count(hosts[rank])
    tf.config.set_visible_devices([gpus[before % len(gpus)]] if device == "gpu" else [], "GPU")


def _meet(ends, rank, timeout):
    """Wait until every rank is there, at the address where TensorFlow will listen: its own way of waiting has no end in rank 0.
    Raises OSError after `timeout` seconds, or where another listens at the address."""
    until = time.monotonic() + timeout
    hosts, ports = zip(*(end.rsplit(":", 1) for end in ends), strict=True)
    with socket.create_server((_to_listen(hosts[rank]), int(ports[rank]))) as here:
        if rank:
            with _reach((hosts[0], int(ports[0])), until) as first:
                first.sendall(rank.to_bytes(4))
                if not first.recv(1):
                    raise ConnectionError("rank 0 has given up")
            return
        with contextlib.ExitStack() as others:
            came = {}
            while len(came) < len(ends) - 1:
                here.settimeout(_left(until))
                other = others.enter_context(here.accept()[0])
                other.settimeout(_left(until))
                came[int.from_bytes(other.recv(4))] = other
            for other in came.values():
                other.sendall(b"!")


def _to_listen(host):
    return host if host == LOOPBACK else ""


def _reach(address, until):
    """A connection to one who may still be starting."""
    while True:
        try:
            return socket.create_connection(address, _left(until))
        except ConnectionRefusedError:
            _left(until)
            time.sleep(0.05)


def _left(until):
    """Seconds until then."""
    if (left := until - time.monotonic()) <= 0:
        raise TimeoutError("timed out")
    return left
