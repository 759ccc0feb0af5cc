"""The records that a specification is written in.

Canonical layouts are PyTorch's: Dense weights are (out, in), images are (C, H, W), flattening runs over C, H, W.
Shapes never include the batch. Every number that a framework would choose differently is a field here.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, is_dataclass, replace

Shape = tuple[int, ...]


# ---------------------------------------------------------------------------------------------- layers


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

    def output_shape(self, shape: Shape) -> Shape:
        channels, *sides = shape
        if channels != self.inputs:
            raise ValueError(f"{self.name} takes {self.inputs} channels, not {channels}")
        return (self.outputs, *((side + 2 * self.padding - self.kernel) // self.stride + 1 for side in sides))


@dataclass(frozen=True)
class ConvTranspose:
    """The transpose (not the inverse) of Conv: W (inputs, outputs, kernel, kernel); `padding` is cut from the output."""

    name: str
    inputs: int
    outputs: int
    kernel: int
    stride: int
    padding: int
    bias: bool = True

    @property
    def parameters(self) -> dict[str, Shape]:
        return _weight_and_bias(self, self.inputs, self.outputs, self.kernel, self.kernel)

    @property
    def fan_in(self) -> int:
        # PyTorch reads the second axis of a weight, whatever the layer; here that is the outputs.
        return self.outputs * self.kernel**2

    def output_shape(self, shape: Shape) -> Shape:
        channels, *sides = shape
        if channels != self.inputs:
            raise ValueError(f"{self.name} takes {self.inputs} channels, not {channels}")
        return (self.outputs, *((side - 1) * self.stride - 2 * self.padding + self.kernel for side in sides))


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


# ------------------------------------------------------------------------- initial values, randomness


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


# --------------------------------------------------------------------------------------------- updates


@dataclass(frozen=True)
class Adam:
    """Algorithm 1 of Kingma & Ba 2014 (arXiv 1412.6980): ε is added outside the bias-corrected root.

    `l2` is coupled: l2·θ is added to the gradient before the moments (PyTorch's `weight_decay`, not AdamW).
    """

    learning_rate: float
    beta1: float
    beta2: float
    epsilon: float
    l2: float


@dataclass(frozen=True)
class Update:
    """One optimiser step: Adam on `objective`, moving the parameters of `networks` and nothing else.

    `losses(networks, x, noise)` returns every value that the update reports, `objective` among them; it draws the
    random numbers of `noise` and no others.
    """

    name: str
    objective: str
    networks: tuple[str, ...]
    noise: tuple[Noise, ...]
    losses: Callable
    adam: Adam


# ------------------------------------------------------------------------------------------------ spec


@dataclass(frozen=True)
class Spec:
    """What a model is. `x` is (B, *input_shape) in the range `pixels`; `reduction` says whether the losses are
    summed or averaged over the batch."""

    name: str
    title: str
    module: str  # the file name that implements it in every backend
    article: str
    source: str
    input_shape: Shape
    pixels: tuple[float, float]
    reduction: str  # "sum" | "mean"
    options: Mapping[str, float]  # the numbers in which two specs of one module differ
    initial: FanInUniform | FanInNormal | FixedNormal
    networks: tuple[Network, ...]
    sampling_noise: tuple[Noise, ...]
    updates: tuple[Update, ...]
    batch_size: int
    epochs: int | None
    steps: int | None
    # `forward` and the updates' losses run in training mode; `encode`, `reconstruct` and `sample` in evaluation mode.
    forward: Callable  # (networks, x, noise) -> {name: (B, ...)}
    encode: Callable | None  # (networks, x) -> (B, ...); None where there is no encoder
    reconstruct: (
        Callable | None
    )  # (networks, x, noise) -> (B, *input_shape) in `pixels`; None where there is no encoder
    sample: Callable | None  # (networks, noise) -> (B, *input_shape) in `pixels`; None where there is no prior
    notes: tuple[str, ...]  # errata of the article and choices where it is silent
    # Backends are compared at this times the learning rates; below 1 where the model's own course is chaotic, so that
    # rounding errors would drown everything within 100 updates (docs/differences.md).
    parity_rate: float = 1.0
    # Gradients are cleared once per step and not before each update, so that an update applies, to the parameters that it
    # moves, the sum of the gradients of its own objective and of those before it in the step (erratum of article `aae`).
    accumulates: bool = False

    @property
    def noise(self) -> tuple[Noise, ...]:
        """Every random draw of one training step, in the order of the updates."""
        return tuple(noise for update in self.updates for noise in update.noise)

    def network(self, name: str) -> Network:
        return next(network for network in self.networks if network.name == name)

    def update(self, name: str) -> Update:
        return next(update for update in self.updates if update.name == name)

    def layers(self) -> dict[str, Layer]:
        """{"encoder.fc0": Dense(...)} for every layer that has parameters, in order."""
        return {
            f"{network.name}.{layer.name}": layer
            for network in self.networks
            for layer, _ in network.rows()
            if layer.parameters
        }

    def owners(self) -> dict[str, tuple[Layer, str]]:
        """{"generator.bn0.mean": (BatchNorm(...), "mean")}: whose every parameter and running statistic is, and as what."""
        return {
            f"{path}.{kind}": (layer, kind)
            for path, layer in self.layers().items()
            for kind in (*layer.parameters, *(layer.statistics if isinstance(layer, BatchNorm) else ()))
        }

    @property
    def convolutional(self) -> bool:
        """Whether any layer is a convolution, transposed or not."""
        return any(isinstance(layer, Conv | ConvTranspose) for layer in self.layers().values())

    def parameter_shapes(self, networks: tuple[str, ...] | None = None) -> dict[str, Shape]:
        """{"encoder.fc0.weight": (400, 784)}, of all networks or of those named, in order."""
        return {
            f"{path}.{kind}": shape
            for path, layer in self.layers().items()
            if networks is None or path.split(".")[0] in networks
            for kind, shape in layer.parameters.items()
        }

    def statistic_shapes(self) -> dict[str, Shape]:
        """{"generator.bn0.mean": (1024,)}: the running statistics of every batch norm, in order."""
        return {
            f"{path}.{kind}": shape
            for path, layer in self.layers().items()
            if isinstance(layer, BatchNorm)
            for kind, shape in layer.statistics.items()
        }

    def moment_shapes(self) -> dict[str, Shape]:
        """{"train.first.encoder.fc0.weight": (400, 784)}: Adam's moments of every update, in order."""
        return {
            f"{update.name}.{moment}.{name}": shape
            for update in self.updates
            for moment in ("first", "second")
            for name, shape in self.parameter_shapes(update.networks).items()
        }

    def parameter_count(self) -> int:
        return sum(math.prod(shape) for shape in self.parameter_shapes().values())

    def losses(self, networks, x, noise) -> dict:
        """Every update's losses at one and the same state, as the parity stages compare them."""
        return {name: value for update in self.updates for name, value in update.losses(networks, x, noise).items()}

    def calmed(self, rate: float | None = None) -> "Spec":
        """The specification as backends are compared on it: with `rate` times its learning rates, else `parity_rate`."""
        rate = self.parity_rate if rate is None else rate
        adams = [replace(update.adam, learning_rate=update.adam.learning_rate * rate) for update in self.updates]
        updates = tuple(replace(update, adam=adam) for update, adam in zip(self.updates, adams, strict=True))
        return replace(self, updates=updates, parity_rate=1.0)

    def scale(self, images):
        """uint8 pixels 0..255 to the model's range, with the same two operations in every backend."""
        low, high = self.pixels
        return images / 255 * (high - low) + low

    def described(self) -> dict:
        """The specification in plain JSON values; functions stand there by their name."""
        return _plain(self)

    def fingerprint(self) -> str:
        """A digest of everything that decides what a checkpoint means; functions count by their name."""
        text = json.dumps(self.described(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value):
    if is_dataclass(value):
        return {"kind": type(value).__name__} | {key: _plain(getattr(value, key)) for key in vars(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.__qualname__ if callable(value) else value
