"""The 1,797 handwritten digits bundled with scikit-learn, scaled from 8×8 to MNIST's format. Not MNIST: always named."""

import numpy as np
from scipy.ndimage import zoom
from sklearn.datasets import load_digits

from common.data import Dataset
from common.noise import stream

TRAIN = 1437  # four fifths


def load() -> Dataset:
    """1,437 training and 360 test images; the split is fixed."""
    bunch = load_digits()
    images = zoom(bunch.images, (1, 3.5, 3.5), order=1, grid_mode=True, mode="nearest")  # (1797, 28, 28), 0..16
    images = np.rint(images * (255 / 16)).astype(np.uint8)
    labels = bunch.target.astype(np.uint8)
    order = stream(0, "batches", "digits split").permutation(len(images))
    train, test = order[:TRAIN], order[TRAIN:]
    return Dataset(
        "digits",
        "scikit-learn's 1,797 bundled digits, 8×8 scaled to 28×28 (not MNIST)",
        images[train],
        labels[train],
        images[test],
        labels[test],
    )
