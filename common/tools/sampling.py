"""The `sample` command: pictures from the checkpoint of any run, in any backend."""

from pathlib import Path

import backends
from common import checkpoint, specs
from common.contract import Column
from common.errors import UsageError
from common.noise import draw
from common.tools import figures, training


def sample_run(run: Path, *, count: int, backend: str | None, seed: int, out: Path | None) -> Path:
    """Decode `count` draws from the prior with the run's parameters; the path of the PNG.

    Raises UsageError if `run` is no run or its model has no prior to sample.
    """
    description = training.read_run(run)
    spec = specs.get(description["model"])
    if spec.sample is None:
        raise UsageError(
            f"{spec.name} has no prior, so there is nothing to sample; its reconstructions are in {run}/figures"
        )
    column = trained(run, backend)
    path = out or run / "samples.png"
    figures.grid(spec, column.sample(draw(spec.sampling_noise, count, seed, "sampling", 0)), path)
    return path


def trained(run: Path, backend: str | None = None, device: str = "cpu") -> Column:
    """The model of a run as its checkpoint holds it, in `backend`, by default the one that trained it.

    Raises UsageError if `run` is no run, CheckpointError if its checkpoint cannot be used.
    """
    description = training.read_run(run)
    spec = specs.get(description["model"])
    snapshot = checkpoint.load_checkpoint(run / "checkpoint.safetensors", spec)
    backend = backend or description["sessions"][-1]["backend"]
    dtype = description["options"]["dtype"]
    column = backends.create(backend, spec, snapshot.parameters, dtype=dtype, device=device)
    column.restore(snapshot)
    return column
