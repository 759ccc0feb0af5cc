"""What the benchmarks ask of Paddle: a tutorial's step, what its profiler says, what the machine can do in it."""

from backends.paddle import process  # isort: skip

import numpy as np
import paddle
from paddle import profiler


def naive(column):
    """A function of inputs {name: (B, *shape)}, float32, that makes one step as a tutorial writes it and returns its losses:
    the batch and noise that NumPy drew are fed, because a Program's inputs are, and every loss is fetched."""
    random = np.random.default_rng(0)

    def train(inputs):
        batch = len(next(iter(inputs.values())))
        noise = {n.name: n.distribution.draw(random, (batch, *n.shape)).astype(np.float32) for n in column.spec.noise}
        return column.train_step(inputs, noise)

    return train


def compile_step(column) -> None:
    pass  # a Program is compiled in any case, when it is first run


def profile(run):
    """(operator, seconds) of every call while `run()` runs."""
    # Left to itself, it writes what it recorded into ./profiler_log.
    with profiler.Profiler(targets=[profiler.ProfilerTarget.CPU], on_trace_ready=lambda recorded: None) as recorded:
        run()

    def operators(node):
        if node.name.startswith("pd_op."):
            yield node.name, (node.end_ns - node.start_ns) / 1e9
        else:
            for child in node.children_node:
                yield from operators(child)

    for node in recorded.profiler_result.get_data().values():
        yield from operators(node)


def yardstick(device: str):
    """(multiply, copy): of pairs of arrays (m, k), (k, n), and of one array; each a function that does it once and waits."""
    place = process.place(device)

    def program(function, arrays):
        main, startup, scope = paddle.static.Program(), paddle.static.Program(), paddle.static.Scope()
        with paddle.static.program_guard(main, startup):
            inputs = []
            for k, a in enumerate(arrays):
                inputs.append(paddle.static.data(f"in{k}", list(a.shape), "float32"))
                inputs[-1].persistable = True
                scope.var(f"in{k}").get_tensor().set(a, place)
            last = paddle.max(function(inputs)[-1:])  # a Program computes what nobody fetches, too
        executor = paddle.static.Executor(place)
        return lambda: executor.run(main, fetch_list=[last], scope=scope)

    def multiply(pairs):
        def function(inputs):
            return [paddle.matmul(a, b) for a, b in zip(inputs[::2], inputs[1::2], strict=True)][-1]

        return program(function, [array for pair in pairs for array in pair])

    return multiply, lambda a: program(lambda inputs: inputs[0] + 1, [a])


def device_memory() -> int:
    """Most bytes that Paddle has held on the GPU so far."""
    return paddle.device.cuda.max_memory_allocated()
