"""Child processes: where they start, on which cores, and that none outlives the block that started it."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from benchmarks import cases, suite
from common import environment
from common.data import digits
from common.errors import Interrupted, TrainingFailed
from common.processes import Children
from common.tools import reproduction
from common.tools.reproduction.results import Run

FOREVER = ("http.server", "0", "--bind", "127.0.0.1")  # a module that does not end by itself


@pytest.fixture
def started(monkeypatch):
    """Every child that is started, and a module that does not end in place of ours."""
    found, real = [], Children.start

    def start(self, module, *arguments, **options):
        found.append(real(self, *FOREVER, **options))
        return found[-1]

    monkeypatch.setattr(Children, "start", start)
    return found


@pytest.fixture
def interrupt(started, monkeypatch):
    """SIGINT to this process, handled as the command line does, as soon as a child runs."""

    def raise_(number, frame):
        raise Interrupted("interrupted")

    def send():
        for _ in range(200):
            if started:
                time.sleep(0.2)
                os.kill(os.getpid(), signal.SIGINT)
                return
            time.sleep(0.05)

    before = signal.signal(signal.SIGINT, raise_)
    with ThreadPoolExecutor(1) as pool:
        yield lambda: pool.submit(send)
    signal.signal(signal.SIGINT, before)


def test_nothing_is_imported_from_the_folder_of_the_user(trap):
    with Children() as children:
        process = children.start(
            "common.tools.cli", "list", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        said = process.communicate()[0]
    assert process.returncode == 0 and "conv_autoencoder" in said, said


def test_what_a_child_starts_imports_nothing_from_there_either(trap):
    (trap / "grandchild.py").write_text("")
    with Children() as children:
        process = children.start("timeit", "-n1", "-r1", "import subprocess, sys; subprocess.run([sys.executable, '-m', 'grandchild'], check=True)",
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip
        said = process.communicate()[0]
    assert process.returncode == 1 and "No module named grandchild" in said


def test_an_error_ends_running_and_stopped_children_with_what_they_started():
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with pytest.raises(KeyError), Children() as children:
        parent = children.start("timeit", "-n1", "-r1", code, stdin=subprocess.PIPE)
        stopped = children.start(*FOREVER, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not (below := psutil.Process(parent.pid).children()):
            time.sleep(0.01)
        stopped.send_signal(signal.SIGSTOP)
        raise KeyError
    assert (parent.returncode, stopped.returncode) == (-signal.SIGKILL, -signal.SIGKILL)
    psutil.wait_procs(below, timeout=5)
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in below)
    with pytest.raises(RuntimeError, match="after its block was left"):
        children.start(*FOREVER)


def test_ctrl_c_while_a_benchmark_proves(started, interrupt, tmp_path):
    interrupt()
    with pytest.raises(Interrupted):
        suite._together(cases.Case("vae", 128), [("jax", "fast"), ("paddle", "fast")], suite.Settings(), tmp_path)
    assert [process.returncode for process in started] == [-signal.SIGKILL]


def test_ctrl_c_while_runs_are_trained(started, interrupt, tmp_path):
    interrupt()
    runs = [Run("vae", "jax", seed, 10) for seed in range(3)]
    with pytest.raises(Interrupted):
        reproduction.carry_out(
            "autoencoders",
            runs,
            digits.load(),
            tmp_path / "out",
            data_name="digits",
            data_dir=None,
            device="cpu",
            jobs=2,
        )
    assert [process.returncode for process in started] == [-signal.SIGKILL] * 2


def test_a_benchmark_goes_on_without_a_worker_that_was_killed(tmp_path, monkeypatch):
    """Between two rounds, as a system short of memory does."""
    worker = tmp_path / "worker.py"
    ready = '{"proof": {"passed": true}, "build_seconds": 1, "first_seconds": 1, "yardstick": null, "environment": {}}'
    answers = """for line in sys.stdin: print('{"seconds": 1}' if "measure" in line else "{}", flush=True)"""
    worker.write_text(f"import sys\nprint('{ready}', flush=True)\n{answers}")
    real = Children.start
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(Children, "start", lambda self, module, *a, **options: real(self, "worker", **options))
    job = {"model": "vae", "batch": 128, "hidden": None, "backend": "jax", "mode": "fast", "repeats": 2}
    with Children() as children:
        killed, sound = (suite.Worker(job | {"mode": mode}, tmp_path, children, 1) for mode in ("naive", "fast"))
        for one in (killed, sound):
            one.measure()
        os.kill(killed.process.pid, signal.SIGKILL)
        time.sleep(0.2)
        for one in (killed, sound):
            one.measure()
        rows = [one.finish() for one in (killed, sound)]
    assert rows[0]["problem"] == "exit code -9: no output"
    assert rows[1]["seconds"] == [1, 1]


def test_jobs_get_cores_of_their_own(monkeypatch):
    monkeypatch.setattr(environment, "_cores", lambda: [1, 3, 4, 7])
    assert environment.shares(1) == ["1,3,4,7"]
    assert environment.shares(2) == ["1,3", "4,7"]
    assert environment.shares(3) == ["1", "3", "4"]
    assert environment.shares(6) == ["1", "3", "4", "7", "1", "3"]
    assert environment.shares(1, 2) == ["1,3"]
    assert environment.shares(2, 1) == ["1", "3"]
    assert environment.shares(1, 6) == ["1,3,4,7,1,3"]


def test_a_child_keeps_to_its_cores():
    core = min(os.sched_getaffinity(0))
    code = "import os, backends, common.specs as s\ntry: backends.load('jax', s.get('vae'))\nfinally: print(os.sched_getaffinity(0), os.environ['OMP_NUM_THREADS'])"
    variables = os.environ | {"PYTHONPATH": str(environment.ROOT)} | environment.thread_settings(f"{core},{core}")
    done = subprocess.run([sys.executable, "-P", "-c", code], env=variables, capture_output=True, text=True)
    assert f"{{{core}}} 2" in done.stdout, done.stderr


def test_each_job_is_given_a_share(tmp_path, monkeypatch):
    shares, real = [], Children.start

    def start(self, module, *arguments, cores, **options):
        shares.append(cores)
        return real(self, "this", **options)  # a module that ends well

    monkeypatch.setattr(Children, "start", start)
    monkeypatch.setattr(environment, "shares", lambda jobs: ["0", "1"][:jobs])
    runs = [Run("vae", "jax", seed, 10) for seed in range(8)]
    with pytest.raises(FileNotFoundError):  # nothing was trained
        reproduction.carry_out(
            "autoencoders",
            runs,
            digits.load(),
            tmp_path / "out",
            data_name="digits",
            data_dir=None,
            device="cpu",
            jobs=2,
        )
    assert set(shares) <= {"0", "1"} and shares
    monkeypatch.setattr(Children, "start", lambda self, *a, **options: real(self, "no_such_module", **options))
    with pytest.raises(TrainingFailed, match="train ended with exit code 1"):
        reproduction.carry_out(
            "autoencoders",
            runs[:1],
            digits.load(),
            tmp_path / "out",
            data_name="digits",
            data_dir=None,
            device="cpu",
            jobs=2,
        )
