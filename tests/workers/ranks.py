"""One rank of several that take a backend through the stages: `python -m tests.workers.ranks BACKEND FOLDER MISTAKE JOB...`

A JOB is MODEL, or MODEL+twin for its narrow twin, then :STEPS for so many updates of the last stage. Rank 0 leaves what it found in
FOLDER/JOB.safetensors. MISTAKE is one of tests.workers.mistakes, or "none".
"""

import sys
from pathlib import Path

import backends
from common import parity, worlds
from common.data import digits
from common.specs import get
from common.truths import write_results
from tests.workers import mistakes


def case_of(job: str) -> parity.Case:
    """What the ranks and the oracle are given."""
    model, _, steps = job.partition(":")
    spec = get(model.removesuffix("+twin")).calmed()
    spec = spec.training.twin if model.endswith("+twin") else spec
    return parity.Case(spec, digits.load().train, steps=int(steps or 0))


def main(backend: str, folder: str, mistake: str, *jobs: str) -> None:
    place = worlds.adopt(backend)
    engine = backends.engine(backend, "workers")
    world = engine.join(place, "cpu", 60.0)
    for job in jobs:
        case = case_of(job)
        with mistakes.planted(mistake, backend, world) as made:
            column = backends.create(backend, case.spec, case.parameters(), dtype="float64", world=made)
            found = parity.collect(column, case, "float64")
        if world.leads:
            write_results(Path(folder) / f"{job}.safetensors", found)
    engine.leave()


if __name__ == "__main__":
    main(*sys.argv[1:])
