"""What only a probe of PyTorch's models meets; every function is a check, `make` that of test_layers."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from backends.pytorch.probe import Probe
from common.probing import Refused, mask
from tests import layers_in_numpy
from tests.probes.pytorch import CASES, Itself, floats, model, side

RNG = np.random.default_rng(5)


def close(found, expected, least=1e-12):
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < least * max(1.0, np.abs(expected).max())


def held(probe, layer):
    return {role: probe.get()[f"{layer.path}/{role}"] for role in layer.tensors}


def squares(output, y):
    return ((output - y) ** 2).sum()


def check_the_projections_of_attention_are_trained(make):
    """Three in one tensor: each has its rows of the gradient, is moved by what is given for it, and is listed once."""
    x, y = RNG.normal(size=(2, 2, 5, 6))
    build = lambda: side(Itself(nn.MultiheadAttention(6, 2, batch_first=True)), loss=squares)  # noqa: E731
    probe = make(build, {"x": x})
    (layer,) = probe.describe().layers
    assert len(layer.tensors) == 8 and all(one.trainable for one in layer.tensors.values())
    before = probe.get()
    _, found = probe.gradients([x], [y])
    assert {key: value.shape for key, value in found.items()} == {key: value.shape for key, value in before.items()}

    def loss(values):
        held = {key.rsplit("/", 1)[1]: value for key, value in values.items()}
        return squares(layers_in_numpy.attention({"heads": 2}, held, [x] * 3, True), y)

    for key, gradient in found.items():
        way, step = RNG.normal(size=gradient.shape), 1e-6
        ends = [loss(before | {key: before[key] + sign * step * way}) for sign in (1, -1)]
        assert abs((gradient * way).sum() - (ends[0] - ends[1]) / (2 * step)) < 1e-6
    given = {key: RNG.normal(size=value.shape) for key, value in before.items()}
    for key, value in probe.update([given], [0.5])[0].items():
        close(value, before[key] - 0.05 * given[key])


def check_gradients_in_float64_for_a_model_in_float32(make):
    model = nn.Linear(3, 2, dtype=torch.float32)
    probe = Probe(side(model), "float32")
    before, given = probe.get(), {"/weight": RNG.normal(size=(2, 3))}
    close(probe.update([given], [1.0])[0]["/weight"], before["/weight"] - 0.1 * given["/weight"], 1e-6)


def check_each_layer_written_down_gives_the_same(make):
    """`source`, run as a file that knows NumPy alone; every case of test_layers but the unknown."""
    written = 0
    for cases in CASES.values():
        for build in cases:
            with floats("float64"):
                case = build()
            x = RNG.integers(0, case["integers"], case["shape"]) if case["integers"] else RNG.normal(size=case["shape"])
            probe = make(lambda case=case: {"model": model(case["layer"])}, {"x": x})
            (layer,) = probe.describe().layers
            _, (call,) = probe.forward([x], False)
            data = held(probe, layer) | {f"x{k}": value for k, value in enumerate(call.inputs)}
            names = {"np": np, "data": data}
            with floats("float64"), warnings.catch_warnings(action="ignore"):
                exec("\n".join(lines := probe.source(layer.path, False)), names)
            assert lines and len(lines) <= 6
            assert np.allclose(names["y"], call.outputs[0], rtol=0, atol=1e-12), lines
            written += 1
    assert written > 80


class Threefold(nn.Module):
    """One layer in three places, a parameter of its own, in-place activations, a mask, a sum, several outputs."""

    def __init__(self):
        super().__init__()
        self.attention, self.act = nn.MultiheadAttention(6, 2, batch_first=True), nn.ReLU(inplace=True)
        self.first = self.second = nn.Linear(6, 6)
        self.scale = nn.Parameter(torch.ones(6))

    def forward(self, x, z):
        hidden = torch.triu(torch.ones(5, 5, dtype=torch.bool), 1)
        y, weights = self.attention(x, value=z, key=2 * z, attn_mask=hidden)
        y = self.act(self.first(y)) + self.second(input=y)
        return {"y": self.scale * y, "more": [weights, y[:, 0]]}


def check_calls_as_they_are_written(make):
    x, z = RNG.normal(size=(2, 2, 5, 6))
    probe = make(lambda: side(Threefold()), {"x": x, "z": z})
    about = {one.path: one for one in probe.describe().layers}
    assert [(one.path, one.kind) for one in about.values()] == [
        ("attention", "attention"), ("act", "activation"), ("first", "dense"), ("scale", "unknown"),
    ]  # fmt: skip
    outputs, calls = probe.forward([x, z], False)
    assert [call.path for call in calls] == ["attention", "first", "act", "first"]
    assert list(outputs) == ["y", "more.0", "more.1"]
    for found, expected in zip(calls[0].inputs, (x, 2 * z, z), strict=True):
        close(found, expected)
    t = held(probe, about["attention"])
    first = z[:, 0] @ t["value_weight"].T + t["value_bias"]  # the first step sees itself alone
    close(calls[0].outputs[0][:, 0], first @ t["out_weight"].T + t["out_bias"])
    close(probe.alone("attention", calls[0].inputs, False)[0], calls[0].outputs[0])
    dense = calls[0].outputs[0] @ probe.get()["first/weight"].T + probe.get()["first/bias"]
    close(calls[1].outputs[0], dense)
    close(calls[2].inputs[0], dense)  # before it is changed in place
    close(calls[2].outputs[0], np.maximum(dense, 0))
    close(outputs["more.1"], outputs["y"][:, 0])


class Doubled(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


def check_what_is_not_known_is_said(make):
    x = RNG.normal(size=(4, 6))
    unknown = (
        lambda: nn.utils.parametrizations.weight_norm(nn.Linear(6, 3)), lambda: nn.BatchNorm1d(6, momentum=None),
        lambda: nn.BatchNorm1d(6, track_running_stats=False), lambda: nn.LSTM(6, 3, 2), lambda: nn.Bilinear(6, 6, 2),
        lambda: nn.RNN(6, 3), lambda: nn.Threshold(0.1, 2.0), lambda: nn.LSTM(6, 3, bidirectional=True),
        lambda: nn.LSTM(6, 3, proj_size=2), lambda: nn.Flatten(0, 1),
    )  # fmt: skip
    for layer in unknown:
        both = isinstance(layer(), nn.Bilinear)
        model = layer() if both else nn.Sequential(layer())
        given = [x] * (1 + both)
        probe = make(lambda model=model: {"model": model}, {"x": x})
        (one,) = probe.describe().layers
        assert (one.kind, probe.source(one.path, False)) == ("unknown", [])
        _, (call,) = probe.forward(given, False)
        for found, expected in zip(probe.alone(one.path, call.inputs, False), call.outputs, strict=True):
            close(found, expected)


def check_a_class_of_the_users_is_what_it_is_derived_from(make):
    x = RNG.normal(size=(4, 6))
    probe = make(lambda: {"model": nn.Sequential(Doubled(6, 3))}, {"x": x})
    (one,) = probe.describe().layers
    assert (one.kind, one.title, probe.source("0", False)) == ("dense", "Doubled", [])
    t = held(probe, one)
    close(probe.alone("0", [x], False)[0], 2 * (x @ t["weight"].T + t["bias"]))


def check_what_draws_is_refused(make):
    x = RNG.normal(size=(2, 5, 6))

    class Between(nn.Module):
        def forward(self, x):
            return nn.functional.dropout(x, 0.5, self.training)

    for build, name in (
        (lambda: nn.Sequential(nn.AlphaDropout(0.5)), "0 draws"),
        (lambda: Itself(nn.MultiheadAttention(6, 2, 0.3)), "attention draws"),
        (lambda: Between(), "draws between its layers"),
    ):
        probe = make(lambda build=build: {"model": build()}, {"x": x})
        probe.forward([x], False)
        with pytest.raises(Refused, match=name):
            probe.forward([x], True)


def check_layers_that_the_first_call_makes(make):
    x = RNG.normal(size=(4, 6))
    probe = make(lambda: {"model": nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d())}, {"x": x})
    assert [one.kind for one in probe.describe().layers] == ["dense", "batch_norm"]
    assert probe.get()["0/weight"].shape == (3, 6)


def check_dropout_in_place(make):
    x = RNG.normal(size=(4, 6))
    probe = make(lambda: {"model": nn.Dropout(0.4, inplace=True)}, {"x": x})
    close(probe.forward([x], True)[0][""], x * mask(0, x.shape, 0.4) / 0.6)


def check_optimizers_that_are_not_known(make):
    class Clipped(torch.optim.SGD):
        def step(self, closure=None):
            nn.utils.clip_grad_norm_(self.param_groups[0]["params"], 0.5)
            return super().step(closure)

    x = RNG.normal(size=(4, 6))
    groups = lambda p: torch.optim.SGD([{"params": [one]} for one in p], 0.1)  # noqa: E731
    rates = lambda p: torch.optim.SGD([{"params": [one], "lr": 0.1 + k} for k, one in enumerate(p)], 0.1)  # noqa: E731
    up = lambda p: torch.optim.SGD(p, 0.1, maximize=True)  # noqa: E731
    for build, name in (
        (lambda p: torch.optim.NAdam(p), "unknown"), (lambda p: Clipped(p, 0.1), "unknown"), (up, "unknown"), (rates, "unknown"), (groups, "sgd"),
    ):  # fmt: skip
        probe = make(lambda build=build: side(nn.Linear(6, 2), build), {"x": x})
        assert probe.describe().optimizer["name"] == name
        before, given = probe.get(), {key: RNG.normal(size=value.shape) for key, value in probe.get().items()}
        if "Clipped" in probe.describe().optimizer["title"]:
            norm = np.sqrt(sum((value**2).sum() for value in given.values()))
            for key, value in probe.update([given], [1.0])[0].items():
                close(value, before[key] - 0.1 * given[key] * 0.5 / (norm + 1e-6))


LOSSES = {
    "mse": (nn.MSELoss(), lambda x, y: np.mean((x - y) ** 2), lambda x, y: 2 * (x - y) / x.size),
    "sum": (nn.MSELoss(reduction="sum"), lambda x, y: np.sum((x - y) ** 2), lambda x, y: 2 * (x - y)),
    "mae": (nn.functional.l1_loss, lambda x, y: np.mean(abs(x - y)), lambda x, y: np.sign(x - y) / x.size),
    "bce": (nn.BCEWithLogitsLoss(), lambda x, y: np.mean(np.log1p(np.exp(x)) - x * y), lambda x, y: (1 / (1 + np.exp(-x)) - y) / x.size),
    "shaped": (lambda x, y: (x * y).sum().reshape(1, 1), lambda x, y: np.sum(x * y), lambda x, y: y),
}  # fmt: skip


def check_losses(make):
    x, y = RNG.normal(size=(2, 4, 6))
    for function, value, slope in LOSSES.values():
        probe = make(lambda f=function: side(nn.Linear(6, 6), loss=f), {"x": x})
        found, gradients = probe.loss({"": x}, [y])
        assert abs(found - value(x, y)) < 1e-12 * max(1, abs(found))
        close(gradients[""], slope(x, y))
    probe = make(lambda: side(nn.Linear(6, 6), loss=lambda x, y: x), {"x": x})
    with pytest.raises(Refused, match="one number, not"):
        probe.loss({"": x}, [y])


def check_a_function_of_parameters(make):
    """Made in float32; the optimiser holds the very tensors."""
    x, y, w = RNG.normal(size=(6, 3)), RNG.normal(size=(6, 2)), RNG.normal(size=(3, 2))

    def build():
        held = {"w": torch.from_numpy(w).to(torch.float32)}
        return {
            "model": lambda p, x: x @ p["w"], "parameters": held, "loss": squares, "optimizer": torch.optim.SGD(held.values(), 0.1),
        }  # fmt: skip

    probe = make(build, {"x": x})
    assert probe.describe().layers[0].tensors[""].trainable
    probe.put({"w/": w})
    close(probe.gradients([x], [y])[1]["w/"], 2 * x.T @ (x @ w - y))
    probe.put({"w/": w})
    close(probe.update([{"w/": w}], [0.5])[0]["w/"], 0.95 * w)


CHECKS = [value for name, value in list(globals().items()) if name.startswith("check_")]
