"""The data sets: bundled (`digits`), made on the spot (`streets`, `heads`, `chairs`), found or downloaded (`mnist`, `svhn`,
`celeba`), or a folder of IDX files or of pictures."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path

import numpy as np

from common.errors import DataError
from common.specs.layers import Shape

NAMES = ("digits", "mnist", "streets", "heads", "chairs", "svhn", "celeba")  # any other is the path of a folder
SIDES = (32, 64)  # of the pictures of all but digits, mnist and IDX files


@dataclass
class Dataset:
    """Images are uint8 (N, H, W), of digits with ink bright on dark 0..255, or (N, C, H, W); labels are uint8 (N,), int32
    where there are more than 256. Factors {name: float64 (N,)} are what a made picture was made from; others have none."""

    name: str
    description: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    train_factors: dict[str, np.ndarray] = field(default_factory=dict)
    test_factors: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def train(self) -> dict[str, np.ndarray]:
        """The training images and their labels, by the names that inputs call them as their source."""
        return {"images": self.train_images, "labels": self.train_labels}

    @property
    def test(self) -> dict[str, np.ndarray]:
        """The test images and their labels, likewise."""
        return {"images": self.test_images, "labels": self.test_labels}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all images, labels and factors: what a run remembers of them, beside a name that others may have too."""
        found = hashlib.sha256()
        for array in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            found.update(f"{array.dtype} {array.shape}".encode())
            found.update(np.ascontiguousarray(array))
        for factors in (self.train_factors, self.test_factors):
            for name, values in sorted(factors.items()):
                found.update(f"{name} {values.dtype} {values.shape}".encode())
                found.update(np.ascontiguousarray(values))
        return found.hexdigest()

    def forget_training_images(self) -> None:
        """Free their memory, once they are on the device; the digest stays that of all."""
        self.digest  # noqa: B018
        self.train_images = self.train_images[:0].copy()


def absolute(name: str) -> str:
    """The data set `name` as another process can be told of it: a folder by its whole path."""
    return name if name in NAMES else str(Path(name).resolve())


def wanted(name: str, picture: Shape | None, default: Shape) -> Shape:
    """(C, H, W) in which the data set `name` is given to a model of `picture`. Raises DataError where it cannot be."""
    channels, height, width = picture or default
    if channels not in (1, 3) or height != width or height not in SIDES:
        raise DataError(
            f"{name}: comes in 32×32 or 64×64, grey or in colour, and the model takes {channels}×{height}×{width}; use "
            "digits, mnist or a folder of IDX files, or another model"
        )
    return channels, height, width


def in_channels(images: np.ndarray, channels: int) -> np.ndarray:
    """uint8 (N, C, H, W), C 1 or 3, as (N, H, W) where `channels` is 1, else (N, 3, H, W): the luminance of ITU-R BT.601,
    rounded; grey is repeated."""
    if channels == 3:
        return images if images.shape[1] == 3 else np.repeat(images, 3, axis=1)
    if images.shape[1] == 1:
        return images[:, 0]
    grey = np.empty((len(images), *images.shape[2:]), np.uint8)
    for k in range(0, len(images), 4096):  # 32-bit integers of all would be four times the images
        red, green, blue = np.moveaxis(images[k : k + 4096].astype(np.uint32), 1, 0)
        grey[k : k + 4096] = (299 * red + 587 * green + 114 * blue + 500) // 1000
    return grey


def label_type(classes: int) -> type:
    """Of labels of so many classes."""
    return np.uint8 if classes <= 256 else np.int32


def load(name: str, data_dir: Path | None = None, picture: Shape | None = None) -> Dataset:
    """One of NAMES, or the IDX files or the pictures in the folder `name`; for a model of `picture` (C, H, W), which digits,
    mnist and IDX files do not follow.

    Raises DataError when a file is missing and cannot be downloaded, or is not what it should be, or the data set cannot be
    had in that picture.
    """
    from common.data import digits, mnist

    if name == "digits":
        return digits.load()
    if name == "mnist":
        return mnist.load(data_dir)
    if name in NAMES:
        return import_module(f"common.data.{name}").load(data_dir, picture)
    if Path(name).is_dir():
        from common.data import pictures

        folder = Path(name)
        return mnist.load_folder(folder) if mnist.is_in(folder) else pictures.load(folder, picture)
    raise DataError(
        f"unknown data set {name!r}; expected {', '.join(NAMES)}, or a folder that holds the four IDX files or pictures"
    )
