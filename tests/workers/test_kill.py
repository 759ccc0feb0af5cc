"""Two workers, one of which is killed with SIGKILL at a random moment, end together; given the same command again, and again, they
end where an unbroken run of two ends: bit for bit. Five minutes a backend, so by `nox -s test-kill` alone."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from common.checkpoint import GROUPS, load_checkpoint
from common.environment import ROOT
from common.specs import get
from common.tools import training

KILLS, STEPS = 20, 3000


def start(backend, out):
    command = [sys.executable, "-P", "-m", "common.tools.cli", "train", "vae", "--backend", backend, "--workers", "2"]
    command += ["--steps", str(STEPS), "--batch-size", "32", "--checkpoint-every", "20", "--resume", "--out", str(out)]
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=variables, **pipes)


def finish(process):
    said = process.communicate()[1]
    assert process.returncode == 0, said


def kill_one(process, out, early, random):
    """SIGKILL one of the ranks: soon after they were started, or after a checkpoint. Which one, and after how many seconds all had
    ended; (None, 0.0) if they ended before."""
    checkpoint = out / "checkpoint.safetensors"
    before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
    while process.poll() is None and len(psutil.Process(process.pid).children()) < 2:
        time.sleep(0.02)
    while not early and process.poll() is None:
        if checkpoint.exists() and checkpoint.stat().st_mtime_ns > before:
            break
        time.sleep(0.005)
    time.sleep(random.uniform(0, 8 if early else 1))
    rank = int(random.integers(2))
    try:
        ranks = sorted(psutil.Process(process.pid).children(), key=lambda child: child.pid)
        ranks[rank].send_signal(signal.SIGKILL)
    except (psutil.NoSuchProcess, IndexError):
        return None, 0.0
    began = time.monotonic()
    process.wait(timeout=60)
    return rank, time.monotonic() - began


def test_killed_and_resumed(backend, tmp_path, pytestconfig, monkeypatch):
    if not pytestconfig.getoption("thorough"):
        pytest.skip("five minutes: by nox -s test-kill")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "compiled"))  # what a kill leaves there harms none
    random, kills, longest = np.random.default_rng(), 0, 0.0
    finish(start(backend, tmp_path / "whole"))
    for k in range(KILLS):
        process = start(backend, tmp_path / "killed")
        rank, seconds = kill_one(process, tmp_path / "killed", k % 3 == 0, random)
        said = process.communicate()[1]
        if rank is not None and process.returncode:
            kills, longest = kills + 1, max(longest, seconds)
            assert process.returncode == 1, said
            assert said.startswith(f"error: rank {rank} of 2 was ended by SIGKILL"), said
            assert said.count("\n") == 1, said
    finish(start(backend, tmp_path / "killed"))
    assert longest < 30
    assert kills >= KILLS - 2, kills
    print(f"{backend}: {kills} kills, all ended after {longest:.1f} s at most")
    a, b = (load_checkpoint(tmp_path / way / "checkpoint.safetensors", get("vae")) for way in ("whole", "killed"))
    assert a.step == b.step == STEPS
    for group in GROUPS:
        for name, value in getattr(a, group).items():
            assert np.array_equal(value, getattr(b, group)[name]), name
    rows = [training.read_metrics(tmp_path / way / "metrics.jsonl") for way in ("whole", "killed")]
    for part in rows:
        assert [row["step"] for row in part if "test" not in row] == list(range(1, STEPS + 1))
    assert [row.get("loss") for row in rows[0]] == [row.get("loss") for row in rows[1]]
