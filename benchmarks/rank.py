"""One rank of several that share a step, timed: `python -m benchmarks.rank JOB.json`, which then obeys standard input.

Proves the column with the others first, warms up, and says so in one line of JSON; then answers each line "together" with the seconds
per update of one repeat, and "apart" with those of a process that trains by itself on as many rows as a rank has of a batch,
while the other ranks do the same: what is more in the first is communication, and waiting. "quit" ends it.
"""

import sys
import time
from pathlib import Path

import numpy as np

import backends
from benchmarks import floor
from benchmarks.cases import Case
from benchmarks.worker import Timed, carry, enough, prove, say, updates_a_call
from common import worlds
from common.data.fitted import fitted_dataset
from common.workers import World

SIZES = (1, 1 << 21)  # float64 numbers of the all-reduces from which latency and bandwidth are taken


def exchanges(world: World, repeats: int = 5) -> list[float]:
    """Seconds of an all-reduce of SIZES, the least of some."""
    found = []
    for size in SIZES:
        array, seconds = np.zeros(size), []
        for _ in range(repeats):
            world.total(np.zeros(1))
            start = time.perf_counter()
            world.total(array)
            seconds.append(time.perf_counter() - start)
        found.append(min(seconds))
    return found


def main(job: dict, folder: Path) -> None:
    spec, backend, device = Case.of(job).spec, job["backend"], job["device"]
    dataset = fitted_dataset(spec, job["data"], job["data_dir"] and Path(job["data_dir"]))
    many = updates_a_call(floor.work(spec, job["batch"]).operations)
    with backends.joined(backend, device, worlds.adopt(backend)) as world:
        proof = prove(spec, backend, "fast", device, dataset.train, folder, world)
        if not world.gather(np.array(float(proof["passed"]))).all():
            return say({"proof": proof})
        ways = {"together": (job["batch"], world)}
        if world.count > 1:
            ways["apart"] = (job["batch"] // world.count, World())
        timed, counts = {}, {}
        for name, (batch, own) in ways.items():
            data = enough(dataset.train, batch)
            timed[name] = one = Timed(spec, backend, "fast", device, batch, data, many, own)
            one.run(one.chunk)
            start = time.perf_counter()
            one.run(one.chunk)
            seconds = world.gather(np.array((time.perf_counter() - start) / one.chunk)).max()  # the same in all
            counts[name] = max(1, round(job["seconds"] / seconds / one.chunk)) * one.chunk
        say({"proof": proof, "exchanges": exchanges(world) if world.count > 1 else None})
        for line in sys.stdin:
            one, count = timed.get(line.strip()), counts.get(line.strip())
            if one is None:
                break
            one.run(one.chunk)  # the caches still hold another worker's numbers
            world.total(np.zeros(1))  # all begin together
            start = time.perf_counter()
            one.run(count)
            say({"seconds": (time.perf_counter() - start) / count})


if __name__ == "__main__":
    carry(main)
