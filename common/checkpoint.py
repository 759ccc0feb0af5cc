"""Checkpoints: safetensors in canonical names and layouts, written atomically, readable by every backend."""

import json
import os
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from common.errors import CheckpointError
from common.specs.records import Spec


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


def save_checkpoint(path: Path, spec: Spec, parameters: dict, moments: dict, step: int) -> None:
    """Parameters as "parameters.<name>", Adam moments as "moments.<update>.<first|second>.<name>"."""
    tensors = {f"parameters.{name}": value for name, value in parameters.items()}
    tensors |= {f"moments.{name}": value for name, value in moments.items()}
    tensors = {name: np.array(value, order="C") for name, value in tensors.items()}
    metadata = {"model": spec.name, "fingerprint": spec.fingerprint(), "step": str(step)}
    write_atomically(path, save(tensors, metadata))


def load_checkpoint(path: Path, spec: Spec) -> tuple[dict, dict, int]:
    """(parameters, moments, step). Raises CheckpointError if the file is unreadable or of another model."""
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
    parameters = {name: tensors.get(f"parameters.{name}") for name in spec.parameter_shapes()}
    for name, shape in spec.parameter_shapes().items():
        found = parameters[name]
        if found is None or found.shape != shape:
            raise CheckpointError(
                f"{path}: expected {name} of shape {shape}, found {getattr(found, 'shape', 'nothing')}"
            )
    moments = {name.removeprefix("moments."): value for name, value in tensors.items() if name.startswith("moments.")}
    return parameters, moments, int(metadata["step"])
