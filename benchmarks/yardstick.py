"""What the device can do, measured in the same process settings as everything else: matrix products and copies."""

import time
from collections.abc import Sequence

import numpy as np

import backends

SIDES = (512, 1024, 2048)
COPY_BYTES = 256 * 2**20


def rates(backend: str, device: str, products: tuple[tuple[int, int, int], ...] = ()) -> dict[str, float]:
    """{"product": operations a second of the fastest square matrix product, "copy": bytes a second read and written} in
    float32; with `products` also {"products": seconds of all of these, (m, k)·(k, n) each, one call for all}."""
    multiply, copy = backends.engine(backend, "timing").yardstick(device)
    random = np.random.default_rng(0)

    def fastest(shapes: Sequence[tuple[int, int, int]]) -> float:
        return _fastest(multiply([(_random(random, m, k), _random(random, k, n)) for m, k, n in shapes]))

    found = {
        "product": max(2 * side**3 / fastest([(side, side, side)]) for side in SIDES),
        "copy": 2 * COPY_BYTES / _fastest(copy(np.zeros(COPY_BYTES // 4, np.float32))),
    }
    return found | ({"products": fastest(products)} if products else {})


def _random(random, *shape):
    return random.random(shape, np.float32)


def _fastest(run, budget: float = 0.4) -> float:
    """Seconds of the fastest call within `budget` seconds, after one that warms up."""
    run()
    times, end = [], time.perf_counter() + budget
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)
