"""Checkpoints: safetensors in canonical names and layouts, written atomically, readable by every backend."""

import json
import os
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from common.contract import Snapshot
from common.errors import CheckpointError
from common.specs.records import Spec

GROUPS = ("parameters", "statistics", "moments")


def write_atomically(path: Path, content: bytes) -> None:
    """The file is either the old one or the new one, whole, whenever the process dies."""
    temporary = path.with_name(f".{path.name}.tmp")
    with open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def write_json(path: Path, value) -> None:
    write_atomically(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def save_checkpoint(path: Path, spec: Spec, snapshot: Snapshot) -> None:
    """Tensors as "parameters.<name>", "statistics.<name>" and "moments.<update>.<first|second>.<name>"."""
    tensors = {
        f"{group}.{name}": np.array(value, order="C")
        for group in GROUPS
        for name, value in getattr(snapshot, group).items()
    }
    metadata = {"model": spec.name, "fingerprint": spec.fingerprint(), "step": str(snapshot.step)}
    write_atomically(path, save(tensors, metadata))


def load_checkpoint(path: Path, spec: Spec) -> Snapshot:
    """Raises CheckpointError if the file is unreadable, of another model, or not what the model needs."""
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: expected a safetensors checkpoint ({error})") from error
    if metadata.get("fingerprint") != spec.fingerprint():
        raise CheckpointError(
            f"{path}: expected a checkpoint of {spec.name} with fingerprint {spec.fingerprint()}, found "
            f"{metadata.get('model')!r} with {metadata.get('fingerprint')!r}"
        )
    groups = {}
    for group, shapes in zip(
        GROUPS, (spec.parameter_shapes(), spec.statistic_shapes(), spec.moment_shapes()), strict=True
    ):
        groups[group] = {name: tensors.get(f"{group}.{name}") for name in shapes}
        for name, shape in shapes.items():
            found = groups[group][name]
            if found is None or found.shape != shape:
                raise CheckpointError(
                    f"{path}: expected {group}.{name} of shape {shape}, found {getattr(found, 'shape', 'nothing')}"
                )
    return Snapshot(**groups, step=int(metadata["step"]))
