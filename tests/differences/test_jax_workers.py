"""docs/differences.md, what JAX does where several processes train one model."""

import signal
import socket
import subprocess
import sys

import pytest

from common.worlds import free_ports

# One rank of as many as are said, which nobody else joins.
MEET = """
import jax, os, signal, time
ADDRESS = "127.0.0.1:{port}"
signal.signal(signal.SIGTERM, lambda *_: print("ours"))
jax.config.update("jax_enable_preemption_service", {preemption})
jax.distributed.initialize(ADDRESS, {count}, 0, initialization_timeout=1, coordinator_bind_address=ADDRESS)
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(0.3)
"""

# A layer, a batch norm and noise in one compiled step on two devices of one process, against the same on one device.
SHARD = """
import jax, numpy as np, re
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_enable_x64", True)
from flax import nnx
from jax import numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
mesh = Mesh(np.array(jax.devices()), ("ranks",), axis_types=(AxisType.Auto,))
same, dealt = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("ranks"))
kind = {"dtype": jnp.float64, "param_dtype": jnp.float64, "rngs": nnx.Rngs(0)}
layers = [nnx.Linear(5, 4, **kind)]
if NORM:
    layers.append(nnx.BatchNorm(4, use_fast_variance=False, **kind))
graphdef, parameters, rest = nnx.split(layers, nnx.Param, ...)
x = np.random.default_rng(0).normal(size=(8, 5))
key = jax.random.key(0, impl="threefry2x32")
def loss(parameters, x, key):
    for layer in nnx.merge(graphdef, parameters, rest, copy=True):
        x = layer(x)
    return jnp.mean((x - jax.random.normal(key, (8, 4), jnp.float64)) ** 3)
one = jax.jit(jax.value_and_grad(loss))(parameters, x, key)
given = (jax.device_put(parameters, same), jax.device_put(x, dealt), jax.device_put(key, same))
step = jax.jit(jax.value_and_grad(loss), out_shardings=same).lower(*given).compile()
pairs = zip(jax.tree.leaves(one), jax.tree.leaves(step(*given)), strict=True)
print(max(float(np.abs(np.asarray(a) - np.asarray(b)).max()) for a, b in pairs))
print(len(re.findall(r"all-reduce\\(", step.as_text())))
"""


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


def test_a_port_that_is_taken_is_an_exception_or_the_end_of_the_process():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = run(MEET.format(port=taken.getsockname()[1], count=2, preemption=False))
    assert result.returncode in (1, -signal.SIGSEGV)


def test_jax_ends_its_process_where_the_others_do_not_come():
    result = run(MEET.format(port=free_ports(1)[0], count=2, preemption=False))
    assert result.returncode == -signal.SIGABRT
    assert "Check failure stack trace" in result.stderr


@pytest.mark.parametrize("preemption", [True, False])
def test_jax_takes_the_request_to_end(preemption):
    result = run(MEET.format(port=free_ports(1)[0], count=1, preemption=preemption))
    assert (result.returncode, result.stdout) == (0, "" if preemption else "ours\n")


@pytest.mark.parametrize(("norm", "sums"), [(False, 1), (True, 5)])
def test_a_step_on_a_sharded_batch_is_that_of_all_of_it(norm, sums):
    """Noise and batch norm too; one sum over the devices for loss and gradients, and two for each pass of a batch norm."""
    result = run(SHARD.replace("NORM", str(norm)))
    assert result.returncode == 0, result.stderr
    deviation, found = result.stdout.split()
    assert float(deviation) < 1e-13
    assert int(found) == sums
