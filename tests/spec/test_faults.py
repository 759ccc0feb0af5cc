"""What can go wrong around a run, without a framework: the oracle trains in its place. Earlier files stay as they were."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import backends
from common import checkpoint, specs
from common.data import digits
from common.environment import ROOT
from common.errors import CheckpointError, UsageError
from common.reference.column import Reference
from common.tools import reproduction, training
from common.tools.reproduction.results import Run

# The command line with the oracle for a backend: `python -c PREFIX train vae_z100 --backend pytorch ...`.
PREFIX = """
import sys
import backends
from common.reference.column import Reference
backends.create = lambda backend, spec, parameters, **options: Reference(spec, parameters)
backends.versions = lambda backend: {"oracle": "1"}
sys.argv[0] = "tetrapla"
BEFORE
from common.tools.cli import main
main()
"""


def tetrapla(*arguments, before="", **options):
    command = [sys.executable, "-c", PREFIX.replace("BEFORE", before), *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def train_arguments(out, steps, *more):
    return (
        *("train", "vae_z100", "--backend", "pytorch", "--noise", "replayed", "--batch-size", 8),
        *("--steps", steps, "--checkpoint-every", 2, "--out", out, *more),
    )


def finish(process):
    """(exit code, what it said on standard error); never a traceback."""
    _, stderr = process.communicate(timeout=300)
    assert "Traceback" not in stderr, stderr
    return process.returncode, stderr


@pytest.fixture
def options():
    return training.Options("pytorch", 4, 8, noise="replayed", checkpoint_every=2)


@pytest.fixture
def run(tmp_path, monkeypatch, options):
    """A finished run of four steps."""
    monkeypatch.setattr(backends, "create", lambda backend, spec, parameters, **_: Reference(spec, parameters))
    training.train(specs.get("vae_z100"), digits.load(), options, tmp_path / "run", quiet=True)
    return tmp_path / "run"


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_folder_explains_itself(run):
    description = json.loads((run / "run.json").read_text())
    (session,) = description["sessions"]
    assert session["environment"].keys() >= {"python", "versions", "processor", "cores", "commit"}
    assert session["to_step"] == 4
    assert 50 < session["peak_memory_mib"] < 100_000
    assert description["options"]["seed"] == 0
    assert description["specification"]["networks"][0]["layers"][0]["outputs"] == 128
    assert description["specification"]["updates"][0]["optimizer"]["learning_rate"] == 1e-3


def test_training_images_are_held_once(tmp_path, monkeypatch, options):
    monkeypatch.setattr(backends, "create", lambda backend, spec, parameters, **_: Reference(spec, parameters))
    data = digits.load()
    assert data.train_images.dtype == np.uint8
    column, _ = training.train(specs.get("vae_z100"), data, options, tmp_path / "run", quiet=True)
    assert len(data.train_images) == 0
    assert column._data["images"].shape == (1437, 28, 28)


@pytest.mark.parametrize("break_off", range(1, 4))
def test_steps_after_the_checkpoint_are_done_again(run, options, break_off, tmp_path, monkeypatch):
    """A run that ended between two checkpoints, its last line cut short: every step stands there once."""
    spec, rows = specs.get("vae_z100"), training.read_metrics(run / "metrics.jsonl")
    out, longer = tmp_path / "longer", training.Options("pytorch", 8, 8, noise="replayed", checkpoint_every=4)
    training.train(spec, digits.load(), longer, out, quiet=True)
    text = (run / "metrics.jsonl").read_text()
    beyond = "".join(json.dumps(rows[0] | {"step": 4 + k}) + "\n" for k in range(1, break_off + 1))
    (run / "metrics.jsonl").write_text(text + beyond + '{"step": 99, "lo')
    resumed = training.Options("pytorch", 8, 8, noise="replayed", checkpoint_every=4)
    training.train(spec, digits.load(), resumed, run, resume=True, quiet=True)
    steps = [row["step"] for row in training.read_metrics(run / "metrics.jsonl") if "test" not in row]
    assert steps == list(range(1, 9))
    a, b = (checkpoint.load_checkpoint(folder / "checkpoint.safetensors", spec) for folder in (run, out))
    assert all(np.array_equal(a.parameters[name], b.parameters[name]) for name in a.parameters)


def test_a_run_killed_before_its_first_checkpoint_starts_again(run, options):
    (run / "checkpoint.safetensors").unlink()
    spec = specs.get("vae_z100")
    training.train(spec, digits.load(), options, run, resume=True, quiet=True)
    assert checkpoint.load_checkpoint(run / "checkpoint.safetensors", spec).step == 4


LEFT = {".tetrapla.lock": "", "metrics.jsonl": "", ".run.json.tmp": '{"model": "va'}  # before run.json is whole


@pytest.mark.parametrize("left", [None, {}, {".tetrapla.lock": ""}, LEFT], ids=["no folder", "empty", "lock", "all"])
def test_to_resume_where_no_run_has_begun_is_to_begin_it(tmp_path, run, left):
    out = tmp_path / "new"
    if left is not None:
        (out / "figures").mkdir(parents=True)
        for name, text in left.items():
            (out / name).write_text(text)
    assert finish(tetrapla(*train_arguments(out, 4, "--resume")))[0] == 0
    a, b = (checkpoint.load_checkpoint(one / "checkpoint.safetensors", specs.get("vae_z100")) for one in (out, run))
    assert all(np.array_equal(value, b.parameters[name]) for name, value in a.parameters.items())
    assert len(training.read_run(out)["sessions"]) == 1


@pytest.mark.parametrize(
    "there",
    [{"thesis.tex": "work"}, LEFT | {"notes": ""}, LEFT | {"metrics.jsonl": '{"step": 1}'}, {"figures/a.png": "a"}],
)
def test_what_is_not_ours_is_no_place_to_begin_a_run(tmp_path, there):
    """Nor what is left of a run that has lost its run.json."""
    for name, text in there.items():
        (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name).write_text(text)
    before = contents(tmp_path / "out")
    with pytest.raises(UsageError, match="expected the folder of a run with a run.json"):
        training.prepare_folder(tmp_path / "out", resume=True, overwrite=False)
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize("key", ["seed", "dtype", "noise", "batch_size"])
def test_resuming_with_other_options_is_refused(run, options, key):
    other = {"seed": 1, "dtype": "float64", "noise": "native", "batch_size": 16}[key]
    before = contents(run)
    values = {**vars(options), key: other}
    with pytest.raises(UsageError, match=f"the run to resume has {key}"):
        training.train(specs.get("vae_z100"), digits.load(), training.Options(**values), run, resume=True, quiet=True)
    assert contents(run) == before


def test_resuming_on_other_images_of_the_same_name_is_refused(run, options):
    """One pixel of a test image, or one label, is enough; and what a finished run left is not taken for these images."""
    before = contents(run)
    for name in ("train_images", "train_labels", "test_images", "test_labels"):
        data = digits.load()
        getattr(data, name)[3] ^= 1
        with pytest.raises(
            UsageError, match=r"the run has other images of 'digits' \(digest .*use the same, or another"
        ):
            training.train(specs.get("vae_z100"), data, options, run, resume=True, quiet=True)
        (run.parent / "vae_z100-pytorch-0").unlink(missing_ok=True)
        (run.parent / "vae_z100-pytorch-0").symlink_to(run)
        with pytest.raises(UsageError, match="the run has other images of 'digits'"):
            reproduction.carry_out(
                "vae_notes", [Run("vae_z100", "pytorch", steps=4)], data, run.parent,
                data_name="digits", data_dir=None, device="cpu",
            )  # fmt: skip
    assert contents(run) == before


def test_fewer_steps_than_were_done_are_refused(run, options):
    before = contents(run)
    with pytest.raises(UsageError, match="the run is at step 4 already; ask for more than 3"):
        fewer = training.Options(**{**vars(options), "steps": 3})
        training.train(specs.get("vae_z100"), digits.load(), fewer, run, resume=True, quiet=True)
    assert contents(run) == before


@pytest.mark.parametrize("text", ["", "[]", "{", '{"model": 3}', '{"model": "vae", "data": {}, "options": {}}', "\xff"])
def test_a_run_json_that_is_none(run, text):
    (run / "run.json").write_text(text, encoding="latin-1")
    for arguments in (train_arguments(run, 8, "--resume"), ("sample", run), ("convert", run, "--to", "jax")):
        code, message = finish(tetrapla(*arguments))
        assert (code, message.count("\n")) == (2, 1)
        assert str(run) in message


def test_another_model_is_refused(run, options):
    with pytest.raises(UsageError, match="the run to resume is of vae_z100, not vae"):
        training.train(specs.get("vae"), digits.load(), options, run, resume=True, quiet=True)


def test_a_damaged_checkpoint_stops_the_resumption(run, options):
    path = run / "checkpoint.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    before = contents(run)
    with pytest.raises(CheckpointError, match="damaged"):
        training.train(specs.get("vae_z100"), digits.load(), options, run, resume=True, quiet=True)
    assert contents(run) == before


def test_two_runs_into_one_folder(tmp_path):
    """The second is refused, whether it resumes or overwrites, and the first ends as if it had been alone."""
    out, hold = tmp_path / "run", tmp_path / "hold"
    hold.touch()
    waiting = f"""
import pathlib, time
real, hold = Reference.train_step, pathlib.Path({str(hold)!r})
def train_step(self, *arguments):
    while self.step == 3 and hold.exists():
        time.sleep(0.05)
    return real(self, *arguments)
Reference.train_step = train_step
"""
    first = tetrapla(*train_arguments(out, 20), before=waiting)
    _wait_for(out / "checkpoint.safetensors")
    for option in ("--resume", "--overwrite"):
        code, message = finish(tetrapla(*train_arguments(out, 20, option)))
        assert (code, message.count("\n")) == (2, 1)
        assert "another process is training into this folder" in message
    hold.unlink()
    assert finish(first)[0] == 0
    assert checkpoint.load_checkpoint(out / "checkpoint.safetensors", specs.get("vae_z100")).step == 20


def test_ctrl_c(tmp_path):
    out = tmp_path / "run"
    slow = "import time; real = Reference.train_step\n"
    slow += "Reference.train_step = lambda *a: (time.sleep(0.1), real(*a))[1]"
    process = tetrapla(*train_arguments(out, 1000), before=slow)
    _wait_for(out / "checkpoint.safetensors")
    process.send_signal(signal.SIGINT)
    code, message = finish(process)
    assert (code, message.count("\n")) == (130, 1)
    assert "--resume continues" in message
    step = checkpoint.load_checkpoint(out / "checkpoint.safetensors", specs.get("vae_z100")).step
    assert finish(tetrapla(*train_arguments(out, step + 2, "--resume")))[0] == 0
    rows = training.read_metrics(out / "metrics.jsonl")
    assert [row["step"] for row in rows if "test" not in row] == list(range(1, step + 3))


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_where_exceptions_are_lost(tmp_path, name, code):
    """In the callback of a garbage collection, which JAX has: Python drops what is raised there. Asked to end, it ends."""
    lose = f"""
import gc, signal
def lose(phase, info):
    if phase == "start" and gc.callbacks:
        gc.callbacks.clear()
        signal.raise_signal(signal.{name})
real = Reference.train_step
def train_step(self, *arguments):
    if self.step == 3:
        gc.callbacks.append(lose)
        gc.collect()
    return real(self, *arguments)
Reference.train_step = train_step
"""
    found, message = finish(tetrapla(*train_arguments(tmp_path / "run", 500), before=lose))
    assert (found, message.count("\n")) == (code, 1)
    assert "error: interrupted" in message


def _wait_for(path):
    for _ in range(600):
        if path.exists():
            return
        time.sleep(0.1)
    raise AssertionError(f"{path} was never written")


def test_a_full_disk(run):
    """A limit on the size of files, below that of a checkpoint: one line, and what was there is whole."""
    before = contents(run)

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    process = tetrapla(*train_arguments(run, 8, "--resume"), preexec_fn=limit)
    code, message = finish(process)
    assert (code, message.count("\n")) == (1, 1)
    assert "File too large" in message
    after = contents(run)
    for path, content in before.items():
        if path.name not in ("run.json", "metrics.jsonl"):  # which have only grown
            assert after[path] == content
    assert checkpoint.load_checkpoint(run / "checkpoint.safetensors", specs.get("vae_z100")).step == 4
    assert not list(run.rglob("*.tmp"))


def test_a_folder_that_cannot_be_written(tmp_path):
    """Root writes wherever the system allows, so it tries where the system does not."""
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    out = Path("/proc/tetrapla/run") if os.geteuid() == 0 else folder / "run"
    code, message = finish(tetrapla(*train_arguments(out, 2)))
    assert (code, message.count("\n")) == (1, 1)
    assert str(out.parent) in message
    assert not list(folder.iterdir())


def test_runs_lists_them(run, tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{}")
    process = tetrapla("runs", tmp_path, env=os.environ | {"COLUMNS": "200"})
    stdout, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert "vae_z100" in stdout
    assert "loss" in stdout
    assert "without data, model, options, sessions" in stdout


def test_runs_of_nothing(tmp_path):
    assert finish(tetrapla("runs", tmp_path / "nowhere"))[0] == 2
    process = tetrapla("runs", tmp_path)
    assert "no runs" in process.communicate()[0]


@pytest.mark.parametrize("evaluate", [1, 7, 37, 100, 209, 300, 468])
@pytest.mark.parametrize("save", [None, 1, 10, 37, 99, 100, 301])
def test_few_lengths_of_call(evaluate, save):
    """Each is compiled: three at most, however the stops lie; and no stop is passed over. From a step in between, too."""
    for first, last in ((0, 1000), (0, 41), (111, 950)):
        lengths = training.call_lengths(first, last, evaluate, save)
        assert len(set(lengths)) <= 3 and max(lengths) == 100
        run = _Calls(lengths, evaluate, save, last)
        reached, taken = [first], set()
        while reached[-1] < last:
            taken.add(run.call(reached[-1]))
            reached.append(reached[-1] + run.call(reached[-1]))
        assert taken <= set(lengths)
        stops = {k for every in (evaluate, save) if every for k in range(every, last, every) if k > first} | {last}
        assert stops <= set(reached)


class _Calls(training._Run):
    """The part of a run that decides how long the next call is."""

    def __init__(self, lengths, interval, save, last):
        self.lengths, self.interval = lengths, interval
        self.options = training.Options("pytorch", last, 8, checkpoint_every=save)


def test_the_splitting_into_calls_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(backends, "create", lambda backend, spec, parameters, **_: Reference(spec, parameters))
    spec, found = specs.get("vae_z100"), []
    for evaluate, save in ((None, None), (3, 2), (5, 3)):
        options = training.Options("pytorch", 12, 8, noise="replayed", checkpoint_every=save, evaluate_every=evaluate)
        out = tmp_path / f"{evaluate}-{save}"
        training.train(spec, digits.load(), options, out, quiet=True)
        found.append(checkpoint.load_checkpoint(out / "checkpoint.safetensors", spec).parameters)
        rows = training.read_metrics(out / "metrics.jsonl")
        assert [row["step"] for row in rows if "test" not in row] == list(range(1, 13))
    assert all(np.array_equal(found[0][name], other[name]) for other in found[1:] for name in found[0])
