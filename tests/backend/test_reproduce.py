"""Reproductions at a hundredth of their length and less, on the bundled digits: every part of the page is made."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from matplotlib import image
from safetensors.numpy import load_file

from common.data import digits
from common.environment import ROOT
from common.specs import get
from common.tools import reproduction, results, results_worker
from tests import planted_results
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


def test_results_of_two_processes_at_a_time(backend, tmp_path):
    words = f"results autoencoder --backend {backend} --seeds 2 --scale 0.002 --data digits --jobs 2".split()
    result = tetrapla(*words, "--out", tmp_path / "results")
    assert result.returncode == 0, result.stderr
    for number, seed in ((1, 0), (2, 1)):
        assert f"{number} of 2: autoencoder in {backend}, seeds {seed}, 9 steps each" in result.stderr
    (row,) = json.loads((tmp_path / "results" / "results.json").read_text())["rows"]
    assert 0 < row["values"][backend]["0"] != row["values"][backend]["1"] > 0
    # With another seed the two that are there are used again.
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("measures.json")}
    words[words.index("--seeds") + 1] = "3"
    result = tetrapla(*words, "--out", tmp_path / "results")
    assert f"1 of 1: autoencoder in {backend}, seeds 2, 9 steps each" in result.stderr
    assert before == {path: path.stat().st_mtime_ns for path in before}
    # What has lost its measures is measured again; a run that fails is named, with what it said.
    lost = tmp_path / "results" / f"autoencoder-{backend}-1"
    measures = (lost / "measures.json").read_text()
    (lost / "measures.json").unlink()
    assert tetrapla(*words, "--out", tmp_path / "results").returncode == 0
    assert (lost / "measures.json").read_text() == measures
    (lost / "measures.json").unlink()
    (lost / "checkpoint.safetensors").write_bytes(b"")
    result = tetrapla(*words, "--out", tmp_path / "results")
    assert result.returncode == 1 and "checkpoint.safetensors" in result.stderr and "the same command" in result.stderr


def test_a_seed_after_others_in_one_process_is_what_it_is_alone(backend, tmp_path):
    """Of a model with noise: nothing is left of the seed before, and nothing that was compiled for it has its numbers."""
    weights = []
    for seeds in ("0,1", "1"):
        words = ("vae_z100", backend, "3", seeds, "digits", "", "cpu", str(tmp_path / seeds))
        variables = os.environ | {"PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, "-P", "-m", "common.tools.results_worker", *words], env=variables, check=True)
        weights.append(load_file(tmp_path / seeds / f"vae_z100-{backend}-1" / "checkpoint.safetensors"))
    assert weights[0].keys() == weights[1].keys()
    assert all(np.array_equal(value, weights[1][name]) for name, value in weights[0].items())


def test_a_run_that_diverges_is_a_finding(backend, tmp_path, monkeypatch):
    """Its measures say so, and it is not trained again."""
    spec = get("vae_z100")
    wild = dataclasses.replace(spec.updates[0].optimizer, learning_rate=1e30)
    spec = dataclasses.replace(spec, updates=(dataclasses.replace(spec.updates[0], optimizer=wild),))
    data = digits.load()
    settings = results_worker.options(spec, backend, 20, 0, data)
    results_worker.carry(spec, settings, data, None, tmp_path / "run")
    found = results.read(tmp_path / "run", spec, settings, data)
    assert found.values == {} and "at step" in found.failed


def test_a_planted_optimiser_is_found_by_the_stages(backend):
    for field in planted_results.MISTAKES:
        proof = planted_results.prove(planted_results.planted("vae_z100", field), backend)
        assert proof["stage"] == "one update" and proof["bars"] > 1000


def test_from_the_folder_of_the_user(backend, trap):
    """Its images are meant by a relative path, and none of its modules is imported, though they are called as ours are."""
    write_idx(trap / "images", 300)
    words = f"results autoencoder --backend {backend} --seeds 1 --scale 0.0005 --data images --out runs".split()
    result = tetrapla(*words, cwd=trap)
    assert result.returncode == 0, result.stderr
    assert json.loads((trap / "runs" / "results.json").read_text())["data"]["name"] == "images"
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
