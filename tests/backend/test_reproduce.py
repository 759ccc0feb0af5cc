"""Reproductions at a hundredth of their length and less, on the bundled digits: every part of the page is made."""

import json
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest
from matplotlib import image

from common.environment import ROOT
from common.tools import reproduction
from tests.conftest import tetrapla, write_idx

# (article, model, scale), for each backend one or two, so that together every article is made.
TRIALS = {
    "pytorch": [("aae", None, 0.0004), ("autoencoders", None, 0.02)],
    "tensorflow": [("vae_notes", None, 0.00002)],
    "paddle": [("infogan", "gan_two_layer", 0.01)],
    "jax": [("infogan", "infogan_plain", 0.0008), ("gan", None, 0.2)],
}


def trial(article, model, scale, backend, out, *more):
    words = [article, *([model] if model else []), "--backend", backend, "--scale", scale, "--data", "digits"]
    return tetrapla("reproduce", *words, "--out", out, *more)


@pytest.fixture(scope="module")
def trials(backend, tmp_path_factory):
    """{article: folder}."""
    found = {}
    for article, model, scale in TRIALS[backend]:
        found[article] = tmp_path_factory.mktemp("reproduce") / article
        result = trial(article, model, scale, backend, found[article])
        assert result.returncode == 0, result.stderr
        assert "verdict" in result.stdout
    return found


def test_the_report(trials, backend):
    for article, out in trials.items():
        report = json.loads((out / "report.json").read_text())
        assert report["article"]["id"] == article
        assert report["figures"] and report["says"]
        run = {run["model"] for run in report["runs"]}
        declared = [check.what for check in reproduction.module(article).CHECKS if set(check.models) <= run]
        assert [check["what"] for check in report["checks"]] == declared
        # A trial decides nothing; what does not depend on length is judged all the same.
        verdicts = {check["what"]: check["verdict"] for check in report["checks"]}
        judged = {what for what, verdict in verdicts.items() if verdict in ("reached", "in part", "missed")}
        assert {what.split(":")[0] for what in judged} <= {"Programs"}, verdicts
        assert {run["backend"] for run in report["runs"]} == {backend}
        page = (out / "report.html").read_text()
        assert page.count("<img ") == len(report["figures"])
        for check in report["checks"]:
            assert not re.search(r"\bnan\b", check["ours"]), check


def test_no_picture_is_empty(trials):
    for out in trials.values():
        pictures = [*out.glob("*.png")]
        assert pictures
        for path in pictures:
            assert image.imread(path)[..., :3].std() > 0.01, path


def test_resuming_trains_nothing_twice(trials, backend):
    article, model, scale = TRIALS[backend][0]
    out = trials[article]
    assert "the folder exists" in trial(article, model, scale, backend, out).stderr
    weights = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    (out / "report.html").unlink()
    result = trial(article, model, scale, backend, out, "--resume")
    assert result.returncode == 0, result.stderr
    assert weights == {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    assert (out / "report.html").exists()


def test_results_of_two_runs_at_a_time(backend, tmp_path):
    words = f"results autoencoder --backend {backend} --seeds 2 --scale 0.002 --data digits --jobs 2".split()
    result = tetrapla(*words, "--out", tmp_path / "results")
    assert result.returncode == 0, result.stderr
    assert f"1 of 2: autoencoder-{backend}-0" in result.stderr and f"2 of 2: autoencoder-{backend}-1" in result.stderr
    (row,) = json.loads((tmp_path / "results" / "results.json").read_text())["rows"]
    first, second = row["values"][backend]
    assert 0 < first != second > 0
    # A run that fails is named, with what it said.
    (tmp_path / "results" / f"autoencoder-{backend}-1" / "checkpoint.safetensors").write_bytes(b"")
    (tmp_path / "results" / f"autoencoder-{backend}-1" / "probe.safetensors").unlink()
    result = tetrapla(*words, "--out", tmp_path / "results")
    assert result.returncode == 1 and "checkpoint.safetensors" in result.stderr and "--resume" in result.stderr


def test_from_the_folder_of_the_user(backend, trap):
    """Its images are meant by a relative path, and none of its modules is imported, though they are called as ours are."""
    write_idx(trap / "images", 300)
    words = f"results autoencoder --backend {backend} --seeds 1 --scale 0.0005 --data images --out runs".split()
    result = tetrapla(*words, cwd=trap)
    assert result.returncode == 0, result.stderr
    assert json.loads((trap / "runs" / "results.json").read_text())["data"] == "images"
    # Other images under that name: what is trained there is not taken for theirs.
    (trap / "images" / "t10k-images-idx3-ubyte").write_bytes((trap / "images" / "train-images-idx3-ubyte").read_bytes())
    (trap / "images" / "t10k-labels-idx1-ubyte").write_bytes((trap / "images" / "train-labels-idx1-ubyte").read_bytes())
    result = tetrapla(*words, cwd=trap)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "the run has other images of 'images'" in result.stderr


def test_ctrl_c_leaves_no_run(backend, tmp_path):
    words = f"results autoencoder --backend {backend} --seeds 2 --data digits --jobs 2".split()
    command = [sys.executable, "-m", "common.tools.cli", *words, "--out", str(tmp_path / "out")]
    results = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    process = psutil.Process(results.pid)
    while len(runs := process.children()) < 2:
        time.sleep(0.02)
    time.sleep(4)  # the framework is being imported, or trains
    runs = process.children(recursive=True) or runs
    results.send_signal(signal.SIGINT)
    _, stderr = results.communicate(timeout=30)
    assert results.returncode == 130
    assert stderr.splitlines()[-1].startswith("error: interrupted") and "Traceback" not in stderr
    assert not psutil.wait_procs(runs, timeout=5)[1]
