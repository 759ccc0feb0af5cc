"""A training step as one CUDA graph: all of its kernels are launched at once, without Python in between."""

import torch


class Graph:
    """`step(batch, noise)`, captured for inputs of these shapes. A call copies its inputs into place, launches, and returns
    a copy of the output.

    The graph keeps the addresses of what it was captured with: parameters, moments and images must be changed in place.
    """

    def __init__(self, step, state, batch, noise):
        self.batch, self.noise = batch.clone(), {name: value.clone() for name, value in noise.items()}
        before = [tensor.detach().clone() for tensor in _tensors(state)]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):  # libraries allocate at first use, which cannot be captured
                step(self.batch, self.noise)
        torch.cuda.current_stream().wait_stream(stream)
        state.model.zero_grad(set_to_none=True)  # the graph's own gradients lie in its own memory
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.output = step(self.batch, self.noise)
        with torch.no_grad():
            for tensor, value in zip(_tensors(state), before, strict=True):
                tensor.copy_(value)

    def __call__(self, batch, noise):
        self.batch.copy_(batch)
        for name, place in self.noise.items():
            place.copy_(noise[name])
        self.graph.replay()
        return self.output.clone()


def _tensors(state):
    """All that a training step changes."""
    yield from state.model.parameters()
    yield from state.model.buffers()
    for optimizer in state.optimizers.values():
        for kept in optimizer.state.values():
            yield from kept.values()
