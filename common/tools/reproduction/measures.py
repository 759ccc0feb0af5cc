"""Measures that several articles report, of uint8 images (N, H, W), or in colour (N, H, W, 3) or (N, 3, H, W)."""

import numpy as np

from common.data import Dataset
from common.specs.records import Spec
from common.tools.evaluation.frechet import Features, frechet
from common.tools.evaluation.labels import class_error, cluster_error
from common.tools.evaluation.parzen import Parzen, parzen
from common.tools.evaluation.sharpness import sharpness

SAMPLES = 10_000
KNOWN = 10_000  # the first training images, by whose codes the test images' are judged
VALIDATION = 0.1  # of the test images, to choose the Parzen bandwidth; the rest is judged

FRECHET_NOTE = (
    "Fréchet distance between 10,000 samples and the test images as Gaussians in a fixed feature space, the first 64 "
    "principal components of the training images (pixels in [0, 1]): not the Inception FID, and not to be compared with one."
)
PARZEN_NOTE = (
    "Gaussian Parzen window on 10,000 samples, its bandwidth chosen on the first tenth of the test images, the mean over the "
    "other nine tenths with its standard error."
)


def unit(images: np.ndarray) -> np.ndarray:
    """uint8 -> float64 in [0, 1]; in colour (N, H, W, 3), as pictures are drawn."""
    images = np.moveaxis(images, 1, -1) if images.ndim == 4 and images.shape[1] == 3 else images
    return images.astype(np.float64) / 255


def variety(samples: np.ndarray, images: np.ndarray) -> float:
    """Variance of the pixels of uint8 samples (N, ...) from one to the next, as a part of that of the images (M, ...): 0 where all
    samples are alike."""
    return float(np.var(samples / 255, axis=0).sum() / np.var(images / 255, axis=0).sum())


def likelihood(samples: np.ndarray, data: Dataset) -> Parzen:
    """Parzen log-likelihood of test images in nats, the bandwidth chosen on other test images."""
    cut = max(1, round(VALIDATION * len(data.test_images)))
    return parzen(unit(samples), unit(data.test_images[:cut]), unit(data.test_images[cut:]))


def shown(found: Parzen) -> str:
    return f"{found.mean:.0f} ± {found.error:.1f} nats (bandwidth {found.bandwidth:.2f})"


def features(data: Dataset) -> Features:
    return Features.of(unit(data.train_images))


def distance(space: Features, samples: np.ndarray, data: Dataset) -> float:
    """Fréchet distance of samples to the test images; see FRECHET_NOTE."""
    return frechet(space(unit(samples)), space(unit(data.test_images)))


def greyness(images: np.ndarray) -> float:
    """Of the pixels above 0.25 the share that is below 0.75: blur makes edges grey, single white pixels on black are not."""
    ink = images > 0.25
    return float(np.sum(ink & (images < 0.75)) / max(1, np.sum(ink)))


def relative_sharpness(samples: np.ndarray, data: Dataset) -> float:
    """Sharpness as a fraction of that of the test images; blurred samples are below 1."""
    return sharpness(unit(samples)) / sharpness(unit(data.test_images))


def label_error(spec: Spec, codes: np.ndarray, known: np.ndarray, data: Dataset) -> float:
    """Share of the test images that a model with a category in its code (`codes`) gives another label than theirs: that of the
    most probable class or, where labels are no input, of the cluster, which a training image names (`known`, their codes)."""
    categories = spec.options["categories"]
    if "labelled" in spec.rows:
        return class_error(codes[:, :categories], data.test_labels)
    labels = data.train_labels[: len(known)]
    return cluster_error(known[:, :categories], labels, codes[:, :categories], data.test_labels)[0]
