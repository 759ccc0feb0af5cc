"""One backend's share of a comparison, in a process of its own: `python -m common.tools.compare_worker JOB.json`.

Frameworks fight over threads and memory, and a crash of one must not lose the others' results. The job names model,
backend, data and seeds; the results are files beside it:
    float64.safetensors, float32.safetensors   every tensor of every parity stage
    growth.json                                {dtype: [step, deviation from the oracle, tensor] along the many updates}
    run/                                       a short training run (common.tools.training)
    pictures.safetensors                       originals, reconstructions and samples after it
"""

import json
import sys
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

import backends
from common import data, parity, specs
from common.checkpoint import write_atomically, write_json
from common.errors import TetraplaError
from common.tools import training


def run(job: dict, folder: Path) -> None:
    spec = specs.get(job["model"])
    dataset = data.load(job["data"], Path(job["data_dir"]) if job["data_dir"] else None)
    case = parity.Case(spec.calmed(job["rate"]), dataset.train_images, steps=job["steps"], seed=job["seed"])
    growth = {"float64": [], "float32": []}
    for dtype, rows in growth.items():

        def watch(step, tensors, rows=rows):
            rows.append((step, *parity.largest_deviation(read_results(oracle_path(folder.parent, step))[""], tensors)))

        column = backends.create(
            job["backend"], case.spec, case.parameters(), dtype=dtype, device=job["device"], seed=job["seed"]
        )
        write_results(folder / f"{dtype}.safetensors", parity.collect(column, case, dtype, watch))
    write_json(folder / "growth.json", growth)
    options = training.Options(
        backend=job["backend"],
        steps=job["train_steps"],
        batch_size=training.batch_size(spec, dataset),
        seed=job["seed"],
        device=job["device"],
        noise="replayed",
    )
    column, _ = training.train(spec, dataset, options, folder / "run", quiet=True)
    write_results(folder / "pictures.safetensors", {"": training.pictures(column, dataset, job["seed"])})


def oracle_path(folder: Path, step: int) -> Path:
    """Where the parameters and statistics of the oracle after `step` updates lie while a model is compared."""
    return folder / f"oracle-{step}.safetensors"


def write_results(path: Path, results: parity.Results) -> None:
    """Safetensors sorts its names; the order of stages and tensors is part of the comparison, so it is kept beside."""
    names = [(stage, name) for stage, tensors in results.items() for name in tensors]
    tensors = {str(k): np.array(results[stage][name], order="C") for k, (stage, name) in enumerate(names)}
    write_atomically(path, save(tensors, {"names": json.dumps(names)}))


def read_results(path: Path) -> parity.Results:
    results: parity.Results = {}
    with safe_open(path, framework="numpy") as file:
        for k, (stage, name) in enumerate(json.loads(file.metadata()["names"])):
            results.setdefault(stage, {})[name] = file.get_tensor(str(k))
    return results


if __name__ == "__main__":
    try:
        path = Path(sys.argv[1])
        run(json.loads(path.read_text()), path.parent)
    except TetraplaError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
