"""Layers in NumPy, and `Networks`: a specification's networks bound to one set of parameters."""

from collections.abc import Mapping
from functools import singledispatch

from autograd import numpy as np

from common.reference.terms import sigmoid
from common.specs.records import Activation, Dense, Dropout, LeakyRelu, Spec


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
