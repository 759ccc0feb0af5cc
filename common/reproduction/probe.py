"""What a trained model can do, in a process of its own: `python -m common.reproduction.probe ARTICLE RUN DATA DATA_DIR DEVICE`.

Calls the article's `probe(column, data)` and writes the arrays that it returns to RUN/probe.safetensors.
"""

import sys
from pathlib import Path

import numpy as np
import safetensors.numpy

import backends
from common import checkpoint, data, specs, training
from common.data.batches import to_images
from common.errors import TetraplaError
from common.noise import draw

BATCH = 1000


def images(spec, pixels) -> np.ndarray:
    """Pixels in the model's range -> uint8 (N, 28, 28)."""
    return np.rint(to_images(spec, pixels) * 255).astype(np.uint8)


def samples(column, count: int) -> np.ndarray:
    """uint8 (count, 28, 28): `count` draws from the prior, decoded."""
    noise = draw(column.spec.sampling_noise, count, 0, "sampling", 1)
    parts = [{name: value[k : k + BATCH] for name, value in noise.items()} for k in range(0, count, BATCH)]
    return np.concatenate([images(column.spec, column.sample(part)) for part in parts])


def in_batches(function, x) -> np.ndarray:
    """`function` of (N, ...), some of them at a time."""
    return np.concatenate([np.asarray(function(x[k : k + BATCH]), np.float32) for k in range(0, len(x), BATCH)])


def column_of(run: Path, device: str):
    """The trained model, in the backend that trained it."""
    description = training.read_run(run)
    spec = specs.get(description["model"])
    snapshot = checkpoint.load_checkpoint(run / "checkpoint.safetensors", spec)
    backend, dtype = description["sessions"][-1]["backend"], description["options"]["dtype"]
    column = backends.create(backend, spec, snapshot.parameters, dtype=dtype, device=device)
    column.restore(snapshot)
    return column


def main(article: str, run: Path, data_name: str, data_dir: str, device: str) -> None:
    from common import reproduction

    dataset = data.load(data_name, Path(data_dir) if data_dir else None)
    found = reproduction.module(article).probe(column_of(run, device), dataset)
    arrays = {name: np.ascontiguousarray(value) for name, value in found.items()}
    checkpoint.write_atomically(run / "probe.safetensors", safetensors.numpy.save(arrays))


if __name__ == "__main__":
    try:
        main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
    except TetraplaError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
