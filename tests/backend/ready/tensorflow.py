"""TensorFlow: the graph of the loop over a call's updates, as it is traced on the device of a GPU.

XLA compiles that loop, so what an operator needs is a kernel for XLA on a GPU, "XLA_GPU_JIT"; a build for CPUs registers these too,
being made of XLA's own operations. That XLA then compiles the whole of it for CUDA is not known: TensorFlow gives its HLO for a
platform that is not there only without variables.
"""

from backends.tensorflow import process  # isort: skip

import tensorflow as tf
from tensorflow.python.framework import kernels

import backends
from common.data.batches import batch_indices, row_sets
from common.parameters import initial_parameters
from tests.backend.ready import BATCH, COUNT

KERNEL = "XLA_GPU_JIT"
INNER = ("body", "cond", "then_branch", "else_branch", "f")  # the attributes that name a function


def findings(spec, module, train):
    engine, _ = backends.load("tensorflow", spec)
    column = engine.Column(spec, module, initial_parameters(spec, 0), dtype="float32", device="cpu", seed=0)
    indices = batch_indices(row_sets(spec, train, 0), BATCH, 0, range(COUNT))
    steps = column.steps
    with tf.device(process.DEVICES["gpu"]):
        steps.upload(train)
        rows, noise = steps._tensors(indices, None, slice(None))
        given = (steps.data, rows, noise, tf.constant(COUNT), tf.constant(0, tf.int64))
        graph = steps._loop.get_concrete_function(*given).graph
    operations = list(_all(graph))
    loops = sum(one.type in ("While", "StatelessWhile") for one in operations)
    found = [] if loops == 1 else [f"{loops} loops, where AutoGraph's is one"]
    for one in operations:
        if "CPU" in one.device:
            found.append(f"{one.type}: pinned to {one.device}")
        if one.type != "Placeholder" and not _has_kernel(one):  # an argument of a function
            found.append(f"{one.type}: no kernel {KERNEL}")
        for output in one.outputs:
            # Adam's corrections are numbers in float64 (backends.tensorflow.optimizer).
            number = output.dtype == tf.float64 and output.shape == ()
            if output.dtype.is_floating and output.dtype != tf.float32 and not number:
                found.append(f"{one.type}: {output.dtype.name} {output.shape}")
    return found


def _all(graph):
    """The operators of a graph and of the functions that they call."""
    for one in graph.get_operations():
        yield one
        for name in INNER:
            if name in one.node_def.attr and one.node_def.attr[name].HasField("func"):
                yield from _all(graph._get_function(one.node_def.attr[name].func.name).graph)


def _has_kernel(operator):
    """Whether one of XLA's for a GPU takes the types that the operator has."""
    types = {name: {value.type, *value.list.type} - {0} for name, value in operator.node_def.attr.items()}
    own = (one for one in kernels.get_registered_kernels_for_op(operator.type).kernel if one.device_type == KERNEL)
    return any(all(types[kind.name] <= {*kind.allowed_values.list.type} for kind in one.constraint) for one in own)
