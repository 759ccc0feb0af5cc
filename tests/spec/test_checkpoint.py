"""Checkpoints come back as they were, and nothing else is taken for one."""

import dataclasses

import numpy as np
import pytest

from common import checkpoint
from common.errors import CheckpointError
from common.parameters import initial_parameters
from common.reference.column import Reference
from common.specs import get

SPEC = get("vae_z100")


@pytest.fixture
def saved(tmp_path):
    column, path = Reference(SPEC, initial_parameters(SPEC, 3)), tmp_path / "checkpoint.safetensors"
    checkpoint.save_checkpoint(path, SPEC, column.parameters(), column.moments(), 17)
    return column, path


def test_round_trip(saved):
    column, path = saved
    parameters, moments, step = checkpoint.load_checkpoint(path, SPEC)
    assert step == 17
    assert list(parameters) == list(column.parameters())
    for name, value in column.parameters().items():
        assert np.array_equal(value, parameters[name])
        assert value.dtype == parameters[name].dtype
    assert moments.keys() == column.moments().keys()


def test_nothing_temporary_is_left(saved):
    _, path = saved
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_failed_write_keeps_the_old_file(saved, monkeypatch):
    _, path = saved
    before = path.read_bytes()

    def full(descriptor):
        raise OSError("no space left on device")

    monkeypatch.setattr(checkpoint.os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        checkpoint.write_atomically(path, b"half")
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", [lambda b: b[:100], lambda b: b"", lambda b: b"\xff" * 64 + b[64:]])
def test_a_damaged_file(saved, damage):
    _, path = saved
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CheckpointError, match="expected a safetensors checkpoint"):
        checkpoint.load_checkpoint(path, SPEC)


def test_another_model(saved):
    _, path = saved
    with pytest.raises(CheckpointError, match="expected a checkpoint of vae with fingerprint .* found 'vae_z100'"):
        checkpoint.load_checkpoint(path, get("vae"))
    with pytest.raises(CheckpointError, match="fingerprint"):
        checkpoint.load_checkpoint(path, dataclasses.replace(SPEC, reduction="sum"))


def test_a_missing_tensor(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    parameters = initial_parameters(SPEC, 0)
    del parameters["decoder.fc1.bias"]
    checkpoint.save_checkpoint(path, SPEC, parameters, {}, 0)
    with pytest.raises(CheckpointError, match=r"expected decoder.fc1.bias of shape \(784,\), found nothing"):
        checkpoint.load_checkpoint(path, SPEC)
