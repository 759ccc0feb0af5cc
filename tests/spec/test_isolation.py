"""`common` stands without any framework, and `backends.jax` does not hide `jax`."""

import subprocess
import sys

import pytest

import backends
from common.environment import ROOT
from common.errors import MissingFramework, UsageError
from common.specs import get

FRAMEWORKS = ("torch", "tensorflow", "keras", "paddle", "jax", "flax", "optax")

IMPORT_EVERYTHING = f"""
import pkgutil, sys
class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {FRAMEWORKS!r}:
            raise AssertionError("common imports " + name)
sys.meta_path.insert(0, Forbid())
import backends, common
names = [m.name for m in pkgutil.walk_packages(common.__path__, "common.")]
assert len(names) > 20, names
for name in names:
    __import__(name)
"""


def run(code):
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)


def test_common_imports_no_framework():
    result = run(IMPORT_EVERYTHING)
    assert result.returncode == 0, result.stderr


def test_the_guard_would_notice():
    result = run(IMPORT_EVERYTHING + "\nimport torch")
    assert "common imports torch" in result.stderr


@pytest.mark.parametrize("name", ["jax", "tensorflow", "paddle"])
def test_our_folder_does_not_hide_the_framework(name):
    """With the repository on the path, `import jax` never means backends/jax, even after that has been imported."""
    code = f"""
import importlib.util, sys
sys.path.insert(0, {str(ROOT)!r})
import backends.{name}
spec = importlib.util.find_spec({name!r})
assert spec is None or "backends" not in (spec.origin or ""), spec
"""
    result = run(code)
    assert result.returncode == 0, result.stderr


def test_the_four_folders_hold_the_same_files():
    files = {
        backend: sorted(p.name for p in (ROOT / "backends" / backend).glob("*.py")) for backend in backends.BACKENDS
    }
    assert all(names == files["pytorch"] for names in files.values()), files
    assert {"__init__.py", "engine.py", "autoencoder.py", "vae.py"} <= set(files["pytorch"])


def test_an_unknown_backend_names_the_choices():
    with pytest.raises(UsageError, match="unknown backend 'mxnet'; choose one of: pytorch, tensorflow, paddle, jax"):
        backends.load("mxnet", get("vae"))


def test_a_framework_that_cannot_be_imported_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "backends.paddle.engine", None)  # what Python does for a blocked import
    with pytest.raises(
        MissingFramework, match=r"backend 'paddle' cannot be imported .*pip install -e '.\[paddle\]'"
    ) as error:
        backends.load("paddle", get("vae"))
    assert error.value.exit_code == 3
