"""A short benchmark in one backend: every mode gives a number, and a column that is not proven gives none."""

import dataclasses
import json
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from matplotlib import image

import backends
from benchmarks import suite, worker
from common import environment
from common.processes import Children
from common.specs import get
from tests.conftest import tetrapla, write_idx


@pytest.fixture(scope="module")
def modes(backend):
    """Those that can be measured here: torch.compile needs a C++ compiler."""
    without = backend == "pytorch" and not (shutil.which("g++") or shutil.which("c++"))
    return [mode for mode in worker.MODES if mode not in worker.LOWERED and not (mode == "compiled" and without)]


@pytest.fixture(scope="module")
def measured(backend, modes, tmp_path_factory):
    out = tmp_path_factory.mktemp("bench") / "bench"
    chosen = [word for mode in modes for word in ("--mode", mode)]
    few = ("--repeats", 2, "--seconds", 0.05, "--threads", 1)
    result = tetrapla("bench", "vae", "--backend", backend, *chosen, *few, "--out", out)
    assert result.returncode == 0, result.stdout + result.stderr
    return out, result.stdout


def test_every_mode_gives_a_number(measured, modes, backend):
    out, stdout = measured
    result = json.loads((out / "result.json").read_text())
    assert [row["mode"] for row in result["rows"]] == modes
    for row in result["rows"]:
        assert row["backend"] == backend and row["proof"]["passed"]
        assert len(row["seconds"]) == 2 and 0 < row["least"] <= row["median"] <= row["most"] < 5
        assert row["peak_memory_mib"] > 50
        assert row["environment"]["OMP_NUM_THREADS"] == "1"
    assert result["yardstick"]["product"] > 1e9 < result["yardstick"]["copy"]
    assert "fastest" in stdout
    assert image.imread(out / "plot.png")[..., :3].std() > 0.05


def test_from_the_folder_of_the_user(backend, trap):
    """Its images are meant by a relative path, and none of its modules is imported, though they are called as ours are."""
    write_idx(trap / "images", 40)
    words = ("vae", "--backend", backend, "--mode", "fast", "--batch-size", 8, "--repeats", 1, "--seconds", 0.01)
    result = tetrapla("bench", *words, "--threads", 1, "--data", "images", "--out", "bench", cwd=trap)
    assert result.returncode == 0, result.stdout + result.stderr
    few = ("--updates", 2, "--batch-size", 8)
    result = tetrapla("profile", "vae", "--backend", backend, *few, "--data", "images", cwd=trap)
    assert result.returncode == 0, result.stdout + result.stderr


def test_ctrl_c_leaves_no_worker(backend, tmp_path):
    """While it imports, proves or compiles: two seconds into it is one of these."""
    command = [
        sys.executable,
        "-m",
        "common.tools.cli",
        "bench",
        "vae",
        "--backend",
        backend,
        "--out",
        str(tmp_path / "out"),
    ]
    bench = subprocess.Popen(command, cwd=environment.ROOT, stderr=subprocess.PIPE, text=True)
    while not (workers := psutil.Process(bench.pid).children(recursive=True)):
        time.sleep(0.02)
    time.sleep(2)
    workers = psutil.Process(bench.pid).children(recursive=True) or workers
    bench.send_signal(signal.SIGINT)
    _, stderr = bench.communicate(timeout=30)
    assert (bench.returncode, stderr.count("\n")) == (130, 1), stderr
    assert not psutil.wait_procs(workers, timeout=5)[1]


def test_the_naive_step_trains_too(backend, train):
    """The same model file in another way: its loss falls as that of the fast path does."""
    timed = worker.Timed(get("vae"), backend, "naive", "cpu", 32, train)
    before = timed.column.parameters()
    timed.run(40)
    after = timed.column.parameters()
    assert not any(np.array_equal(before[name], after[name]) for name in before)
    inputs = worker.model_inputs(get("vae"), {"images": train["images"][:100]})
    fast = worker.Timed(get("vae"), backend, "fast", "cpu", 32, train)
    fast.chunk = 20
    fast.run(40)
    noise = worker.draw(get("vae").noise, 100, 0, "evaluation", 0)
    assert timed.column.losses(inputs, noise)["loss"] == pytest.approx(
        fast.column.losses(inputs, noise)["loss"], rel=0.1
    )
    assert timed.column.step == fast.column.step == 40


def test_a_worker_stands_still_while_others_are_measured(backend, tmp_path):
    job = {"model": "vae", "batch": 32, "hidden": None, "backend": backend, "mode": "fast", "device": "cpu"}
    job |= {"data": "digits", "data_dir": None, "seconds": 0.05, "repeats": 1, "yardstick": False}

    def stands_still():
        process = psutil.Process(one.process.pid)
        time.sleep(0.5)  # what it was doing when the signal came
        before = process.cpu_times()
        time.sleep(0.1)
        return process.status() == psutil.STATUS_STOPPED and process.cpu_times() == before

    with Children() as children:
        one = suite.Worker(job, tmp_path, children, threads=1)
        assert one.fit and stands_still()
        one.measure()
        assert stands_still()
        assert one.finish()["seconds"] == one.seconds


def test_the_path_that_is_timed_is_proven(backend, train, tmp_path, monkeypatch):
    """A column that trains on other images than it was given parts from the oracle there, and only there."""
    real = backends.create

    def create(*arguments, **options):
        column = real(*arguments, **options)
        upload = column.upload
        column.upload = lambda data: upload(data | {"images": data["images"][::-1].copy()})
        return column

    assert worker.prove(get("vae"), backend, "fast", "cpu", train, tmp_path)["passed"]
    monkeypatch.setattr(backends, "create", create)
    proof = worker.prove(get("vae"), backend, "fast", "cpu", train, tmp_path)
    assert (proof["passed"], proof["stage"]) == (False, "two updates in one call")


def test_a_column_that_is_not_proven_gets_no_number(backend, train, tmp_path, monkeypatch):
    real = backends.create

    def create(name, spec, parameters, **options):
        (update,) = spec.updates
        wrong = dataclasses.replace(update, optimizer=dataclasses.replace(update.optimizer, epsilon=1e-3))
        return real(name, dataclasses.replace(spec, updates=(wrong,)), parameters, **options)

    monkeypatch.setattr(backends, "create", create)
    proof = worker.prove(get("vae"), backend, "fast", "cpu", train, tmp_path)
    assert (proof["passed"], proof["stage"]) == (False, "one update")
    said = []
    monkeypatch.setattr(worker, "say", said.append)
    job = {"model": "vae", "backend": backend, "mode": "fast", "device": "cpu", "data": "digits", "data_dir": None}
    worker.main(job | {"batch": 32, "hidden": None, "seconds": 0.1, "yardstick": False}, tmp_path)
    assert [message.keys() for message in said] == [{"proof"}]


def test_profile(backend):
    """Operators fill a part of an update, and no more than all cores: Paddle's executor and XLA run several at once even
    with one thread each. Of the VAE's 14 products Paddle's backward operator makes two at a time; XLA gives them other
    names, where it names them."""
    result = tetrapla("profile", "vae", "--backend", backend, "--updates", 10, "--threads", 1)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr == ""
    total = float(re.search(r"([0-9.e+]+) ms per update", result.stdout)[1])
    rows = re.findall(r"│ (\S.*?) +│ +([\d.]+) +│ +([\d.]+) +│", result.stdout)
    products = sum(float(calls) for name, _, calls in rows if re.search("mm$|matmul", name))
    assert products == {"pytorch": 14, "paddle": 10}.get(backend, 0)
    assert 0.1 * total < sum(float(own) for _, own, _ in rows) < 1.05 * environment.cores() * total
