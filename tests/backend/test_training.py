"""`train`, `sample` and the run's folder, in one backend."""

import json
import os
import struct
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from matplotlib import image

import backends
from common import specs
from common.checkpoint import load_checkpoint
from common.data import load
from common.environment import ROOT
from common.errors import DataError, NonFiniteLoss, UsageError
from common.terminal import OUT
from common.tools import training
from tests.conftest import tetrapla_here


@pytest.fixture(scope="module")
def run(backend, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "vae"
    result = tetrapla_here("train", "vae", "--backend", backend, "--steps", 250, "--out", out)
    assert result.returncode == 0, result.stderr
    assert "step 250" in result.stdout
    assert "digits" in result.stdout
    return out


def test_the_folder(run, backend):
    description = json.loads((run / "run.json").read_text())
    assert description["model"] == "vae"
    assert description["options"]["backend"] == backend
    assert description["sessions"][0]["environment"]["versions"].keys() >= {
        "numpy",
        backends.KNOWN[backend].distributions[0],
    }
    rows = training.read_metrics(run / "metrics.jsonl")
    assert [row["step"] for row in rows if "test" not in row] == list(range(1, 251))
    assert [row["step"] for row in rows if "test" in row] == [209, 250]  # every 19 epochs of 11 steps, and the end
    assert rows[-1]["test"]["loss"] == pytest.approx(rows[-1]["test"]["bce"] + rows[-1]["test"]["kl"], rel=1e-5)
    assert rows[-1]["test"]["loss"] < 330  # 543 = 784 ln 2 at the start
    assert load_checkpoint(run / "checkpoint.safetensors", specs.get("vae")).step == 250


def test_the_pictures(run):
    names = {path.name for path in (run / "figures").iterdir()}
    kinds = {f"{kind}-{step:07d}.png" for kind in ("samples", "reconstructions") for step in (209, 250)}
    assert names == kinds | {"losses.png"}
    rows = image.imread(run / "figures" / "reconstructions-0000250.png")[..., 0]
    assert rows.shape == (2 * (2 * 30 + 2), 2 * (10 * 30 + 2))
    first = [rows[2 * (2 + 30 * r) : 2 * (30 + 30 * r), 4:60] for r in (0, 1)]
    assert np.corrcoef(first[0].ravel(), first[1].ravel())[0, 1] > 0.7  # a digit above its reconstruction


def test_a_folder_that_exists_is_refused(run, backend):
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    result = tetrapla_here("train", "vae", "--backend", backend, "--steps", 1, "--out", run)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "add --resume or --overwrite" in result.stderr
    assert before == {path: path.stat().st_mtime_ns for path in run.rglob("*")}


def test_resume_ends_where_an_unbroken_run_ends(run, backend, tmp_path):
    arguments = ("train", "vae", "--backend", backend, "--out", tmp_path / "run")
    assert tetrapla_here(*arguments, "--steps", 150).returncode == 0
    assert tetrapla_here(*arguments, "--steps", 250, "--resume").returncode == 0
    spec = specs.get("vae")
    whole, resumed = (load_checkpoint(folder / "checkpoint.safetensors", spec) for folder in (run, tmp_path / "run"))
    for a, b in ((whole.parameters, resumed.parameters), (whole.moments, resumed.moments)):
        assert all(np.array_equal(a[name], b[name]) for name in a)
    rows = [training.read_metrics(folder / "metrics.jsonl") for folder in (run, tmp_path / "run")]
    whole, resumed = ([row for row in part if "test" not in row] for part in rows)
    assert whole == resumed


def test_resume_refuses_other_options(run, backend):
    result = tetrapla_here("train", "vae", "--backend", backend, "--steps", 300, "--seed", 7, "--out", run, "--resume")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "seed" in result.stderr


def test_labelled_images(backend, tmp_path, monkeypatch):
    """How many are used stands in run.json, and is the same when the run goes on."""
    words = ("train", "aae_few_labels", "--backend", backend, "--out", tmp_path / "run", "--batch-size", 20)
    result = tetrapla_here(*words, "--steps", 2, "--labelled", 2000)
    assert (result.returncode, result.stderr.count("\n")) == (DataError.exit_code, 1)
    assert "with 2000 labelled images: expected a multiple of 10" in result.stderr and not (tmp_path / "run").exists()
    assert tetrapla_here(*words, "--steps", 2, "--labelled", 40).returncode == 0
    assert training.read_run(tmp_path / "run")["options"]["labelled"] == 40
    for more in ((), ("--labelled", 50)):
        result = tetrapla_here(*words, "--steps", 4, *more, "--resume")
        assert (result.returncode, result.stderr.count("\n")) == (2, 1)
        assert "the run to resume has labelled 40, not" in result.stderr
    assert tetrapla_here(*words, "--steps", 3, "--labelled", 40, "--resume").returncode == 0
    monkeypatch.setattr(OUT, "width", 200)  # of the table, which else breaks the words apart
    assert "aae_few_labels, 40 labelled" in tetrapla_here("runs", tmp_path).stdout


def test_sample(run, tmp_path):
    result = tetrapla_here("sample", run, "--count", 16, "--out", tmp_path / "samples.png")
    assert result.returncode == 0, result.stderr
    assert image.imread(tmp_path / "samples.png").shape[:2] == (2 * (4 * 30 + 2), 2 * (4 * 30 + 2))


def test_a_model_without_prior_has_nothing_to_sample(backend, tmp_path):
    out = tmp_path / "run"
    assert tetrapla_here("train", "autoencoder", "--backend", backend, "--steps", 2, "--out", out).returncode == 0
    result = tetrapla_here("sample", out)
    assert result.returncode == 2
    assert "autoencoder has no prior" in result.stderr


def test_a_model_without_encoder_draws_samples_only(backend, tmp_path):
    out = tmp_path / "run"
    assert tetrapla_here("train", "gan_two_layer", "--backend", backend, "--steps", 3, "--out", out).returncode == 0
    assert {path.name for path in (out / "figures").iterdir()} == {"samples-0000003.png", "losses.png"}
    rows = training.read_metrics(out / "metrics.jsonl")
    assert list(rows[0]) == ["step", "loss_d", "score_real", "score_fake", "loss_g"]


def test_a_loss_that_is_not_finite_stops_the_run(backend, tmp_path):
    """A learning rate of 1e30 overflows at once; the checkpoint of the sound run before it stays."""
    out = tmp_path / "run"
    spec = specs.get("vae")
    training.train(spec, load("digits"), training.Options(backend, 11, 128), out)
    sound = (out / "checkpoint.safetensors").read_bytes()
    (update,) = spec.updates
    broken = replace(spec, updates=(replace(update, optimizer=replace(update.optimizer, learning_rate=1e30)),))
    with pytest.raises(
        NonFiniteLoss, match=r"vae in \w+: at step 1[34] .*loss = (nan|inf).*; the last checkpoint is kept in"
    ):
        _continue(broken, load("digits"), training.Options(backend, 22, 128), out)
    assert (out / "checkpoint.safetensors").read_bytes() == sound
    assert [row["step"] for row in training.read_metrics(out / "metrics.jsonl") if "test" not in row][:12] == list(
        range(1, 13)
    )


def _continue(spec, data, options, out):
    from common.parameters import initial_parameters

    column = backends.create(options.backend, spec, initial_parameters(spec, 0))
    run = training._Run(spec, data, options, out)
    column.restore(load_checkpoint(out / "checkpoint.safetensors", specs.get(spec.name)))
    column.upload(data.train)
    run.lengths = training.call_lengths(column.step, options.steps)
    run.advance(column)


def test_threads_bind_every_framework(backend, tmp_path):
    """After training no thread of the process may use another core than the one that it was given."""
    code = (
        "import os\n"
        "from common.tools.cli import main\n"
        "try: main()\n"
        "finally: print(max(len(os.sched_getaffinity(int(task))) for task in os.listdir('/proc/self/task')))"
    )
    words = ["train", "vae", "--backend", backend, "--steps", "20", "--threads", "1", "--out", str(tmp_path / "run")]
    variables = os.environ | {"OPENBLAS_NUM_THREADS": "1"}  # NumPy's own pool is older than the command
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "1"
    (session,) = training.read_run(tmp_path / "run")["sessions"]
    assert session["environment"]["cores"] == 1


def test_an_existing_folder_that_is_no_run_is_never_overwritten(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="not a folder that tetrapla wrote"):
        training.prepare_folder(tmp_path, resume=False, overwrite=True)
    assert (tmp_path / "thesis.tex").exists()


def events(folder):
    """Of TensorBoard's files, in the order in which they were begun: the records of each, by their framing."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns):
        raw, at, records = path.read_bytes(), 0, []
        while at < len(raw):
            (length,) = struct.unpack("<Q", raw[at : at + 8])
            records.append(Event.FromString(raw[at + 12 : at + 12 + length]))
            at += length + 16
        found.append(records)
    return found


def test_a_log_for_tensorboard(backend, tmp_path):
    """What metrics.jsonl says, and the figures; a session that goes on says from where."""
    out = tmp_path / "run"
    words = ("train", "vae", "--backend", backend, "--log", "tensorboard", "--out", out)
    for more in (("--steps", 3), ("--steps", 5, "--resume")):
        done = tetrapla_here(*words, *more)
        assert done.returncode == 0, done.stderr
    first, second = events(out / "tensorboard")
    assert [event.session_log.status for event in second if event.HasField("session_log")] == [1]  # START: purge from
    assert [event.step for event in second if event.HasField("session_log")] == [4]
    said, images = {}, {}
    for event in (*first, *second):
        for value in event.summary.value:
            kept = images if value.HasField("image") else said
            kept[event.step, value.tag] = value.image.width if value.HasField("image") else value.simple_value
    expected = {}
    for row in training.read_metrics(out / "metrics.jsonl"):
        kind, values = ("test", row["test"]) if "test" in row else ("train", row)
        expected |= {(row["step"], f"{kind}/{name}"): value for name, value in values.items() if name != "step"}
    assert said == pytest.approx(expected, rel=1e-6)
    assert {step for step, _ in said} == {1, 2, 3, 4, 5}
    assert set(images) == {(step, name) for step in (3, 5) for name in ("samples", "reconstructions")}


def test_a_log_that_nobody_knows_is_refused(backend, tmp_path):
    done = tetrapla_here("train", "vae", "--backend", backend, "--log", "wandb", "--out", tmp_path / "run")
    assert done.returncode == 2
    assert "--log: 'wandb' is unknown; choose one of: tensorboard" in " ".join(done.stderr.split())
    assert not (tmp_path / "run").exists()
