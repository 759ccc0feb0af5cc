"""What a side's process does before the user's function runs: what its framework reads when it is imported, its default float type, and
which modules the user's folder cannot take the place of."""

import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType


def prepare(dtype: str) -> None:
    """Before a framework is imported: what it reads then, and its default float type as soon as it is there, so that numbers
    that a model makes for itself have it too."""
    for name, value in {"TF_CPP_MIN_LOG_LEVEL": "2", "TF_ENABLE_ONEDNN_OPTS": "0", "JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}.items():  # fmt: skip
        os.environ.setdefault(name, value)
    os.environ["JAX_ENABLE_X64"] = str(int(dtype == "float64"))
    sys.meta_path.insert(
        0,
        After(
            {
                "torch": lambda torch: torch.set_default_dtype(getattr(torch, dtype)),
                "paddle": lambda paddle: paddle.set_default_dtype(dtype),
                "keras": lambda keras: keras.config.set_floatx(dtype),
                "flax.nnx.nn.recurrent": lambda recurrent: carries(recurrent, dtype),
                "flax.linen.recurrent": lambda recurrent: carries(recurrent, dtype),
            }
        ),
    )


def carries(recurrent: ModuleType, dtype: str) -> None:
    """Flax makes the state in which a cell starts in float32 unless it is told otherwise, and then refuses a float64 sequence."""
    for cell in vars(recurrent).values():
        if isinstance(cell, type) and "initialize_carry" in vars(cell):

            def wide(*args: object, start: Callable = cell.initialize_carry, **kwargs: object) -> object:
                found = start(*args, **kwargs)
                return tuple(one.astype(dtype) for one in found) if isinstance(found, tuple) else found.astype(dtype)

            cell.initialize_carry = wide


class Guard:
    """A finder that has the standard library, and `names`, from where they are installed and not from `folder`, a user's: a file
    that is called random.py there would else be what the framework imports."""

    def __init__(self, folder: Path, names: set[str]):
        self.folder, self.names = str(folder), names | sys.stdlib_module_names

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is not None or name not in self.names:
            return None
        return PathFinder.find_spec(name, [place for place in sys.path if place != self.folder])


def guard(folder: Path, names: set[str]) -> None:
    """The one Guard of this process, behind what `prepare` waits for."""
    others = [one for one in sys.meta_path if not isinstance(one, Guard)]
    others.insert(sum(isinstance(one, After) for one in others), Guard(folder, names))
    sys.meta_path[:] = others


class After:
    """A finder that lets `actions` {module: function of it} happen as soon as the module has been imported."""

    def __init__(self, actions: dict):
        self.actions = actions

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if (action := self.actions.pop(name, None)) is None:
            return None
        spec = importlib.util.find_spec(name)
        if spec is not None:
            execute = spec.loader.exec_module
            spec.loader.exec_module = lambda module: (execute(module), action(module))
        return spec
