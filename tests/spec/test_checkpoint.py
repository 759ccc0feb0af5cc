"""Checkpoints come back as they were, and nothing else is taken for one."""

import dataclasses

import numpy as np
import pytest

from common import checkpoint
from common.checkpoint import GROUPS
from common.contract import Snapshot
from common.errors import CheckpointError
from common.parameters import initial_parameters
from common.reference.column import Reference
from common.specs import get

SPEC = get("vae_z100")


@pytest.fixture
def saved(tmp_path):
    column, path = Reference(SPEC, initial_parameters(SPEC, 3)), tmp_path / "checkpoint.safetensors"
    checkpoint.save_checkpoint(path, SPEC, Snapshot.of(column))
    return column, path


@pytest.mark.parametrize("model", ["vae_z100", "infogan"])
def test_round_trip(model, tmp_path):
    """Of tensors that are all different, so that a mix-up would show."""
    spec, random, path = get(model), np.random.default_rng(0), tmp_path / "checkpoint.safetensors"
    shapes = (spec.parameter_shapes(), spec.statistic_shapes(), spec.moment_shapes())
    groups = ({name: random.normal(size=s).astype(np.float32) for name, s in group.items()} for group in shapes)
    kept = Snapshot(*groups, step=17)
    checkpoint.save_checkpoint(path, spec, kept)
    loaded = checkpoint.load_checkpoint(path, spec)
    assert loaded.step == 17
    assert bool(loaded.statistics) == (model == "infogan")
    for group in GROUPS:
        expected, found = getattr(kept, group), getattr(loaded, group)
        assert list(expected) == list(found)
        assert all(np.array_equal(value, found[name]) for name, value in expected.items())
        assert all(value.dtype == found[name].dtype for name, value in expected.items())


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


@pytest.mark.parametrize(
    ("group", "name", "shape"),
    [("parameters", "decoder.fc1.bias", "(784,)"), ("moments", "train.first.decoder.fc1.bias", "(784,)")],
)
def test_a_missing_tensor(tmp_path, group, name, shape):
    path, snapshot = tmp_path / "checkpoint.safetensors", Snapshot.start(SPEC, initial_parameters(SPEC, 0))
    del getattr(snapshot, group)[name]
    checkpoint.save_checkpoint(path, SPEC, snapshot)
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load_checkpoint(path, SPEC)
    assert f"expected {group}.{name} of shape {shape}, found nothing" in str(caught.value)
