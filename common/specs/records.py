"""A specification in three records: what a model is (`Spec`), how it is trained (`Training`), what is known of it (`About`).

`Spec` holds the other two. A checkpoint belongs to what the model is, and to nothing of the others.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from common.errors import UsageError
from common.specs.draws import Initial, Noise
from common.specs.fingerprint import fingerprint, plain
from common.specs.inputs import ROWS, Images, Input
from common.specs.layers import BatchNorm, Conv, ConvTranspose, Layer, LeakyRelu, Network, Shape

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
    epsilon_hat = False
    moments = ("first", "second")  # what it keeps of every parameter


@dataclass(frozen=True)
class AdamEpsilonHat:
    """Adam as the end of section 2 of Kingma & Ba has it, in another order: with αₜ = α·√(1 - β2ᵗ) / (1 - β1ᵗ),
    θ ← θ - αₜ·m / (√v + ε̂). It is Algorithm 1 with ε = ε̂ / √(1 - β2ᵗ), 32 times ε̂ at the first step.

    TensorFlow's `tf.train.AdamOptimizer` and Keras's Adam. `l2` as in Adam.
    """

    learning_rate: float
    beta1: float
    beta2: float
    epsilon: float
    l2: float
    epsilon_hat = True
    moments = ("first", "second")


@dataclass(frozen=True)
class Steps:
    """A rate that falls in steps: once `at[k]` updates are done it is `factors[k]` times what it was."""

    at: tuple[int, ...]
    factors: tuple[float, ...]

    def factor(self, done: int) -> float:
        """The rate after so many updates, in multiples of the first."""
        return math.prod((f for at, f in zip(self.at, self.factors, strict=True) if at <= done), start=1.0)


@dataclass(frozen=True)
class Momentum:
    """Stochastic gradient descent with momentum μ: v ← μ·v + gradient, θ ← θ - α·v, with the rate α of the moment; v
    starts at 0.

    As PyTorch, Paddle and Optax have it. In Keras, and in Sutskever et al. 2013, α stands inside: v ← μ·v - α·gradient, which
    is the same until α changes. Not Nesterov's.
    """

    learning_rate: float
    momentum: float
    steps: Steps
    moments = ("velocity",)


@dataclass(frozen=True)
class RMSProp:
    """Tieleman & Hinton 2012 (lecture 6e of their course): v ← ρ·v + (1 - ρ)·gradient², θ ← θ - α·gradient / (√v + ε); v
    starts at 0.

    ε stands outside the root, as PyTorch has it; Keras and Paddle have it inside, Optax either way. No momentum, and v is not
    centred by the mean of the gradients.
    """

    learning_rate: float
    decay: float
    epsilon: float
    moments = ("square",)


Optimizer = Adam | AdamEpsilonHat | Momentum | RMSProp


@dataclass(frozen=True)
class Update:
    """One step of an optimiser on `objective`, moving the parameters of `networks` and nothing else.

    `losses(networks, inputs, noise)` returns every value that the update reports, `objective` among them; it uses the
    random numbers of `noise` and no others. A draw that an update before it in the step names too is the same numbers.
    """

    name: str
    objective: str
    networks: tuple[str, ...]
    noise: tuple[Noise, ...]
    losses: Callable
    optimizer: Optimizer


# ------------------------------------------------------------------------------------------------ spec


@dataclass(frozen=True)
class Training:
    """How the model is trained, and compared."""

    batch_size: int
    epochs: int | None = None
    steps: int | None = None
    labelled: int | None = None  # training images whose labels may be used; None: no input asks for any
    # Backends are compared at this times the learning rates; below 1 where the model's own course is chaotic, so that
    # rounding errors would drown everything within 100 updates (docs/differences.md).
    parity_rate: float = 1.0
    twin: "Spec | None" = None  # the same file with fewer channels, for the updates that the full width makes too slow
    # Equal parts of every batch whose batch norms see no more than their own rows; running statistics are moved by the means
    # of what all parts see.
    replicas: int = 1


@dataclass(frozen=True)
class About:
    """What is known of the model."""

    title: str
    article: str
    source: str
    notes: tuple[str, ...]  # errata of the article and choices where it is silent


@dataclass(frozen=True)
class Spec:
    """What a model is: what it is given, its networks, its random draws, its losses, its updates.

    `reduction` says whether the losses are summed or averaged over the batch. The functions take `inputs` {name: (B,
    *shape)} and `noise` {name: (B, *shape)}. `forward` and the updates' losses run in training mode; `encode`,
    `reconstruct` and `sample` in evaluation mode.

    Raises ValueError for names that do not exist or stand twice, and for layers that do not fit each other.
    """

    name: str
    module: str  # the file name that implements it in every backend
    inputs: tuple[Input, ...]
    reduction: str  # "sum" | "mean"
    options: Mapping[str, float]  # the numbers that the model file needs besides
    initial: Initial
    networks: tuple[Network, ...]
    sampling_noise: tuple[Noise, ...]
    updates: tuple[Update, ...]
    forward: Callable  # (networks, inputs, noise) -> {name: (B, ...)}
    encode: Callable | None  # (networks, inputs) -> (B, ...); None where there is no encoder
    reconstruct: Callable | None  # (networks, inputs, noise) -> (B, *shape of images); None where there is no encoder
    sample: Callable | None  # (networks, noise) -> (B, *shape of images) in their range; None where there is no prior
    training: Training
    about: About
    # Gradients are cleared once per step and not before each update, so that an update applies, to the parameters that it
    # moves, the sum of the gradients of its own objective and of those before it in the step (erratum of article `aae`).
    accumulates: bool = False
    # The gradients of all updates are taken at one and the same parameters, from one pass, before any of them moves. Every
    # update's `losses` is then the same function.
    simultaneous: bool = False

    def __post_init__(self):
        for what, names in (
            ("network", [network.name for network in self.networks]),
            ("update", [update.name for update in self.updates]),
            ("input", [one.name for one in self.inputs]),
            ("random draw", [noise.name for noise in self.noise]),
            *((f"random draw of {update.name}", [noise.name for noise in update.noise]) for update in self.updates),
            *((f"layer of {n.name}", [layer.name for layer, _ in n.rows() if layer.parameters]) for n in self.networks),
        ):
            if twice := {name for name in names if names.count(name) > 1}:
                raise ValueError(f"{self.name}: {what} {min(twice)!r} stands twice")
        known = [network.name for network in self.networks]
        for update in self.updates:
            for name in update.networks:
                if name not in known:
                    raise ValueError(
                        f"{self.name}: update {update.name!r} moves {name!r}; expected one of {', '.join(known)}"
                    )
        for one in self.inputs:
            if one.rows not in ROWS:
                raise ValueError(f"{self.name}: input {one.name!r} has rows {one.rows!r}; expected one of {ROWS}")
            if isinstance(one, Images) and math.prod(one.shape) != math.prod(one.picture):
                raise ValueError(f"{self.name}: input {one.name!r} of {one.shape} is no picture of {one.picture}")
        if self.reduction not in ("sum", "mean"):
            raise ValueError(f"{self.name}: reduction {self.reduction!r}; expected 'sum' or 'mean'")

    @property
    def images(self) -> Images:
        """The input that the model's pictures are like."""
        return next(one for one in self.inputs if isinstance(one, Images))

    @property
    def rows(self) -> tuple[str, ...]:
        """The sets of images that the inputs come from."""
        return tuple(dict.fromkeys(one.rows for one in self.inputs))

    @property
    def slope(self) -> float:
        """Of every LeakyReLU. Raises ValueError if there is none, or if they differ."""
        found = {layer.slope for network in self.networks for layer in network.layers if isinstance(layer, LeakyRelu)}
        if len(found) != 1:
            raise ValueError(f"{self.name}: expected one slope, found {sorted(found)}")
        return found.pop()

    @property
    def noise(self) -> tuple[Noise, ...]:
        """Every random draw of one training step, in the order of the updates; what several of them name is drawn once."""
        return tuple(dict.fromkeys(noise for update in self.updates for noise in update.noise))

    def users(self, noise: Noise) -> tuple[str, ...]:
        """The updates that name the draw, in order."""
        return tuple(update.name for update in self.updates if noise in update.noise)

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
        """{"train.first.encoder.fc0.weight": (400, 784)}: what the optimiser of every update keeps, in order."""
        return {
            f"{update.name}.{moment}.{name}": shape
            for update in self.updates
            for moment in update.optimizer.moments
            for name, shape in self.parameter_shapes(update.networks).items()
        }

    def parameter_count(self) -> int:
        return sum(math.prod(shape) for shape in self.parameter_shapes().values())

    def losses(self, networks: object, inputs: Mapping[str, np.ndarray], noise: Mapping[str, np.ndarray]) -> dict:
        """Every update's losses at one and the same state, as the parity stages compare them."""
        functions = dict.fromkeys(update.losses for update in self.updates)  # several updates may have one
        return {name: value for losses in functions for name, value in losses(networks, inputs, noise).items()}

    def calmed(self, rate: float | None = None) -> "Spec":
        """The specification as backends are compared on it: with `rate` times its learning rates, else `parity_rate`."""
        rate = self.training.parity_rate if rate is None else rate
        updates = tuple(
            replace(u, optimizer=replace(u.optimizer, learning_rate=u.optimizer.learning_rate * rate))
            for u in self.updates
        )
        twin = self.training.twin and self.training.twin.calmed(rate)
        return replace(self, updates=updates, training=replace(self.training, parity_rate=1.0, twin=twin))

    def in_replicas(self, count: int) -> "Spec":
        """The specification as `count` processes run it whose batch norms are not synchronised."""
        twin = self.training.twin and self.training.twin.in_replicas(count)
        return replace(self, training=replace(self.training, replicas=count, twin=twin))

    def with_labelled(self, count: int) -> "Spec":
        """The same with so many training images whose labels may be used. Raises UsageError if no input asks for any."""
        if "labelled" not in self.rows:
            raise UsageError(f"{self.name} has no use for labelled images; leave --labelled out")
        return replace(self, training=replace(self.training, labelled=count))

    def described(self) -> dict:
        """The specification in plain JSON values; functions stand there by their name."""
        return plain(self)

    def fingerprint(self) -> str:
        """A digest of what the model is, mathematics included, and of nothing else."""
        return fingerprint(self, without=("name", "training", "about"))
