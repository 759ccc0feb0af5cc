"""Batch order and pixel scaling, the same for every backend."""

from collections.abc import Callable

import numpy as np

from common.errors import DataError
from common.noise import stream
from common.specs.records import Spec

BATCH = 1000  # images at a time where there are many and nothing depends on the others


def batches_per_epoch(count: int, batch: int) -> int:
    """Full batches in `count` images; the incomplete last one is dropped, as every model here does."""
    if count < batch:
        raise DataError(f"{count} images do not fill one batch of {batch}; use a smaller --batch-size")
    return count // batch


def batch_indices(count: int, batch: int, seed: int, steps: range) -> np.ndarray:
    """(len(steps), batch) int32: which images each step sees. Every epoch is a new permutation keyed by (seed, epoch)."""
    per_epoch = batches_per_epoch(count, batch)
    orders = {
        epoch: stream(seed, "batches", "order", epoch).permutation(count) for epoch in {s // per_epoch for s in steps}
    }
    rows = [orders[s // per_epoch][s % per_epoch * batch : (s % per_epoch + 1) * batch] for s in steps]
    return np.array(rows, np.int32).reshape(len(steps), batch)


def model_input(spec: Spec, images: np.ndarray) -> np.ndarray:
    """uint8 (N, 28, 28) -> float64 (N, *spec.input_shape) in spec.pixels."""
    return spec.scale(images.astype(np.float64)).reshape(len(images), *spec.input_shape)


def to_images(spec: Spec, pixels: np.ndarray) -> np.ndarray:
    """(N, ...) in spec.pixels -> float (N, 28, 28) in [0, 1], for drawing."""
    low, high = spec.pixels
    return np.clip((np.asarray(pixels, np.float64).reshape(-1, 28, 28) - low) / (high - low), 0, 1)


def to_bytes(spec: Spec, pixels: np.ndarray) -> np.ndarray:
    """(N, ...) in spec.pixels -> uint8 (N, 28, 28)."""
    return np.rint(to_images(spec, pixels) * 255).astype(np.uint8)


def in_batches(function: Callable, x: np.ndarray) -> np.ndarray:
    """float32 `function` of x (N, ...), BATCH of them at a time."""
    return np.concatenate([np.asarray(function(x[k : k + BATCH]), np.float32) for k in range(0, len(x), BATCH)])
