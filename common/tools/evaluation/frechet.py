"""Fréchet distance between two sets of images, as Gaussians in a fixed feature space.

The feature space is the first 64 principal components of the training images, not a layer of Inception: the numbers
compare models with each other on one data set, and cannot be set beside any published FID.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA

COMPONENTS = 64


@dataclass(frozen=True)
class Features:
    """The principal components of some images, as a map from images (N, ...) to features (N, COMPONENTS)."""

    pca: PCA

    @classmethod
    def of(cls, images: np.ndarray) -> "Features":
        """Fitted to `images` (N, ...) with pixels in [0, 1]; the same images give the same features."""
        flat = np.reshape(images, (len(images), -1)).astype(np.float64)
        return cls(PCA(min(COMPONENTS, *flat.shape), svd_solver="covariance_eigh").fit(flat))

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return self.pca.transform(np.reshape(images, (len(images), -1)).astype(np.float64))


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """‖μa - μb‖² + tr(Σa + Σb - 2 (Σa Σb)^½) of features (N, D): squared, as in Heusel et al. 2017 (arXiv 1706.08500)."""
    means, covariances = [x.mean(axis=0) for x in (a, b)], [np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b)]
    # tr (Σa Σb)^½ = tr (R Σb R)^½ with R² = Σa, and that matrix is symmetric.
    values, vectors = np.linalg.eigh(covariances[0])
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ covariances[1] @ root), 0)).sum()
    return float(np.sum((means[0] - means[1]) ** 2) + sum(np.trace(c) for c in covariances) - 2 * cross)
