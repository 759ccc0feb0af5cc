"""Reproductions at a hundredth of their length and less, on the bundled digits: every part of the page is made."""

import json

import pytest
from matplotlib import image

from tests.conftest import tetrapla

# (article, model, scale), for each backend one or two, so that together every article is made.
TRIALS = {
    "pytorch": [("aae", None, 0.0004), ("autoencoders", "vae", 0.02)],
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
        assert report["checks"] and report["figures"] and report["says"]
        assert {run["backend"] for run in report["runs"]} == {backend}
        page = (out / "report.html").read_text()
        assert page.count("<img ") == len(report["figures"])
        for check in report["checks"]:
            assert "nan" not in check["ours"], check


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
