"""One party's share of a comparison, in a process of its own: `python -P -m common.tools.compare_worker`.

Frameworks fight over threads and memory, and a crash of one must not lose the others' results. A process serves one
backend, or the oracle, for all models in turn, since starting a framework takes longer than most of the proof. It reads
paths of jobs from standard input, one a line. A job says what is to be done with which model, data and seeds; what is found
are files beside it, and last of all `KIND.done` (common.tools.compare_tasks). Of a backend, "prove" and then "train":
    float64.safetensors, float32.safetensors   every tensor of every parity stage
    growth.json                                {dtype: [step, deviation from the oracle, tensor] along the many updates}
    run/                                       a short training run (common.tools.training)
    pictures.safetensors                       originals, reconstructions and samples after it
Where several processes are to prove and train a model together, each of them reads the same jobs, and rank 0 writes. Of the
oracle, "ask" is done first:
    float64.safetensors, float32.safetensors   what it says
    bars-float64.safetensors, ...              and what may deviate from it: per tensor (tolerance,), and what is settled
    slopes.safetensors                         directions, and the slopes of the objectives along them
    oracle-STEP.safetensors                    parameters and running statistics along the many updates
and the same of it with batch norms per replica, where a backend's are, in a folder beside.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

import backends
from common import data as sets
from common import parity, specs, worlds
from common.checkpoint import write_atomically, write_json
from common.contract import Column
from common.data.fitted import fitted_dataset
from common.errors import TetraplaError
from common.tools import training
from common.tools.compare_tasks import FOUND, ORACLE, REPLICAS
from common.truths import read_results, write_results, write_truth
from common.workers import World

DTYPES = ("float64", "float32")
PICTURES = FOUND["train"]


def cases(job: dict, data: dict[str, np.ndarray], replicas: int = 1) -> tuple[parity.Case, parity.Case]:
    """(all stages up to one update, the many updates) of a job."""
    spec = specs.get(job["model"]).in_replicas(replicas)
    case = parity.Case(spec.calmed(job["rate"]), data, steps=0, seed=job["seed"])
    return case, replace(case, spec=case.spec.training.twin or case.spec, steps=job["steps"])


def oracle_of(job: dict, backend: str) -> str:
    """The folder of the oracle that computes what `backend` does."""
    return REPLICAS if job["replicas"] and backend in worlds.PER_REPLICA else ORACLE


def prove(job: dict, dataset: sets.Dataset, folder: Path, world: World) -> None:
    """Every tensor of every stage in one backend."""
    both = cases(job, dataset.train)
    growth = {dtype: _prove(job, *both, folder, world, dtype) for dtype in DTYPES}
    if world.leads:
        write_json(folder / "growth.json", growth)


def _prove(job, case, course, folder, world, dtype):
    """The growth in one precision; a function of its own, so that a model of a gigabyte is gone before the next is made."""
    oracle, growth = folder.parent / oracle_of(job, job["party"]), []

    def watch(step: int, tensors: dict[str, np.ndarray]) -> None:
        expected = read_results(oracle_path(oracle, step))[""]
        growth.append((step, *parity.largest_deviation(expected, tensors)))

    column = create(job, case, dtype, world)
    found = parity.collect(column, case, dtype)
    if course.spec is not case.spec:
        del column
        column = create(job, course, dtype, world)
    many = parity.course(column, course, watch)
    if world.leads:
        found |= {parity.MANY: many} if dtype == "float64" else {}
        write_results(folder / f"{dtype}.safetensors", found)
    return growth


def train(job: dict, dataset: sets.Dataset, folder: Path, world: World) -> None:
    """A short training in one backend, with pictures."""
    spec = specs.get(job["model"])
    options = training.Options(
        backend=job["party"],
        steps=job["train_steps"],
        evaluate_every=job["train_steps"],  # calls of one length, which is compiled once
        batch_size=training.batch_size(spec, dataset),
        seed=job["seed"],
        device=job["device"],
        noise="replayed",
    )
    column, _ = training.train(spec, dataset, options, folder / "run", quiet=True, world=world)
    if world.leads:
        write_results(folder / PICTURES, {"": training.pictures(column, dataset, job["seed"])})


def create(job: dict, case: parity.Case, dtype: str, world: World) -> Column:
    """A column of the job's backend at the start of a case."""
    kind = {"dtype": dtype, "device": job["device"], "seed": job["seed"], "world": world}
    return backends.create(job["party"], case.spec, case.parameters(), **kind)


def ask(job: dict, dataset: sets.Dataset, folder: Path, world: World) -> None:
    """Everything that the oracle says."""
    _ask(*cases(job, dataset.train), folder)
    if job["replicas"]:
        (beside := folder.parent / REPLICAS).mkdir(exist_ok=True)
        _ask(*cases(job, dataset.train, job["workers"]), beside)


def _ask(case, course, folder):
    def watch(step, tensors):
        write_results(oracle_path(folder, step), {"": tensors})

    for dtype in DTYPES:
        if dtype == "float32":
            truth = parity.truth(case, dtype)
        elif course.spec is case.spec:
            truth = parity.truth(course, dtype, watch)
        else:
            truth, many = parity.truth(case, dtype), parity.truth(course, dtype, watch)
            truth.results[parity.MANY], truth.bars[parity.MANY] = many.results[parity.MANY], many.bars[parity.MANY]
        write_truth(folder, dtype, truth)
    slopes = parity.slopes(case)
    arrays = {
        "direction": {n: d for n, (d, _) in slopes.items()},
        "slope": {n: np.array(s) for n, (_, s) in slopes.items()},
    }
    write_results(folder / "slopes.safetensors", arrays)


def oracle_path(folder: Path, step: int) -> Path:
    """Where the parameters and statistics of the oracle after `step` updates lie while a model is compared."""
    return folder / f"oracle-{step}.safetensors"


def read_slopes(folder: Path) -> dict[str, tuple[np.ndarray, float]]:
    """What `parity.slopes` gave."""
    found = read_results(folder / "slopes.safetensors")
    return {name: (found["direction"][name], float(slope)) for name, slope in found["slope"].items()}


def serve(backend: str | None = None, device: str = "cpu") -> None:
    """Do the jobs whose paths stand on standard input, until it ends; as one of several processes where the environment says
    so."""
    place = worlds.adopt(backend) if backend else None
    with backends.joined(backend, device, place) as world:
        for line in sys.stdin:
            path, message = Path(line.rstrip("\n")), ""
            try:
                job = json.loads(path.read_text())
                folder = Path(job["data_dir"]) if job["data_dir"] else None
                dataset = fitted_dataset(specs.get(job["model"]), job["data"], folder)
                {"ask": ask, "prove": prove, "train": train}[job["kind"]](job, dataset, path.parent, world)
            except TetraplaError as error:
                message = str(error)
            if world.leads:
                write_atomically(path.with_suffix(".done"), message.encode())


if __name__ == "__main__":
    serve(*sys.argv[1:])
