"""Sides in interpreters of their own: `--reference-python` and `--port-python` name environments that hold NumPy and one framework
with what it requires, and nothing else; and no file of the user's is imported but the one that is named."""

import importlib.metadata
import json
import re
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from common.tools.diff import judge, sides

OTHERS = {"torch", "tensorflow", "keras", "paddle", "jax", "flax", "optax"}
TRAPS = (
    "random",
    "json",
    "types",
    "numpy",
    "torch",
    "jax",
    "common",
    "backends",
    "sitecustomize",
    "usercustomize",
    "conftest",
)

FILE = """
import json
import sys
from pathlib import Path

import numpy as np


def inputs(rng):
    return {"x": rng.normal(size=(4, 3)), "y": rng.normal(size=(4, 2))}


def seen(name, python):
    top = sorted({one.split(".")[0] for one in sys.modules})
    Path(FOLDER, name).write_text(json.dumps([sys.prefix, top]))


def reference():
    import torch

    def loss(output, y):
        seen("reference", sys.executable)
        return ((output - y) ** 2).mean()

    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    assert torch.get_default_dtype() == torch.float64  # set as soon as it was imported
    return dict(model=model, loss=loss, optimizer=torch.optim.SGD(model.parameters(), 0.1))


def port():
    import jax
    import optax
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self, rngs):
            self.first, self.second = nnx.Linear(3, 4, rngs=rngs), nnx.Linear(4, 2, rngs=rngs)

        def __call__(self, x):
            return self.second(jax.numpy.tanh(self.first(x)))

    def loss(output, y):
        seen("port", sys.executable)
        return ((output - y) ** 2).mean()

    return dict(model=Net(nnx.Rngs(0)), loss=loss, optimizer=optax.sgd(0.1))
"""


def required(*names: str) -> dict[str, importlib.metadata.Distribution]:
    """These distributions and all that they require here."""
    found, waiting = {}, list(names)
    while waiting:
        name = re.split(r"[^\w.-]", waiting.pop())[0].lower().replace("_", "-")
        if name in found:
            continue
        try:
            found[name] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # of another system
        waiting += [one for one in found[name].requires or () if "extra ==" not in one]
    return found


def environment(folder: Path, *names: str) -> Path:
    """The python of an environment with these packages alone, which are links to those of this one."""
    venv.create(folder, with_pip=False, symlinks=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    for one in required("numpy", *names).values():
        for top in {file.parts[0] for file in one.files or ()} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(one.locate_file(top))
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def pythons(tmp_path_factory):
    folder = tmp_path_factory.mktemp("environments")
    return environment(folder / "a", "torch"), environment(folder / "b", "jax", "flax", "optax")


@pytest.fixture
def file(tmp_path):
    """The user's file between traps: files that raise if they are imported."""
    for name in TRAPS:
        (tmp_path / f"{name}.py").write_text(f"raise RuntimeError('{name}.py of the user was imported')\n")
    file = tmp_path / "mine.py"
    file.write_text(FILE.replace("FOLDER", repr(str(tmp_path))))
    return file


def test_each_side_in_an_environment_of_one_framework(pythons, file, monkeypatch):
    monkeypatch.chdir(file.parent)
    verdict = judge.diff(file, timeout=300, pythons=tuple(map(str, pythons)))
    assert verdict.outcome == "equal", verdict.stages
    for name, python, own in zip(("reference", "port"), pythons, ({"torch"}, {"jax", "flax", "optax"}), strict=True):
        prefix, modules = json.loads((file.parent / name).read_text())
        assert Path(prefix) == python.parent.parent
        assert OTHERS & set(modules) == own
        assert not {"common", "backends", "tests", "typer", "sklearn", "pytest"} & set(modules)


def test_sides_import_their_own_framework_where_all_are_installed(file, monkeypatch):
    """And PyTorch's none of what JAX requires."""
    monkeypatch.chdir(file.parent)
    assert judge.diff(file, timeout=300).outcome == "equal"
    seen = {name: set(json.loads((file.parent / name).read_text())[1]) for name in ("reference", "port")}
    assert OTHERS & seen["reference"] == {"torch"} and OTHERS & seen["port"] == {"jax", "flax", "optax"}
    assert not {"scipy", "ml_dtypes", "sklearn", "pandas", "typer", "rich"} & seen["reference"]
    assert sys.prefix == json.loads((file.parent / "port").read_text())[0]


def test_modules_of_the_users_may_have_names_of_ours(tmp_path):
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "__init__.py").write_text("SIZE = 3\n")
    (tmp_path / "backends.py").write_text("SIZE = 4\n")
    file = tmp_path / "mine.py"
    text = FILE.replace("FOLDER", repr(str(tmp_path))).replace("import torch\n", "import torch, common, backends\n")
    file.write_text(text.replace("torch.nn.Linear(3, 4)", "torch.nn.Linear(common.SIZE, backends.SIZE)"))
    assert judge.diff(file, timeout=300).outcome == "equal"
    assert {"common", "backends"} <= set(json.loads((tmp_path / "reference").read_text())[1])


def test_the_wrong_environment_is_named(pythons, file):
    (file.parent / "jax.py").unlink()
    with pytest.raises(sides.SideFailed) as error:
        judge.diff(file, timeout=300, pythons=(None, str(pythons[0])))
    assert re.fullmatch(rf"port\(\) needs jax, which {re.escape(str(pythons[0]))} cannot import; install jax there, or name another interpreter with --port-python", str(error.value))  # fmt: skip
