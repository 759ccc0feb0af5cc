"""Two processes that train together, from the command line, in one backend: checkpoints, deaths, refusals. By `nox -s test-workers`."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from common import parity, worlds
from common.checkpoint import load_checkpoint
from common.environment import ROOT
from common.specs import get
from common.tools import training
from tests.conftest import tetrapla

COUNT = 2
SAME = 1e-11  # deviation of two runs that are one


def train(backend, out, *more, workers=COUNT):
    arguments = ("train", "vae", "--backend", backend, "--workers", workers, "--out", out)
    arguments += ("--dtype", "float64", "--batch-size", 32, *more)
    result = tetrapla(*arguments)
    assert (result.returncode, result.stderr) == (0, ""), result.stderr
    return load_checkpoint(out / "checkpoint.safetensors", get("vae"))


def apart(a, b):
    """The largest deviation between two checkpoints."""
    assert a.step == b.step
    return max(parity.largest_deviation(x, y)[0] for x, y in ((a.parameters, b.parameters), (a.moments, b.moments)))


def test_a_run_goes_on_with_another_number_of_workers(backend, tmp_path):
    """Two, then one, then four, against one all the way; drawn on the device, in rows of what one process draws."""
    one = train(backend, tmp_path / "one", "--steps", 30, workers=1)
    train(backend, tmp_path / "many", "--steps", 10)
    train(backend, tmp_path / "many", "--steps", 20, "--resume", workers=1)
    many = train(backend, tmp_path / "many", "--steps", 30, "--resume", workers=4)
    assert apart(one, many) <= SAME
    assert [one["workers"] for one in training.read_run(tmp_path / "many")["sessions"]] == [2, 1, 4]
    rows = [training.read_metrics(tmp_path / name / "metrics.jsonl") for name in ("one", "many")]
    a, b = ([row["loss"] for row in part if "test" not in row] for part in rows)
    assert len(a) == 30
    np.testing.assert_allclose(b, a, rtol=1e-11)
    assert rows[0][-1]["test"]["loss"] == pytest.approx(rows[1][-1]["test"]["loss"], rel=1e-11)


@pytest.mark.parametrize("rank", [0, 1])
def test_when_a_rank_is_killed_all_end_with_one_line(backend, tmp_path, rank):
    command = [sys.executable, "-P", "-m", "common.tools.cli", "train", "vae", "--backend", backend]
    command += ["--workers", "2", "--epochs", "100000", "--out", str(tmp_path / "run"), "--checkpoint-every", "20"]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    wait_for(lambda: (tmp_path / "run" / "checkpoint.safetensors").exists(), process)
    ranks = sorted(psutil.Process(process.pid).children(), key=lambda child: child.pid)
    assert len(ranks) == 2
    os.kill(ranks[rank].pid, signal.SIGKILL)
    began = time.monotonic()
    said = process.communicate(timeout=60)
    assert time.monotonic() - began < 30
    assert process.returncode == 1
    assert said[1] == (
        f"error: rank {rank} of 2 was ended by SIGKILL, and the others with it; --resume goes on from the last checkpoint\n"
    )
    assert not any(psutil.pid_exists(child.pid) and child.status() != psutil.STATUS_ZOMBIE for child in ranks)
    done = load_checkpoint(tmp_path / "run" / "checkpoint.safetensors", get("vae")).step
    assert done > 0
    result = tetrapla(
        "train", "vae", "--backend", backend, "--workers", 2, "--steps", done + 7, "--resume", "--out", tmp_path / "run"
    )
    assert result.returncode == 0, result.stderr


def wait_for(condition, process, seconds=120):
    left = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < left
        time.sleep(0.05)


def start(backend, rank, ports, *more, count=2):
    """One rank, as a framework's own launcher would start it."""
    variables = os.environ | worlds.settings(backend, rank, count, ports) | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", "-m", "common.tools.cli", "train", "vae", "--backend", backend, *map(str, more)]
    return subprocess.Popen(command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_ranks_that_are_not_told_the_same_are_refused(backend, tmp_path):
    ports = worlds.free_ports(2)
    both = [start(backend, r, ports, "--seed", r, "--steps", 3, "--out", tmp_path / "run") for r in (0, 1)]
    for process in both:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 2
        assert said.count("\n") == 1
        assert "rank 1 of 2 has another seed than rank 0" in said
    assert not (tmp_path / "run").exists()


def test_a_rank_that_meets_nobody_says_where_it_looked(backend, tmp_path):
    ports = worlds.free_ports(2)
    process = start(backend, 0, ports, "--timeout", 5, "--steps", 3, "--out", tmp_path / "run")
    _, said = process.communicate(timeout=90)
    assert process.returncode == 2
    assert said.count("\n") == 1
    assert f"127.0.0.1:{ports[0]}" in said
    assert not (tmp_path / "run").exists()


def test_a_port_that_is_taken(backend, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = [taken.getsockname()[1], worlds.free_ports(2)[1]]
        process = start(backend, 0, ports, "--timeout", 5, "--steps", 3, "--out", tmp_path / "run")
        _, said = process.communicate(timeout=90)
    assert process.returncode == 2
    assert said.count("\n") == 1
    assert f"127.0.0.1:{ports[0]}" in said


def test_what_listens_is_on_the_loopback_address(backend, tmp_path):
    """The ranks of one machine can be reached by nobody else."""
    ports = worlds.free_ports(2)
    both = [start(backend, r, ports, "--epochs", 100000, "--out", tmp_path / "run") for r in (0, 1)]
    try:
        wait_for(lambda: (tmp_path / "run" / "metrics.jsonl").exists(), both[0])
        found = [
            one.laddr.ip
            for process in both
            for one in psutil.Process(process.pid).net_connections("inet")
            if one.status == psutil.CONN_LISTEN
        ]
        assert found or backend == "paddle"  # whose ranks listen until they have met
        outside = {address for address in found if address not in ("127.0.0.1", "::1", "::ffff:127.0.0.1")}
        # TensorFlow's server takes all addresses whatever TF_CONFIG says (docs/differences.md).
        assert outside <= ({"0.0.0.0", "::"} if backend == "tensorflow" else set()), found
    finally:
        for process in both:
            process.kill()
            process.communicate()


def test_threads_do_not_become_more(backend, tmp_path):
    """From the hundredth update to the four hundredth: where each operation had a timeout TensorFlow left a thread behind it."""
    ports = worlds.free_ports(2)
    both = [start(backend, r, ports, "--epochs", 100000, "--out", tmp_path / "run") for r in (0, 1)]
    found = []
    try:
        for count in (100, 400):
            wait_for(lambda count=count: len(losses(tmp_path / "run")) >= count, both[0])
            found.append(psutil.Process(both[0].pid).num_threads())
    finally:
        for process in both:
            process.kill()
            process.communicate()
    assert found[1] - found[0] < 50, found


def losses(run):
    path = run / "metrics.jsonl"
    return [row for row in training.read_metrics(path) if "test" not in row] if path.exists() else []


def test_json_of_a_run_says_how_batch_norms_were_taken(backend, tmp_path):
    result = tetrapla(
        "train", "infogan", "--backend", backend, "--workers", 2, "--steps", 1, "--batch-size", 4, "--out", tmp_path / "run"
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, ""), result.stderr
    (session,) = json.loads((tmp_path / "run" / "run.json").read_text())["sessions"]
    assert session["batch_norm"] == ("per replica" if backend in worlds.PER_REPLICA else "global")


def test_steps_that_two_share_are_timed_beside_one(backend, tmp_path):
    arguments = ("--workers", 1, "--workers", 2, "--repeats", 1, "--seconds", 0.05, "--out", tmp_path / "bench")
    result = tetrapla("bench", "vae_z100", "--backend", backend, *arguments)
    assert (result.returncode, result.stderr) == (0, ""), result.stderr + result.stdout
    one, two = json.loads((tmp_path / "bench" / "workers.json").read_text())["rows"]
    assert (one["workers"], two["workers"]) == (1, 2)
    assert one["proof"]["passed"] and two["proof"]["passed"]
    assert two["together"]["median"] > 0 and two["apart"]["median"] > 0 and min(two["exchanges"]) > 0


def test_what_the_user_can_mend_is_said_once(backend, tmp_path):
    (tmp_path / "run").mkdir()
    result = tetrapla("train", "vae", "--backend", backend, "--workers", 2, "--out", tmp_path / "run")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1), result.stderr
    result = tetrapla(
        "train", "vae", "--backend", backend, "--workers", 3, "--batch-size", 8, "--out", tmp_path / "new"
    )
    assert (result.returncode, result.stderr.count("\n")) == (2, 1), result.stderr
    assert "a batch of 8 cannot be dealt to 3 workers" in result.stderr
    assert not (tmp_path / "new").exists()
