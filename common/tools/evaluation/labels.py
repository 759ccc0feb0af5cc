"""What codes and categories tell of the labels: how often a classifier that knows them errs."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

NEIGHBOURS = 5


def linear_error(codes: np.ndarray, labels: np.ndarray, test_codes: np.ndarray, test_labels: np.ndarray) -> float:
    """Share of the test codes (n, d) that a logistic regression fitted to `codes` (N, d) gives another label than theirs."""
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=1000))
    return _error(classifier, codes, labels, test_codes, test_labels)


def neighbours_error(codes: np.ndarray, labels: np.ndarray, test_codes: np.ndarray, test_labels: np.ndarray) -> float:
    """The same by a vote of the NEIGHBOURS nearest codes, which sees what no straight line parts."""
    classifier = make_pipeline(StandardScaler(), KNeighborsClassifier(NEIGHBOURS))
    return _error(classifier, codes, labels, test_codes, test_labels)


def _error(classifier, codes, labels, test_codes, test_labels):
    return float(np.mean(classifier.fit(codes, labels).predict(test_codes) != test_labels))


def chance_error(labels: np.ndarray) -> float:
    """Share of labels that are wrong if all are taken for the most frequent one: 88.65% on MNIST's test images."""
    return float(1 - np.bincount(labels).max() / len(labels))


def class_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Share of rows (N, classes) whose most probable class is not their label."""
    return float(np.mean(np.argmax(probabilities, axis=1) != labels))


def cluster_error(
    probabilities: np.ndarray, labels: np.ndarray, test_probabilities: np.ndarray, test_labels: np.ndarray
) -> tuple[float, np.ndarray]:
    """(share of the test rows whose cluster has another label than theirs, labels of the clusters).

    A cluster's label is that of the one row of `probabilities` (N, clusters) that is most probably in it (Makhzani et al. 2015,
    section 6): so many labels are used as there are clusters.
    """
    names = labels[np.argmax(probabilities, axis=0)]
    return float(np.mean(names[np.argmax(test_probabilities, axis=1)] != test_labels)), names
