"""One rank of several that take a backend through the stages: `python -m tests.workers.ranks BACKEND FOLDER JOB...`

A JOB is MODEL, or MODEL+twin for its narrow twin; then :STEPS for so many updates of the last stage; then @MISTAKE of
tests.workers.mistakes to be made. Rank 0 leaves what it found in FOLDER/JOB.safetensors.
"""

import sys
from pathlib import Path

import backends
from common import parity, worlds
from common.data import digits
from common.specs import get
from common.truths import write_results
from tests.workers import mistakes


def case_of(job: str, backend: str, count: int) -> parity.Case:
    """What `count` ranks of `backend` are given, and the oracle that computes what they do."""
    model, _, steps = job.partition("@")[0].partition(":")
    spec = get(model.removesuffix("+twin")).calmed()
    spec = spec.training.twin if model.endswith("+twin") else spec
    spec = spec.in_replicas(count) if backend in worlds.PER_REPLICA else spec
    return parity.Case(spec, digits.load().train, steps=int(steps or 0))


def main(backend: str, folder: str, *jobs: str) -> None:
    engine = backends.engine(backend, "workers")
    world = engine.join(worlds.adopt(backend), "cpu", 60.0)
    for job in jobs:
        case = case_of(job, backend, world.count)
        with mistakes.made(job.partition("@")[2], backend, world) as given:
            column = backends.create(backend, case.spec, case.parameters(), dtype="float64", world=given)
            found = parity.collect(column, case, "float64")
        if world.leads:
            write_results(Path(folder) / f"{job}.safetensors", found)
    engine.leave()


if __name__ == "__main__":
    main(*sys.argv[1:])
