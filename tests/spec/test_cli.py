"""The command line as a user meets it: output, exit codes, never a traceback."""

import subprocess
import sys

import pytest

from common.environment import ROOT
from tests.conftest import tetrapla


def without_frameworks(*arguments):
    """The same command in a process that can find no framework, whatever is installed."""
    code = (
        "import importlib.metadata as m, sys; real = m.version\n"
        "def version(name):\n"
        "    if name in ('torch', 'tensorflow', 'paddlepaddle', 'jax'): raise m.PackageNotFoundError(name)\n"
        "    return real(name)\n"
        "m.version = version; sys.argv[0] = 'tetrapla'\n"
        "from common.tools.cli import main; main()"
    )
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_list():
    result = tetrapla("list")
    assert result.returncode == 0
    for word in ("autoencoder", "vae_z100", "vae_notes", "pytorch", "tensorflow", "paddle", "jax", "652,824"):
        assert word in result.stdout


def test_list_says_how_to_install():
    assert "pip install -e '.[paddle]'" in without_frameworks("list").stdout


def test_show():
    result = tetrapla("show", "vae")
    assert result.returncode == 0
    for word in ("encoder", "logvar", "314,000", "652,824", "(B, 784)", "1e-08", "epsilon", "Erratum"):
        assert word in result.stdout


def test_show_has_every_layer_and_every_draw(spec):
    result = tetrapla("show", spec.name)
    assert result.returncode == 0
    for word in (*(layer.name for layer in spec.layers().values()), *(noise.name for noise in spec.noise)):
        assert word in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("show", "nope"), 2, "unknown model 'nope'; choose one of: autoencoder, conv_autoencoder, vae, vae_z100"),
        (("compare", "nope"), 2, "unknown model 'nope'"),
        (
            ("train", "vae", "--backend", "mxnet"),
            2,
            "unknown backend 'mxnet'; choose one of: pytorch, tensorflow, paddle, jax",
        ),
        (("compare", "--backend", "mxnet"), 2, "unknown backend 'mxnet'"),
        (("train", "vae"), 2, "--backend"),
        (("nonsense",), 2, "nonsense"),
        (("sample", "no/such/run"), 2, "expected the folder of a run with a run.json"),
    ],
)
def test_bad_requests(arguments, code, message):
    result = tetrapla(*arguments)
    assert result.returncode == code
    assert message in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    "arguments", [("train", "vae", "--backend", "jax"), ("compare", "vae", "--backend", "jax"), ("compare",)]
)
def test_a_missing_framework(arguments):
    result = without_frameworks(*arguments)
    assert result.returncode == 3
    assert "pip install -e '.[" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_file_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    code = (
        "from pathlib import Path; from common.checkpoint import write_json; from common.tools.cli import app, main\n"
        f"@app.command()\ndef save(): write_json(Path({str(tmp_path / 'file' / 'below')!r}), 1)\nmain()"
    )
    result = subprocess.run([sys.executable, "-c", code, "save"], cwd=ROOT, capture_output=True, text=True)
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "Not a directory" in result.stderr


def test_bad_data_in_one_line(tmp_path):
    """Needs no framework: data is checked by the same code that `train` calls."""
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"junk")
    code = f"from common import data; from common.tools.cli import app, main\n@app.command()\ndef load(): data.load({str(tmp_path)!r})\nmain()"
    result = subprocess.run([sys.executable, "-c", code, "load"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert "missing: train-labels-idx1-ubyte" in result.stderr
