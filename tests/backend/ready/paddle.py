"""Paddle: the Programs as they are written, before a place is chosen.

A build for CPUs can go no further: it makes no CUDAPlace, and knows kernels for CPUs alone. Which of what is computed on the host
costs a GPU a wait (the batch size, which is the shape of native noise) cannot be told here.
"""

from backends.paddle import process  # noqa: F401  # isort: skip

import backends
from backends.paddle.steps import SOURCES
from common.parameters import initial_parameters

# Operands that a kernel reads as numbers, axes and shapes, by their names; they lie on the host everywhere.
NUMBERS = {
    "scale",
    "axis",
    "value",
    "shape",
    "starts",
    "ends",
    "min",
    "max",
    "num_classes",
    "depth",
    "output_size",
    "k",
}
# What shapes are computed from and with.
FROM_SHAPES = ("pd_op.shape64", "pd_op.full_int_array")
WITH_SHAPES = ("builtin.combine", "pd_op.slice", "pd_op.stack", "pd_op.scale")


def findings(spec, module, train):
    """Of all Programs: training, gradients, coding, sampling."""
    engine, _ = backends.load("paddle", spec)
    column = engine.Column(spec, module, initial_parameters(spec, 0), dtype="float32", device="cpu", seed=0)
    assert {source for _, source in column.state.programs} == set(SOURCES)
    found = []
    for (job, source), program in column.state.programs.items():
        rows = {f"{name}.indices" for name in spec.rows}
        if source == "native" and (fed := {k: v for k, v in program.feeds.items() if k not in rows or v != "int32"}):
            found.append(f"{job}: fed {fed}, where indices are to be all that is copied")
        found += [f"{job}, {source}: {fault}" for fault in faults(program.main)]
    return found


def faults(program):
    """Of a Program's operators, in their order, in which no value comes before what it is made of."""
    found, host = (
        [],
        set(),
    )  # by `id`: == between Values is an operator, and their hash that of a Python object made anew
    for one in program.global_block().ops:
        results = [(value, _dtype(value)) for value in one.results()]
        found += [f"{one.name()}: {dtype}" for _, dtype in results if dtype in ("float64", "float16", "bfloat16")]
        if one.name() in ("pd_op.py_func", "pd_op.memcpy", "pd_op.memcpy_d2h", "pd_op.memcpy_h2d", "pd_op.print"):
            found.append(f"{one.name()}: by way of the host")
        theirs = [_id(value) in host for value in one.operands_source()]
        fixed = str(one.attrs().get("place")) == "Place(cpu)"
        if fixed or one.name() in FROM_SHAPES or (one.name() in WITH_SHAPES and theirs and all(theirs)):
            host |= {_id(value) for value in one.results()} - {None}
            continue
        wrong = [n for n, from_host in zip(_names(one), theirs, strict=True) if from_host and n not in NUMBERS]
        found += [f"{one.name()}: operand {name} on the host" for name in wrong]
    return found


def _id(value):
    """None of an operand that is left out."""
    try:
        return value.id
    except ValueError:
        return None


def _names(operator):
    names = operator.get_input_names() if operator.name().startswith("pd_op.") else ()
    return [*names, *("?" for _ in range(operator.num_operands() - len(names)))]


def _dtype(value):
    try:
        return str(value.dtype).removeprefix("paddle.")
    except ValueError:  # a list of tensors
        return None
