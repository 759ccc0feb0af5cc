"""What the benchmarks ask of PyTorch: a tutorial's step, what its profiler says, what the machine can do in it."""

from backends.pytorch import process  # isort: skip

import warnings

import torch
from torch.profiler import ProfilerActivity
from torch.profiler import profile as record


def naive(column):
    """A function of inputs {name: (B, *shape)}, float32, that makes one step as a tutorial writes it and returns its losses:
    eager, the batch from the host and every loss back each time, Adam as torch.optim.Adam(parameters, lr) has it."""
    for optimizer in column.state.optimizers.values():
        for group in optimizer.param_groups:
            group["fused"] = False

    def train(inputs):
        tensors = {name: torch.from_numpy(array).to(column.device) for name, array in inputs.items()}
        noise = column.draws(len(next(iter(tensors.values()))), column.step)
        values = column.module.train_step(column.state, tensors, noise)
        column.step += 1
        return {name: value.item() for name, value in values.items()}

    return train


def compile_step(column) -> None:
    """Have the column's step compiled, where one compiled update is timed."""
    with warnings.catch_warnings():
        # The compiler decorates a method of its own with what PyTorch has deprecated.
        warnings.filterwarnings("ignore", "`torch.jit.script_method` is deprecated", DeprecationWarning)
        # Shapes as they are: the proof has another batch, after which the compiler would leave the batch open.
        column.train_one = torch.compile(column.train_one, dynamic=False)


def profile(run):
    """(operator, seconds) of every call while `run()` runs."""
    with record(activities=[ProfilerActivity.CPU]) as profiler:
        run()
    for event in profiler.events():
        if event.name.startswith("aten::"):
            yield event.name, event.self_cpu_time_total / 1e6


def yardstick(device: str):
    """(multiply, copy): of pairs of arrays (m, k), (k, n), and of one array; each a function that does it once and waits."""
    place = torch.device(process.DEVICES[device])
    wait = torch.cuda.synchronize if device == "gpu" else lambda: None

    def put(a):
        return torch.from_numpy(a).to(place)

    def multiply(pairs):
        work = [(put(a), put(b), torch.empty((len(a), b.shape[1]), device=place)) for a, b in pairs]
        return lambda: ([torch.mm(a, b, out=out) for a, b, out in work], wait())

    def copy(a):
        a = put(a)
        out = torch.empty_like(a)
        return lambda: (out.copy_(a), wait())

    return multiply, copy


def device_memory() -> int:
    """Most bytes that PyTorch has held on the GPU so far."""
    return torch.cuda.max_memory_allocated()
