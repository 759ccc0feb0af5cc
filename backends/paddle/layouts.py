"""Canonical names and axes to Paddle's own, and back; a layer's attributes."""

from backends.paddle import process  # noqa: F401  # isort: skip

import numpy as np
import paddle

from common.specs.layers import BatchNorm, Conv, ConvTranspose, Dense
from common.specs.records import Spec

# canonical.transpose(axes) is Paddle's layout.
AXES = {
    Dense: {"weight": (1, 0), "bias": (0,)},
    Conv: {"weight": (0, 1, 2, 3), "bias": (0,)},
    ConvTranspose: {"weight": (0, 1, 2, 3), "bias": (0,)},
    BatchNorm: {"weight": (0,), "bias": (0,), "mean": (0,), "variance": (0,)},
}


def named(path, bias=True):
    """A layer's attributes: its parameters are path.weight and path.bias, whose values `restore` sets."""
    zero = paddle.nn.initializer.Constant(0.0)
    return {
        "weight_attr": paddle.ParamAttr(f"{path}.weight", zero),
        "bias_attr": bias and paddle.ParamAttr(f"{path}.bias", zero),
    }


class Layouts:
    """Arrays of `spec`'s parameters and running statistics, or of what is laid out like them, by canonical name."""

    def __init__(self, spec: Spec):
        self.axes = {name: AXES[type(layer)][kind] for name, (layer, kind) in spec.owners().items()}

    def to_paddle(self, name: str, array) -> np.ndarray:
        return np.ascontiguousarray(np.transpose(array, self.axes[name]))

    def to_canonical(self, name: str, array) -> np.ndarray:
        return np.transpose(np.asarray(array), np.argsort(self.axes[name])).copy()
