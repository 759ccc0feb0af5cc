"""Sets that are made here: kept as safetensors with a digest, so that each is made once.

Where: --data-dir, else $TETRAPLA_DATA, else the user cache, the first in which it is found; it is written to the first.
"""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import filelock
import numpy as np
import safetensors.numpy
from safetensors import SafetensorError, safe_open

from common.checkpoint import write_atomically
from common.data import Dataset, in_channels
from common.data.places import places
from common.specs.layers import Shape
from common.terminal import ERR, progress_bar

Parts = dict[str, np.ndarray]


def folders(data_dir: Path | None) -> list[Path]:
    """Where a made set is looked for."""
    return places("made", data_dir)


def kept(name: str, key: dict[str, str | int], where: list[Path], make: Callable[[], Parts]) -> Parts:
    """What `make` gives, from a file of one of the folders `where` if one is there, else made and kept in the first.

    `key` is what the set depends on: the generator's version, side, seed. A damaged file is made again, and said so; of two
    processes one makes it and the other waits.
    """
    file = "-".join([name, *(f"{label}{value}" for label, value in key.items())]) + ".safetensors"
    for path in (folder / file for folder in where):
        if path.is_file() and (found := _read(path)) is not None:
            return found
    path = where[0] / file
    path.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(path.with_name(f".{file}.lock")):
        if path.is_file() and (found := _read(path, quiet=True)) is not None:
            return found
        parts = {name: np.ascontiguousarray(array) for name, array in make().items()}  # as safetensors writes them
        write_atomically(path, safetensors.numpy.save(parts, {"sha256": digest(parts)}))
    return parts


def in_chunks(label: str, count: int, make: Callable[[range], Parts], chunk: int = 100) -> Parts:
    """`make` of 0 to `count`, `chunk` at a time, joined; with a progress bar."""
    parts = []
    with progress_bar(f"making {label}") as progress:
        task = progress.add_task("", total=count, note="")
        for start in range(0, count, chunk):
            parts.append(make(range(start, min(start + chunk, count))))
            progress.update(task, completed=min(start + chunk, count))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def dataset(name: str, description: str, parts: Parts, test: Iterable[int], picture: Shape) -> Dataset:
    """`parts`: "images" uint8 (N, C, H, W), "labels" (N,), and the factors, float64 (N,); `test`: the rows to hold out."""
    factors = {key: values for key, values in parts.items() if key not in ("images", "labels")}
    held = np.zeros(len(parts["labels"]), bool)
    held[np.asarray(test)] = True
    images = in_channels(parts["images"], picture[0])
    return Dataset(
        name,
        description,
        images[~held],
        parts["labels"][~held],
        images[held],
        parts["labels"][held],
        {key: values[~held] for key, values in factors.items()},
        {key: values[held] for key, values in factors.items()},
    )


def _read(path, quiet=False):
    """Its arrays, or None if they are not those that were written."""
    try:
        with safe_open(path, framework="numpy") as file:
            kept = (file.metadata() or {}).get("sha256")
            parts = {name: file.get_tensor(name) for name in file.keys()}
        if kept == digest(parts):
            return parts
    except (SafetensorError, ValueError, TypeError, AttributeError, KeyError):
        pass  # NumPy has no bfloat16, which raises whatever the library happens to run into
    if not quiet:
        ERR.print(
            f"{path}: the file is damaged: its digest is not that of its content; it is made again", soft_wrap=True
        )
    return None


def digest(parts: dict[str, np.ndarray]) -> str:
    """SHA-256 of named arrays, whatever their order."""
    found = hashlib.sha256()
    for name, array in sorted(parts.items()):
        found.update(f"{name} {array.dtype} {array.shape}".encode())
        found.update(np.ascontiguousarray(array))
    return found.hexdigest()
