"""Deviations, bars, and the tensors that both sides are given."""

import numpy as np

from common.probing import Arrays, Layer

EPSILON = {"float64": 2.0**-53, "float32": 2.0**-24}
LEAST = {"float64": 1e-12, "float32": 2e-6}  # no bar is below this, of a tensor's root mean square
FACTOR = 64  # times what inputs and weights that are moved by one rounding make of a tensor
POSITIVE = ("variance",)


def deviation(expected: np.ndarray, found: np.ndarray) -> float:
    """The largest difference of two elements over the root mean square of `expected`; infinite where shapes differ or where one is
    not finite and the other not the same."""
    expected, found = np.asarray(expected), np.asarray(found)
    if expected.shape != found.shape:
        return float("inf")
    if not expected.size:
        return 0.0
    a, b = expected.astype(np.float64), found.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    if same.all():
        return 0.0
    difference = np.abs(a - b)[~same].max()
    scale = np.sqrt(np.mean(a[np.isfinite(a)] ** 2)) if np.isfinite(a).any() else 0.0
    found = float(difference / scale) if scale > 0 else float("inf")
    return found if np.isfinite(found) else float("inf")


def drawn(layers: list[Layer], present: Arrays, rng: np.random.Generator) -> Arrays:
    """New values for every tensor: nothing is zero, one, or the same as another, which would hide what is swapped.

    Weights are as large as keeps activations of order one; where the present ones are smaller or larger, so as they are.
    """
    found = {}
    for layer in layers:
        for role, tensor in layer.tensors.items():
            key = f"{layer.path}/{role}"
            if key not in present:
                continue
            normal = rng.standard_normal(tensor.shape)
            if role in POSITIVE:
                found[key] = rng.uniform(0.5, 1.5, tensor.shape)
            elif role == "weight" and layer.kind.endswith("norm"):
                found[key] = 1 + 0.2 * normal
            elif role.startswith(("bias", "mean")) or "bias" in role or len(tensor.shape) < 2:
                found[key] = 0.2 * normal
            elif layer.kind == "embedding":
                found[key] = normal
            else:
                found[key] = normal / np.sqrt(np.prod(tensor.shape[1:]))
    return found


def idle(layers: list[Layer], present: Arrays, shared: set[str]) -> Arrays:
    """What must not count, as the other side has none: biases that are not `shared` are 0, and scales of norms 1."""
    found = {}
    for layer in layers:
        for role in layer.tensors:
            key = f"{layer.path}/{role}"
            if key in shared or key not in present:
                continue
            if "bias" in role:
                found[key] = np.zeros_like(present[key])
            elif role == "weight" and layer.kind.endswith("norm"):
                found[key] = np.ones_like(present[key])
    return found


def moved(arrays: Arrays, dtype: str, rng: np.random.Generator) -> Arrays:
    """Every floating number off by one rounding of `dtype`, up or down."""
    step = 2 * EPSILON[dtype]
    return {
        name: value * (1 + step * rng.choice((-1.0, 1.0), value.shape)) if value.dtype.kind == "f" else value
        for name, value in arrays.items()
    }
