"""The command line as a user meets it: output, exit codes, never a traceback."""

import dataclasses
import os
import runpy
import shutil
import subprocess
import sys
import tomllib
import types

import pytest

from common import environment
from common.environment import ROOT
from common.specs import SPECS
from common.tools import results
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
        (("show", "infogann"), 2, "unknown model 'infogann', did you mean 'infogan'? choose one of: autoencoder, "),
        (("show", "vae", "--code", "pytroch"), 2, "unknown backend 'pytroch', did you mean 'pytorch'?"),
        (
            ("reproduce", "autoencoder"),
            2,
            "unknown article 'autoencoder', did you mean 'autoencoders'? choose one of: ",
        ),
        (("train", "vae", "--backend", "jax", "--seed", 2**64), 2, "--seed: expected 0 to 9223372036854775807"),
        (("sample", "runs/a", "--seed", -1), 2, "--seed: expected 0 to 9223372036854775807 (2^63 - 1), found -1"),
        (("results", "infogan_plain"), 2, "infogan_plain is a variant; choose one of: autoencoder, "),
        (("compare", "nope"), 2, "unknown model 'nope'"),
        (
            ("train", "vae", "--backend", "mxnet"),
            2,
            "unknown backend 'mxnet'; choose one of: pytorch, tensorflow, paddle, jax",
        ),
        (("compare", "--backend", "mxnet"), 2, "unknown backend 'mxnet'"),
        (("train", "vae"), 2, "--backend"),
        (
            ("train", "vae", "--backend", "jax", "--labelled", 100),
            2,
            "vae has no use for labelled images; leave --labelled out",
        ),
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


def test_version():
    expected = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    result = tetrapla("--version")
    assert (result.returncode, result.stdout, result.stderr) == (0, f"tetrapla {expected}\n", "")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (
            "show infogan_c",
            ["infogan_celeba", "infogan_chairs", "infogan_codes", "infogan_category", "infogan_chairs_plain"]
            + ["infogan_chairs_width", "infogan_chairs_joint", "infogan_chairs_joint_plain"],
        ),
        ("train vae --backend p", ["pytorch", "paddle"]),
        ("reproduce a", ["autoencoders", "aae"]),
        ("convert runs/vae --to j", ["jax"]),
    ],
)
def test_the_shell_completes(words, found):
    """As the script asks that --install-completion puts into the shell; and no framework is imported for it."""
    code = (
        "import sys; sys.argv = ['tetrapla']\n"
        "for name in ('torch', 'tensorflow', 'paddle', 'jax'): sys.modules[name] = None\n"
        "from common.tools.cli import main; main()"
    )
    words = ["tetrapla", *words.split()]
    asked = {"_TETRAPLA_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | asked, capture_output=True, text=True
    )
    assert done.stdout.split() == found, done.stderr


def test_brackets_are_no_markup():
    """Neither in a specification, nor in a path that is shown when all is done, nor in an error."""
    code = (
        "import dataclasses; from common import specs; from common.tools.cli import main\n"
        "vae = specs.SPECS['vae']\n"
        "about = dataclasses.replace(vae.about, title=\"pip install -e '.[all]' [/x]\")\n"
        "specs.SPECS['vae'] = dataclasses.replace(vae, about=about)\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code, "show", "vae"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "pip install -e '.[all]' [/x]" in done.stdout, done.stderr
    code = "from common.tools.site import build; build.build = lambda out, *_: out / 'index.html'\n" + code
    site = subprocess.run(
        [sys.executable, "-c", code, "site", "--out", "s[/x]"], cwd=ROOT, capture_output=True, text=True
    )
    assert (site.returncode, site.stdout, site.stderr) == (0, "Site: s[/x]/index.html\n", "")
    assert "no/such[/x]" in tetrapla("sample", "no/such[/x]").stderr


def test_packages_without_their_clone_are_refused(tmp_path):
    """As they would lie in site-packages, in one line."""
    for package in ("common", "backends", "benchmarks"):
        shutil.copytree(ROOT / package, tmp_path / package)
    command = [sys.executable, "-P", "-m", "common.tools.cli", "list"]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "Tetrapla runs from its clone" in done.stderr and "pip install -e ." in done.stderr


def test_no_wheel_is_built(monkeypatch):
    """By the command that setup.py puts in the place of setuptools' own, which need not be here."""
    given = {}
    setuptools, command = types.ModuleType("setuptools"), types.ModuleType("setuptools.command.bdist_wheel")
    setuptools.setup, command.bdist_wheel = given.update, type("bdist_wheel", (), {})
    for module in (setuptools, types.ModuleType("setuptools.command"), command):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(setuptools, "command", sys.modules["setuptools.command"], raising=False)
    runpy.run_path(str(ROOT / "setup.py"))
    with pytest.raises(SystemExit, match="Tetrapla runs from its clone.*pip install -e"):
        given["cmdclass"]["bdist_wheel"]().run()


def test_a_commit_is_recorded_of_this_repository_alone(tmp_path, monkeypatch):
    """Not that of one in which our files happen to lie."""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "the user's own"]):
        subprocess.run([*git, *words], check=True)
    (tmp_path / "below").mkdir()
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    assert environment.describe()["commit"]
    monkeypatch.setattr(environment, "ROOT", tmp_path / "below")
    assert environment.describe()["commit"] is None


def test_results_take_a_new_model_at_its_own_length(monkeypatch, data):
    """It is no variant, though nobody has said how long the table should train it."""
    monkeypatch.setitem(SPECS, "newcomer", dataclasses.replace(SPECS["vae"], name="newcomer"))
    assert results.check_models(["newcomer"]) == ["newcomer"]
    assert "newcomer" in results.check_models([])
    assert results.steps_of("newcomer", data, 1.0) == 100 * (1437 // 128)
