"""Results of the stages, and what may deviate from them, as files: what the oracle says is asked once and read by many."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from common import parity
from common.checkpoint import write_atomically


def write_truth(folder: Path, dtype: str, truth: parity.Truth) -> None:
    write_results(folder / f"{dtype}.safetensors", truth.results)
    write_bars(folder / f"bars-{dtype}.safetensors", truth)


def read_truth(folder: Path, dtype: str) -> parity.Truth:
    return read_bars(folder / f"bars-{dtype}.safetensors", read_results(folder / f"{dtype}.safetensors"))


def write_bars(path: Path, truth: parity.Truth) -> None:
    tolerances = {s: {n: np.array(bar.tolerance) for n, bar in bars.items()} for s, bars in truth.bars.items()}
    settled = {n: bar.settled for bars in truth.bars.values() for n, bar in bars.items() if bar.settled is not None}
    write_results(path, tolerances | {"settled": settled})


def read_bars(path: Path, results: parity.Results) -> parity.Truth:
    tolerances = read_results(path)
    settled = tolerances.pop("settled", {})  # of no tensor where no parameters are among the results
    bars = {
        stage: {
            name: parity.Bar(float(value), settled.get(name) if stage == parity.STAGES[4] else None)
            for name, value in tensors.items()
        }
        for stage, tensors in tolerances.items()
    }
    return parity.Truth(results, bars)


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


def kept_truth(
    case: parity.Case, dtype: str, folder: Path, ask: Callable[[parity.Case, str], parity.Truth] = parity.truth
) -> parity.Truth:
    """What `ask` says of a case, from `folder` if it has been asked of the same case before; kept there if not. Cases that are
    asked differently must differ."""
    place = folder / f"truth-{_key(case)}-{dtype}"
    if not (place / f"bars-{dtype}.safetensors").exists():  # written last
        place.mkdir(parents=True, exist_ok=True)
        write_truth(place, dtype, ask(case, dtype))
    return read_truth(place, dtype)


def truth_with_kept_bars(case: parity.Case, dtype: str, folder: Path) -> parity.Truth:
    """`parity.truth`, its bars, which take most of the time and little room, from `folder` if they were derived before."""
    path, results = folder / f"bars-{_key(case)}-{dtype}.safetensors", parity.expected(case, dtype)
    if not path.exists():
        write_bars(path, parity.with_bars(results, case, dtype))
    return read_bars(path, results)


def _key(case):
    return f"{case.spec.fingerprint()}-{case.spec.training.replicas}-{case.batch}-{case.steps}-{case.seed}"
