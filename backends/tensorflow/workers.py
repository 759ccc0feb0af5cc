"""Several processes that train one model: MultiWorkerMirroredStrategy, with TensorFlow's own rings on CPUs and NCCL on GPUs, for
whatever sets TF_CONFIG."""

from backends.tensorflow import process  # isort: skip

import contextlib
import json
import os
import signal

import numpy as np
import tensorflow as tf

from backends.tensorflow.layouts import batch_norms
from common.meeting import meet, not_met
from common.workers import World
from common.worlds import Place

BATCH_NORM = {"cpu": "global", "gpu": "global"}
LOST = (tf.errors.OpError,)  # what an operation raises when another rank is gone

_made = []  # the strategy, of which a process has one


def join(place: Place, device: str, timeout: float) -> World:
    """Meet the other ranks, for `timeout` seconds at most. Raises UsageError, which says where, if they do not come."""
    process.check_device(device)
    ends = json.loads(os.environ["TF_CONFIG"])["cluster"]["worker"]
    _choose_devices(ends, place.rank, device)
    meet(place, timeout)  # TensorFlow's own way of waiting has no end in rank 0
    try:
        # Without a timeout of its own for each operation: for one TensorFlow makes a thread that sleeps that long, two an
        # update of `vae`, hundreds where batch norms sum, and after minutes the machine has no more.
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except LOST as error:
        raise not_met(place, error) from None
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
