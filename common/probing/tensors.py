"""Arrays in a file, in the format of safetensors: eight bytes of length, a JSON header, then the numbers. Written here, because
the interpreter of a side may hold NumPy and its framework alone; no pickle is ever read."""

import json
import os
import uuid
from pathlib import Path

import numpy as np

from common.probing import Arrays

LARGEST = 2**28  # bytes of a file of several tensors
TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1", "BOOL": "?"}  # fmt: skip


def write(path: Path, arrays: Arrays) -> None:
    """To a temporary name first, then renamed. Raises TypeError for what is no array of numbers."""
    header, offset, parts = {}, 0, []
    for name, value in arrays.items():
        value = np.asarray(value, order="C")
        kind = next((k for k, t in TYPES.items() if np.dtype(t) == value.dtype), None)
        if kind is None:
            raise TypeError(f"{name}: expected numbers, found {value.dtype}")
        header[name] = {"dtype": kind, "shape": value.shape, "data_offsets": [offset, offset + value.nbytes]}
        offset += value.nbytes
        parts.append(value)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    partial = path.with_name(path.name + ".part")
    with partial.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for value in parts:
            file.write(
                memoryview(value.astype(value.dtype.newbyteorder("<"), copy=False)).cast("B") if value.size else b""
            )
    os.replace(partial, path)


def give(folder: Path, arrays: Arrays) -> list[str]:
    """Names of new files in `folder` that hold these, each of LARGEST bytes at most, or of one tensor that is larger."""
    parts, size = [{}], 0
    for name, value in arrays.items():
        size += value.nbytes
        if size > LARGEST and parts[-1]:
            parts.append({})
            size = value.nbytes
        parts[-1][name] = value
    names = [f"{uuid.uuid4().hex}.tensors" for _ in parts]
    for name, part in zip(names, parts, strict=True):
        write(folder / name, part)
    return names


def take(folder: Path, names: list[str]) -> Arrays:
    """What `give` has written; its files are gone, but mapped as long as the arrays are used."""
    found = {}
    for name in names:
        found |= read(folder / name)
        (folder / name).unlink()
    return found


def read(path: Path) -> Arrays:
    """{name: array}, mapped: a side may be as large as memory."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    data = (
        np.memmap(path, np.uint8, "r", offset=8 + length) if path.stat().st_size > 8 + length else np.empty(0, np.uint8)
    )
    found = {}
    for name, about in header.items():
        first, last = about["data_offsets"]
        found[name] = np.frombuffer(data[first:last], TYPES[about["dtype"]]).reshape(about["shape"])
    return found
