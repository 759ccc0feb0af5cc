"""What the benchmarks ask of TensorFlow: a tutorial's step, what its profiler says, what the machine can do in it."""

from backends.tensorflow import process  # isort: skip

import re
import tempfile
from pathlib import Path

import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2


def naive(column):
    """A function of inputs {name: (B, *shape)}, float32, that makes one step as a tutorial writes it and returns its losses:
    eager, the batch from the host and every loss back each time."""

    def train(inputs):
        with tf.device(column.device):
            tensors = {name: tf.constant(array) for name, array in inputs.items()}
            noise = column.draws(len(next(iter(tensors.values()))), column.step)
            values = column.module.train_step(column.state, tensors, noise)
            column.step += 1
            return {name: float(value) for name, value in values.items()}

    return train


def compile_step(column) -> None:
    """Nothing to do: XLA compiles the step of every column."""


def profile(run):
    """(operator, seconds) of every call while `run()` runs. XLA says nothing of most of its matrix products."""
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            run()
        (path,) = Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(path.read_bytes())
    yield from _thunks(
        (plane.event_metadata[event.metadata_id].name, event.duration_ps / 1e12)
        for plane in space.planes
        for line in plane.lines
        for event in line.events
    )


def _thunks(events):
    """Those of XLA's operators: fusion.12 and fusion.7 are both "fusion". A loop contains others."""
    for name, seconds in events:
        if re.fullmatch(r"[a-z][a-z0-9_-]*(\.\d+)*(\.clone)?", name) and not name.startswith("while"):
            yield re.sub(r"(\.\d+)*(\.clone)?$", "", name), seconds


def yardstick(device: str):
    """(multiply, copy): of pairs of arrays (m, k), (k, n), and of one array; each a function that does it once and waits."""

    def compiled(function, arrays):
        with tf.device(process.DEVICES[device]):
            given = tf.nest.map_structure(tf.constant, arrays)
            function = tf.function(function, jit_compile=True, autograph=False)
        return lambda: (function(given), tf.test.experimental.sync_devices())

    def multiply(pairs):
        return compiled(lambda pairs: [tf.matmul(a, b) for a, b in pairs], pairs)

    return multiply, lambda a: compiled(lambda v: v + 1, a)


def device_memory() -> int:
    """Most bytes that TensorFlow has held on the GPU so far."""
    return tf.config.experimental.get_memory_info("GPU:0")["peak"]
