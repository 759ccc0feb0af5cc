"""JAX: the compiled steps lowered for CUDA, which needs none, and read as StableHLO.

What is lowered is `Compiled.steps`, the loop over a call's updates, with native noise: on a GPU every model takes it, the
convolutional ones too, whose updates run one by one on a CPU (backends.jax.steps.Steps).
"""

from backends.jax import process  # noqa: F401  # isort: skip

import re
from types import SimpleNamespace

import jax
import numpy as np
from flax import nnx

import backends
from backends.jax.steps import Steps
from common.data.batches import batch_indices, row_sets
from common.parameters import initial_parameters
from tests.backend.ready import BATCH, COUNT

# What a number of float64 may be in a float32 column: 1 - β^t of Optax's Adam (backends.jax.process), and a Python number on its way
# into a compiled function of JAX's own, which rounds it there.
NUMBERS = {"constant", "convert", "power", "subtract"}


def findings(spec, module, train, steps=None):
    """Of the loop, in the text of another `steps` where one is given."""
    engine, _ = backends.load("jax", spec)
    column = engine.Column(spec, module, initial_parameters(spec, 0), dtype="float32", device="cpu", seed=0)
    column.upload(train)
    indices = batch_indices(row_sets(spec, train, 0), BATCH, 0, range(COUNT))
    rows = (np.arange(COUNT, dtype=np.uint32), {k: v.astype(np.int32) for k, v in indices.items()}, None)
    compiled = column.compiled
    if steps:
        compiled = steps.Compiled(spec, module, compiled.graphdef, compiled.dtype, compiled.spread)
    # `export` takes a jitted function and not the method that it is of an instance.
    loop = jax.export.export(type(compiled).__dict__["steps"], platforms=["cuda"])
    try:
        exported = loop(compiled, nnx.state(column.state), column.steps.data, column.key, rows)
    except ValueError as error:
        return [f"cannot be lowered: {error}"]  # as a callback to Python, for which it wants the GPU
    assert exported.platforms == ("cuda",)
    on_gpu = Steps(compiled, column.key, SimpleNamespace(platform="gpu"))
    return (["one call an update"] if on_gpu.one_by_one else []) + faults(exported.mlir_module())


def faults(text):
    """Of a loop in StableHLO."""
    found = [f"custom call: {name}" for name in re.findall(r"custom_call\s*@(\w+)", text)]
    loops = len(re.findall(r"stablehlo\.while\b", text))
    if loops != 1:
        found.append(f"{loops} loops, where the scan is one")
    return found + [f"float64: {line.strip()}" for line in text.splitlines() if "f64" in line and not _number(line)]


def _number(line):
    """Whether all float64 in a line is a number as float32 columns may have."""
    if re.search(r"x(f64|complex<f64>)", line) or "(tensor<f32>) -> tensor<f64>" in line:
        return False
    operation = re.search(r"stablehlo\.(\w+)", line)
    return operation[1] in NUMBERS if operation else bool(re.search(r"\bcall @|func\.func private @", line))
