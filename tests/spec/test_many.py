"""Single runs of `results`, `reproduce` and `bench` as shell lines, and what is made of the folders that they leave.

The lines run in a shell, each a process of its own, with the oracle for every backend.
"""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import backends
from benchmarks import cases, suite
from common import checkpoint, environment, specs
from common.environment import ROOT
from common.errors import TrainingFailed
from common.tools import bench as report
from common.tools import reproduction, results
from tests.conftest import tetrapla_here

# What Python imports before anything else. KILL: the step before which a process is killed, 0 before a run has its run.json.
# IDLE: nothing may be trained or probed.
ORACLE = """
import os, signal
import backends
from common.reference.column import Reference

def killed():
    os.kill(os.getpid(), signal.SIGKILL)

class Oracle(Reference):
    def train_step(self, *arguments):
        assert "IDLE" not in os.environ
        if os.environ.get("KILL") == str(self.step + 1):
            killed()
        return super().train_step(*arguments)

def create(backend, spec, parameters, seed=0, **options):
    assert "IDLE" not in os.environ
    if os.environ.get("KILL") == "0":
        killed()
    return Oracle(spec, parameters, seed)

backends.create = create
backends.versions = lambda backend: {"oracle": "1"}
"""
RESULTS = ("results", "autoencoder", "--backend", "jax", "--seeds", 2, "--scale", 0.001, "--data", "digits")
REPRODUCE = ("reproduce", "vae_notes", "vae_z100", "--scale", 0.00001, "--data", "digits", "--seed", 3)


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """A line of a shell in a folder of its own, where `tetrapla` is ours, with the oracle, as it is in children of this process;
    its (exit code, output, errors)."""
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "sitecustomize.py").write_text(ORACLE)
    (tmp_path / "elsewhere").mkdir()
    program = tmp_path / "first" / "tetrapla"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P -m common.tools.cli "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PYTHONPATH", f"{program.parent}{os.pathsep}{ROOT}")
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.defpath}")
    monkeypatch.setattr(backends, "versions", lambda backend: {"oracle": "1"})

    def run(line, **variables):
        done = subprocess.run(
            line,
            shell=True,
            cwd=tmp_path / "elsewhere",
            env=os.environ | variables,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout, done.stderr

    return run


def idle(*arguments):
    """The command in this process; nothing may be trained or probed for it, here or in a child."""

    def create(*arguments, **options):
        raise AssertionError("a column is made")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backends, "create", create)
        patch.setenv("IDLE", "1")
        done = tetrapla_here(*arguments)
    return done.returncode, done.stdout, done.stderr


def listed(*arguments):
    code, output, errors = idle(*arguments, "--list")
    assert (code, errors) == (0, "")
    return output.splitlines()


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def lasting(value):
    """A report without what two runs of the same thing differ in."""
    if isinstance(value, dict):
        drop = ("seconds", "minutes", "judged", "environment", "environments")
        return {key: lasting(one) for key, one in value.items() if key not in drop}
    return [lasting(one) for one in value] if isinstance(value, list) else value


def read(path):
    return lasting(json.loads(path.read_text()))


def check_checkpoints(parts, whole, names):
    for name in names:
        a, b = (safetensors.numpy.load_file(out / name / "checkpoint.safetensors") for out in (parts, whole))
        assert a.keys() == b.keys() and all(np.array_equal(value, b[key]) for key, value in a.items()), name


def killed(shell, line, step):
    """Kill the run of a line before the `step`, of which 0 is before its run.json is there. It has no checkpoint then."""
    words = shlex.split(line)
    folder = Path(words[words.index("--out") + 1]) / words[-1]
    assert shell(line, KILL=str(step))[0] in (-9, 128 + 9)
    assert (folder / ".tetrapla.lock").exists() and (folder / "run.json").exists() == (step > 0)
    assert not (folder / "checkpoint.safetensors").exists()


def given_again(line, out):
    """A line in this process, of a run that is done: nothing is trained, nothing is written."""
    before = contents(out)
    code, output, errors = idle(*shlex.split(line)[1:])
    assert (code, errors) == (0, "") and output.startswith(line.split()[-1])
    assert contents(out) == before


def test_results_by_their_lines_are_those_of_the_command(shell, tmp_path):
    """Killed before run.json is there and before the first checkpoint, they go on. A run that is missing is named, and the
    others are judged."""
    whole, parts = tmp_path / "whole", tmp_path / "the parts"
    lines = listed(*RESULTS, "--out", parts)
    names = [line.split()[-1] for line in lines]
    assert names == ["autoencoder-jax-0", "autoencoder-jax-1"]
    assert not parts.exists()
    code, output, errors = idle(*RESULTS, "--collect", parts)
    assert code == 2 and "no finished run" in errors
    for step in (0, 2):
        killed(shell, lines[1], step)
    assert shell(lines[1])[0] == 0
    given_again(lines[1], parts)
    code, output, errors = idle(*RESULTS, "--collect", parts)
    assert code == 0 and "1 runs of 2 planned" in output
    assert errors.startswith(
        f"{parts}: 1 of 2 runs are missing: {names[0]}; list their commands with: tetrapla results"
    )
    assert idle(*shlex.split(errors.partition("with: ")[2])[1:]) == (0, f"{lines[0]}\n", "")
    assert shell(lines[0])[0] == 0
    code, page, errors = idle(*RESULTS, "--collect", parts)
    assert (code, errors) == (0, "") and "2 runs of 2 planned" in page
    direct = tetrapla_here(*RESULTS, "--out", whole, "--jobs", 1)
    assert direct.returncode == 0, direct.stderr
    assert read(parts / "results.json") == read(whole / "results.json")
    assert page.partition("| minutes")[0] == direct.stdout.partition("| minutes")[0]
    check_checkpoints(parts, whole, names)
    (row,) = read(parts / "results.json")["rows"]
    assert row["values"]["jax"]["0"] != row["values"]["jax"]["1"]


def test_a_reproduction_by_its_lines_is_that_of_the_command(shell, tmp_path):
    """Of which no page is made while a run is missing."""
    whole, parts = tmp_path / "whole", tmp_path / "the parts"
    lines = listed(*REPRODUCE, "--out", parts)
    names = [line.split()[-1] for line in lines]
    assert sorted(names) == ["vae_z100-pytorch-3", "vae_z100-tensorflow-3"]
    tensorflow = names[1].endswith("tensorflow-3")  # that of more than a step
    for step in (0, 1):
        killed(shell, lines[tensorflow], step)
    assert shell(lines[tensorflow])[0] == 0
    given_again(lines[tensorflow], parts)
    code, output, errors = idle(*REPRODUCE, "--collect", parts)
    assert (code, output, errors.count("\n")) == (2, "", 1)
    missing = names[not tensorflow]
    assert (
        f"{parts}: 1 of 2 runs are missing: {missing}; list their commands with: tetrapla reproduce vae_notes" in errors
    )
    assert idle(*shlex.split(errors.partition("with: ")[2])[1:]) == (0, f"{lines[not tensorflow]}\n", "")
    assert not (parts / "report.json").exists()
    assert shell(lines[not tensorflow])[0] == 0
    before = contents(parts)
    code, output, errors = idle(*REPRODUCE, "--collect", parts)
    assert code == 0 and "verdict" in output, errors
    assert {path: content for path, content in contents(parts).items() if path in before} == before
    direct = tetrapla_here(*REPRODUCE, "--out", whole)
    assert direct.returncode == 0, direct.stderr
    assert read(parts / "report.json") == read(whole / "report.json")
    assert {run["name"] for run in read(parts / "report.json")["runs"]} == {*names}
    check_checkpoints(parts, whole, names)
    assert [*whole.glob("*.png")]
    for path in whole.glob("*.png"):
        assert path.read_bytes() == (parts / path.name).read_bytes(), path


def test_a_line_has_all_that_was_said(tmp_path, monkeypatch):
    """Every option of the command but those that are of all runs together; paths whole, from the folder of the user."""
    monkeypatch.setattr("tests.conftest.ROOT", tmp_path)
    (tmp_path / "my images").mkdir()
    said = ["--scale", "0.5", "--data", "my images", "--data-dir", "the data", "--device", "gpu", "--seeds", "1"]
    of_all = ["--jobs", "7", "--page", "page.md"]
    done = tetrapla_here("results", "vae", "gan", "--backend", "jax", *said, *of_all, "--out", "o'ut", "--list")
    assert done.returncode == 0, done.stderr
    for line, model in zip(done.stdout.splitlines(), ("vae", "gan"), strict=True):
        found = shlex.split(line)
        assert found[:3] == ["tetrapla", "results", model]
        options = dict(zip(found[3::2], found[4::2], strict=True))
        assert options == {
            "--backend": "jax", "--seeds": "1", "--scale": "0.5", "--data": str(tmp_path / "my images"),
            "--data-dir": str(tmp_path / "the data"), "--device": "gpu", "--out": str(tmp_path / "o'ut"),
            "--run": f"{model}-jax-0",
        }  # fmt: skip
    done = tetrapla_here("reproduce", "gan", "--backend", "jax", "--seed", "4", "--resume", "--list", "--jobs", "2")
    expected = ["--backend", "jax", "--seed", "4", "--out", str(tmp_path / "runs" / "reproduce" / "gan")]
    for line, model in zip(done.stdout.splitlines(), ("gan", "gan_conv"), strict=True):
        assert shlex.split(line) == ["tetrapla", "reproduce", "gan", *expected, "--run", f"{model}-jax-4"]
    settings = [
        "--mode",
        "fast",
        "--mode",
        "naive",
        "--repeats",
        "2",
        "--seconds",
        "0.5",
        "--sweep",
        "width",
        "--peers",
    ]
    done = tetrapla_here("bench", "vae", "--backend", "jax", "--threads", "3", *settings, "--resume", "--list")
    assert [line.split()[-1] for line in done.stdout.splitlines()] == [f"vae-128-{width}" for width in cases.WIDTHS]
    found = shlex.split(done.stdout.splitlines()[0])
    assert found[:3] == ["tetrapla", "bench", "vae"] and "--resume" not in found
    assert {*settings, "--threads", "3", "--backend", "jax"} <= {*found}


def test_lines_need_no_framework(monkeypatch):
    """A cluster's front end has none, and is no machine to say how many threads the others have."""
    monkeypatch.setattr(backends, "versions", lambda backend: None)
    for command in (("results", "vae"), ("bench", "vae"), ("reproduce", "gan")):
        done = tetrapla_here(*command, "--list")
        assert done.returncode == 0 and done.stdout
        done = tetrapla_here(*shlex.split(done.stdout.splitlines()[0])[1:])
        assert done.returncode == 3 and "is not installed" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("results", "vae", "--run", "vae-jax-7", "--seeds", 7, "--backend", "jax"), "--run: 'vae-jax-7' is none of the 7"),
        (("reproduce", "gan", "--run", "gan-pytorch-0", "--seed", 1), "--run: 'gan-pytorch-0' is none of the 2 runs"),
        (("bench", "vae", "--run", "vae-64"), "--run: 'vae-64' is none of the 1 runs"),
        (("results", "--run", "vae-jax-0", "--page", "page.md"), "--run and --page exclude each other"),
        (("reproduce", "gan", "--run", "gan-jax-0", "--overwrite"), "--run and --overwrite exclude each other"),
        (("reproduce", "gan", "--collect", "runs", "--resume"), "--collect and --resume exclude each other"),
        (("bench", "--collect", "runs", "--out", "runs"), "--collect and --out exclude each other"),
        (("bench", "--collect", "runs", "--run", "vae-128"), "--run and --collect exclude each other"),
    ],
)  # fmt: skip
def test_bad_requests(arguments, message, monkeypatch):
    monkeypatch.setattr(backends, "versions", lambda backend: {"oracle": "1"})
    done = tetrapla_here(*arguments)
    assert done.returncode == 2
    assert message in done.stderr


def test_many_that_are_missing_are_one_line(tmp_path):
    done = tetrapla_here("results", "vae", "--seeds", 20, "--collect", tmp_path, "--data", "digits")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    backend = ["--backend", "jax"]
    done = tetrapla_here("bench", "--sweep", "batch", "--mode", "fast", *backend, "--collect", tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "8 of 8 runs are missing: vae-32, vae-64, " in done.stderr and "..." not in done.stderr
    done = tetrapla_here("bench", *backend, "--collect", tmp_path)
    assert f"{len(specs.SPECS)} of {len(specs.SPECS)} runs are missing: " in done.stderr and ", ...; " in done.stderr


@pytest.fixture
def machine(monkeypatch):
    """Of benchmarks: where they are measured, and what was."""
    about = {"measured": [], "processor": "a CPU", "broken": None}

    def together(case, pairs, settings, folder):
        about["measured"].append((case.name, list(dict.fromkeys(mode for _, mode in pairs))))
        if about["broken"] in {mode for _, mode in pairs}:
            raise TrainingFailed("broken")
        yardstick = {"product": 1e9 * case.batch, "copy": 1e9}
        return [
            vars(case) | {"backend": backend, "mode": mode, "seconds": [0.001 * case.batch], "yardstick": yardstick}
            for backend, mode in pairs
        ]

    monkeypatch.setattr(suite, "_together", together)
    monkeypatch.setattr(backends, "versions", lambda backend: {"oracle": "1"})
    monkeypatch.setattr(suite, "versions", lambda backend: {"oracle": "1"})
    monkeypatch.setattr(environment, "_processor", lambda: about["processor"])
    return about


BENCH = (
    "bench",
    "vae",
    "conv_autoencoder",
    "--mode",
    "naive",
    "--mode",
    "fast",
    "--backend",
    "jax",
    "--backend",
    "paddle",
)


def lines_of(*arguments):
    done = tetrapla_here(*arguments, "--list")
    assert (done.returncode, done.stderr) == (0, "")
    return [shlex.split(line)[1:] for line in done.stdout.splitlines()]


def test_a_benchmark_by_its_lines_is_that_of_the_command(tmp_path, machine):
    """Nothing is measured to collect it; and the floor is that of the best yardstick of all."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    first, second = lines_of(*BENCH, "--out", parts)
    assert tetrapla_here(*second).returncode == 0
    done = tetrapla_here(*BENCH, "--collect", parts)
    assert done.returncode == 2 and not (parts / "result.json").exists()
    assert "1 of 2 runs are missing: vae-128; list their commands with: tetrapla bench vae conv_auto" in done.stderr
    again = shlex.split(done.stderr.partition("with: ")[2])[1:]
    assert [shlex.split(line)[1:] for line in tetrapla_here(*again).stdout.splitlines()] == [first]
    assert tetrapla_here(*first).returncode == 0
    measured = [("conv_autoencoder-128", ["naive"]), ("conv_autoencoder-128", ["fast"]), ("vae-128", ["naive", "fast"])]
    assert machine["measured"] == measured
    machine["processor"] = "that of the front end"
    shown = tetrapla_here(*BENCH, "--collect", parts)
    assert shown.returncode == 0 and machine["measured"] == measured
    machine["processor"] = "a CPU"
    assert tetrapla_here(*BENCH, "--out", whole).returncode == 0
    assert report.read(parts / "result.json") == report.read(whole / "result.json")
    assert (parts / "plot.png").read_bytes() == (whole / "plot.png").read_bytes()


def test_a_benchmark_that_is_given_again_goes_on(tmp_path, machine):
    """With what it lacks; but all of a case is of one machine."""
    _, line = lines_of(*BENCH, "--out", tmp_path)
    machine["broken"] = "fast"
    assert tetrapla_here(*line).returncode == 1
    machine["broken"] = None
    naive, fast = (("conv_autoencoder-128", [mode]) for mode in ("naive", "fast"))
    assert machine["measured"] == [naive, fast]
    for _ in range(2):
        assert tetrapla_here(*line).returncode == 0
    assert machine["measured"] == [naive, fast, fast]
    result = report.read(tmp_path / "conv_autoencoder-128" / "result.json")
    checkpoint.write_json(tmp_path / "conv_autoencoder-128" / "result.json", result | {"rows": result["rows"][:2]})
    machine["processor"] = "another CPU"
    assert tetrapla_here(*line).returncode == 0
    assert machine["measured"][3:] == [naive, fast]


def test_benchmarks_of_two_machines_are_not_compared(tmp_path, machine):
    for line, processor in zip(lines_of(*BENCH, "--out", tmp_path), ("one CPU", "another CPU"), strict=True):
        machine["processor"] = processor
        assert tetrapla_here(*line).returncode == 0
    done = tetrapla_here(*BENCH, "--collect", tmp_path)
    assert done.returncode == 2
    assert "conv_autoencoder: measured with processor 'another CPU', and vae with 'one CPU'" in done.stderr
    done = tetrapla_here(*BENCH, "--repeats", 9, "--collect", tmp_path)
    assert done.returncode == 2 and "measured with another repeats" in done.stderr


def test_names_are_those_of_the_folders(data):
    names = results.names(["vae", "gan"], ("jax", "paddle"), 7)
    assert len(names) == 28 and names["gan-paddle-6"] == ("gan", "paddle", 6)
    assert list(names)[:6] == ["vae-jax-0", "vae-jax-1", "vae-jax-2", "vae-jax-3", "vae-jax-4", "vae-paddle-0"]
    assert list(results.there(["vae", "gan"], ("jax", "paddle"), 7, data, ROOT / "nowhere", 1.0)) == list(names)
    for article in reproduction.ARTICLES:
        runs = reproduction.runs(article, None, None, 1.0, 0)
        assert len({run.name for run in runs}) == len(runs)
    for sweep in (None, "batch", "width"):
        found = cases.cases(["vae"] if sweep else list(specs.SPECS), None, sweep)
        assert len({case.name for case in found}) == len(found)
