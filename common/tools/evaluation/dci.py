"""Disentanglement, completeness and informativeness of codes (Eastwood & Williams 2018, openreview By-7dz-AZ).

As disentanglement_lib computes them (Google Research; disentanglement_lib/evaluation/metrics/dci.py): gradient boosted trees
predict each factor's classes from all codes, and what counts is how much each tree leans on each code. Its study trains on
10,000 samples and tests on 5,000; here as many as are given. Few samples make low scores: of a code with a little noise and nine
that are noise alone, the first had 0.76 of the importance with 1,000 samples, 0.82 with 2,000, 0.87 with 4,000 and 0.93 with
10,000. Scores are compared at equal numbers only. A fit takes time in proportion to samples × codes × classes.

Factors are classes here as there, continuous ones binned before (factors.classes): an accuracy is that of naming the bin.
"""

import numpy as np
from sklearn.ensemble import GradientBoostingClassifier

# scikit-learn's own defaults, which disentanglement_lib leaves as they are; with the seed the trees are the same each time.
TREES = {"n_estimators": 100, "learning_rate": 0.1, "max_depth": 3, "subsample": 1.0, "random_state": 0}


def importances(
    codes: np.ndarray, classes: np.ndarray, test_codes: np.ndarray, test_classes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """((n_codes, n_factors) how much of the trees' gain for each factor is each code's, (n_factors,) accuracies on the test).

    Codes are (N, n_codes), classes integers (N, n_factors) with two values or more each. A column of importances sums to 1, or
    is 0 where no tree found a split.
    """
    found, accuracies = np.zeros((codes.shape[1], classes.shape[1])), np.zeros(classes.shape[1])
    for factor in range(classes.shape[1]):
        trees = GradientBoostingClassifier(**TREES).fit(codes, classes[:, factor])
        found[:, factor] = trees.feature_importances_
        accuracies[factor] = np.mean(trees.predict(test_codes) == test_classes[:, factor])
    return found, accuracies


def disentanglement(importance: np.ndarray) -> float:
    """Whether each code matters for one factor only, of `importance` (n_codes, n_factors): Σ ρi (1 - Hi).

    Hi is the entropy of code i's row, as probabilities, to base n_factors; ρi the row's part of the whole. A code that matters
    for nothing has no weight; where none matters it is 0. Raises ValueError with fewer than two factors.
    """
    if importance.shape[1] < 2:
        raise ValueError("an entropy over one says nothing; expected two codes and two factors or more")
    sums = importance.sum(axis=1, keepdims=True)
    parts = np.divide(importance, sums, out=np.zeros(importance.shape), where=sums > 0)
    logarithms = np.log(parts, out=np.zeros(parts.shape), where=parts > 0)
    entropies = -np.sum(parts * logarithms, axis=1) / np.log(importance.shape[1])
    return float(np.sum(sums[:, 0] * (1 - entropies)) / (sums.sum() or 1))


def completeness(importance: np.ndarray) -> float:
    """Whether each factor leans on one code only: the same of the columns, with entropies to base n_codes."""
    return disentanglement(importance.T)
