"""The four columns. `load` imports a framework only when it is asked for.

This file must exist: it makes `backends.jax` a name inside our package, so that `import jax` in `backends/jax/*.py`
finds the framework and not our own folder.
"""

import importlib
import importlib.metadata

from common.errors import MissingFramework, UsageError
from common.specs.records import Spec

DISTRIBUTIONS = {
    "pytorch": ("torch",),
    "tensorflow": ("tensorflow", "keras"),
    "paddle": ("paddlepaddle",),
    "jax": ("jax", "flax", "optax"),
}
BACKENDS = tuple(DISTRIBUTIONS)
TITLES = {
    "pytorch": "PyTorch",
    "tensorflow": "TensorFlow",
    "paddle": "Paddle",
    "jax": "JAX",
}  # as they are written in tables
# The fast path on a GPU with matrix products in less than float32: TF32 rounds the inputs of products and convolutions to 10
# bits of mantissa, bfloat16 to 7. TensorFlow and Paddle have bfloat16 too, as a policy of each layer and as a rewritten
# Program, which the model files would have to know of.
PRECISIONS = {
    "pytorch": ("tf32", "bfloat16"),
    "tensorflow": ("tf32",),
    "paddle": ("tf32",),
    "jax": ("tf32", "bfloat16"),
}


def check_name(backend: str) -> str:
    """`backend` itself; UsageError with the choices if there is no such backend."""
    if backend not in BACKENDS:
        raise UsageError(f"unknown backend {backend!r}; choose one of: {', '.join(BACKENDS)}")
    return backend


def versions(backend: str) -> dict[str, str] | None:
    """{distribution: version} of what the backend needs, or None if any of it is not installed. Imports nothing."""
    found = {}
    for name in DISTRIBUTIONS[check_name(backend)]:
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


def installed() -> tuple[str, ...]:
    """The backends whose frameworks are installed, in the project's order."""
    return tuple(backend for backend in BACKENDS if versions(backend))


def engine(backend: str, part: str):
    """The module `part` of the backend's engine: "process", "timing", "export" ... Imports the framework."""
    return importlib.import_module(f"backends.{check_name(backend)}.{part}")


def load(backend: str, spec: Spec):
    """(column module, model module) of `spec` in `backend`. Raises MissingFramework if the framework cannot be imported,
    UsageError if the model is not written in it."""
    check_name(backend)
    try:
        column = engine(backend, "column")
        module = importlib.import_module(f"backends.{backend}.{spec.module}")
    except ImportError as error:
        raise MissingFramework(
            f"backend {backend!r} cannot be imported ({error}); install it with: pip install -e '.[{backend}]'"
        ) from error
    if spec.accumulates and not hasattr(module, "accumulating_train_step"):
        raise UsageError(f"{spec.name} is not written in {backend}; use its article's framework")
    return column, module


def create(backend: str, spec: Spec, parameters, *, dtype: str = "float32", device: str = "cpu", seed: int = 0):
    """A `common.contract.Column`: `spec` in `backend`, starting from `parameters` (canonical names and layouts)."""
    column, module = load(backend, spec)
    return column.Column(spec, module, parameters, dtype=dtype, device=device, seed=seed)
