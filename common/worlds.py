"""How a process finds its world: by the variables that each framework's own launcher sets, or by those of SLURM.

No framework is imported here: what is found is read before one is.
"""

import json
import os
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from common.errors import UsageError

LOOPBACK = "127.0.0.1"
PER_REPLICA = ("paddle",)  # frameworks whose batch norms on a CPU see one replica's rows


@dataclass(frozen=True)
class Place:
    """Rank `rank` of `count`, who meet at `address`, "host:port"."""

    rank: int
    count: int
    address: str


def settings(backend: str, rank: int, count: int, ports: list[int]) -> dict[str, str]:
    """The variables that tell a process of `backend` that it is one of `count` on this machine; `ports` has a free one for each
    rank. The ranks meet at the loopback address."""
    ends = [f"{LOOPBACK}:{port}" for port in ports]
    if backend == "tensorflow":
        cluster = {"cluster": {"worker": ends[:count]}, "task": {"type": "worker", "index": rank}}
        return {"TF_CONFIG": json.dumps(cluster)}
    return _settings(backend, Place(rank, count, ends[0]))


def _settings(backend, place):
    host, _, port = place.address.rpartition(":")
    match backend:
        case "pytorch":
            found = {"RANK": place.rank, "WORLD_SIZE": place.count, "MASTER_ADDR": host, "MASTER_PORT": port}
        case "paddle":
            found = {
                "PADDLE_TRAINER_ID": place.rank,
                "PADDLE_TRAINERS_NUM": place.count,
                "PADDLE_MASTER": place.address,
            }
        case "jax":
            found = {
                "JAX_PROCESS_ID": place.rank,
                "JAX_NUM_PROCESSES": place.count,
                "JAX_COORDINATOR_ADDRESS": place.address,
            }
    return {name: str(value) for name, value in found.items()}


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nobody listens at now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind((LOOPBACK, 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def find(backend: str, variables: Mapping[str, str] = os.environ) -> Place | None:
    """This process's place among those of its world, or None if it is alone.

    Raises UsageError for variables that make no sense.
    """
    if place := _own(backend, variables) or _slurm(variables):
        if not 0 <= place.rank < place.count:
            raise UsageError(f"rank {place.rank} of {place.count} in the environment; expected 0 to {place.count - 1}")
        return place if place.count > 1 else None
    return None


def adopt(backend: str) -> Place | None:
    """`find`; what only SLURM has said is put into the variables that the framework itself reads."""
    place = find(backend)
    if place and not _own(backend, os.environ):
        if backend == "tensorflow":
            os.environ["TF_CONFIG"] = json.dumps(_slurm_cluster(place))
        else:
            os.environ.update(_settings(backend, place))
    return place


def _own(backend, variables):
    """By the variables of the framework's own launcher."""
    try:
        match backend:
            case "pytorch" if "RANK" in variables and "WORLD_SIZE" in variables:
                address = f"{variables.get('MASTER_ADDR', LOOPBACK)}:{variables.get('MASTER_PORT', '29500')}"
                return Place(int(variables["RANK"]), int(variables["WORLD_SIZE"]), address)
            case "tensorflow" if "TF_CONFIG" in variables:
                found = json.loads(variables["TF_CONFIG"])
                hosts = found["cluster"]["worker"]
                return Place(int(found["task"]["index"]), len(hosts), hosts[0])
            case "paddle" if "PADDLE_TRAINER_ID" in variables and "PADDLE_TRAINERS_NUM" in variables:
                # paddle.distributed.launch names everybody's endpoint, and no PADDLE_MASTER on one machine.
                ends = variables.get("PADDLE_TRAINER_ENDPOINTS", "").split(",")
                address = variables.get("PADDLE_MASTER") or ends[0]
                return Place(int(variables["PADDLE_TRAINER_ID"]), int(variables["PADDLE_TRAINERS_NUM"]), address)
            case "jax" if "JAX_PROCESS_ID" in variables and "JAX_NUM_PROCESSES" in variables:
                address = variables.get("JAX_COORDINATOR_ADDRESS", f"{LOOPBACK}:12345")
                return Place(int(variables["JAX_PROCESS_ID"]), int(variables["JAX_NUM_PROCESSES"]), address)
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"the variables that tell {backend} its rank cannot be read ({type(error).__name__}: {error})"
        ) from None
    return None


def _slurm(variables):
    """By srun, which says the rank; where rank 0 is has to be said in MASTER_ADDR and MASTER_PORT."""
    if "SLURM_STEP_ID" not in variables or "MASTER_ADDR" not in variables:
        return None
    address = f"{variables['MASTER_ADDR']}:{variables.get('MASTER_PORT', '29500')}"
    return Place(int(variables["SLURM_PROCID"]), int(variables["SLURM_NTASKS"]), address)


def _slurm_cluster(place):
    """TF_CONFIG of a step of SLURM: TensorFlow wants every rank's address; rank r listens at MASTER_PORT + r of its node."""
    names = ["scontrol", "show", "hostnames", os.environ["SLURM_STEP_NODELIST"]]
    nodes = subprocess.run(names, capture_output=True, text=True, check=True).stdout.split()
    each = -(-place.count // len(nodes))
    first = int(place.address.rpartition(":")[2])
    ends = [f"{nodes[rank // each]}:{first + rank}" for rank in range(place.count)]
    return {"cluster": {"worker": ends}, "task": {"type": "worker", "index": place.rank}}
