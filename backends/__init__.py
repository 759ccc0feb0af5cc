"""The four columns. `load` imports a framework only when it is asked for.

This file must exist: it makes `backends.jax` a name inside our package, so that `import jax` in `backends/jax/*.py`
finds the framework and not our own folder. It imports NumPy at most: a probe is asked in interpreters that hold no more.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.errors import Interrupted, MissingFramework, RankLost, TetraplaError, UsageError, choose

if TYPE_CHECKING:
    from common.specs.records import Spec
    from common.workers import World
    from common.worlds import Place

TIMEOUT = 600.0  # seconds that several processes wait for each other


@dataclass(frozen=True)
class Backend:
    """What is known of a framework without importing it."""

    title: str  # as it is written in tables
    distributions: tuple[str, ...]  # as they are installed
    packages: tuple[str, ...]  # as they are imported; where one is not found, the framework is not installed
    # On a GPU: fast, with matrix products in less than float32. TF32 rounds the inputs of products and convolutions to 10 bits
    # of mantissa, bfloat16 to 7. TensorFlow and Paddle have bfloat16 too, as a policy of each layer and as a rewritten
    # Program, which the model files would have to know of.
    precisions: tuple[str, ...]
    line: Mapping[str, object]  # in plots: Okabe and Ito's colours, told apart by colour-blind readers too
    words: str  # how the field guide speaks of it, a regular expression


KNOWN = {
    "pytorch": Backend(
        title="PyTorch",
        distributions=("torch",),
        packages=("torch",),
        precisions=("tf32", "bfloat16"),
        line={"color": "#D55E00", "linewidth": 6.0, "alpha": 0.35},
        words=r"PyTorch|`torch|`nn\.",
    ),
    "tensorflow": Backend(
        title="TensorFlow",
        distributions=("tensorflow", "keras"),
        packages=("tensorflow", "keras"),
        precisions=("tf32",),
        line={"color": "#E69F00", "linewidth": 3.5, "alpha": 0.8},
        words=r"TensorFlow|Keras|`tf\.",
    ),
    "paddle": Backend(
        title="Paddle",
        distributions=("paddlepaddle",),
        packages=("paddle",),
        precisions=("tf32",),
        line={"color": "#0072B2", "linewidth": 1.8},
        words=r"Paddle",
    ),
    "jax": Backend(
        title="JAX",
        distributions=("jax", "flax", "optax"),
        packages=("jax", "jaxlib", "flax", "optax"),
        precisions=("tf32", "bfloat16"),
        line={"color": "#000000", "linewidth": 1.0, "linestyle": (0, (4, 3))},
        words=r"JAX|Flax|Optax|nnx",
    ),
}
BACKENDS = tuple(KNOWN)
TITLES = {name: backend.title for name, backend in KNOWN.items()}


def check_name(backend: str) -> str:
    """`backend` itself; UsageError with the choices if there is no such backend."""
    if backend not in BACKENDS:
        raise UsageError(f"unknown backend {backend!r}{choose(backend, BACKENDS)}")
    return backend


def versions(backend: str) -> dict[str, str] | None:
    """{distribution: version} of what the backend needs, or None if any of it is not installed. Imports nothing."""
    found = {}
    for name in KNOWN[check_name(backend)].distributions:
        # A CUDA build of Paddle is another distribution of the same package.
        for distribution in (name, f"{name}-gpu") if name == "paddlepaddle" else (name,):
            try:
                found[distribution] = importlib.metadata.version(distribution)
                break
            except importlib.metadata.PackageNotFoundError:
                continue
        else:
            return None
    return found


def not_installed(backend: str) -> str:
    """What to tell a user who asks for a framework that is not there."""
    return f"backend {backend!r} is not installed; install it with: pip install -e '.[{backend}]'"


def installed() -> tuple[str, ...]:
    """The backends whose frameworks are installed, in the project's order."""
    return tuple(backend for backend in BACKENDS if versions(backend))


def engine(backend: str, part: str):
    """The module `part` of the backend's engine: "process", "timing", "export" ... Imports the framework, once `process` has set
    what that reads when it is imported."""
    importlib.import_module(f"backends.{check_name(backend)}.process")
    return importlib.import_module(f"backends.{check_name(backend)}.{part}")


def load(backend: str, spec: Spec):
    """(column module, model module) of `spec` in `backend`. Raises MissingFramework if the framework cannot be imported,
    UsageError if the model is not written in it. The process keeps to its cores, if it was given any."""
    from common import environment

    check_name(backend)
    environment.hold_to_cores()
    try:
        column, known = engine(backend, "column"), engine(backend, "optimizer").OPTIMIZERS
        module = importlib.import_module(f"backends.{backend}.{spec.module}")
    except ImportError as error:
        _raise_interruption(error)
        if isinstance(error, ModuleNotFoundError) and error.name in KNOWN[backend].packages:
            raise MissingFramework(not_installed(backend)) from error
        # Installed and broken, or a mistake of ours: to install it would not help, so what went wrong is said as it is.
        raise MissingFramework(f"backend {backend!r} cannot be imported: {type(error).__name__}: {error}") from error
    optimizers = all(isinstance(update.optimizer, known) for update in spec.updates)
    if not optimizers or (spec.accumulates and not hasattr(module, "accumulating_train_step")):
        raise UsageError(f"{spec.name} is not written in {backend}; use its article's framework")
    return column, module


def _raise_interruption(error):
    """The one that a framework's extension module turned into an ImportError, if one did: pybind11 does, and TensorFlow."""
    cause = error
    while cause := cause.__cause__ or cause.__context__:
        if isinstance(cause, Interrupted):
            raise cause


def create(
    backend: str, spec: Spec, parameters, *, dtype: str = "float32", device: str = "cpu", seed: int = 0, **world
):
    """A `common.contract.Column`: `spec` in `backend`, starting from `parameters` (canonical names and layouts); as one of several
    processes where it is given their `world`."""
    column, module = load(backend, spec)
    return column.Column(spec, module, parameters, dtype=dtype, device=device, seed=seed, **world)


@contextlib.contextmanager
def joined(backend: str, device: str, place: Place | None, timeout: float = TIMEOUT) -> Iterator[World]:
    """The processes that train together, of which this one has a `place`; without one it is alone. They wait for each other
    `timeout` seconds at most.

    Raises UsageError where they do not meet, and RankLost when one of them is gone.
    """
    from common.workers import ALONE

    if place is None:
        yield ALONE
        return
    workers = engine(backend, "workers")
    world = workers.join(place, device, timeout)
    try:
        yield world
    except (TetraplaError, OSError):
        raise
    except workers.LOST as error:
        raise RankLost(f"rank {place.rank} of {place.count} lost another rank ({_said(error)})") from None
    workers.leave()


def _said(error):
    """What an error of a collective operation says, in a line: TensorFlow's first is of the graph that it stood in."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "Collective" in line] or lines or [type(error).__name__]
    return telling[0][:200]
