"""Every random number that the project replays, from one counter-based generator (Philox).

A stream is keyed by (seed, purpose) and positioned by (name, step): any draw of any step can be made alone, in any
order and in any process, with the same bits. This is what makes a step a pure function of its inputs, lets four
frameworks see the same noise, and makes resuming exact.
"""

import zlib

import numpy as np

from common.specs.draws import Noise

PURPOSES = {"parameters": 1, "batches": 2, "training": 3, "evaluation": 4, "sampling": 5, "checks": 6}


def stream(seed: int, purpose: str, name: str = "", step: int = 0) -> np.random.Generator:
    """The generator for (seed, purpose, name, step); streams of different keys never overlap."""
    counter = [0, 0, zlib.crc32(name.encode()), step]
    return np.random.Generator(np.random.Philox(key=[seed, PURPOSES[purpose]], counter=counter))


def draw(records: tuple[Noise, ...], batch: int, seed: int, purpose: str, step: int) -> dict[str, np.ndarray]:
    """{name: (batch, *shape) float64} for one step."""
    return {
        record.name: record.distribution.draw(stream(seed, purpose, record.name, step), (batch, *record.shape))
        for record in records
    }


def draw_steps(records: tuple[Noise, ...], batch: int, seed: int, purpose: str, steps: range) -> dict[str, np.ndarray]:
    """{name: (len(steps), batch, *shape) float64}: `draw` for each step, stacked."""
    draws = [draw(records, batch, seed, purpose, step) for step in steps]
    return {record.name: np.stack([one[record.name] for one in draws]) for record in records}
