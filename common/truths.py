"""Results of the stages, and what may deviate from them, as files: what the oracle says is asked once and read by many."""

import json
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from common import parity
from common.checkpoint import write_atomically


def write_truth(folder: Path, dtype: str, truth: parity.Truth) -> None:
    write_results(folder / f"{dtype}.safetensors", truth.results)
    tolerances = {s: {n: np.array(bar.tolerance) for n, bar in bars.items()} for s, bars in truth.bars.items()}
    settled = {n: bar.settled for bars in truth.bars.values() for n, bar in bars.items() if bar.settled is not None}
    write_results(folder / f"bars-{dtype}.safetensors", tolerances | {"settled": settled})


def read_truth(folder: Path, dtype: str) -> parity.Truth:
    tolerances = read_results(folder / f"bars-{dtype}.safetensors")
    settled = tolerances.pop("settled")
    bars = {
        stage: {
            name: parity.Bar(float(value), settled.get(name) if stage == parity.STAGES[4] else None)
            for name, value in tensors.items()
        }
        for stage, tensors in tolerances.items()
    }
    return parity.Truth(read_results(folder / f"{dtype}.safetensors"), bars)


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


def kept_truth(case: parity.Case, dtype: str, folder: Path) -> parity.Truth:
    """`parity.truth`, from `folder` if it has been asked for the same case before; kept there if not."""
    key = f"{case.spec.fingerprint()}-{case.batch}-{case.steps}-{case.seed}"
    place = folder / f"truth-{key}-{dtype}"
    if not (place / f"bars-{dtype}.safetensors").exists():  # written last
        place.mkdir(parents=True, exist_ok=True)
        write_truth(place, dtype, parity.truth(case, dtype))
    return read_truth(place, dtype)
