"""How well unlabelled categories fit labels, under the best one-to-one matching."""

import numpy as np
from scipy.optimize import linear_sum_assignment

NONE = -1  # the label of a category that is left over


def match(
    categories: np.ndarray, labels: np.ndarray, classes: int = 10, kinds: int | None = None
) -> tuple[float, np.ndarray]:
    """(error rate, labels of categories 0..classes - 1), by the Hungarian method (Kuhn 1955) on the table of counts.

    `categories` (N,) are integers in 0..classes - 1, `labels` in 0..kinds - 1 (`classes` unless given). With fewer kinds than
    categories some have NONE, and all in them is wrong; with more, some labels are never given. Raises ValueError if they differ
    in length.
    """
    if len(categories) != len(labels):
        raise ValueError(f"{len(categories)} categories for {len(labels)} labels; expected one each")
    counts = np.zeros((classes, kinds or classes), int)
    np.add.at(counts, (categories, labels), 1)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    matched = np.full(classes, NONE)
    matched[rows] = columns
    return 1 - counts[rows, columns].sum() / len(labels), matched


def match_each(categories: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """(n_codes, n_factors): error rate of each code's categories (N, n_codes) matched to each factor's values (N, n_factors), all
    integers from 0. Beside it stands what one label for all would miss (labels.chance_error), which differs between factors."""
    sizes, kinds = categories.max(axis=0) + 1, factors.max(axis=0) + 1
    return np.array(
        [
            [match(code, factor, size, kind)[0] for factor, kind in zip(factors.T, kinds, strict=True)]
            for code, size in zip(categories.T, sizes, strict=True)
        ]
    )
