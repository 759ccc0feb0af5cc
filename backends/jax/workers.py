"""Several processes that train one model: jax.distributed and arrays that are dealt to all of them, with gloo on CPUs and NCCL
on GPUs, told by JAX_PROCESS_ID, JAX_NUM_PROCESSES and JAX_COORDINATOR_ADDRESS."""

import contextlib
import os
import sys
from functools import partial

import jax
import numpy as np
from jax.sharding import AxisType, Mesh
from jaxlib import _jax

from backends.jax import process
from backends.jax.layouts import RANKS, Spread
from common.meeting import meet
from common.workers import World
from common.worlds import LOOPBACK, Place

BATCH_NORM = {"cpu": "global", "gpu": "global"}
LOST = (jax.errors.JaxRuntimeError,)  # what an operation raises when another rank is gone


def join(place: Place, device: str, timeout: float) -> World:
    """Meet the other ranks, for `timeout` seconds at most. Raises UsageError, which says where, if they do not come."""
    host = place.address.rpartition(":")[0]
    # jaxlib itself ends the process, with a stack trace, when one does not come, and by an invalid access to memory when the port
    # is taken.
    meet(place, timeout)
    # gRPC asks a proxy even for the address of this machine, and JAX warns of it.
    os.environ.setdefault("no_grpc_proxy", host)
    jax.config.update("jax_check_proxy_envs", False)
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM from us
    jax.distributed.initialize(
        place.address,
        place.count,
        place.rank,
        local_device_ids=[int(os.environ.get("SLURM_LOCALID", place.rank))] if device == "gpu" else None,
        cluster_detection_method="deactivate",
        initialization_timeout=max(1, int(timeout)),
        coordinator_bind_address=place.address if host == LOOPBACK else None,
    )
    with _gloo_at(host):
        process.check_device(device)
    spread = Spread(jax.local_devices(backend=device)[0], mesh(World(place.rank, place.count), device))
    added = jax.jit(lambda arrays: spread.kept_same(arrays.sum(0)))

    def total(array):
        own = jax.device_put(np.array(array[None]), spread.device)
        return np.array(spread.own(added(spread.dealt(own))))

    with _without_greeting():
        total(np.zeros(1))
    if device == "cpu":
        # All know each other now. What is left of the service would end this process, with a stack trace, when another
        # ends, and have one that fails wait for all others.
        jax.distributed.shutdown()
    return World(place.rank, place.count, total)


def leave() -> None:
    """Say goodbye to the other ranks."""
    jax.distributed.shutdown()


def mesh(world: World, device: str) -> Mesh | None:
    """One device of each rank, in order; None for one that is alone."""
    if world.count == 1:
        return None
    first = {one.process_index: one for one in reversed(jax.devices(device))}
    return Mesh(np.array([first[rank] for rank in range(world.count)]), (RANKS,), axis_types=(AxisType.Auto,))


@contextlib.contextmanager
def _gloo_at(host):
    """While gloo's device is made: with the loopback address as meeting point it listens there alone, and else where the name of
    this machine leads. JAX itself has no option for it."""
    real = _jax.make_gloo_tcp_collectives
    if host == LOOPBACK:
        _jax.make_gloo_tcp_collectives = partial(real, hostname=host)
    try:
        yield
    finally:
        _jax.make_gloo_tcp_collectives = real


@contextlib.contextmanager
def _without_greeting():
    """While gloo says, past Python, on standard output how many others it has found."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
