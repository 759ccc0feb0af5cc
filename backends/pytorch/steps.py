"""Many training steps: inputs gathered from a data set that lies on the device, eager steps or one CUDA graph a step."""

from backends.pytorch import process  # noqa: F401  # isort: skip

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from common.specs.inputs import Images


@dataclass
class State:
    """A model and one optimiser per update of the specification; `train_step` changes both in place."""

    model: nn.Module
    optimizers: dict[str, torch.optim.Optimizer]


def gather(inputs, data, indices, dtype):
    """{name: (B, *shape)}: the declared `inputs` at the rows `indices` {set: (B,)} of `data` {source: uint8 (N, ...)}."""
    return {one.name: _gather(one, data[one.source][indices[one.rows]], dtype) for one in inputs}


def _gather(one, values, dtype):
    if isinstance(one, Images):
        return one.scale(values.to(dtype)).reshape(len(values), *one.shape)
    return F.one_hot(values.long(), one.classes).to(dtype)


class Steps:
    """`train_step` on rows of the uploaded data, again and again.

    On a GPU a step is one CUDA graph, captured at the first batch of its size; `forget` must be called whenever something
    is put in the place of parameters, moments or data, whose addresses it holds.
    """

    def __init__(self, spec, train_step, state, dtype, device):
        self.spec, self.train_step, self.state, self.dtype, self.device = spec, train_step, state, dtype, device
        # Gradients that live on from update to update are not a graph's own.
        self.with_graphs = device.type != "cpu" and not spec.accumulates
        self.forget()

    def upload(self, data):
        wanted = {one.source for one in self.spec.inputs}
        # Copies: from_numpy would share the memory.
        self.data = {name: torch.tensor(data[name], device=self.device) for name in wanted}
        self.forget()

    def forget(self):
        self.graphs = {}  # by batch

    def __call__(self, indices, noise):
        """One step at the rows `indices` {set: (B,)}: its losses, stacked in the order of `loss_names`."""
        if not self.with_graphs:
            return self._step(indices, noise)
        size = len(next(iter(indices.values())))
        if size not in self.graphs:
            self.graphs[size] = Graph(self._step, self.state, indices, noise)
        return self.graphs[size](indices, noise)

    def _step(self, indices, noise):
        values = self.train_step(self.state, gather(self.spec.inputs, self.data, indices, self.dtype), noise)
        self.loss_names = list(values)
        return torch.stack([value.detach() for value in values.values()])


class Graph:
    """`step(indices, noise)` as one CUDA graph, for inputs of these shapes: a call copies its inputs into place, launches
    all kernels at once, and returns a copy of the output.

    The graph keeps the addresses of what it was captured with: parameters, moments and data must be changed in place.
    """

    def __init__(self, step, state, indices, noise):
        self.indices, self.noise = ({name: v.clone() for name, v in given.items()} for given in (indices, noise))
        before = [tensor.detach().clone() for tensor in _moved(state)]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):  # libraries allocate at first use, which cannot be captured
                step(self.indices, self.noise)
        torch.cuda.current_stream().wait_stream(stream)
        state.model.zero_grad(set_to_none=True)  # the graph's own gradients lie in its own memory
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.output = step(self.indices, self.noise)
        with torch.no_grad():
            for tensor, value in zip(_moved(state), before, strict=True):
                tensor.copy_(value)

    def __call__(self, indices, noise):
        for places, given in ((self.indices, indices), (self.noise, noise)):
            for name, place in places.items():
                place.copy_(given[name])
        self.graph.replay()
        return self.output.clone()


def _moved(state):
    """All that a training step changes."""
    yield from state.model.parameters()
    yield from state.model.buffers()
    for optimizer in state.optimizers.values():
        for kept in optimizer.state.values():
            yield from kept.values()
