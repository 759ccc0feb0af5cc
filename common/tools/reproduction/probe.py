"""What a trained model can do, in a process of its own: `python -m common.tools.reproduction.probe ARTICLE RUN DATA DATA_DIR DEVICE`.

Calls the article's `probe(column, data)` and writes the arrays that it returns to RUN/probe.safetensors.
"""

import sys
from pathlib import Path

import numpy as np
import safetensors.numpy

from common import checkpoint, data
from common.contract import Column
from common.data.batches import BATCH, to_bytes
from common.errors import TetraplaError
from common.noise import draw
from common.tools.sampling import trained


def samples(column: Column, count: int) -> np.ndarray:
    """uint8 (count, 28, 28): `count` draws from the prior, decoded."""
    noise = draw(column.spec.sampling_noise, count, 0, "sampling", 1)
    parts = [{name: value[k : k + BATCH] for name, value in noise.items()} for k in range(0, count, BATCH)]
    return np.concatenate([to_bytes(column.spec, column.sample(part)) for part in parts])


def main(article: str, run: Path, data_name: str, data_dir: str, device: str) -> None:
    from common.tools import reproduction

    column = trained(run, device=device)
    dataset = data.load(data_name, Path(data_dir) if data_dir else None, column.spec.images.picture)
    found = reproduction.module(article).probe(column, dataset)
    arrays = {name: np.ascontiguousarray(value) for name, value in found.items()}
    checkpoint.write_atomically(run / "probe.safetensors", safetensors.numpy.save(arrays))


if __name__ == "__main__":
    try:
        main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
    except TetraplaError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
