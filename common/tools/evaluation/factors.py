"""How much of each factor that made an image (azimuth, lighting, width) each code of a model carries.

Rank correlations, mutual information and its gap; dci.py has what trees make of the codes. Codes are (N, n_codes), factors
(N, n_factors), a row per image. A category is a code of integers: in 20 bins its information is exact up to 20 of them, while a
correlation with its arbitrary order says little.
"""

from dataclasses import asdict, dataclass, fields

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import mutual_info_score

from common.tools.evaluation.dci import completeness, disentanglement, importances
from common.tools.evaluation.labels import chance_error

CODE_BINS = 20  # as in disentanglement_lib's study
FACTOR_BINS = 10  # of a continuous factor, whose entropy is then ln 10
FEW = 20  # a factor with so many values or fewer is discrete


@dataclass(frozen=True)
class Carried:
    """What codes carry of factors, all between 0 and 1. Matrices are (n_codes, n_factors), vectors (n_factors,).

    `correlation` is the circular one where a factor is periodic. `information` is a code's mutual information with the factor, in
    parts of the factor's entropy; `gaps` are the differences of the two largest of a factor, `mig` their mean. `accuracies` are
    the trees' on the test samples, `informativeness` their mean, `chances` what naming the commonest class would reach. `samples`
    are those of training and test; scores are compared at equal ones only.
    """

    codes: tuple[str, ...]
    factors: tuple[str, ...]
    correlation: np.ndarray
    information: np.ndarray
    gaps: np.ndarray
    mig: float
    importance: np.ndarray
    disentanglement: float
    completeness: float
    informativeness: float
    accuracies: np.ndarray
    chances: np.ndarray
    samples: tuple[int, int]

    def plain(self) -> dict:
        """In JSON's values."""
        return {name: np.asarray(value).tolist() for name, value in asdict(self).items()}

    @classmethod
    def read(cls, values: dict) -> "Carried":
        """Of what `plain` gave."""
        kinds = {np.ndarray: np.array, float: float}  # else a tuple
        return cls(**{one.name: kinds.get(one.type, tuple)(values[one.name]) for one in fields(cls)})


def carried(
    codes: dict[str, np.ndarray],
    factors: dict[str, np.ndarray],
    test_codes: dict[str, np.ndarray],
    test_factors: dict[str, np.ndarray],
    periods: dict[str, float] | None = None,
) -> Carried:
    """All measures of named codes and factors (N,); trees are fitted to the first two and judged on the other two.

    Correlations and information are taken of the first two alone. `periods` has the period of each factor that is an angle, in
    the factor's unit (360 for degrees). Raises ValueError if lengths or names differ, there is only one code or factor, a value
    is not finite or a factor does not vary.
    """
    periods = periods or {}
    same = codes.keys() == test_codes.keys() and factors.keys() == test_factors.keys()
    if not same or not periods.keys() <= factors.keys():
        raise ValueError("the codes and factors of training and test, and the periods, have different names")
    if len(codes) < 2 or len(factors) < 2:
        raise ValueError(f"{len(codes)} codes and {len(factors)} factors; expected two of each or more")
    # One order of names for both.
    x, known = _tables(codes, factors)
    test_x, test_known = _tables({k: test_codes[k] for k in codes}, {k: test_factors[k] for k in factors})
    found = correlations(x, known)
    for column, name in enumerate(factors):
        if name in periods:
            found[:, column] = circular_correlations(x, known[:, column] * (2 * np.pi / periods[name]))
    named = [classes(known[:, k], test_known[:, k]) for k in range(known.shape[1])]
    of, test_of = (np.column_stack(part) for part in zip(*named, strict=True))
    for column, name in enumerate(factors):
        if np.ptp(of[:, column]) == 0:
            raise ValueError(f"factor {name} does not vary; expected two values or more")
    told = information(x, of) / entropies(of)
    importance, accuracies = importances(x, of, test_x, test_of)
    return Carried(
        codes=tuple(codes),
        factors=tuple(factors),
        correlation=found,
        information=told,
        gaps=gaps(told),
        mig=float(np.mean(gaps(told))),
        importance=importance,
        disentanglement=disentanglement(importance),
        completeness=completeness(importance),
        informativeness=float(np.mean(accuracies)),
        accuracies=accuracies,
        chances=np.array([1 - chance_error(column) for column in test_of.T]),
        samples=(len(x), len(test_x)),
    )


def _tables(codes, factors):
    """(codes (N, n_codes), factors (N, n_factors)), after a look at both."""
    rows = {len(values) for values in (*codes.values(), *factors.values())}
    if len(rows) != 1:
        raise ValueError(f"codes and factors have {sorted(rows)} rows; expected as many each")
    for name, values in (*codes.items(), *factors.items()):
        if not np.all(np.isfinite(values)):
            raise ValueError(f"{name} has values that are not finite")
    return tuple(np.column_stack([*part.values()]).astype(np.float64) for part in (codes, factors))


def correlations(codes: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """(n_codes, n_factors): |Spearman's rank correlation|; 0 where a code or a factor does not vary, which has none."""
    return np.abs(_correlations(rankdata(codes, axis=0), rankdata(factors, axis=0)))


def circular_correlations(codes: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """(n_codes,): circular-linear correlation of the codes' ranks with `angles` (N,) in radians, wherever the circle is cut.

    The multiple correlation R of a rank x with cos and sin of the angle (Mardia 1976, Biometrika 63(2), 403-405):
    R² = (rxc² + rxs² - 2 rxc rxs rcs) / (1 - rcs²). Ranks, so that a monotone map of a code changes nothing, as in `correlations`.
    One wave around the circle is what R sees: of angles spread evenly it is √6/π = 0.780 for a code that grows with the angle all
    around and 4√6/π² = 0.993 for a cosine, which tells less; how much is told, `information` says. 0 where a code does not vary.
    """
    waves = np.column_stack([np.cos(angles), np.sin(angles)])
    both, between = _correlations(rankdata(codes, axis=0), waves), _correlations(waves, waves)
    # By the pseudo-inverse: the formula's denominator is 0 where all angles lie on one line through the circle.
    squares = np.einsum("ij,jk,ik->i", both, np.linalg.pinv(between, hermitian=True), both)
    return np.sqrt(np.clip(squares, 0, 1))


def _correlations(a, b):
    """(columns of a, columns of b): Pearson's; 0 where one does not vary."""
    a, b = (x - x.mean(axis=0) for x in (a, b))
    scale = np.outer(np.linalg.norm(a, axis=0), np.linalg.norm(b, axis=0))
    return np.divide(a.T @ b, scale, out=np.zeros(scale.shape), where=scale > 0)


def classes(factor: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """`factor` (N,) as integers, and `others` by the same cuts.

    FEW distinct values or fewer are a class each, and a value between two goes to the nearer; more are cut into FACTOR_BINS bins
    of as many samples each, which, as ranks do, forget the factor's scale.
    """
    values = np.unique(factor)
    if len(values) <= FEW:
        cuts = (values[1:] + values[:-1]) / 2
    else:
        cuts = np.unique(np.quantile(factor, np.arange(1, FACTOR_BINS) / FACTOR_BINS))
    return [np.digitize(part, cuts) for part in (factor, *others)]


def information(codes: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """(n_codes, n_factors): mutual information in nats of each code, in CODE_BINS bins of equal width, with each factor's classes.

    As disentanglement_lib computes it (disentanglement_lib/evaluation/metrics/utils.py). It is that of the samples' table of
    counts, which for a code that tells nothing lies above 0 by about (bins - 1)(classes - 1) / 2N.
    """
    bins = [np.digitize(code, np.histogram(code, CODE_BINS)[1][:-1]) for code in codes.T]
    return np.array([[mutual_info_score(factor, code) for factor in classes.T] for code in bins])


def entropies(classes: np.ndarray) -> np.ndarray:
    """(n_factors,): entropy of each factor's classes in nats."""
    return np.array([mutual_info_score(factor, factor) for factor in classes.T])


def gaps(told: np.ndarray) -> np.ndarray:
    """(n_factors,): how much more of a factor its best code tells than its second, of information in parts of its entropy.

    Their mean is the mutual information gap, MIG (Chen et al. 2018, arXiv 1802.04942, section 4.1;
    disentanglement_lib/evaluation/metrics/mig.py). Raises ValueError with fewer than two codes.
    """
    if len(told) < 2:
        raise ValueError(f"a gap between {len(told)} code; expected two or more")
    second, first = np.sort(told, axis=0)[-2:]
    return first - second
