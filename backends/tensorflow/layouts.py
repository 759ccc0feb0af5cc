"""Canonical names and axes, which are PyTorch's, to Keras's own, and back; arrays in and out."""

from backends.tensorflow import process  # noqa: F401  # isort: skip

import operator

import keras
import numpy as np
import tensorflow as tf

from common.specs.layers import BatchNorm, Conv, ConvTranspose, Dense

# How Keras keeps a layer's parameters and statistics: {record: {canonical kind: (its attribute, its axes in canonical
# order)}}.
LAYOUTS = {
    Dense: {"weight": ("kernel", (1, 0)), "bias": ("bias", (0,))},
    Conv: {"weight": ("kernel", (3, 2, 0, 1)), "bias": ("bias", (0,))},  # (kernel, kernel, in, out)
    ConvTranspose: {"weight": ("kernel", (3, 2, 0, 1)), "bias": ("bias", (0,))},  # (kernel, kernel, out, in)
    BatchNorm: {
        "weight": ("gamma", (0,)),
        "bias": ("beta", (0,)),
        "mean": ("moving_mean", (0,)),
        "variance": ("moving_variance", (0,)),
    },
}


# Keras's natural layout of images is NHWC: convolutional networks work in it, and these two stand between them and
# canonical images, codes and features.


def to_nhwc(x):
    return tf.transpose(x, (0, 2, 3, 1))


def to_nchw(x):
    return tf.transpose(x, (0, 3, 1, 2))


def variables(model, spec) -> dict[str, tuple[tf.Variable, tuple[int, ...]]]:
    """{"encoder.fc0.weight": (variable, axes)}: every parameter and running statistic, and its axes in canonical order."""
    found = {}
    for name, (layer, kind) in spec.owners().items():
        attribute, axes = LAYOUTS[type(layer)][kind]
        found[name] = (operator.attrgetter(name.removesuffix(kind) + attribute)(model), axes)
    return found


def batch_norms(model, spec) -> list[keras.layers.Layer]:
    """The batch norms of a model."""
    found = {name.rpartition(".")[0] for name, (layer, _) in spec.owners().items() if isinstance(layer, BatchNorm)}
    return [operator.attrgetter(name)(model) for name in sorted(found)]


def write(targets, arrays) -> None:
    """Each target (variable, axes) becomes the canonical array of its name."""
    for name, (variable, axes) in targets.items():
        variable.assign(np.transpose(arrays[name], np.argsort(axes)))


def canonical(tensor, axes) -> np.ndarray:
    return np.ascontiguousarray(np.transpose(tensor.numpy(), axes))


def arrays(tensors) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def floats(tensors) -> dict[str, float]:
    return {name: float(tensor) for name, tensor in tensors.items()}


def tensors(arrays, dtype) -> dict[str, tf.Tensor]:
    return {name: tf.constant(np.asarray(array), dtype) for name, array in arrays.items()}
