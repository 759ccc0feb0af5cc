"""Layers in NumPy, and `Networks`: a specification's networks bound to one set of parameters."""

from collections.abc import Mapping
from functools import singledispatch

from autograd import numpy as np
from autograd.extend import defvjp, primitive

from common.reference.convolution import correlate, transposed
from common.reference.terms import sigmoid
from common.specs.layers import (
    Activation,
    BatchNorm,
    Conv,
    ConvTranspose,
    Dense,
    Dropout,
    Layer,
    LeakyRelu,
    MaxPool,
    Reshape,
    Shape,
)
from common.specs.records import Spec


@primitive
def per_feature(values: np.ndarray, shape: Shape) -> np.ndarray:
    """values (C,) at every place of `shape` (B, C, ...)."""
    return np.broadcast_to(np.reshape(values, (-1, *(1 for _ in shape[2:]))), shape)


@primitive
def over_places(x: np.ndarray) -> np.ndarray:
    """(C,): the sums of x (B, C, ...) over all its places, at once, as implementations have them: axis by axis it rounds less. What
    lies side by side NumPy adds in pairs, but along other axes one to the next, which is off by 500 roundings over the 16,384
    places of pictures with a plain ground."""
    return np.sum(np.moveaxis(x, 1, 0).copy(order="C").reshape(x.shape[1], -1), axis=1)


defvjp(per_feature, lambda _, values, shape: over_places)
defvjp(over_places, lambda _, x: lambda g: per_feature(g, x.shape))


@singledispatch
def apply(layer: Layer, parameters: Mapping, path: str, x: np.ndarray) -> np.ndarray:
    """The output of `layer`, whose parameters are parameters[path + ".weight"] and so on."""
    raise TypeError(f"the reference has no layer {type(layer).__name__}")


@apply.register
def _(layer: Dense, parameters, path, x):
    return x @ parameters[f"{path}.weight"].T + (parameters[f"{path}.bias"] if layer.bias else 0.0)


@apply.register
def _(layer: Activation, parameters, path, x):
    # where, not maximum: at 0 the derivative is 0, as in every framework, not the ½ that autograd gives a tie.
    # The real part decides, here and below, so that the complex step sees the same derivative.
    return {"relu": lambda v: np.where(np.real(v) > 0, v, 0.0), "tanh": np.tanh, "sigmoid": sigmoid}[layer.name](x)


@apply.register
def _(layer: LeakyRelu, parameters, path, x):
    return np.where(np.real(x) > 0, x, layer.slope * x)


@apply.register
def _(layer: Conv, parameters, path, x):
    y = correlate(x, parameters[f"{path}.weight"], layer.stride, layer.padding)
    return y + per_feature(parameters[f"{path}.bias"], y.shape) if layer.bias else y


@apply.register
def _(layer: ConvTranspose, parameters, path, x):
    sides = tuple(
        (side - 1) * layer.stride + layer.kernel - 2 * layer.padding + layer.output_padding for side in x.shape[2:]
    )
    y = transposed(x, parameters[f"{path}.weight"], layer.stride, layer.padding, sides)
    return y + per_feature(parameters[f"{path}.bias"], y.shape) if layer.bias else y


@apply.register
def _(layer: Reshape, parameters, path, x):
    return np.reshape(x, (len(x), *layer.shape))


@apply.register
def _(layer: MaxPool, parameters, path, x):
    shifted = [window for _, _, window in _windows(x, layer.kernel, layer.stride)]
    largest = shifted[0]
    for other in shifted[1:]:
        largest = np.where(np.real(largest) >= np.real(other), largest, other)
    return largest


def _windows(x, kernel, stride):
    """(i, j, x seen through position i, j of every window) for each position of a kernel × kernel window."""
    height, width = ((side - kernel) // stride * stride + 1 for side in x.shape[2:])
    for i in range(kernel):
        for j in range(kernel):
            yield i, j, x[:, :, i : i + height : stride, j : j + width : stride]


class Networks:
    """`networks.encoder(x)` runs the specification's network of that name on these parameters.

    `networks.encoder(x, masks)` gives each Dropout layer, in order, one of `masks`; without masks there is no dropout.
    In training mode batch norms use the batch's own statistics and each pass moves `networks.statistics`.
    """

    def __init__(self, spec: Spec, parameters: Mapping, statistics: Mapping, training: bool):
        self.spec, self.parameters, self.statistics, self.training = spec, parameters, dict(statistics), training

    def __getattr__(self, name: str):
        network = self.spec.network(name)

        def run(x, masks=None):
            left = iter(masks or ())
            for layer in network.layers:
                path = f"{name}.{layer.name}"
                match layer:
                    case Dropout():
                        x = x * next(left) / (1 - layer.rate) if masks else x
                    case BatchNorm():
                        x = self._batch_norm(layer, path, x)
                    case _:
                        x = self._layer(layer, path, x)
            if not network.heads:
                return x
            return {head.name: self._layer(head, f"{name}.{head.name}", x) for head in network.heads}

        return run

    def _layer(self, layer, path, x):
        return apply(layer, self.parameters, path, x)

    def _batch_norm(self, layer, path, x):
        if not self.training:
            mean, variance = self.statistics[f"{path}.mean"], self.statistics[f"{path}.variance"]
            return self._normalised(layer, path, x, mean, variance)
        replicas = self.spec.training.replicas
        parts, found = np.split(x, replicas) if replicas > 1 else [x], []
        for part in parts:
            count = part.size / part.shape[1]
            mean = over_places(part) / count
            found.append((mean, over_places((part - per_feature(mean, part.shape)) ** 2) / count))
        for kind, values in zip(("mean", "variance"), zip(*found, strict=True), strict=True):
            name, value = f"{path}.{kind}", sum(values) / len(values)
            self.statistics[name] = layer.momentum * self.statistics[name] + (1 - layer.momentum) * value
        parts = [self._normalised(layer, path, part, *one) for part, one in zip(parts, found, strict=True)]
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def _normalised(self, layer, path, x, mean, variance):
        scale = self.parameters[f"{path}.weight"] / np.sqrt(variance + layer.epsilon)
        bias = self.parameters[f"{path}.bias"]
        return (x - per_feature(mean, x.shape)) * per_feature(scale, x.shape) + per_feature(bias, x.shape)
