"""Who may import whom: arrows run down from `common.tools` over `benchmarks` and `backends` to the rest of `common`."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

import backends
from common.environment import ROOT
from common.errors import Interrupted, MissingFramework, UsageError
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


def room(module: str) -> int:
    """How high above the ground: what a module of the project may import lies in the same room or below."""
    top = module.split(".")[0]
    return 3 if f"{module}.".startswith("common.tools.") else {"common": 0, "backends": 1, "benchmarks": 2}[top]


def imports(root: Path) -> dict[str, set[str]]:
    """{module: the project's modules that it imports, in functions too} of the three packages below `root`."""
    paths = {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for package in ("common", "backends", "benchmarks")
        for path in (root / package).rglob("*.py")
    }
    found = {}
    for module, path in paths.items():
        names = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        found[module] = {name for name in names if name in paths}
    return found


def upward(graph: dict[str, set[str]]) -> list[str]:
    """Every arrow that runs up, or from one framework's folder into another's."""
    wrong = []
    for module, targets in graph.items():
        for target in targets:
            a, b = module.split("."), target.split(".")
            across = a[0] == b[0] == "backends" and len(b) > 1 and a[1:2] != b[1:2]
            if room(target) > room(module) or across:
                wrong.append(f"{module} imports {target}")
    return wrong


def test_no_arrow_runs_up():
    graph = imports(ROOT)
    assert len(graph) > 80 and graph["backends.jax.vae"]
    assert not upward(graph)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("common/parity.py", "import backends"),
        ("common/data/__init__.py", "def load():\n    from benchmarks import suite"),
        ("common/specs/vae.py", "from common.tools import training"),
        ("benchmarks/suite.py", "from common.tools.cli import main"),
        ("backends/jax/vae.py", "from benchmarks import cases"),
        ("backends/jax/gan.py", "from backends.paddle.gan import losses"),
    ],
)
def test_an_arrow_that_runs_up_is_seen(tmp_path, path, line):
    for file in ("backends/__init__.py", "benchmarks/suite.py", "benchmarks/cases.py", "backends/paddle/gan.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    for file in ("common/tools/__init__.py", "common/tools/cli.py", "common/tools/training.py", path):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / path).write_text(line)
    assert len({wrong.split(" imports ")[0] for wrong in upward(imports(tmp_path))}) == 1


def test_nothing_imports_itself_in_a_circle():
    """Packages aside: what `common.data` offers, its modules use."""
    graph = {
        module: {name for name in targets if name not in (module, module.rpartition(".")[0])}
        for module, targets in imports(ROOT).items()
    }
    tuple(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError


def run(code):
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)


def test_common_imports_no_framework():
    result = run(IMPORT_EVERYTHING)
    assert result.returncode == 0, result.stderr


def frameworks_in(text: str) -> list[str]:
    """Those that a file imports, in functions too."""
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return sorted({name.split(".")[0] for name in names} & set(FRAMEWORKS))


def test_no_function_of_common_imports_a_framework():
    found = {path: frameworks_in(path.read_text(encoding="utf-8")) for path in (ROOT / "common").rglob("*.py")}
    assert not {path: names for path, names in found.items() if names}


def test_an_import_in_a_function_is_seen():
    assert frameworks_in("def build():\n    from paddle import static\n    import torch.nn") == ["paddle", "torch"]


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
    assert {"__init__.py", "process.py", "column.py", "autoencoder.py", "vae.py"} <= set(files["pytorch"])


def test_an_unknown_backend_names_the_choices():
    with pytest.raises(UsageError, match="unknown backend 'mxnet'; choose one of: pytorch, tensorflow, paddle, jax"):
        backends.load("mxnet", get("vae"))


def test_a_framework_that_cannot_be_imported_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "paddle", None)  # what Python does for a blocked import
    with pytest.raises(
        MissingFramework, match=r"backend 'paddle' is not installed; .*pip install -e '.\[paddle\]'"
    ) as error:
        backends.load("paddle", get("vae"))
    assert error.value.exit_code == 3


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (ImportError("libcudart.so.12: cannot open shared object file"), "ImportError: libcudart.so.12: cannot open"),
        (ImportError("cannot import name 'losse' from 'common.noise'"), "ImportError: cannot import name 'losse'"),
        (ModuleNotFoundError("No module named 'common.nois'", name="common.nois"), "No module named 'common.nois'"),
        (ModuleNotFoundError("No module named 'astunparse'", name="astunparse"), "No module named 'astunparse'"),
    ],
)
def test_an_import_that_fails_otherwise_says_how(monkeypatch, cause, said):
    """To install what is installed would not help."""

    def fail(name):
        raise cause

    monkeypatch.setattr(backends.importlib, "import_module", fail)
    with pytest.raises(MissingFramework, match=f"backend 'tensorflow' cannot be imported: .*{said}") as error:
        backends.load("tensorflow", get("vae"))
    assert "pip install" not in str(error.value)


def test_an_interruption_that_a_framework_turned_into_an_import_error(monkeypatch):
    """As pybind11 does (raise ... from), and TensorFlow with the text of what it caught."""

    def fail(name):
        try:
            raise ImportError("initialization failed") from Interrupted("interrupted")
        except ImportError:
            raise ImportError("Failed to load the native TensorFlow runtime.")  # noqa: B904

    monkeypatch.setattr(backends.importlib, "import_module", fail)
    with pytest.raises(Interrupted):
        backends.load("tensorflow", get("vae"))
