"""A step as one CUDA graph, with a processor in the place of CUDA: everything but the capture.

A graph knows addresses and no names. What it was captured with must stay where it is for as long as it is launched, and what
a step allocates while it is captured must be the graph's own.
"""

import contextlib

import numpy as np
import pytest
import torch

import backends
from backends.pytorch import optimizer, steps
from backends.pytorch.steps import Graph, Steps
from common import parity
from common.contract import Snapshot
from common.specs import get
from tests.planting import planted


class Stream:
    def wait_stream(self, other):
        pass


def places(tensors):
    """{what: addresses}"""
    return {kind: [tensor.data_ptr() for tensor in own] for kind, own in tensors.items()}


@pytest.fixture
def captured(monkeypatch):
    """The graphs that were captured. A launch runs the step of the last one again, on the graph's own inputs, and wants all that it
    holds at the addresses of its capture."""
    graphs, made = [], []

    class Captured(Graph):
        def __init__(self, step, state, *given):
            self.step, self.state = step, state
            made.append(self)
            super().__init__(step, state, *given)
            self.held = self.kept() | {"output": [self.output]}
            graphs.append(self)

        def kept(self):
            """{what: tensors} that outlive a step, without their gradients; what has them keeps their memory from being given
            to others."""
            own = {"state": steps._moved(self.state), "data": self.step.__self__.data.values()}
            own |= {"inputs": (*self.indices.values(), *self.noise.values())}
            return {kind: [tensor.detach() for tensor in tensors] for kind, tensors in own.items()}

    class CUDAGraph:
        def replay(self):
            graph = graphs[-1]
            now = graph.kept() | {"output": [graph.output]}
            assert places(now) == places(graph.held), "launched, but what it holds lies elsewhere"
            graph.output.copy_(graph.step(graph.indices, graph.noise))

    @contextlib.contextmanager
    def capture(graph):
        before = made[-1].kept()
        assert all(one.grad is None for one in made[-1].state.model.parameters()), "gradients are not the graph's own"
        yield
        assert places(made[-1].kept()) == places(before), "what outlives a step was allocated in it"

    monkeypatch.setattr(steps, "Graph", Captured)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "graph", capture)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", CUDAGraph)
    return graphs


def column(case, train, graphs=True, module=None):
    engine, own = backends.load("pytorch", case.spec)
    made = engine.Column(case.spec, module or own, case.parameters(), dtype="float32", device="cpu", seed=0)
    made.upload(train)
    made.steps.with_graphs = graphs
    return made


@pytest.fixture
def case(train):
    return parity.Case(get("vae"), train, batch=8, steps=3)


@pytest.mark.parametrize("model", ["vae", "infogan"])
def test_launches_of_a_graph_are_steps(captured, train, model):
    """The same bits as without a graph: the warming up leaves no trace, inputs arrive, outputs are not overwritten."""
    case = parity.Case(get(model), train, batch=8, steps=3)
    plain, graphed = (column(case, train, graphs) for graphs in (False, True))
    expected, found = (one.train_steps(case.indices(), case.noise()) for one in (plain, graphed))
    assert expected.keys() == found.keys()
    for name, curve in expected.items():
        assert np.array_equal(curve, found[name]) and len(set(curve)) == 3
    for before, after in zip(parity._state(plain).values(), parity._state(graphed).values(), strict=True):
        assert np.array_equal(before, after)
    assert len(captured) == 1


def test_a_restored_column_captures_anew(captured, case, train):
    """Its moments are new tensors, so that no graph of before may be launched; parameters and data stay where they were."""
    one = column(case, train)
    first = one.train_steps(case.indices(), case.noise())
    before = [tensor.data_ptr() for tensor in (*one.state.model.parameters(), *one.steps.data.values())]
    one.restore(Snapshot.start(case.spec, case.parameters()))
    assert not one.steps.graphs
    again = one.train_steps(case.indices(), case.noise())
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert [tensor.data_ptr() for tensor in (*one.state.model.parameters(), *one.steps.data.values())] == before
    assert len(captured) == 2


def test_uploaded_data_has_graphs_captured_anew(captured, case, train):
    one = column(case, train)
    one.train_steps(case.indices(), case.noise())
    one.upload(train)
    one.train_steps(case.indices(), case.noise())
    assert len(captured) == 2


def lazily(case, train, monkeypatch):
    """Moments that the optimiser itself makes, at its first step: the warming up's would not be put back."""
    monkeypatch.setattr(optimizer, "begin", lambda one, count: one.state.clear())
    monkeypatch.setattr(optimizer, "moments", lambda *given: {})
    monkeypatch.setattr("backends.pytorch.column.write", lambda tensors, arrays: None)
    return column(case, train)


def made_in_the_step(case, train, monkeypatch):
    own = backends.load("pytorch", case.spec)[1]
    update = 'update(state.optimizers["train"], values["loss"])'
    return column(case, train, module=planted(own, update, f'state.optimizers["train"].state.clear()\n    {update}'))


def replaced(case, train, monkeypatch):
    own = backends.load("pytorch", case.spec)[1]
    text = "    return values\n\n\n# ------------------------------------------------------------------------------------ coding"
    put = "    weight = state.model.encoder.fc0.weight\n    weight.data = weight.data.clone()\n"
    return column(case, train, module=planted(own, text, put + text))


def gradients_kept(case, train, monkeypatch):
    monkeypatch.setattr(torch.nn.Module, "zero_grad", lambda *given, **more: None)
    return column(case, train)


def not_forgotten(case, train, monkeypatch):
    one = column(case, train)
    one.train_steps(case.indices(), case.noise())
    monkeypatch.setattr(Steps, "forget", lambda steps: None)
    one.restore(Snapshot.start(case.spec, case.parameters()))
    return one


@pytest.mark.parametrize(
    ("plant", "error", "message"),
    [
        (lazily, ValueError, "is shorter than"),
        (made_in_the_step, AssertionError, "allocated in it"),
        (replaced, AssertionError, "allocated in it"),
        (gradients_kept, AssertionError, "the graph's own"),
        (not_forgotten, AssertionError, "lies elsewhere"),
    ],
)
def test_planted_mistakes_are_found(captured, case, train, monkeypatch, plant, error, message):
    one = plant(case, train, monkeypatch)
    with pytest.raises(error, match=message):
        one.train_steps(case.indices(), case.noise())
