"""The records of what is drawn: initial values, and the random inputs of a step."""

import math
from dataclasses import dataclass

import numpy as np

from common.specs.layers import Layer, Shape


@dataclass(frozen=True)
class FanInUniform:
    """Weights and biases ~ U(-1/√fan_in, 1/√fan_in): what PyTorch gives a Linear or Conv by default."""

    def draw(self, kind: str, layer: Layer, random: np.random.Generator) -> np.ndarray:
        bound = 1 / math.sqrt(layer.fan_in)
        return random.uniform(-bound, bound, layer.parameters[kind])


@dataclass(frozen=True)
class FanInNormal:
    """Weights ~ N(0, gain/fan_in), biases 0."""

    gain: float

    def draw(self, kind: str, layer: Layer, random: np.random.Generator) -> np.ndarray | float:
        std = math.sqrt(self.gain / layer.fan_in)
        return random.normal(0, std, layer.parameters[kind]) if kind == "weight" else 0.0


@dataclass(frozen=True)
class GlorotUniform:
    """Weights ~ U(-b, b) with b = √(6 / (fan_in + fan_out)), biases 0: what Paddle gives a dense layer by default (it says
    Xavier), and Keras."""

    def draw(self, kind: str, layer: Layer, random: np.random.Generator) -> np.ndarray | float:
        bound = math.sqrt(6 / (layer.fan_in + layer.fan_out))
        return random.uniform(-bound, bound, layer.parameters[kind]) if kind == "weight" else 0.0


@dataclass(frozen=True)
class FixedNormal:
    """Weights ~ N(0, std²), whatever the size of the layer, biases 0."""

    std: float

    def draw(self, kind: str, layer: Layer, random: np.random.Generator) -> np.ndarray | float:
        return random.normal(0, self.std, layer.parameters[kind]) if kind == "weight" else 0.0


Initial = FanInUniform | FanInNormal | GlorotUniform | FixedNormal


@dataclass(frozen=True)
class Normal:
    """N(mean, std²)."""

    mean: float
    std: float

    def draw(self, random: np.random.Generator, shape: Shape) -> np.ndarray:
        return random.normal(self.mean, self.std, shape)


@dataclass(frozen=True)
class Uniform:
    """U(low, high)."""

    low: float
    high: float

    def draw(self, random: np.random.Generator, shape: Shape) -> np.ndarray:
        return random.uniform(self.low, self.high, shape)


@dataclass(frozen=True)
class Bernoulli:
    """1 with probability `keep`, else 0: a dropout mask."""

    keep: float

    def draw(self, random: np.random.Generator, shape: Shape) -> np.ndarray:
        return (random.uniform(size=shape) < self.keep).astype(float)


@dataclass(frozen=True)
class OneHot:
    """One of the last axis's classes, each as probable as the others: 1 there, 0 elsewhere."""

    def draw(self, random: np.random.Generator, shape: Shape) -> np.ndarray:
        return (random.integers(shape[-1], size=(*shape[:-1], 1)) == range(shape[-1])).astype(float)


@dataclass(frozen=True)
class Noise:
    """One random input of a step, drawn afresh for each step: `shape` per sample, without the batch."""

    name: str
    shape: Shape
    distribution: Normal | Uniform | Bernoulli | OneHot
