"""Log-likelihood of test images under a Gaussian Parzen window on samples.

The measure of Goodfellow et al. 2014 (arXiv 1406.2661, section 5): a kernel density with one bandwidth, chosen on
validation images. It has a large variance and favours models that memorise (Theis et al. 2016, arXiv 1511.01844); here it
stands beside the numbers that the papers published.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

BANDWIDTHS = np.logspace(-1, 0, 10)  # as in the code of Goodfellow et al., for pixels in [0, 1]
CHUNK = 500  # test images at a time: 500 × 10,000 distances are 40 MB


@dataclass(frozen=True)
class Parzen:
    """Mean log-likelihood in nats, its standard error, and the bandwidth."""

    mean: float
    error: float
    bandwidth: float


def log_densities(samples: np.ndarray, points: np.ndarray, bandwidth: float) -> np.ndarray:
    """(M,): log of the density at `points` (M, D) of the mixture of Gaussians of deviation `bandwidth` at `samples` (N, D)."""
    samples, points = np.asarray(samples, np.float64), np.asarray(points, np.float64)
    count, dimensions = samples.shape
    constant = np.log(count) + dimensions * np.log(bandwidth * np.sqrt(2 * np.pi))
    squares, found = np.sum(samples**2, axis=1), []
    for start in range(0, len(points), CHUNK):
        part = points[start : start + CHUNK]
        distances = np.sum(part**2, axis=1)[:, None] - 2 * part @ samples.T + squares
        found.append(logsumexp(-0.5 * np.maximum(distances, 0) / bandwidth**2, axis=1) - constant)
    return np.concatenate(found)


def parzen(
    samples: np.ndarray, validation: np.ndarray, test: np.ndarray, bandwidths: Iterable[float] = BANDWIDTHS
) -> Parzen:
    """All (count, ...) with pixels in [0, 1]; the bandwidth that suits `validation` best judges `test`."""
    samples, validation, test = (np.reshape(images, (len(images), -1)) for images in (samples, validation, test))
    best = max(bandwidths, key=lambda bandwidth: log_densities(samples, validation, bandwidth).mean())
    values = log_densities(samples, test, best)
    return Parzen(float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))), float(best))
