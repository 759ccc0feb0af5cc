"""How much of each factor a code carries, against closed forms and an enumeration of all outcomes.

Where samples are a full grid, every combination of the factors' values equally often, its counts are the probabilities, so that
what a formula says of the distribution holds of the samples exactly.
"""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from common.tools.evaluation import dci, factors
from common.tools.evaluation.dci import completeness, disentanglement, importances
from common.tools.evaluation.matching import NONE, match, match_each

TURN = 2 * np.pi


def grid(*sizes, times=1):
    """Each combination of a value from 0 to size - 1 per column, so many times: (times · product of sizes, columns)."""
    return np.array(list(itertools.product(*map(range, sizes))) * times)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def entropy(values):
    """In nats, by counting."""
    counts = Counter(values)
    return -sum(n / len(values) * math.log(n / len(values)) for n in counts.values())


def shared(a, b):
    """Mutual information in nats: H(a) + H(b) - H(a, b)."""
    a, b = a.tolist(), b.tolist()
    return entropy(a) + entropy(b) - entropy(list(zip(a, b, strict=True)))


# ------------------------------------------------------------------------------------------------ rank correlation


def test_correlations_are_scipys():
    codes, known = np.round(normal(200, 3), 1), np.round(normal(200, 2, seed=1), 1)  # rounded: with ties
    known[:, 0] -= codes[:, 1]
    expected = [[abs(stats.spearmanr(code, factor).statistic) for factor in known.T] for code in codes.T]
    found = factors.correlations(codes, known)
    assert found == pytest.approx(np.array(expected), abs=1e-12)
    assert found[1, 0] > 0.5


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(*2 * [st.integers(-20, 20)]), min_size=3, max_size=40))
def test_a_monotone_map_changes_no_correlation(pairs):
    """e^x and -x³ of a code; integers, so that no map rounds two values to one."""
    code, factor = np.array(pairs, float).T
    codes = np.column_stack([code, np.exp(code), -(code**3)])
    found = factors.correlations(codes, factor[:, None])
    assert found == pytest.approx(np.full((3, 1), found[0, 0]), abs=1e-9)
    assert np.all((found >= 0) & (found <= 1 + 1e-12))


def test_what_does_not_vary_correlates_with_nothing():
    steady = np.full((50, 1), 0.1)
    assert factors.correlations(steady, normal(50, 2)).tolist() == [[0, 0]]
    assert factors.correlations(normal(50, 1), steady).tolist() == [[0]]
    assert factors.circular_correlations(steady, normal(50)).tolist() == [0]
    for angle in np.linspace(0, 6, 20):  # some have a mean cosine that rounds to another number than each is
        assert factors.circular_correlations(normal(77, 1), np.full(77, angle)) == pytest.approx([0], abs=1e-9)


# ------------------------------------------------------------------------------------------------ correlation on a circle


def test_circular_correlation_of_a_ramp_and_of_a_cosine():
    """∫ over the circle: a ramp has a covariance of -1 with the sine, variances of π²/3 and 1/2; a cosine's ranks make a triangle
    of variance 1/3, whose covariance with the cosine is 4/π². Twice around is at right angles to once around."""
    angles = TURN * (np.arange(20_000) + 0.5) / 20_000
    codes = np.column_stack([angles, np.cos(angles), np.cos(angles - 1), np.cos(2 * angles)])
    ramp, cosine = math.sqrt(6) / math.pi, 4 * math.sqrt(6) / math.pi**2
    assert factors.circular_correlations(codes, angles) == pytest.approx([ramp, cosine, cosine, 0], abs=1e-3)
    assert factors.correlations(codes, angles[:, None])[1, 0] < 1e-3  # which is why there is a circular one


def test_circular_correlation_is_mardias_formula():
    angles, codes = np.random.default_rng(3).uniform(-1, 2, 300), normal(300, 3)  # half of the circle: rcs is not 0
    codes[:, 0] += angles
    ranks, cos, sin = stats.rankdata(codes, axis=0), np.cos(angles), np.sin(angles)
    between = np.corrcoef(cos, sin)[0, 1]
    for rank, found in zip(ranks.T, factors.circular_correlations(codes, angles), strict=True):
        c, s = np.corrcoef(rank, cos)[0, 1], np.corrcoef(rank, sin)[0, 1]
        assert found**2 == pytest.approx((c**2 + s**2 - 2 * c * s * between) / (1 - between**2), abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.floats(-10, 10), st.integers(0, 2**32 - 1))
def test_it_does_not_matter_where_the_circle_is_cut(offset, seed):
    random = np.random.default_rng(seed)
    angles, code = random.uniform(0, TURN, 60), random.normal(size=(60, 1))
    found = factors.circular_correlations(code, angles)
    for other in ((angles + offset) % TURN, -angles):
        assert factors.circular_correlations(np.exp(code), other) == pytest.approx(found, abs=1e-9)


def test_angles_at_two_opposite_places_have_one_wave_only():
    """There cos and sin say the same, and Mardia's formula is 0 / 0: what is left is the correlation with one of them."""
    angles, code = np.tile([0.5, 0.5 + math.pi], 50), normal(100, 1)
    expected = abs(np.corrcoef(stats.rankdata(code), np.cos(angles))[0, 1])
    assert factors.circular_correlations(code, angles) == pytest.approx([expected], abs=1e-9)


# ------------------------------------------------------------------------------------------------ information and its gap


def test_information_of_a_sum_and_of_its_parts():
    """a, b and c uniform and independent; codes a + b, b and one that does not vary."""
    of = grid(3, 4, 2, times=2)
    codes = np.column_stack([of[:, 0] + of[:, 1], of[:, 1], np.full(len(of), 0.1)])
    found = factors.information(codes, of)
    expected = np.array([[shared(code, factor) for factor in of.T] for code in codes[:, :2].astype(int).T])
    assert found == pytest.approx(np.vstack([expected, np.zeros(3)]), abs=1e-12)
    # In closed form: I(a + b; a) = H(a + b) - H(b), and a + b takes 0 to 5 with 1, 2, 3, 3, 2, 1 of 12.
    total = -sum(p * math.log(p) for p in np.array([1, 2, 3, 3, 2, 1]) / 12)
    assert found[0] == pytest.approx([total - math.log(4), total - math.log(3), 0], abs=1e-12)
    assert factors.entropies(of) == pytest.approx(np.log([3, 4, 2]))
    # The gaps: a is told by the sum alone; of b its own code leads the sum by H(b) - I(a + b; b); of c nothing is told.
    gaps = factors.gaps(found / factors.entropies(of))
    b = (math.log(4) - (total - math.log(3))) / math.log(4)
    assert gaps == pytest.approx([(total - math.log(4)) / math.log(3), b, 0], abs=1e-12)


def test_a_code_is_cut_into_20_bins_of_equal_width():
    """Of a code spread evenly over 40 classes each bin holds two: ln 20 of ln 40 are told. A far value pushes all others into
    one bin, as disentanglement_lib's histogram has it."""
    of = grid(40, times=3)
    assert factors.information(of.astype(float), of) == pytest.approx(np.array([[math.log(20)]]))
    far = np.append(of, 10_000)[:, None]
    assert factors.information(far, far) == pytest.approx(np.array([[entropy([0] * 120 + [1])]]))


@pytest.mark.parametrize("size", range(2, 21))
def test_a_category_is_not_cut(size):
    of = grid(size, times=2)
    assert factors.information(of, of) == pytest.approx(np.array([[math.log(size)]]))


def test_codes_that_tell_nothing():
    """On a grid exactly nothing; of random ones 2N times the information is χ² with (20 - 1)(10 - 1) degrees of freedom."""
    of = grid(5, 6)
    assert factors.information(of[:, :1], of[:, 1:]) == pytest.approx(np.zeros((1, 1)), abs=1e-12)
    count, random = 10_000, np.random.default_rng(4)
    codes, known = random.uniform(size=(count, 6)), random.uniform(size=(count, 3))
    of = np.column_stack([factors.classes(column)[0] for column in known.T])
    told = factors.information(codes, of)
    free = 19 * 9
    low, high = stats.chi2(free).ppf([1e-6, 1 - 1e-6]) / (2 * count)
    assert low < told.min() <= told.max() < high
    assert told.mean() == pytest.approx(free / (2 * count), rel=0.1)
    assert np.all(factors.gaps(told / factors.entropies(of)) < high / math.log(10))
    assert factors.correlations(codes, known).max() < 5 / math.sqrt(count)  # deviation 1 / √(N - 1)


def test_a_gap_needs_two_codes():
    with pytest.raises(ValueError, match="a gap between 1 code; expected two or more"):
        factors.gaps(np.ones((1, 3)))


def test_factors_are_classes():
    """Few values are a class each, wherever they lie; many are ten bins of as many samples, the test's by the same cuts."""
    few, test = factors.classes(np.array([90.0, -5, 0, 90, -5]), np.array([0, 91, 44, 46, -6.0]))
    assert (few.tolist(), test.tolist()) == ([2, 0, 1, 2, 0], [1, 2, 1, 2, 0])
    cubes = np.random.default_rng(0).permutation(1000) ** 3
    many, test = factors.classes(cubes, np.array([-1, 99**3, 101**3, 10**9 + 1]))
    assert np.bincount(many).tolist() == [100] * 10
    assert test.tolist() == [0, 0, 1, 9]


# ------------------------------------------------------------------------------------------------ trees


def test_disentanglement_and_completeness_by_hand():
    """Three codes, two factors. Rows (1/2, 1/2), (1/2, 0), (0, 1/2): entropies to base 2 are 1, 0 and 0, weights 1/2, 1/4, 1/4.
    Columns (1/2, 1/2, 0) and (1/2, 0, 1/2): entropies to base 3 are ln 2 / ln 3."""
    matrix = np.array([[1, 1], [1, 0], [0, 1]]) / 2
    assert disentanglement(matrix) == pytest.approx(1 / 2)
    assert completeness(matrix) == pytest.approx(1 - math.log(2) / math.log(3))


def test_weights_are_parts_of_the_whole():
    """Rows (3, 1) and (0, 1), weights 4/5 and 1/5; columns (3, 0) and (1, 1), weights 3/5 and 2/5."""
    quarter = -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25))
    assert disentanglement(np.array([[3, 1], [0, 1]])) == pytest.approx(0.8 * (1 - quarter) + 0.2)
    assert completeness(np.array([[3, 1], [0, 1]])) == pytest.approx(0.6)


def test_extremes_of_an_importance_matrix():
    assert disentanglement(np.ones((4, 3))) == pytest.approx(0) == completeness(np.ones((4, 3)))
    assert disentanglement(np.eye(3)[[2, 0, 1]]) == 1 == completeness(np.eye(3)[[2, 0, 1]])
    one_for_all = np.array([[1, 1, 1], [0, 0, 0]])
    assert (disentanglement(one_for_all), completeness(one_for_all)) == (pytest.approx(0), 1)
    assert disentanglement(np.zeros((3, 2))) == 0 == completeness(np.zeros((3, 2)))
    for matrix, measure in ((np.ones((3, 1)), disentanglement), (np.ones((1, 3)), completeness)):
        with pytest.raises(ValueError, match="expected two codes and two factors or more"):
            measure(matrix)


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 6), st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_scores_are_scipys_entropies(n_codes, n_factors, seed):
    """And do not depend on an order, nor on the scale of all."""
    random = np.random.default_rng(seed)
    matrix = random.uniform(size=(n_codes, n_factors)) ** 4
    rows = 1 - stats.entropy(matrix, axis=1, base=n_factors)
    columns = 1 - stats.entropy(matrix, axis=0, base=n_codes)
    for shuffled in (matrix, 7 * matrix[random.permutation(n_codes)][:, random.permutation(n_factors)]):
        assert disentanglement(shuffled) == pytest.approx(np.average(rows, weights=matrix.sum(axis=1)), abs=1e-12)
        assert completeness(shuffled) == pytest.approx(np.average(columns, weights=matrix.sum(axis=0)), abs=1e-12)


def test_trees_on_rotated_codes():
    """a + b and a - b tell both factors, together all and each the half of it (by the symmetry of b in 2 - b)."""
    of = grid(3, 3, times=4)
    codes = np.column_stack([of[:, 0] + of[:, 1], of[:, 0] - of[:, 1]])
    found, accuracies = importances(codes, of, codes, of)
    assert found.sum(axis=0) == pytest.approx([1, 1])
    assert found == pytest.approx(np.full((2, 2), 0.5), abs=0.1)  # which of two equal splits a tree takes is chance
    assert max(disentanglement(found), completeness(found)) < 0.03  # 1 less the entropy of (0.4, 0.6)
    assert accuracies.tolist() == [1, 1]


def test_trees_on_codes_that_tell_nothing():
    """Accuracies are chance within five standard deviations; what the trees learn by heart they spread over all codes."""
    random = np.random.default_rng(6)
    codes, of = random.normal(size=(1300, 4)), random.integers(2, size=(1300, 2))
    found, accuracies = importances(codes[:300], of[:300], codes[300:], of[300:])
    assert accuracies == pytest.approx([1 / 2, 1 / 2], abs=5 * math.sqrt(1 / 4 / 1000))
    assert max(disentanglement(found), completeness(found)) < 0.1  # no closed form; codes that are factors have 1


# ------------------------------------------------------------------------------------------------ all of it


@pytest.fixture
def few_trees(monkeypatch):
    """Where trees are not what is looked at."""
    monkeypatch.setitem(dci.TREES, "n_estimators", 2)


def named(table, names):
    return dict(zip(names, table.T, strict=True))


def test_codes_that_are_the_factors():
    """In another order, scaled, shifted and one turned round: all that can be told is told, each by its own."""
    of, order = grid(3, 4, 2, times=3), [2, 0, 1]
    codes, known = named(of[:, order] * [-2.0, 3, 0.1] + [0, 1, 7], "xyz"), named(of, ("azimuth", "lighting", "width"))
    found = factors.carried(codes, known, codes, known)
    assert (found.codes, found.factors) == (("x", "y", "z"), ("azimuth", "lighting", "width"))
    permutation = np.eye(3)[order]
    for matrix in (found.correlation, found.information, found.importance):
        assert matrix == pytest.approx(permutation, abs=1e-9)
    scores = found.mig, found.disentanglement, found.completeness, found.informativeness
    assert scores == pytest.approx((1, 1, 1, 1), abs=1e-9)
    assert found.gaps == pytest.approx([1, 1, 1]) and found.accuracies.tolist() == [1, 1, 1]
    assert found.chances == pytest.approx([1 / 3, 1 / 4, 1 / 2])


def test_a_code_that_holds_two_factors():
    """a + 3b names both of 3 × 4 values, and the second code nothing: complete, and not disentangled."""
    of = grid(3, 4, 2, times=4)
    codes, of = {"both": of[:, 0] + 3 * of[:, 1], "none": of[:, 2]}, named(of[:, :2], "ab")
    found = factors.carried(codes, of, codes, of)
    assert found.information[0] == pytest.approx([1, 1])
    assert found.mig == pytest.approx(1)  # the gap does not see that one code has two
    assert (found.disentanglement, found.completeness) == pytest.approx((0, 1), abs=1e-9)


def test_the_gap_is_in_parts_of_the_factors_entropy(few_trees):
    """Codes a + b and b: the sum's I(a + b; a) = H(a + b) - ln 4 is all that is told of a; of b its own code tells all."""
    of = grid(3, 4, times=2)
    codes, of = {"sum": of[:, 0] + of[:, 1], "b": of[:, 1]}, named(of, "ab")
    found, total = factors.carried(codes, of, codes, of), entropy(codes["sum"].tolist())
    expected = [(total - math.log(4)) / math.log(3), 1 - (total - math.log(3)) / math.log(4)]
    assert found.gaps == pytest.approx(expected)
    assert found.mig == pytest.approx(sum(expected) / 2)


def test_an_angle_is_a_circle_where_a_period_is_given(few_trees):
    """A cosine at 22.5°, 67.5° and so on has four values, whose ranks lie as 3, 1, -1 and -3; the other factor is untouched."""
    eighths, width = grid(8, 2).T
    codes = {"wave": np.round(np.cos(TURN / 8 * (eighths + 0.5)), 9), "width": width}
    of = {"width": width, "azimuth": eighths}
    line, circle = (factors.carried(codes, of, codes, of, periods) for periods in (None, {"azimuth": 8}))
    expected = (3 * math.cos(math.pi / 8) + math.cos(3 * math.pi / 8)) / 2 / math.sqrt(5 / 2)
    assert circle.correlation[0, 1] == pytest.approx(expected, abs=1e-6)
    assert line.correlation[0, 1] < 0.5
    assert np.array_equal(line.correlation[:, 0], circle.correlation[:, 0])
    assert circle.correlation[1] == pytest.approx([1, 0], abs=1e-9)


def test_trees_are_judged_on_the_test_alone():
    """Where the test's factors are swapped, what was learnt is wrong; correlations are of the training samples. In whatever order
    the test has its names."""
    of = grid(2, 2, times=10)
    codes, known = named(of, "xy"), named(of, "ab")
    found = factors.carried(codes, known, named(of[:8], "xy"), named(1 - of[:8], "ab"))
    assert (found.informativeness, found.samples) == (0, (40, 8))
    assert factors.carried(codes, known, named(of[:, ::-1], "yx"), named(of[:, ::-1], "ba")).informativeness == 1
    assert found.correlation == pytest.approx(np.eye(2), abs=1e-9)


def test_what_is_wrong_is_said():
    of = named(grid(2, 2, times=5), "ab")
    with pytest.raises(ValueError, match="factor b does not vary"):
        factors.carried(of, of | {"b": np.zeros(20)}, of, of)
    with pytest.raises(ValueError, match="a has values that are not finite"):
        factors.carried(of | {"a": np.full(20, np.nan)}, of, of, of)
    with pytest.raises(ValueError, match=r"\[19, 20\] rows"):
        factors.carried(of, of | {"b": np.arange(19)}, of, of)
    with pytest.raises(ValueError, match="1 codes and 2 factors; expected two of each or more"):
        factors.carried({"a": of["a"]}, of, {"a": of["a"]}, of)
    for wrong in ({"test_codes": {"a": of["a"]}}, {"test_factors": {"b": of["a"]}}, {"periods": {"c": 360}}):
        with pytest.raises(ValueError, match="different names"):
            factors.carried(**{"codes": of, "factors": of, "test_codes": of, "test_factors": of, **wrong})


# ------------------------------------------------------------------------------------------------ categories


def samples(counts):
    """(categories, labels) whose table of counts this is."""
    rows, columns = np.indices(np.shape(counts))
    return (np.repeat(index.ravel(), np.ravel(counts)) for index in (rows, columns))


def test_matching_of_a_known_table():
    """What is largest in each row is not the best for all: 5 + 9 + 2 of 30 are right, where 9 + 5 + 1 would be fewer."""
    error, matched = match(*samples([[9, 5, 1], [9, 1, 0], [2, 1, 2]]), classes=3)
    assert (error, matched.tolist()) == (pytest.approx(14 / 30), [1, 0, 2])


def test_matching_with_more_categories_than_labels_and_with_fewer():
    table = [[8, 0], [3, 4], [0, 5]]
    error, matched = match(*samples(table), classes=3, kinds=2)
    assert (error, matched.tolist()) == (pytest.approx(7 / 20), [0, NONE, 1])
    error, matched = match(*samples(np.transpose(table)), classes=2, kinds=3)
    assert (error, matched.tolist()) == (pytest.approx(7 / 20), [0, 2])


def test_each_code_is_matched_with_each_factor():
    """Digit, ground and colour on a grid; codes that are the colour renamed, and the digit with its last two taken for one."""
    of = grid(5, 2, 3)
    digit, ground, colour = of.T
    categories = np.column_stack([(colour + 1) % 3, np.minimum(digit, 3)])
    # Independent: of k categories and v values min(k, v) pairs of 1 / (k v) each are right.
    renamed = [1 - 3 / 15, 1 - 2 / 6, 0]
    # Categories 0, 1 and 2 hold 6 of 30 samples each and category 3 holds 12, spread evenly over grounds and colours.
    coarse = [1 - (3 * 6 + 6) / 30, 1 - (12 / 2 + 6 / 2) / 30, 1 - (12 / 3 + 6 / 3 + 6 / 3) / 30]
    assert match_each(categories, of) == pytest.approx(np.array([renamed, coarse]))
