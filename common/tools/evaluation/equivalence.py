"""Whether several columns give the same number: two one-sided t-tests (Schuirmann 1987) for every pair of them.

Paired by seed. A seed gives every column the same initial values and the same batches, so that its values belong together: what
a seed brings to both is no difference between them, and in a GAN it is most of what varies. The paired test holds whatever
the correlation, and asks nothing of the two variances, where an independent one (Welch's) would count a shared disturbance as
noise. Its price, n - 1 degrees of freedom for 2n - 2, is small from ten seeds on. It is chosen for that reason, before any value
is seen, for all pairs.

Corrected by Holm within the family of all pairs of one measure of one model, tests of equivalence and tests of difference each:
a reader takes a single pair out of a row ("PyTorch and JAX agree on this"), and is misled by any wrong one in it. Another measure
is another claim and a family of its own.

A margin that is a ratio is a test on logarithms, as in trials of bioequivalence.
"""

import functools
import itertools
import math
from dataclasses import dataclass

import numpy as np
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

ALPHA = 0.05  # chance of a wrong "equivalent", and of a wrong "different", anywhere in a family
POWER = 0.8  # that as many seeds should have as a verdict asks for
MOST_SEEDS = 10_000
EQUIVALENT, DIFFERENT, UNDECIDED = "equivalent within δ", "different", "undecided"


@dataclass(frozen=True)
class Margin:
    """δ of one measure, and why. With `ratio` two means may be up to a factor of `value` apart, else up to `value`."""

    value: float
    reason: str
    ratio: bool = False

    @property
    def width(self) -> float:
        """δ on the scale that is tested on."""
        return math.log(self.value) if self.ratio else self.value

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """`values` on the scale that is tested on; NaN where there is no logarithm."""
        if not self.ratio:
            return values
        return np.log(values, out=np.full(len(values), np.nan), where=values > 0)


@dataclass(frozen=True)
class Verdict:
    """On one pair. p-values are Holm's; differences and deviations are of a - b, of the logarithms where δ is a ratio; None
    where there is none. `power`: of as many seeds to show equivalence at a true difference of 0, at this deviation and at the
    strictest level that Holm may ask for. `needed`: about so many seeds would decide."""

    a: str
    b: str
    verdict: str
    why: str
    seeds: tuple[int, ...]
    difference: float | None = None
    deviation: float | None = None
    p_equivalent: float | None = None
    p_different: float | None = None
    power: float | None = None
    needed: int | None = None

    @property
    def significant(self) -> bool:
        """Whether the two are certainly not the same, inside δ or not."""
        return self.p_different is not None and self.p_different <= ALPHA


def judge(values: dict[str, dict[int, float]], margin: Margin | None) -> list[Verdict]:
    """A verdict on every pair of columns, of their `values` {column: {seed: value}}.

    Equivalent within δ where the test of equivalence says so, also where the difference is significant too: the two are then
    known to differ by less than what matters, and `why` says it. Different where equivalence is not shown and the difference is
    significant. Undecided otherwise, and wherever a test would have nothing to say: no margin, fewer than two seeds that both
    have, a value that is not finite (a run that failed is no reason to leave its seed out), differences that do not vary.
    """
    pairs = list(itertools.combinations(values, 2))
    found = [_differences(values, a, b, margin) for a, b in pairs]
    tested = [_test(differences, margin) if not why else (1.0, 1.0) for differences, _, why in found]
    if not pairs:
        return []
    equivalent, different = (multipletests(p, ALPHA, method="holm")[1] for p in zip(*tested, strict=True))
    rows = zip(pairs, found, equivalent, different, strict=True)
    return [_verdict(*pair, *one, margin, p, q, ALPHA / len(pairs)) for pair, one, p, q in rows]


def _differences(values, a, b, margin):
    """(differences a - b, their seeds, why they cannot be tested or "")."""
    seeds = tuple(sorted(values[a].keys() & values[b].keys()))
    if margin is None:
        return np.array([]), seeds, "no margin is stated for this measure"
    one, other = (margin.scaled(np.array([values[x][seed] for seed in seeds], float)) for x in (a, b))
    for name, numbers in ((a, one), (b, other)):
        if bad := [str(seed) for seed, good in zip(seeds, np.isfinite(numbers), strict=True) if not good]:
            return (
                np.array([]),
                seeds,
                f"{name} has no finite value for {'seed' + 's' * (len(bad) > 1)} {', '.join(bad)}",
            )
    if len(seeds) < 2:
        return one - other, seeds, "there are not two seeds that both have"
    if np.ptp(one - other) <= 1e-12 * max(np.abs(one).max(), np.abs(other).max()):
        return one - other, seeds, "the difference does not vary from seed to seed, so that a t-test says nothing"
    return one - other, seeds, ""


def _test(differences, margin):
    """(p of the test of equivalence, p of the test of a difference), of one pair alone; differences (n,), or of many (n, K)."""
    equivalent = ttost_paired(differences, np.zeros_like(differences), -margin.width, margin.width)[0]
    return equivalent, stats.ttest_1samp(differences, 0).pvalue


def _verdict(a, b, differences, seeds, why, margin, p, q, alpha):
    if why:
        mean = float(differences.mean()) if len(differences) else None
        return Verdict(a, b, UNDECIDED, why, seeds, mean)
    mean, deviation, n = float(differences.mean()), float(differences.std(ddof=1)), len(seeds)
    reached = power(n, deviation, margin.width, alpha)
    of = {"seeds": seeds, "difference": mean, "deviation": deviation, "p_equivalent": float(p), "p_different": float(q)}
    of["power"] = reached
    if p <= ALPHA:
        return Verdict(a, b, EQUIVALENT, "and different, by less than δ" if q <= ALPHA else "", **of)
    if q <= ALPHA:
        return Verdict(a, b, DIFFERENT, "", **of)
    needed, why = seeds_needed(deviation, margin.width, alpha), ""
    if needed is not None and needed <= n:  # a difference is seen that is not 0
        needed, why = seeds_needed(deviation, margin.width, alpha, mean), "the difference lies near δ"
    return Verdict(a, b, UNDECIDED, why, **of, needed=needed)


def power(n: int, deviation: float, margin: float, alpha: float, difference: float = 0.0) -> float:
    """Chance that two paired one-sided t-tests at level `alpha` both reject with `n` pairs, whose differences are normal about
    a true `difference` with this `deviation` (Phillips 1990, J. Pharmacokinet. Biopharm. 18(2)): the mean's distribution,
    averaged over that of the deviation that is found."""
    # Both reject where |mean| < margin - t·found·deviation/√n.
    scale = math.sqrt(n) / deviation
    reach = margin * scale - stats.t.ppf(1 - alpha, n - 1) * _deviations(n - 1)
    shift = difference * scale
    inside = stats.norm.cdf(reach - shift) - stats.norm.cdf(-reach - shift)
    return float(np.where(reach > 0, inside, 0.0).mean())


@functools.cache
def _deviations(free):
    """The deviations that are found with so many degrees of freedom, over the true one: their quantiles."""
    return np.sqrt(stats.chi2.ppf((np.arange(4000) + 0.5) / 4000, free) / free)


def seeds_needed(deviation: float, margin: float, alpha: float, difference: float = 0.0) -> int | None:
    """The fewest pairs that have POWER; None if MOST_SEEDS have not."""
    if power(MOST_SEEDS, deviation, margin, alpha, difference) < POWER:
        return None
    few, enough = 1, MOST_SEEDS
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (
            (few, middle) if power(middle, deviation, margin, alpha, difference) >= POWER else (middle, enough)
        )
    return enough
