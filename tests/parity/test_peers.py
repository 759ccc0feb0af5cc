"""What users would run without this project, beside what they would run with it."""

import json

import pytest

from benchmarks import peers
from tests.conftest import tetrapla


def test_peers_are_measured_beside_the_columns(tmp_path):
    words = ("--mode", "fast", "--peers", "--repeats", 1, "--seconds", 0.01, "--threads", 1, "--out", tmp_path / "out")
    result = tetrapla("bench", "vae", "vae_z100", "--backend", "pytorch", "--backend", "jax", *words)
    assert result.returncode == 0, result.stdout + result.stderr
    rows = json.loads((tmp_path / "out" / "result.json").read_text())["rows"]
    assert {(row["model"], row["backend"], row["mode"]) for row in rows} == {
        *((model, backend, "fast") for model in ("vae", "vae_z100") for backend in ("pytorch", "jax")),
        ("vae", "pytorch", "fit"),
        ("vae", "jax", "fit"),
        ("vae", "pytorch", "example"),
    }
    assert all(0 < row["median"] < 5 for row in rows)
    assert "fit" in result.stdout and "example" in result.stdout


def test_peers_of_another_model_are_refused():
    result = tetrapla("bench", "gan", "--peers")
    assert result.returncode == 2 and "--peers: they train vae" in result.stderr


@pytest.mark.parametrize("framework", peers.MODES["fit"])
def test_a_peer_trains_the_same_model(framework):
    """652,824 parameters, as vae has: counted in Keras, whose own backend is the only one that a process can have."""
    import os
    import subprocess
    import sys

    code = (
        "import numpy as np; from benchmarks import peers; import keras.src.models.model as m\n"
        "seen = []; real = m.Model.fit\n"
        "m.Model.fit = lambda self, *a, **k: (real(self, *a, **k), seen.append(self.count_params()))\n"
        f"peers.Peer('fit', {framework!r}, 16, np.zeros((32, 28, 28), np.uint8)).run(2); print(seen[0])"
    )
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"KERAS_BACKEND": peers.KERAS[framework]},
    )
    assert found.stdout.split()[-1] == "652824", found.stderr[-500:]
