"""What a training step cannot do without: the arithmetic and the memory traffic that its specification implies.

The counts come from running the specification itself under differentiation and watching its layers: a matrix product or
convolution is computed forward, once more for the gradient of its weight if the update moves it, and once more for the
gradient of its input if anything before it is moved. So a discriminator's pass over real images, a generator that is not
moved, and a first layer each count for what they are.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
from autograd import grad
from autograd.extend import defvjp, primitive
from autograd.tracer import isbox

from common.contract import Arrays, Snapshot
from common.noise import draw
from common.parameters import initial_parameters
from common.reference.networks import Networks
from common.specs.layers import Conv, ConvTranspose, Dense, Layer
from common.specs.records import Spec, Update

# Of every moved number per update: parameter (read and written), gradient (written and read); and of each of its moments.
PASSES, OF_A_MOMENT = 4, 2
IMAGES = 2  # that the specification is run on: operations grow with the batch


@dataclass(frozen=True)
class Work:
    """Of one training step: floating-point operations of matrix products and convolutions (a multiply-add is two),
    numbers moved between memory and processor by the optimisers, and the matrix products: (m, k, n) is (m, k)·(k, n).

    `shared`: of batch norms whose statistics are those of all workers, how many numbers each exchange is made of."""

    operations: int
    numbers: int
    products: tuple[tuple[int, int, int], ...]
    shared: tuple[int, ...] = ()

    def seconds(self, rate: float, bandwidth: float, width: int = 4) -> float:
        """The floor on a device of `rate` operations and `bandwidth` bytes a second, with numbers of `width` bytes."""
        return max(self.operations / rate, self.numbers * width / bandwidth)


def multiply_adds(layer: Layer, x: tuple[int, ...], y: tuple[int, ...]) -> int:
    """Multiply-adds of one forward pass from an input of shape x to an output of shape y, batch included."""
    match layer:
        case Dense():
            return x[0] * layer.inputs * layer.outputs
        case Conv():  # every output pixel sees a kernel of all input channels; zeros of the padding count
            return math.prod(y) * layer.inputs * layer.kernel**2
        case ConvTranspose():  # every input pixel writes a kernel of all output channels
            return math.prod(x) * layer.outputs * layer.kernel**2
        case _:
            return 0


@primitive
def _watched(y, reached):
    """y, of which `reached()` is told when a gradient gets there."""
    return y


def _told(_, y, reached):
    def gradient(g):
        reached()
        return g

    return gradient


defvjp(_watched, _told, argnums=(0,))


class _Counting(Networks):
    def __init__(self, batch, passes, *arguments, **options):
        super().__init__(*arguments, **options)
        self.batch, self.passes, self.operations, self.found, self.shared = batch, passes, 0, [], []

    def _layer(self, layer, path, x):
        y = super()._layer(layer, path, x)
        count = 2 * multiply_adds(layer, x.shape, y.shape) // IMAGES * self.batch
        if not count:
            return y
        rows, dense, products = len(x) // IMAGES * self.batch, isinstance(layer, Dense), []
        self.found.append(products)
        weight, inputs = isbox(self.parameters[f"{path}.weight"]), isbox(x)
        self.operations += count * self.passes
        if dense:
            products += [(rows, layer.inputs, layer.outputs)] * self.passes

        def reached():
            self.operations += count * (weight + inputs)
            if dense:
                products.extend([(layer.inputs, rows, layer.outputs)] * weight)
                products.extend([(rows, layer.outputs, layer.inputs)] * inputs)

        return _watched(y, reached)

    def _batch_norm(self, layer, path, x):
        y = super()._batch_norm(layer, path, x)
        pair = 2 * layer.features  # of x and x², and of their gradients where x has any
        self.shared += [pair] * self.passes
        return _watched(y, lambda: self.shared.append(pair)) if isbox(x) else y

    @property
    def products(self):
        return itertools.chain.from_iterable(self.found)


def work(spec: Spec, batch: int) -> Work:
    """The work of one training step of `spec`, all of its updates, on `batch` images."""
    parameters = initial_parameters(spec, 0)
    inputs = {one.name: np.full((IMAGES, *one.shape), 0.5) for one in spec.inputs}
    noise = draw(spec.noise, IMAGES, 0, "checks", 0)
    statistics, operations, numbers, products = Snapshot.start(spec, parameters).statistics, 0, 0, []
    shared = []
    for number, update in enumerate(spec.updates):
        passes = 0 if number and spec.simultaneous else 1  # forward: all gradients are then of one
        networks = _Counting(batch, passes, spec, parameters, statistics, training=True)
        moved = {name: parameters[name] for name in spec.parameter_shapes(update.networks)}

        def objective(values: Arrays, networks: _Counting = networks, update: Update = update) -> np.number:
            networks.parameters = {**parameters, **values}
            return update.losses(networks, inputs, noise)[update.objective]

        grad(objective)(moved)
        operations += networks.operations
        moves = PASSES + OF_A_MOMENT * len(update.optimizer.moments)
        numbers += moves * sum(value.size for value in moved.values())
        products += networks.products
        shared += networks.shared
    return Work(operations, numbers, tuple(products), tuple(shared))
