"""The `sample` command: pictures from the checkpoint of any run, in any backend."""

from pathlib import Path

import backends
from common import checkpoint, figures, specs, training
from common.errors import UsageError
from common.noise import draw


def sample_run(run: Path, *, count: int, backend: str | None, seed: int, out: Path | None) -> Path:
    """Decode `count` draws from the prior with the run's parameters; the path of the PNG.

    Raises UsageError if `run` is no run or its model has no prior to sample.
    """
    description = training.read_run(run)
    spec, options = specs.get(description["model"]), description["options"]
    if spec.sample is None:
        raise UsageError(
            f"{spec.name} has no prior, so there is nothing to sample; its reconstructions are in {run}/figures"
        )
    snapshot = checkpoint.load_checkpoint(run / "checkpoint.safetensors", spec)
    column = backends.create(
        backend or description["sessions"][-1]["backend"], spec, snapshot.parameters, dtype=options["dtype"]
    )
    column.restore(snapshot)
    path = out or run / "samples.png"
    figures.grid(spec, column.sample(draw(spec.sampling_noise, count, seed, "sampling", 0)), path)
    return path
