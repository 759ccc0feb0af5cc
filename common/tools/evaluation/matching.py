"""How well unlabelled categories fit labels, under the best one-to-one matching."""

import numpy as np
from scipy.optimize import linear_sum_assignment


def match(categories: np.ndarray, labels: np.ndarray, classes: int = 10) -> tuple[float, np.ndarray]:
    """(error rate, labels of categories 0..classes - 1), by the Hungarian method (Kuhn 1955) on the table of counts.

    `categories` and `labels` are integers (N,) in 0..classes - 1. Raises ValueError if they differ in length.
    """
    if len(categories) != len(labels):
        raise ValueError(f"{len(categories)} categories for {len(labels)} labels; expected one each")
    counts = np.zeros((classes, classes), int)
    np.add.at(counts, (categories, labels), 1)
    _, matched = linear_sum_assignment(counts, maximize=True)
    return 1 - counts[np.arange(classes), matched].sum() / len(labels), matched
