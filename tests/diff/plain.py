"""A side in NumPy alone, behind the door that our own columns use: y = x Wᵀ under a squared error and SGD. At a stage of one's choice
it is killed, hangs, or raises; tests of what happens then start in a third of a second."""

import os
import signal
import sys
import time

import numpy as np

from common.probing import Call, Description, Layer, Tensor

RATE = 0.1


def side(at: str = "", act: str = "kill", size: tuple[int, int] = (2, 3), change=None) -> dict:
    """What a user's function returns; `change`: of the model's outputs."""
    return {"model": lambda dtype: Probe(at, act, size, change), "own": True, "call": ("x",)}


def acts(how: str) -> None:
    match how:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            time.sleep(1000)
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "leave":  # with a process of its own, which holds all that it has open
            if not (child := os.fork()):
                time.sleep(1000)
            print("left", child, file=sys.stderr, flush=True)
            os._exit(7)
        case "raise":
            raise ValueError("no such axis\nand more")


class Probe:
    def __init__(self, at, act, size, change):
        self.at, self.act, self.change = at, act, change
        self.weight = np.zeros(size)

    def _at(self, stage):
        if stage == self.at:
            acts(self.act)

    def describe(self):
        self._at("describe")
        layers = [Layer("layer", "dense", "Layer", {}, {"weight": Tensor("layer.weight", self.weight.shape, True)})]
        about = {"name": "sgd", "title": "SGD", "rate": RATE, "momentum": 0.0, "decay": 0.0}
        return Description(
            "NumPy", {"numpy": np.__version__}, layers, "float64", loss={"title": "squares"}, optimizer=about
        )

    def put(self, tensors):
        self._at("put")
        self.weight = np.array(tensors.get("layer/weight", self.weight))

    def get(self):
        self._at("get")
        return {"layer/weight": self.weight}

    def _outputs(self, x):
        return x @ self.weight.T

    def forward(self, inputs, training):
        self._at("training" if training else "forward")
        y = self._outputs(inputs[0])
        return (self.change(y) if self.change else {"": y}), [Call("layer", [inputs[0]], [y])]

    def alone(self, path, arrays, training):
        self._at("alone")
        return [self._outputs(arrays[0])]

    def loss(self, outputs, rest):
        self._at("loss")
        apart = outputs[""] - rest[0]
        return float(np.mean(apart**2)), {"": 2 * apart / apart.size}

    def gradients(self, inputs, rest):
        self._at("gradients")
        value, slope = self.loss({"": self._outputs(inputs[0])}, rest)
        return value, {"layer/weight": slope[""].T @ inputs[0]}

    def update(self, gradients, rates):
        self._at("update")
        found = []
        for one, rate in zip(gradients, rates, strict=True):
            self.weight = self.weight - RATE * rate * one["layer/weight"]
            found.append(self.get())
        return found

    def train(self, inputs, rest, steps):
        self._at("train")
        losses = []
        for _ in range(steps):
            value, found = self.gradients(inputs, rest)
            losses.append(value)
            self.weight = self.weight - RATE * found["layer/weight"]
        return losses
