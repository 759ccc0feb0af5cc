"""Where the time of an update goes, operator by operator, as each framework's own profiler tells it."""

import os
import re
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from rich.table import Table

from common.contract import Column

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # PyTorch's profiler announces itself; read when PyTorch is imported

Operators = dict[str, tuple[float, float]]  # {operator: (seconds an update, calls an update)}, the longest first


def profile(backend: str, column: Column, indices: np.ndarray) -> tuple[float, Operators]:
    """(seconds an update while profiled, operators) of `train_steps(indices)`, which is run once before.

    Operators that run at the same time on several cores count for each, so that their sum can be more than the update.
    TensorFlow's XLA says nothing of most of its matrix products.
    """
    column.train_steps(indices)
    found = {"pytorch": _pytorch, "tensorflow": _tensorflow, "paddle": _paddle, "jax": _jax}[backend]
    taken = []

    def run():
        start = time.perf_counter()
        column.train_steps(indices)
        taken.append(time.perf_counter() - start)

    seconds, calls = defaultdict(float), defaultdict(int)
    for name, duration in found(run):
        seconds[name] += duration
        calls[name] += 1
    longest = sorted(seconds, key=seconds.get, reverse=True)
    count = len(indices)
    return taken[0] / count, {name: (seconds[name] / count, calls[name] / count) for name in longest}


def table(title: str, seconds: float, operators: Operators, top: int) -> Table:
    """The `top` operators that take longest, and all others in one line."""
    shown = Table(
        "operator",
        "ms per update",
        "calls per update",
        title=f"{title}: {1e3 * seconds:.3g} ms per update while profiled",
    )
    rows = [(name, *numbers) for name, numbers in operators.items()]
    if rest := rows[top:]:
        others = (f"{len(rest)} others", *(sum(numbers) for numbers in list(zip(*rest, strict=True))[1:]))
        rows = [*rows[:top], others]
    for name, own, calls in rows:
        shown.add_row(name, f"{1e3 * own:.3f}", f"{calls:.1f}")
    return shown


def _pytorch(run):
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        run()
    for event in profiler.events():
        if event.name.startswith("aten::"):
            yield event.name, event.self_cpu_time_total / 1e6


def _paddle(run):
    from paddle import profiler

    # Left to itself, it writes what it recorded into ./profiler_log.
    with profiler.Profiler(targets=[profiler.ProfilerTarget.CPU], on_trace_ready=lambda recorded: None) as recorded:
        run()

    def operators(node):
        if node.name.startswith("pd_op."):
            yield node.name, (node.end_ns - node.start_ns) / 1e9
        else:
            for child in node.children_node:
                yield from operators(child)

    for node in recorded.profiler_result.get_data().values():
        yield from operators(node)


def _jax(run):
    import jax

    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            run()
        (path,) = Path(folder).rglob("*.xplane.pb")
        data = jax.profiler.ProfileData.from_file(str(path))
    events = (event for plane in data.planes for line in plane.lines for event in line.events)
    yield from _thunks((event.name, event.duration_ns / 1e9) for event in events)


def _tensorflow(run):
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

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
