"""Layers in NumPy, and `Networks`: a specification's networks bound to one set of parameters."""

from collections.abc import Mapping
from functools import singledispatch

from autograd import numpy as np

from common.reference.terms import sigmoid
from common.specs.records import Activation, Conv, ConvTranspose, Dense, Dropout, LeakyRelu, MaxPool, Spec


@singledispatch
def apply(layer, parameters: Mapping, path: str, x):
    """The output of `layer`, whose parameters are parameters[path + ".weight"] and so on."""
    raise TypeError(f"the reference has no layer {type(layer).__name__}")


@apply.register
def _(layer: Dense, parameters, path, x):
    return x @ parameters[f"{path}.weight"].T + parameters[f"{path}.bias"]


@apply.register
def _(layer: Activation, parameters, path, x):
    # where, not maximum: at 0 the derivative is 0, as in every framework, not the ½ that autograd gives a tie.
    return {"relu": lambda v: np.where(v > 0, v, 0.0), "tanh": np.tanh, "sigmoid": sigmoid}[layer.name](x)


@apply.register
def _(layer: LeakyRelu, parameters, path, x):
    return np.where(x > 0, x, layer.slope * x)


@apply.register
def _(layer: Conv, parameters, path, x):
    weight, bias = parameters[f"{path}.weight"], parameters[f"{path}.bias"]
    return _correlate(_spread(x, 1, layer.padding), weight, layer.stride) + bias[:, None, None]


@apply.register
def _(layer: ConvTranspose, parameters, path, x):
    weight, bias = parameters[f"{path}.weight"], parameters[f"{path}.bias"]
    # Pixels set `stride` apart and correlated with the kernel turned by 180°.
    turned = np.transpose(weight, (1, 0, 2, 3))[:, :, ::-1, ::-1]
    return _correlate(_spread(x, layer.stride, layer.kernel - 1 - layer.padding), turned, 1) + bias[:, None, None]


@apply.register
def _(layer: MaxPool, parameters, path, x):
    shifted = [window for _, _, window in _windows(x, layer.kernel, layer.stride)]
    largest = shifted[0]
    for other in shifted[1:]:
        largest = np.where(largest >= other, largest, other)
    return largest


def _correlate(x, weight, stride):
    """Σ over kernel positions of a shifted view of x (B, C, H, W) times weight[:, :, i, j] (O, C)."""
    return sum(
        np.einsum("bchw,oc->bohw", window, weight[:, :, i, j]) for i, j, window in _windows(x, weight.shape[2], stride)
    )


def _windows(x, kernel, stride):
    """(i, j, x seen through position i, j of every window) for each position of a kernel × kernel window."""
    height, width = ((side - kernel) // stride * stride + 1 for side in x.shape[2:])
    for i in range(kernel):
        for j in range(kernel):
            yield i, j, x[:, :, i : i + height : stride, j : j + width : stride]


def _spread(x, apart, margin):
    """x (B, C, H, W) with its pixels `apart` apart and `margin` zeros around."""

    def place(side):
        matrix = np.zeros((side, (side - 1) * apart + 1 + 2 * margin))
        matrix[np.arange(side), margin + apart * np.arange(side)] = 1.0
        return matrix

    return np.einsum("bchw,hp,wq->bcpq", x, place(x.shape[2]), place(x.shape[3]))


class Networks:
    """`networks.encoder(x)` runs the specification's network of that name on these parameters.

    `networks.encoder(x, masks)` gives each Dropout layer, in order, one of `masks`; without masks there is no dropout.
    """

    def __init__(self, spec: Spec, parameters: Mapping):
        self.spec, self.parameters = spec, parameters

    def __getattr__(self, name: str):
        network = self.spec.network(name)

        def run(x, masks=None):
            left = iter(masks or ())
            for layer in network.layers:
                if isinstance(layer, Dropout):
                    x = x * next(left) / (1 - layer.rate) if masks else x
                else:
                    x = apply(layer, self.parameters, f"{name}.{layer.name}", x)
            if not network.heads:
                return x
            return {head.name: apply(head, self.parameters, f"{name}.{head.name}", x) for head in network.heads}

        return run
