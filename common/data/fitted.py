"""Any pictures, brought to the size and the channels of a model: for what does not depend on what they show."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from common.data import Dataset, load
from common.errors import DataError
from common.specs.records import Spec

SHADES = (
    1.0,
    0.8,
    0.6,
)  # of a grey picture's channels, which must not be alike: a proof would not see two of them swapped


def fitted(spec: Spec, data: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """`data` {"images": uint8 (N, H, W) or (N, C, H, W), ...}; images of another size or number of channels than the model's
    by the nearest pixel, and as so many shades of grey."""
    images, (channels, height, width) = data["images"], spec.images.picture
    count, sides = (1 if images.ndim == 3 else images.shape[1]), images.shape[-2:]
    if (count, *sides) == (channels, height, width):
        return dict(data)
    down, across = (np.arange(to) * side // to for to, side in zip((height, width), sides, strict=True))
    grey = images if images.ndim == 3 else images[:, 0]
    grey = grey[:, down][:, :, across]
    if channels > 1:
        grey = np.stack([np.rint(grey * shade).astype(np.uint8) for shade in SHADES[:channels]], axis=1)
    return dict(data) | {"images": grey}


def fitted_dataset(spec: Spec, name: str, data_dir: Path | None = None) -> Dataset:
    """The data set `name` in the model's own picture where it comes in that, else brought to it. Raises DataError as `load`."""
    try:
        data = load(name, data_dir, spec.images.picture)
    except DataError:  # it does not come in that picture, or at all, which it then says once more
        data = load(name, data_dir)
    train, test = (fitted(spec, part)["images"] for part in (data.train, data.test))
    return data if train is data.train_images else replace(data, train_images=train, test_images=test)
