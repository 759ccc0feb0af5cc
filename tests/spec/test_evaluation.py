"""The measures against closed forms and independent implementations."""

import itertools

import numpy as np
import pytest
from scipy import linalg, stats
from sklearn.neighbors import KernelDensity

from common.tools.evaluation.frechet import Features, frechet
from common.tools.evaluation.labels import chance_error, class_error, cluster_error, linear_error, neighbours_error
from common.tools.evaluation.matching import match
from common.tools.evaluation.nearest import nearest_labels
from common.tools.evaluation.parzen import log_densities, parzen
from common.tools.evaluation.sharpness import sharpness
from common.tools.reproduction.measures import greyness, variety

RANDOM = np.random.default_rng(0)


def test_parzen_against_scikit_learn():
    samples, points = RANDOM.normal(size=(700, 3)), RANDOM.normal(size=(1100, 3))
    expected = KernelDensity(bandwidth=0.3).fit(samples).score_samples(points)
    assert log_densities(samples, points, 0.3) == pytest.approx(expected, abs=1e-10)


def test_parzen_of_one_sample_is_a_normal_density():
    points = RANDOM.normal(size=(5, 784))
    expected = stats.norm(0.25, 0.5).logpdf(points).sum(axis=1)
    assert log_densities(np.full((1, 784), 0.25), points, 0.5) == pytest.approx(expected)


def test_parzen_chooses_its_bandwidth_on_the_validation_images():
    """Samples, validation and test of one normal distribution: the mean is its negative entropy less a little."""
    samples, validation, test = (RANDOM.normal(size=(count, 2)) for count in (20_000, 2_000, 2_000))
    found = parzen(samples, validation, test, bandwidths=[0.01, 0.1, 1.0, 3.0])
    entropy = 2 * 0.5 * np.log(2 * np.pi * np.e)
    assert found.bandwidth == 0.1
    assert found.mean == pytest.approx(-entropy, abs=5 * found.error + 0.02)
    assert found.error == pytest.approx(np.sqrt(1.0 / 2000), rel=0.2)  # the variance of a 2-D normal's log density is 1


def test_matching_against_all_permutations():
    categories, labels = RANDOM.integers(5, size=300), RANDOM.integers(5, size=300)
    best = min(np.mean(np.array(p)[categories] != labels) for p in itertools.permutations(range(5)))
    error, matched = match(categories, labels, classes=5)
    assert error == pytest.approx(best)
    assert np.mean(matched[categories] != labels) == pytest.approx(error)


def test_matching_of_a_permutation_is_perfect():
    labels = RANDOM.integers(10, size=1000)
    permutation = RANDOM.permutation(10)
    error, matched = match(permutation[labels], labels)
    assert error == 0
    assert np.array_equal(matched[permutation], np.arange(10))
    assert match(np.zeros(1000, int), labels)[0] == pytest.approx(1 - np.bincount(labels).max() / 1000)


def test_matching_wants_a_label_each():
    with pytest.raises(ValueError, match="3 categories for 2 labels"):
        match(np.zeros(3, int), np.zeros(2, int))


def test_frechet_of_axis_aligned_normals():
    """Closed form for diagonal covariances: Σ (μa - μb)² + (σa - σb)²; the samples are moved to have them exactly."""
    a, b = (whiten(RANDOM.normal(size=(400, 3))) for _ in range(2))
    a, b = a * [1, 2, 3] + [0, 1, 0], b * [2, 2, 1] + [1, 1, 2]
    assert frechet(a, b) == pytest.approx(1 + 4 + 1 + 0 + 4)
    assert frechet(a, a) == pytest.approx(0, abs=1e-9)


def whiten(x):
    x = x - x.mean(axis=0)
    return x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False))).T


def test_frechet_against_scipys_matrix_root():
    a, b = RANDOM.normal(size=(300, 6)) @ RANDOM.normal(size=(6, 6)), RANDOM.normal(size=(200, 6)) + 1
    covariances = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = linalg.sqrtm(covariances[0] @ covariances[1]).real
    expected = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert frechet(a, b) == pytest.approx(expected)


def test_features_are_fixed_and_tell_noise_from_digits(images):
    pixels = images / 255
    features, again = Features.of(pixels), Features.of(pixels)
    assert np.array_equal(features(pixels[:10]), again(pixels[:10]))
    half, other = features(pixels[:700]), features(pixels[700:])
    noise = features(RANDOM.uniform(size=(700, 28, 28)))
    assert half.shape == (700, 64)
    assert frechet(half, other) < 0.1 * frechet(half, noise)


def test_variety_is_a_part_of_the_variance():
    images = np.random.default_rng(0).integers(0, 128, (50, 3, 4, 4), dtype=np.uint8)
    assert variety(images, images) == pytest.approx(1)
    assert variety(2 * images, images) == pytest.approx(4)
    assert variety(np.repeat(images[:1], 9, axis=0), images) == pytest.approx(0)


def test_nearest_labels(images, data):
    """An image's own neighbour is itself, and stays so when little of it changes."""
    known, labels = images[:600] / 255, data.train_labels[:600]
    assert np.array_equal(nearest_labels(known, known, labels), labels)
    assert np.array_equal(nearest_labels(known + 0.01 * RANDOM.normal(size=known.shape), known, labels), labels)
    test = nearest_labels(data.test_images / 255, images / 255, data.train_labels)
    assert np.mean(test == data.test_labels) > 0.9


def test_greyness():
    """Black and white have none; of a ramp from 0 to 1, two thirds of what is above a quarter."""
    assert greyness(np.array([[0.0, 1.0], [1.0, 0.0]])) == 0
    assert greyness(np.linspace(0, 1, 100_001)) == pytest.approx(2 / 3, abs=1e-3)
    assert greyness(np.zeros((2, 2))) == 0


def test_sharpness():
    """A plane has none; of a chessboard of ±1 every Laplacian is -8 times the pixel; blur takes some away."""
    rows, columns = np.mgrid[:28, :28]
    assert sharpness(np.array([2.0 * rows - 3 * columns + 1])) == pytest.approx(0, abs=1e-20)
    chessboard = (-1.0) ** (rows + columns)
    assert sharpness(np.array([chessboard, np.zeros((28, 28))])) == pytest.approx(64 / 2)
    noise = np.random.default_rng(0).random((5, 28, 28))
    assert 0 < sharpness((noise[:, 1:] + noise[:, :-1]) / 2) < 0.6 * sharpness(noise)


def blobs(count, centres):
    """(points (N, 2), labels): a tight cloud around each centre."""
    labels = np.repeat(np.arange(len(centres)), count)
    return np.asarray(centres)[labels] + RANDOM.normal(0, 0.01, (len(labels), 2)), labels


def test_classifiers_on_codes_that_tell_all_and_nothing():
    codes, labels = blobs(50, [(0, 0), (1, 0), (0, 1)])
    assert linear_error(codes, labels, codes, labels) == neighbours_error(codes, labels, codes, labels) == 0
    codes, labels = RANDOM.normal(size=(3000, 2)), np.arange(3000) % 10
    test_codes, test_labels = RANDOM.normal(size=(3000, 2)), np.arange(3000) % 10
    for error in (linear_error, neighbours_error):  # chance, within five standard deviations
        assert error(codes, labels, test_codes, test_labels) == pytest.approx(0.9, abs=5 * (0.9 * 0.1 / 3000) ** 0.5)
    assert chance_error(np.array([1, 1, 1, 0])) == 0.25


def test_neighbours_see_what_no_straight_line_parts():
    codes, corners = blobs(50, [(0, 0), (1, 1), (0, 1), (1, 0)])
    labels = corners // 2  # exclusive or
    assert neighbours_error(codes, labels, codes, labels) == 0
    assert linear_error(codes, labels, codes, labels) > 0.2


def test_clusters_are_named_by_their_most_certain_image():
    probabilities = np.array([[0.9, 0.1, 0.0], [0.6, 0.3, 0.1], [0.0, 0.8, 0.2], [0.3, 0.1, 0.6]])
    labels = np.array([7, 1, 4, 7])
    error, names = cluster_error(probabilities, labels, np.eye(3)[[0, 1, 2, 2]], np.array([7, 4, 7, 1]))
    assert (error, names.tolist()) == (0.25, [7, 4, 7])
    assert class_error(np.eye(3)[[0, 1, 2, 2]], np.array([0, 1, 2, 0])) == 0.25
