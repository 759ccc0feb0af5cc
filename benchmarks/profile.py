"""Where the time of an update goes, operator by operator, as each framework's own profiler tells it."""

import time
from collections import defaultdict

import numpy as np
from rich.table import Table

import backends
from common.contract import Column

Operators = dict[str, tuple[float, float]]  # {operator: (seconds an update, calls an update)}, the longest first


def profile(backend: str, column: Column, indices: dict[str, np.ndarray]) -> tuple[float, Operators]:
    """(seconds an update while profiled, operators) of `train_steps(indices)`, which is run once before.

    Operators that run at the same time on several cores count for each, so that their sum can be more than the update.
    TensorFlow's XLA says nothing of most of its matrix products.
    """
    column.train_steps(indices)
    found = backends.engine(backend, "timing").profile
    taken = []

    def run() -> None:
        start = time.perf_counter()
        column.train_steps(indices)
        taken.append(time.perf_counter() - start)

    seconds, calls = defaultdict(float), defaultdict(int)
    for name, duration in found(run):
        seconds[name] += duration
        calls[name] += 1
    longest = sorted(seconds, key=seconds.get, reverse=True)
    count = len(next(iter(indices.values())))
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
