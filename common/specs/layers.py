"""The records of layers, and the networks that are made of them.

Canonical layouts are PyTorch's: Dense weights are (out, in), images are (C, H, W), flattening runs over C, H, W.
Shapes never include the batch. Every number that a framework would choose differently is a field here.
"""

import math
from dataclasses import dataclass

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Dense:
    """y = x Wᵀ + b with W (outputs, inputs) and b (outputs,)."""

    name: str
    inputs: int
    outputs: int
    bias: bool = True

    @property
    def parameters(self) -> dict[str, Shape]:
        return _weight_and_bias(self, self.outputs, self.inputs)

    @property
    def fan_in(self) -> int:
        return self.inputs

    @property
    def fan_out(self) -> int:
        return self.outputs

    def output_shape(self, shape: Shape) -> Shape:
        if shape != (self.inputs,):
            raise ValueError(f"{self.name} takes ({self.inputs},), not {shape}")
        return (self.outputs,)


@dataclass(frozen=True)
class Conv:
    """Cross-correlation of (C, H, W) with W (outputs, inputs, kernel, kernel), zero padding on all four sides."""

    name: str
    inputs: int
    outputs: int
    kernel: int
    stride: int
    padding: int
    bias: bool = True

    @property
    def parameters(self) -> dict[str, Shape]:
        return _weight_and_bias(self, self.outputs, self.inputs, self.kernel, self.kernel)

    @property
    def fan_in(self) -> int:
        return self.inputs * self.kernel**2

    @property
    def fan_out(self) -> int:
        return self.outputs * self.kernel**2

    def output_shape(self, shape: Shape) -> Shape:
        channels, *sides = shape
        if channels != self.inputs:
            raise ValueError(f"{self.name} takes {self.inputs} channels, not {channels}")
        return (self.outputs, *((side + 2 * self.padding - self.kernel) // self.stride + 1 for side in sides))


@dataclass(frozen=True)
class ConvTranspose:
    """The transpose (not the inverse) of Conv: W (inputs, outputs, kernel, kernel); `padding` is cut from the output, at the
    end of each side `output_padding` less."""

    name: str
    inputs: int
    outputs: int
    kernel: int
    stride: int
    padding: int
    bias: bool = True
    output_padding: int = 0

    @property
    def parameters(self) -> dict[str, Shape]:
        return _weight_and_bias(self, self.inputs, self.outputs, self.kernel, self.kernel)

    @property
    def fan_in(self) -> int:
        # PyTorch and Paddle read the second axis of a weight, whatever the layer; here that is the outputs.
        return self.outputs * self.kernel**2

    @property
    def fan_out(self) -> int:
        return self.inputs * self.kernel**2

    def output_shape(self, shape: Shape) -> Shape:
        channels, *sides = shape
        if channels != self.inputs:
            raise ValueError(f"{self.name} takes {self.inputs} channels, not {channels}")
        more = self.kernel + self.output_padding - 2 * self.padding
        return (self.outputs, *((side - 1) * self.stride + more for side in sides))


def _weight_and_bias(layer, *weight):
    return {"weight": weight} | ({"bias": (layer.outputs,)} if layer.bias else {})


@dataclass(frozen=True)
class BatchNorm:
    """(x - mean) / √(variance + ε) · weight + bias for each feature: the first axis after the batch.

    In training mode mean and variance are the batch's own (and space's, for an image), the variance biased: divided by
    the number of values. Every such pass also moves the running statistics, in the order of the passes: statistic ←
    momentum·statistic + (1 - momentum)·batch's, with the same biased variance. In evaluation mode the running statistics
    take the place of the batch's. They start at mean 0 and variance 1, weight at 1 and bias at 0.
    """

    name: str
    features: int
    epsilon: float
    momentum: float

    @property
    def parameters(self) -> dict[str, Shape]:
        return {"weight": (self.features,), "bias": (self.features,)}

    @property
    def statistics(self) -> dict[str, Shape]:
        return {"mean": (self.features,), "variance": (self.features,)}

    def output_shape(self, shape: Shape) -> Shape:
        if shape[0] != self.features:
            raise ValueError(f"{self.name} takes {self.features} features, not {shape[0]}")
        return shape


@dataclass(frozen=True)
class Reshape:
    """The same values in another shape; images are read and written in the order C, H, W."""

    shape: Shape
    name = "reshape"
    parameters = {}

    def output_shape(self, shape: Shape) -> Shape:
        if math.prod(shape) != math.prod(self.shape):
            raise ValueError(f"a reshape to {self.shape} does not take {shape}")
        return self.shape


@dataclass(frozen=True)
class MaxPool:
    """The largest value of each kernel × kernel window; windows that do not fit are left out."""

    kernel: int
    stride: int
    name = "max pool"
    parameters = {}

    def output_shape(self, shape: Shape) -> Shape:
        channels, *sides = shape
        return (channels, *((side - self.kernel) // self.stride + 1 for side in sides))


@dataclass(frozen=True)
class Activation:
    """An element-wise function without parameters: relu, tanh or sigmoid."""

    name: str
    parameters = {}

    def output_shape(self, shape: Shape) -> Shape:
        return shape


RELU, TANH, SIGMOID = Activation("relu"), Activation("tanh"), Activation("sigmoid")


@dataclass(frozen=True)
class LeakyRelu:
    """x where x > 0, slope·x elsewhere."""

    slope: float
    name = "leaky relu"
    parameters = {}

    def output_shape(self, shape: Shape) -> Shape:
        return shape


@dataclass(frozen=True)
class Dropout:
    """x·mask / (1 - rate). The mask, 1 where a unit is kept, is noise that is handed to the network; without masks
    (evaluation) the layer does nothing."""

    rate: float
    name = "dropout"
    parameters = {}

    def output_shape(self, shape: Shape) -> Shape:
        return shape


Layer = Dense | Conv | ConvTranspose | BatchNorm | Reshape | MaxPool | Activation | LeakyRelu | Dropout


# -------------------------------------------------------------------------------------------- networks


@dataclass(frozen=True)
class Network:
    """A chain of layers, optionally ending in several heads that all read the chain's output.

    With heads, the network's output is a dict {head name: array}; without, it is one array.
    """

    name: str
    input_shape: Shape
    layers: tuple[Layer, ...]
    heads: tuple[Dense, ...] = ()

    def rows(self) -> list[tuple[Layer, Shape]]:
        """Every layer with its output shape, in order of execution."""
        rows, shape = [], self.input_shape
        for layer in self.layers:
            shape = layer.output_shape(shape)
            rows.append((layer, shape))
        return rows + [(head, head.output_shape(shape)) for head in self.heads]
