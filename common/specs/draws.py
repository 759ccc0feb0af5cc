"""The records of what is drawn: initial values, and the random inputs of a step."""

import math
from dataclasses import dataclass

from common.specs.layers import Shape


@dataclass(frozen=True)
class FanInUniform:
    """Weights and biases ~ U(-1/√fan_in, 1/√fan_in): what PyTorch gives a Linear or Conv by default."""

    def draw(self, kind: str, shape: Shape, fan_in: int, random):
        bound = 1 / math.sqrt(fan_in)
        return random.uniform(-bound, bound, shape)


@dataclass(frozen=True)
class FanInNormal:
    """Weights ~ N(0, gain/fan_in), biases 0."""

    gain: float

    def draw(self, kind: str, shape: Shape, fan_in: int, random):
        return random.normal(0, math.sqrt(self.gain / fan_in), shape) if kind == "weight" else 0.0


@dataclass(frozen=True)
class FixedNormal:
    """Weights ~ N(0, std²), whatever the size of the layer, biases 0."""

    std: float

    def draw(self, kind: str, shape: Shape, fan_in: int, random):
        return random.normal(0, self.std, shape) if kind == "weight" else 0.0


@dataclass(frozen=True)
class Normal:
    """N(mean, std²)."""

    mean: float
    std: float

    def draw(self, random, shape: Shape):
        return random.normal(self.mean, self.std, shape)


@dataclass(frozen=True)
class Uniform:
    """U(low, high)."""

    low: float
    high: float

    def draw(self, random, shape: Shape):
        return random.uniform(self.low, self.high, shape)


@dataclass(frozen=True)
class Bernoulli:
    """1 with probability `keep`, else 0: a dropout mask."""

    keep: float

    def draw(self, random, shape: Shape):
        return (random.uniform(size=shape) < self.keep).astype(float)


@dataclass(frozen=True)
class OneHot:
    """One of the last axis's classes, each as probable as the others: 1 there, 0 elsewhere."""

    def draw(self, random, shape: Shape):
        return (random.integers(shape[-1], size=(*shape[:-1], 1)) == range(shape[-1])).astype(float)


@dataclass(frozen=True)
class Noise:
    """One random input of a step, drawn afresh for each step: `shape` per sample, without the batch."""

    name: str
    shape: Shape
    distribution: Normal | Uniform | Bernoulli | OneHot
