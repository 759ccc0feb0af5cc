"""The tests of equivalence against published values, closed forms and simulated data whose truth is known."""

import gc
import itertools

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from common.tools.evaluation import equivalence
from common.tools.evaluation.equivalence import (
    ALPHA,
    DIFFERENT,
    EQUIVALENT,
    POWER,
    UNDECIDED,
    Margin,
    judge,
    power,
    seeds_needed,
)

ONE = Margin(1.0, "as a test has it")


def by_seed(values, seeds=None):
    return dict(zip(seeds or range(len(values)), map(float, values), strict=True))


def columns(*values):
    return {name: by_seed(one) for name, one in zip("abcd", values, strict=False)}


@pytest.fixture
def families(monkeypatch):
    """Hundreds of families, of which nobody asks how many seeds they need; statsmodels collects all garbage at each."""
    monkeypatch.setattr(equivalence, "seeds_needed", lambda *_: None)
    monkeypatch.setattr(gc, "collect", lambda *_: 0)


def test_a_published_example():
    """That of pingouin's documentation, paired, bound 0.5: p = 0.954854."""
    (found,) = judge(columns([4, 7, 8, 6, 3, 2], [6, 8, 7, 10, 11, 9]), Margin(0.5, ""))
    assert found.p_equivalent == pytest.approx(0.954854, abs=5e-7)
    assert found.verdict == UNDECIDED


def test_by_hand():
    """Differences 1, 2, 3, 4, 5: mean 3, deviation √2.5, standard error √0.5."""
    (found,) = judge(columns([2, 4, 6, 8, 10], [1, 2, 3, 4, 5]), Margin(5, ""))
    assert (found.difference, found.deviation) == pytest.approx((3, 2.5**0.5))
    assert found.p_equivalent == pytest.approx(stats.t(4).sf((5 - 3) / 0.5**0.5))
    assert found.p_different == pytest.approx(2 * stats.t(4).sf(3 / 0.5**0.5))


def test_pairs_are_those_of_a_seed():
    """In whatever order the runs were read; a disturbance that a seed brings to both is none between them."""
    random = np.random.default_rng(1)
    shared, noise = random.normal(scale=100, size=12), random.normal(scale=0.5, size=(2, 12))
    a, b = by_seed(shared + noise[0]), by_seed(shared + noise[1])
    (found,) = judge({"a": a, "b": dict(reversed(b.items()))}, ONE)
    assert found.verdict == EQUIVALENT
    # Without pairs nothing could be said of them.
    assert (
        stats.ttest_ind(list(a.values()), [x + 1 for x in b.values()], alternative="less", equal_var=False).pvalue > 0.4
    )


def test_holm_by_hand():
    """Three columns: the least p counts three times, the next twice, none less than one before it."""
    random = np.random.default_rng(2)
    values = columns(*random.normal(size=(3, 8)))
    alone = {pair: judge({name: values[name] for name in pair}, ONE)[0] for pair in itertools.combinations(values, 2)}
    for p in ("p_equivalent", "p_different"):
        expected, least = {}, 0.0
        for rank, (pair, one) in enumerate(sorted(alone.items(), key=lambda item: getattr(item[1], p))):
            expected[pair] = least = min(1.0, max(least, (3 - rank) * getattr(one, p)))
        found = {(one.a, one.b): getattr(one, p) for one in judge(values, ONE)}
        assert found == pytest.approx(expected)


@pytest.mark.parametrize("margin", [Margin(0.5, ""), Margin(1.5, "", ratio=True)])
def test_wrong_equivalence_is_as_rare_as_it_says(margin):
    """Two columns that are exactly δ apart, 4,000 times: at most α are called equivalent, and little less than α."""
    random, times, n = np.random.default_rng(3), 4000, 10
    values = random.normal(margin.width, 0.1, size=(n, times))
    rate = np.mean(equivalence._test(values, margin)[0] <= ALPHA)
    assert rate == pytest.approx(ALPHA, abs=3 * (ALPHA * (1 - ALPHA) / times) ** 0.5)


def test_wrong_equivalence_in_a_family(families):
    """One column of four is δ away from three that are the same: three chances of a wrong "equivalent" in each family."""
    random, times, wrong = np.random.default_rng(4), 300, 0
    for _ in range(times):
        values = random.normal(scale=0.3, size=(4, 10))
        values[3] += ONE.value
        wrong += any(one.verdict == EQUIVALENT for one in judge(columns(*values), ONE) if one.b == "d")
    assert wrong / times <= ALPHA + 3 * (ALPHA * (1 - ALPHA) / times) ** 0.5


def test_wrong_difference_in_a_family(families):
    """Four columns that are the same, at a margin that nothing reaches."""
    random, times, wrong = np.random.default_rng(5), 300, 0
    for _ in range(times):
        wrong += any(one.verdict == DIFFERENT for one in judge(columns(*random.normal(size=(4, 10))), Margin(1e-3, "")))
    assert wrong / times <= ALPHA + 3 * (ALPHA * (1 - ALPHA) / times) ** 0.5


@pytest.mark.parametrize(
    ("n", "margin", "difference", "alpha"), [(10, 1.0, 0.0, 0.05), (5, 2.5, 0.0, 0.05 / 6), (20, 0.8, 0.3, 0.05 / 6)]
)
def test_power_is_the_rate_of_those_found_equivalent(n, margin, difference, alpha):
    random, times = np.random.default_rng(6), 4000
    values = random.normal(difference, 1, size=(n, times))
    rate = np.mean(equivalence._test(values, Margin(margin, ""))[0] <= alpha)
    expected = power(n, 1.0, margin, alpha, difference)
    assert 0.1 < expected < 0.95
    assert rate == pytest.approx(expected, abs=3 * (expected * (1 - expected) / times) ** 0.5)


@pytest.mark.parametrize(("n", "margin"), [(5, 4.0), (10, 1.5), (20, 1.0), (100, 0.35)])
def test_power_by_the_noncentral_t(n, margin):
    """One test alone fails by statsmodels' chance, and hardly ever both."""
    both = 2 * TTestPower().power(margin, n, ALPHA, alternative="larger") - 1
    assert 0.8 < both <= power(n, 1.0, margin, ALPHA) + 1e-4
    assert power(n, 1.0, margin, ALPHA) == pytest.approx(both, abs=2e-3)
    assert power(n, 3.0, 3 * margin, ALPHA) == pytest.approx(power(n, 1.0, margin, ALPHA))


@pytest.mark.parametrize(("margin", "difference"), [(0.1, 0.0), (0.5, 0.2), (3.0, 0.0)])
def test_no_fewer_seeds_have_the_power(margin, difference):
    n = seeds_needed(1.0, margin, ALPHA / 6, difference)
    assert power(n, 1.0, margin, ALPHA / 6, difference) >= POWER
    assert power(n - 1, 1.0, margin, ALPHA / 6, difference) < POWER


def test_more_seeds_than_anybody_trains():
    assert seeds_needed(1.0, 0.001, ALPHA) is None
    assert seeds_needed(1.0, 1.0, ALPHA, difference=1.0) is None  # at δ itself no number has it


def spread(mean, deviation, n=12):
    """n numbers with exactly this mean and deviation."""
    values = np.linspace(-1, 1, n)
    return mean + deviation * values / values.std(ddof=1)


@pytest.mark.parametrize(
    ("mean", "deviation", "verdict", "significant"),
    [
        (0.0, 0.2, EQUIVALENT, False),
        (0.5, 0.2, EQUIVALENT, True),
        (1.0, 0.2, DIFFERENT, True),
        (3.0, 0.2, DIFFERENT, True),
        (0.0, 3.0, UNDECIDED, False),
        (1.2, 3.0, UNDECIDED, False),
    ],
)
def test_verdicts(mean, deviation, verdict, significant):
    (found,) = judge({"a": by_seed(spread(7 + mean, deviation)), "b": by_seed(np.full(12, 7.0))}, ONE)
    assert (found.verdict, found.significant) == (verdict, significant)
    assert ("different, by less than δ" in found.why) == (verdict == EQUIVALENT and significant)
    if verdict == UNDECIDED:
        assert found.needed == seeds_needed(deviation, 1.0, ALPHA) > 12
    else:
        assert found.needed is None


def test_undecided_with_seeds_enough():
    """Were there no difference, so many would have shown it; what there seems to be needs more."""
    (found,) = judge({"a": by_seed(spread(0.5, 0.9)), "b": by_seed(np.zeros(12))}, Margin(0.9, ""))
    assert (found.verdict, found.why) == (UNDECIDED, "the difference lies near δ")
    assert seeds_needed(0.9, 0.9, ALPHA) <= 12 < found.needed == seeds_needed(0.9, 0.9, ALPHA, 0.5)


def test_a_ratio_is_judged_on_logarithms():
    b = np.exp(spread(3, 0.5))
    for factor, verdict in ((1.1, EQUIVALENT), (1 / 1.1, EQUIVALENT), (1.4, DIFFERENT), (1 / 1.4, DIFFERENT)):
        a = b * factor * np.exp(spread(0, 0.05)[::-1])
        (found,) = judge(columns(a, b), Margin(1.25, "", ratio=True))
        assert found.verdict == verdict
        assert np.exp(found.difference) == pytest.approx(factor)


def test_the_margin_is_that_of_both_directions():
    (one,) = judge(columns([1.0, 2.1, 3.2], [1.1, 2.0, 3.4]), ONE)
    (other,) = judge(columns([1.1, 2.0, 3.4], [1.0, 2.1, 3.2]), ONE)
    assert one.p_equivalent == pytest.approx(other.p_equivalent)
    assert one.difference == pytest.approx(-other.difference)


@pytest.mark.parametrize(
    ("a", "b", "why"),
    [
        ({0: 1.0}, {0: 1.0}, "there are not two seeds that both have"),
        ({0: 1.0, 1: 2.0}, {2: 1.0, 3: 1.5}, "there are not two seeds that both have"),
        ({}, {0: 1.0}, "there are not two seeds that both have"),
        ({0: 1.0, 1: 2.0, 2: 3.0}, {0: 1.0, 1: 2.0, 2: 3.0}, "the difference does not vary"),
        ({0: 0.1, 1: 0.2, 2: 0.3}, {0: 1.1, 1: 1.2, 2: 1.3}, "the difference does not vary"),
        ({0: 1.0, 1: np.nan, 2: 3.0}, {0: 1.5, 1: 2.0, 2: 2.0}, "a has no finite value for seed 1"),
        ({0: 1.0, 1: 2.0, 2: 3.0}, {0: 1.5, 1: np.inf, 2: np.nan}, "b has no finite value for seeds 1, 2"),
    ],
)
def test_what_cannot_be_tested_is_undecided(a, b, why):
    (found,) = judge({"a": a, "b": b}, ONE)
    assert (found.verdict, found.needed, found.p_equivalent) == (UNDECIDED, None, None)
    assert why in found.why


def test_what_cannot_be_tested_still_counts_in_its_family():
    values = columns(*np.random.default_rng(7).normal(size=(3, 8)))
    (alone,) = judge({name: values[name] for name in "ab"}, ONE)
    values["c"][0] = float("nan")
    found = judge(values, ONE)
    assert [one.p_equivalent is None for one in found] == [False, True, True]
    assert found[0].p_equivalent == pytest.approx(min(1.0, 3 * alone.p_equivalent))


def test_a_ratio_of_what_is_not_positive():
    (found,) = judge(columns([1.0, 2.0, 3.0], [1.0, 0.0, -3.0]), Margin(1.25, "", ratio=True))
    assert found.why == "b has no finite value for seeds 1, 2"


def test_without_a_margin():
    (found,) = judge(columns([1.0, 2.0], [1.5, 2.0]), None)
    assert (found.verdict, found.why) == (UNDECIDED, "no margin is stated for this measure")


def test_a_seed_that_one_lacks_is_left_out_of_that_pair_alone():
    values = columns(*np.random.default_rng(8).normal(size=(3, 5)))
    del values["c"][3]
    assert [one.seeds for one in judge(values, ONE)] == [(0, 1, 2, 3, 4), (0, 1, 2, 4), (0, 1, 2, 4)]


def test_one_column_has_no_pair():
    assert judge(columns([1.0, 2.0]), ONE) == []
