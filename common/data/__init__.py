"""The two data sets: `digits`, bundled with scikit-learn, and `mnist`, found on disk or downloaded."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from common.errors import DataError

NAMES = ("digits", "mnist")  # any other is the path of a folder


@dataclass
class Dataset:
    """Images are uint8 (N, H, W) with ink bright on dark 0..255, or (N, C, H, W); labels are uint8 (N,)."""

    name: str
    description: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray

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
        """SHA-256 of all images and labels: what a run remembers of them, beside a name that others may have too."""
        found = hashlib.sha256()
        for array in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            found.update(f"{array.dtype} {array.shape}".encode())
            found.update(np.ascontiguousarray(array))
        return found.hexdigest()

    def forget_training_images(self) -> None:
        """Free their memory, once they are on the device; the digest stays that of all."""
        self.digest  # noqa: B018
        self.train_images = self.train_images[:0].copy()


def absolute(name: str) -> str:
    """The data set `name` as another process can be told of it: a folder by its whole path."""
    return name if name in NAMES else str(Path(name).resolve())


def load(name: str, data_dir: Path | None = None) -> Dataset:
    """The data set `digits` or `mnist`, or the MNIST-format files in the folder `name`.

    Raises DataError when a file is missing and cannot be downloaded, or is not what it should be.
    """
    from common.data import digits, mnist

    if name == "digits":
        return digits.load()
    if name == "mnist":
        return mnist.load(data_dir)
    if Path(name).is_dir():
        return mnist.load_folder(Path(name))
    raise DataError(f"unknown data set {name!r}; expected digits, mnist, or a folder that holds the four IDX files")
