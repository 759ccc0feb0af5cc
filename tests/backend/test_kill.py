"""Training that is killed with SIGKILL at random moments ends, resumed, where an unbroken one ends: bit for bit.

Two models and two kills a backend; with --thorough all models and six, which takes minutes (`nox -s test-kill`).
"""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from common import specs
from common.checkpoint import GROUPS, load_checkpoint
from common.environment import ROOT
from common.tools import training
from tests.backend.train_all import STEPS


def start(backend, folder, marks, models, log):
    command = [sys.executable, "-m", "tests.backend.train_all", backend, str(folder), str(marks), *models]
    return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)


def kill(process, marks, moment, random):
    """SIGKILL after a random number of "writing" or "done" marks, and a random time. False if it ended before."""
    seen, wanted = marks.read_text().count(moment), int(random.integers(1, 4 if moment == "writing" else 2))
    while process.poll() is None:
        if marks.read_text().count(moment) >= seen + wanted:
            time.sleep(random.uniform(0, 0.1 if moment == "writing" else 2))
            process.send_signal(signal.SIGKILL)
            return process.wait() == -signal.SIGKILL
        time.sleep(0.005)
    return False


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_killed_and_resumed(backend, tmp_path, pytestconfig, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "compiled"))  # what a kill leaves there harms none
    thorough = pytestconfig.getoption("thorough")
    models, planned = (list(specs.SPECS), 6) if thorough else (["vae", "gan_two_layer"], 2)
    random, marks, kills = np.random.default_rng(), tmp_path / "marks", 0
    marks.touch()
    with open(tmp_path / "log", "w+") as log:
        whole = start(backend, tmp_path / "whole", tmp_path / "others", models, log)
        assert whole.wait() == 0, log.seek(0) or log.read()
        for k in range(planned):  # every other one while a file is being written
            process = start(backend, tmp_path / "killed", marks, models, log)
            kills += kill(process, marks, ("writing", "done")[k % 2], random)
        assert start(backend, tmp_path / "killed", marks, models, log).wait() == 0, log.seek(0) or log.read()
    assert kills == planned
    for spec in map(specs.get, models):
        for noise in ("native", "replayed"):
            compare(spec, *(tmp_path / way / f"{spec.name}-{noise}" for way in ("whole", "killed")))


def compare(spec, whole, killed):
    a, b = (load_checkpoint(folder / "checkpoint.safetensors", spec) for folder in (whole, killed))
    assert a.step == b.step == STEPS
    for group in GROUPS:
        for name, value in getattr(a, group).items():
            assert np.array_equal(value, getattr(b, group)[name]), (whole.name, name)
    rows = [training.read_metrics(folder / "metrics.jsonl") for folder in (whole, killed)]
    for part in rows:
        assert [row["step"] for row in part if "test" not in row] == list(range(1, STEPS + 1))
        assert [row["step"] for row in part if "test" in row] == [STEPS]
        part[-1].pop("seconds")
    assert rows[0] == rows[1]
    assert {path.name for path in whole.rglob("*.png")} == {path.name for path in killed.rglob("*.png")}
    assert not list(killed.rglob(".*.tmp"))
