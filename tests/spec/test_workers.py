"""What several processes that train together agree on, and how each finds its place, with no framework."""

import dataclasses
import json
import os
import sys
import threading
from unittest import mock

import numpy as np
import pytest

from common import worlds
from common.contract import Snapshot
from common.data import digits
from common.errors import UsageError
from common.parameters import initial_parameters
from common.parity import Case, expected
from common.processes import Children
from common.reference.networks import Networks
from common.specs import get
from common.specs.infogan import joint
from common.specs.layers import BatchNorm
from common.tools import launch
from common.workers import ALONE, World
from common.worlds import Place


def together(count, job):
    """[job(world)] of `count` ranks, each a thread; an exception stands in the place of what it would have returned."""
    barrier, given, results = threading.Barrier(count, timeout=20), [None] * count, [None] * count

    def run(rank):
        def total(array):
            given[rank] = np.array(array)
            barrier.wait()
            result = np.sum(given, axis=0)
            barrier.wait()
            return result

        try:
            results[rank] = job(World(rank, count, total))
        except Exception as error:
            results[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_rows_are_dealt_in_equal_parts():
    batch = {"x": np.arange(24.0).reshape(12, 2)}
    parts = [World(rank, 3).rows(batch)["x"] for rank in range(3)]
    assert [len(part) for part in parts] == [4, 4, 4]
    assert np.array_equal(np.concatenate(parts), batch["x"])
    stacked = World(1, 2).rows({"x": np.arange(12).reshape(2, 6)}, axis=1)["x"]
    assert stacked.tolist() == [[3, 4, 5], [9, 10, 11]]
    assert np.array_equal(ALONE.rows(batch)["x"], batch["x"])


def test_a_batch_that_cannot_be_dealt_is_refused():
    with pytest.raises(UsageError, match="a batch of 8 cannot be dealt to 3 workers .* --batch-size that 3 divides"):
        World(0, 3).own(8)


def test_what_ranks_hold_is_joined_in_their_order():
    whole = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
    found = together(3, lambda world: world.joined(world.rows({"x": whole})))
    assert all(np.array_equal(one["x"], whole) and one["x"].dtype == np.float32 for one in found)


@pytest.mark.parametrize("reduction, function", [("sum", np.sum), ("mean", np.mean)])
def test_losses_of_parts_are_those_of_the_batch(reduction, function):
    values = np.random.default_rng(0).normal(size=(8, 3))  # (B, K) of K steps
    found = together(4, lambda world: world.losses({"loss": function(values[world.own(8)], axis=0)}, reduction))
    for one in found:
        np.testing.assert_allclose(one["loss"], function(values, axis=0), rtol=1e-14)


def test_all_are_given_what_the_leading_rank_has_read():
    def job(world):
        spec = get("vae")
        snapshot = Snapshot.start(spec, {"a": np.full(3, float(world.rank + 1), np.float32)})
        return world.led(dataclasses.replace(snapshot, moments={}, step=7 if world.leads else 0))

    for one in together(2, job):
        assert (one.step, one.parameters["a"].tolist(), one.parameters["a"].dtype) == (7, [1.0] * 3, np.float32)


def test_ranks_that_differ_are_all_refused():
    found = together(3, lambda world: world.agree({"seed": 0, "data set": "b" if world.rank == 2 else "a"}))
    assert all(isinstance(one, UsageError) for one in found)
    assert str(found[0]).startswith("rank 2 of 3 has another data set than rank 0 (rank 0 has a)")
    assert together(3, lambda world: world.agree({"seed": 0})) == [None] * 3


@pytest.mark.parametrize("framework", ["pytorch", "tensorflow", "paddle", "jax"])
def test_a_place_is_found_by_the_frameworks_own_variables(framework):
    ports = [4000, 4001, 4002]
    for rank in range(3):
        found = worlds.find(framework, worlds.settings(framework, rank, 3, ports))
        assert found == Place(rank, 3, "127.0.0.1:4000")
    assert worlds.find(framework, {}) is None
    assert worlds.find(framework, worlds.settings(framework, 0, 1, ports)) is None


def test_the_variables_of_the_frameworks_launchers():
    torchrun = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "node1", "MASTER_PORT": "29400"}
    assert worlds.find("pytorch", torchrun) == Place(1, 2, "node1:29400")
    launched = {"PADDLE_TRAINER_ID": "1", "PADDLE_TRAINERS_NUM": "2", "PADDLE_TRAINER_ENDPOINTS": "10.0.0.1:8000,10.0.0.2:8000"}  # fmt: skip
    assert worlds.find("paddle", launched) == Place(1, 2, "10.0.0.1:8000")
    cluster = {"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}}
    assert worlds.find("tensorflow", {"TF_CONFIG": json.dumps(cluster)}) == Place(1, 2, "a:1")


@pytest.mark.parametrize("framework", ["pytorch", "paddle", "jax"])
def test_a_place_in_a_step_of_slurm(framework):
    step = {"SLURM_STEP_ID": "0", "SLURM_PROCID": "1", "SLURM_NTASKS": "2", "MASTER_ADDR": "node1", "MASTER_PORT": "4000"}  # fmt: skip
    with mock.patch.dict(os.environ, step):  # all of it as it was, afterwards
        assert worlds.adopt(framework) == Place(1, 2, "node1:4000")
        for name in ("SLURM_STEP_ID", "SLURM_PROCID"):
            del os.environ[name]
        assert worlds.find(framework) == Place(1, 2, "node1:4000")  # by the framework's own variables, which were set
    assert worlds.find(framework) is None
    # A script of sbatch has a rank too, before srun has started any.
    assert worlds.find("jax", {"SLURM_PROCID": "0", "SLURM_NTASKS": "2", "MASTER_ADDR": "node1"}) is None


def test_variables_that_make_no_sense_are_refused():
    with pytest.raises(UsageError, match="rank 2 of 2 in the environment; expected 0 to 1"):
        worlds.find("jax", {"JAX_PROCESS_ID": "2", "JAX_NUM_PROCESSES": "2"})
    with pytest.raises(UsageError, match="tell tensorflow its rank cannot be read"):
        worlds.find("tensorflow", {"TF_CONFIG": "{"})
    with pytest.raises(UsageError, match="tell pytorch its rank cannot be read"):
        worlds.find("pytorch", {"RANK": "a", "WORLD_SIZE": "2"})


def test_batch_norms_per_replica():
    """Of each half of the batch by itself, in NumPy; running statistics are moved by the means of both."""
    spec = get("infogan").training.twin
    name, layer = next(
        (n.name, layer) for n in spec.networks for layer in n.layers if isinstance(layer, BatchNorm) and len(n.layers)
    )
    path = f"{name}.{layer.name}"
    x = np.random.default_rng(0).normal(size=(6, layer.features, 2, 2))
    start = Snapshot.start(spec, initial_parameters(spec, 0))
    networks = Networks(spec.in_replicas(2), start.parameters, start.statistics, training=True)
    found, means, variances = networks._batch_norm(layer, path, x), [], []
    for half in (slice(3), slice(3, 6)):
        mean, variance = x[half].mean((0, 2, 3)), x[half].var((0, 2, 3))
        scale = start.parameters[f"{path}.weight"] / np.sqrt(variance + layer.epsilon)
        wanted = (x[half] - mean[:, None, None]) * scale[:, None, None] + start.parameters[f"{path}.bias"][
            :, None, None
        ]
        np.testing.assert_allclose(found[half], wanted, rtol=1e-12, atol=1e-14)
        means.append(mean)
        variances.append(variance)
    kept = layer.momentum
    np.testing.assert_allclose(networks.statistics[f"{path}.mean"], (1 - kept) * np.mean(means, 0), rtol=1e-12)
    np.testing.assert_allclose(networks.statistics[f"{path}.variance"], kept + (1 - kept) * np.mean(variances, 0), rtol=1e-12)  # fmt: skip


def test_a_joint_batch_is_each_replicas_share_of_real_and_generated_images():
    spec = get("infogan_chairs_joint").training.twin
    start = Snapshot.start(spec, initial_parameters(spec, 0))
    real, generated = np.random.default_rng(0).uniform(size=(2, 4, 1, 64, 64))

    def features(replicas, rows):
        there = Networks(spec.in_replicas(replicas), start.parameters, start.statistics, training=True)
        return joint(there, *(images[rows] for images in (real, generated)))

    one = Networks(spec, start.parameters, start.statistics, training=True).trunk(np.concatenate([real, generated]))
    np.testing.assert_array_equal(np.concatenate(features(1, slice(4))), one)
    shares = [features(1, slice(2)), features(1, slice(2, 4))]
    for found, wanted in zip(features(2, slice(4)), zip(*shares, strict=True), strict=True):
        np.testing.assert_allclose(found, np.concatenate(wanted), rtol=1e-12, atol=1e-13)
    assert np.abs(features(1, slice(4))[0] - features(2, slice(4))[0]).max() > 1e-3


def test_one_replica_is_the_batch_and_models_without_batch_norm_have_no_replicas():
    train = digits.load().train
    for model, same in (("vae", True), ("infogan", False)):
        spec = get(model)
        spec = spec.training.twin or spec
        one, two = (expected(Case(s, train, batch=4, steps=0), "float64") for s in (spec, spec.in_replicas(2)))
        assert spec.fingerprint() == spec.in_replicas(2).fingerprint()
        equal = [np.array_equal(one["gradients"][name], value) for name, value in two["gradients"].items()]
        assert all(equal) if same else not any(equal)


def test_whom_to_blame():
    assert launch.first_to_blame([1, -9, None]) == 1  # by a signal, whoever else then failed
    assert launch.first_to_blame([4, 2, None]) == 1  # not who lost another
    assert launch.first_to_blame([None, 4]) == 1


@pytest.mark.parametrize(
    "code, status", [("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9), ("exit(3)", 3)]
)
def test_when_one_fails_the_others_are_ended(tmp_path, monkeypatch, code, status):
    (tmp_path / "fails.py").write_text(code)
    (tmp_path / "waits.py").write_text("import time; time.sleep(600)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Children() as children:
        ranks = [children.start(module) for module in ("waits", "fails")]
        assert launch.watch(ranks) == 1
        assert [process.returncode for process in ranks] == [-9, status]


def test_all_end_well(tmp_path, monkeypatch):
    (tmp_path / "ends.py").write_text("pass")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Children() as children:
        assert launch.watch([children.start("ends"), children.start("ends")]) is None


def test_a_rank_is_started_with_the_command_of_its_parent(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["tetrapla", "train", "vae", "--workers", "2", "--out", "x", "--workers=2"])
    assert launch.this_command() == ["train", "vae", "--out", "x"]


def test_free_ports_are_different():
    assert len({*worlds.free_ports(4)}) == 4
