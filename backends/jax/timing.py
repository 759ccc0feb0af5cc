"""What the benchmarks ask of JAX: a tutorial's step, what its profiler says, what the machine can do in it."""

import re
import tempfile
from pathlib import Path

import jax
from flax import nnx
from jax import numpy as jnp

from backends.jax.noise import draws


def naive(column):
    """A function of inputs {name: (B, *shape)}, float32, that makes one step as a tutorial writes it and returns its losses:
    compiled by nnx.jit, the batch from the host and every loss back each time."""

    @nnx.jit
    def compiled(state, inputs, key):
        noise = draws(column.spec.noise, key, 0, len(next(iter(inputs.values()))), column.dtype)
        return column.module.train_step(state, inputs, noise)

    def train(inputs):
        key = jax.random.fold_in(column.key, column.step)
        values = compiled(column.state, jax.device_put(inputs, column.device), key)
        column.step += 1
        return {name: float(value) for name, value in values.items()}

    return train


def compile_step(column) -> None:
    """Nothing: the column's step is compiled however many of them are asked for."""


def profile(run):
    """(operator, seconds) of every call of XLA's operators while `run()` runs; fusion.12 and fusion.7 are both "fusion"."""
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            run()
        (path,) = Path(folder).rglob("*.xplane.pb")
        data = jax.profiler.ProfileData.from_file(str(path))
    events = (event for plane in data.planes for line in plane.lines for event in line.events)
    for event in events:
        name = event.name
        # A loop contains others.
        if re.fullmatch(r"[a-z][a-z0-9_-]*(\.\d+)*(\.clone)?", name) and not name.startswith("while"):
            yield re.sub(r"(\.\d+)*(\.clone)?$", "", name), event.duration_ns / 1e9


def yardstick(device: str):
    """(multiply, copy): of pairs of arrays (m, k), (k, n), and of one array; each a function that does it once and waits."""
    place = jax.local_devices(backend=device)[0]

    def compiled(function, arrays):
        given = jax.device_put(arrays, place)
        function = jax.jit(function)
        return lambda: jax.block_until_ready(function(given))

    def multiply(pairs):
        return compiled(lambda pairs: [jnp.matmul(a, b) for a, b in pairs], pairs)

    return multiply, lambda a: compiled(lambda v: v + 1, a)


def device_memory() -> int:
    """Most bytes that JAX has held on the GPU so far."""
    return jax.local_devices(backend="gpu")[0].memory_stats()["peak_bytes_in_use"]
