"""Checkpoints: safetensors in canonical names and layouts, written atomically, readable by every backend.

parameters.<name>, statistics.<name>, moments.<update>.<first|second|velocity>.<name>     the tensors, float32 or float64
metadata    model, fingerprint of the specification, step, about (JSON: seed, data, dtype, ... of the run), crc32
"""

import json
import os
import zlib
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from common.contract import Snapshot
from common.errors import CheckpointError
from common.specs.records import Spec

GROUPS = ("parameters", "statistics", "moments")


def write_atomically(path: Path, content: bytes) -> None:
    """The file is either the old one or the new one, whole, whenever the process or the machine dies."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: object) -> None:
    write_atomically(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def save_checkpoint(path: Path, spec: Spec, snapshot: Snapshot, about: dict | None = None) -> None:
    """`about` describes the run in plain JSON values: seed, data, dtype and what else resuming depends on."""
    tensors = {
        f"{group}.{name}": np.array(value, order="C")
        for group in GROUPS
        for name, value in getattr(snapshot, group).items()
    }
    metadata = {
        "model": spec.name,
        "fingerprint": spec.fingerprint(),
        "step": str(snapshot.step),
        "about": json.dumps(about or {}, sort_keys=True),
    }
    metadata["crc32"] = str(_checksum(tensors, metadata))
    write_atomically(path, save(tensors, metadata))


def load_checkpoint(path: Path, spec: Spec) -> Snapshot:
    """Raises CheckpointError if the file is unreadable or damaged, of another model, or not what the model needs."""
    tensors, metadata = _read(path)
    if metadata.get("fingerprint") != spec.fingerprint():
        raise CheckpointError(
            f"{path}: expected a checkpoint of {spec.name} with fingerprint {spec.fingerprint()}, found "
            f"{metadata.get('model')!r} with {metadata.get('fingerprint')!r}"
        )
    groups = {}
    shapes = (spec.parameter_shapes(), spec.statistic_shapes(), spec.moment_shapes())
    for group, expected in zip(GROUPS, shapes, strict=True):
        groups[group] = {name: _take(path, tensors, f"{group}.{name}", shape) for name, shape in expected.items()}
    if tensors:
        raise CheckpointError(f"{path}: expected no tensors besides those of {spec.name}, found {sorted(tensors)[0]}")
    return Snapshot(**groups, step=int(metadata["step"]))


def _read(path):
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError, ValueError, TypeError, AttributeError, KeyError) as error:
        # NumPy has no bfloat16 and no float8, which raises whatever the library happens to run into.
        raise CheckpointError(f"{path}: expected a safetensors checkpoint ({error})") from error
    if "crc32" not in metadata:
        raise CheckpointError(f"{path}: expected a checkpoint of tetrapla, found safetensors of another kind")
    if metadata.pop("crc32") != str(_checksum(tensors, metadata)):
        raise CheckpointError(f"{path}: the file is damaged: its checksum is not that of its content; use another")
    return tensors, metadata


def _take(path, tensors, name, shape):
    found = tensors.pop(name, None)
    if found is None or found.shape != shape:
        raise CheckpointError(f"{path}: expected {name} of shape {shape}, found {getattr(found, 'shape', 'nothing')}")
    if found.dtype not in (np.float32, np.float64):
        raise CheckpointError(f"{path}: expected {name} in float32 or float64, found {found.dtype}")
    if not np.isfinite(found).all():
        raise CheckpointError(f"{path}: expected finite numbers in {name}, found NaN or infinity; use another")
    return found


def _checksum(tensors, metadata):
    """Of all names, types, shapes and bytes: safetensors itself would not notice a flipped bit."""
    value = zlib.crc32(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        value = zlib.crc32(f"{name} {tensor.dtype} {tensor.shape}".encode(), value)
        value = zlib.crc32(tensor.reshape(-1).view(np.uint8), value)
    return value
