"""Batch order, and what a batch of the data set is for a model; the same for every backend."""

from collections.abc import Callable, Mapping

import numpy as np

from common.errors import DataError
from common.noise import stream
from common.specs.inputs import Images
from common.specs.records import Spec

BATCH = 1000  # images at a time where there are many and nothing depends on the others

Arrays = Mapping[str, np.ndarray]


def batches_per_epoch(count: int, batch: int) -> int:
    """Full batches in `count` images; the incomplete last one is dropped, as every model here does."""
    if count < batch:
        raise DataError(f"{count} images do not fill one batch of {batch}; use a smaller --batch-size")
    return count // batch


def row_sets(spec: Spec, data: Arrays, seed: int) -> dict[str, np.ndarray]:
    """{"all": (N,), "labelled": (n,)}: which rows of `data` the sets hold that the inputs of `spec` come from.

    Labelled are as many of each class, drawn by `seed`; of more labels those of fewer are a part. Raises DataError where a
    class has too few.
    """
    sets = {"all": np.arange(len(data["images"]), dtype=np.int32)}
    if "labelled" in spec.rows:
        count, (classes, sizes) = spec.training.labelled, np.unique(data["labels"], return_counts=True)
        each, left = divmod(count, len(classes))
        if left or each < 1 or each > sizes.min():
            most = len(classes) * sizes.min()
            raise DataError(
                f"{spec.name} with {count} labelled images: expected a multiple of {len(classes)}, as many of each class, of at most "
                f"{most} here"
            )
        chosen = [_drawn(np.flatnonzero(data["labels"] == one), seed, one)[:each] for one in classes]
        sets["labelled"] = np.sort(np.concatenate(chosen)).astype(np.int32)
    return {name: sets[name] for name in spec.rows}


def _drawn(rows, seed, label):
    return stream(seed, "batches", "labelled", int(label)).permutation(rows)


def batch_indices(sets: Arrays, batch: int, seed: int, steps: range) -> dict[str, np.ndarray]:
    """{set: (len(steps), batch) int32}: which rows each step sees, of the `sets` {name: rows}. Every epoch of a set is a new
    permutation of it, keyed by (seed, set, epoch)."""
    return {name: rows[_places(name, len(rows), batch, seed, steps)] for name, rows in sets.items()}


def _places(name, count, batch, seed, steps):
    per_epoch = batches_per_epoch(count, batch)
    key = "order" if name == "all" else f"order {name}"
    orders = {
        epoch: stream(seed, "batches", key, epoch).permutation(count) for epoch in {s // per_epoch for s in steps}
    }
    rows = [orders[s // per_epoch][s % per_epoch * batch : (s % per_epoch + 1) * batch] for s in steps]
    return np.array(rows, np.int32).reshape(len(steps), batch)


def check_picture(spec: Spec, name: str, images: np.ndarray) -> None:
    """Raises DataError where `images` uint8 (N, H, W) or (N, C, H, W), of the data set `name`, are not what `spec` takes."""
    found = images.shape[1:] if images.ndim == 4 else (1, *images.shape[1:])
    if found != spec.images.picture:
        wanted, found = ("×".join(map(str, picture)) for picture in (spec.images.picture, found))
        raise DataError(
            f"{spec.name} takes pictures of {wanted} (channels, height, width), {name} has {found}; choose other --data, or "
            "another model"
        )


def model_inputs(spec: Spec, data: Arrays, indices: Arrays | None = None) -> dict[str, np.ndarray]:
    """{name: (B, *shape) float64}: the inputs of `spec` that `data` {"images": uint8 (N, ...), "labels": uint8 (N,)} has the
    source of; at the rows `indices` {set: (B,)}, else at every row."""
    return {
        one.name: _input(one, data[one.source] if indices is None else data[one.source][indices[one.rows]])
        for one in spec.inputs
        if one.source in data
    }


def _input(one, values):
    if isinstance(one, Images):
        return one.scale(values.astype(np.float64)).reshape(len(values), *one.shape)
    return (values[:, None] == np.arange(one.classes)).astype(np.float64)


def to_images(spec: Spec, pixels: np.ndarray) -> np.ndarray:
    """(N, ...) in the model's range -> float (N, H, W), or (N, H, W, 3) in colour, in [0, 1], for drawing."""
    low, high = spec.images.pixels
    channels, *sides = spec.images.picture
    pixels = np.clip((np.asarray(pixels, np.float64).reshape(-1, channels, *sides) - low) / (high - low), 0, 1)
    return pixels[:, 0] if channels == 1 else np.moveaxis(pixels, 1, -1)


def to_bytes(spec: Spec, pixels: np.ndarray) -> np.ndarray:
    """(N, ...) in the model's range -> uint8 (N, H, W), or (N, H, W, 3) in colour."""
    return np.rint(to_images(spec, pixels) * 255).astype(np.uint8)


def in_batches(function: Callable, x: np.ndarray) -> np.ndarray:
    """float32 `function` of x (N, ...), BATCH of them at a time."""
    return np.concatenate([np.asarray(function(x[k : k + BATCH]), np.float32) for k in range(0, len(x), BATCH)])
