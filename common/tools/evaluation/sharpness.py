"""How sharp images are: the energy of their Laplacian, which blur takes away."""

import numpy as np


def sharpness(images: np.ndarray) -> float:
    """Mean over images (N, H, W) and inner pixels of the squared four-neighbour Laplacian. 0 for planes of constant slope."""
    x = np.asarray(images, np.float64)
    laplacian = x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:] - 4 * x[:, 1:-1, 1:-1]
    return float(np.mean(laplacian**2))
