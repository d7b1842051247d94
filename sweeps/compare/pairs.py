"""Two arms against each other: tests, their correction over all pairs, and sizes of effects."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy import special, stats

from sweeps.compare.intervals import CONFIDENCE, Estimate, Scores, finite, spread
from sweeps.compare.seeds import seeds_needed

ALPHA = 0.05
PERMUTATIONS = 9999


@dataclass(frozen=True)
class Pair:
    """Two arms compared; `better` is the one with the better mean, by chance or not.

    Args:
        difference: How far `worse` lies behind, in the unit of the score and never negative, with
            Welch's interval (of this pair alone, not corrected for the others).
        ratio: Mean of `better` over mean of `worse`; None unless both are positive.
        effect: Hedges' g, the difference in standard deviations, corrected for few seeds.
        improvement: Probability that a run of `better` beats a run of `worse`.
        welch_p: None where an arm's seeds show no spread.
        permutation_floor: The least p that this many seeds can ever give.
        test: The one that decides, and gave `p`; `corrected_p` is Holm's over all pairs.
        needed: Seeds each arm would need to tell the difference seen; None where unknown.
    """

    better: str
    worse: str
    difference: Estimate
    ratio: float | None
    effect: float | None
    improvement: Estimate
    welch_p: float | None
    permutation_p: float
    permutation_floor: float
    test: str
    p: float
    corrected_p: float
    needed: int | None

    @property
    def separable(self) -> bool:
        """Whether the seeds tell the two apart."""
        return self.corrected_p <= ALPHA


def compare_pairs(scores: Mapping[str, Sequence[float]], goal: str) -> tuple[Pair, ...]:
    """All pairs of arms that have at least two scores each, the surest difference first.

    Welch's t test decides. It asks for no equal spreads, and with three seeds an arm it can reach
    any p, where a permutation test stops at 0.1 (five seeds: 0.008, which Holm's correction over
    six pairs leaves at 0.048). Where an arm's seeds are all alike, as counts of modes can be, t
    knows no error and the permutation test decides.

    All pairs are corrected for, although only the best arm is asked about: which arm is best was
    read from the same scores.
    """
    arms = {label: x for label, s in scores.items() if len(x := finite(s)) > 1}
    pairs = list(combinations(arms, 2))
    found = [_compare(a, b, arms[a], arms[b], goal, len(pairs)) for a, b in pairs]
    corrected = holm([pair.p for pair in found])
    found = [replace(pair, corrected_p=p) for pair, p in zip(found, corrected, strict=True)]
    return tuple(sorted(found, key=lambda pair: (pair.corrected_p, pair.p)))


def _compare(a: str, b: str, x: Scores, y: Scores, goal: str, pairs: int) -> Pair:
    sign = 1 if goal == "min" else -1
    if sign * x.mean() > sign * y.mean():
        a, b, x, y = b, a, y, x
    welch, permuted = welch_p(x, y), permutation_p(x, y)
    return Pair(
        better=a,
        worse=b,
        difference=difference(sign * y, sign * x),
        ratio=float(x.mean() / y.mean()) if min(x.mean(), y.mean()) > 0 else None,
        effect=hedges_g(sign * y, sign * x),
        improvement=probability_of_improvement(sign * x, sign * y),
        welch_p=welch,
        permutation_p=permuted,
        permutation_floor=permutation_floor(len(x), len(y)),
        test="permutation" if welch is None else "welch",
        p=permuted if welch is None else welch,
        corrected_p=1.0,
        needed=_needed(x, y, pairs),
    )


def _needed(x: Scores, y: Scores, pairs: int) -> int | None:
    """The plan for this pair, at the level of Holm's first step."""
    if spread(x) is None or spread(y) is None:
        if max(x.min(), y.min()) <= min(x.max(), y.max()):
            return None
        # As far apart as arms can be: the seeds with which the permutation test can say so.
        return next(n for n in range(2, 100) if permutation_floor(n, n) * pairs <= ALPHA)
    pooled = math.sqrt((x.var(ddof=1) + y.var(ddof=1)) / 2)
    return seeds_needed(abs(x.mean() - y.mean()) / pooled, alpha=ALPHA / pairs)


def welch_p(x: Scores, y: Scores) -> float | None:
    """Two-sided p of Welch's t test for unequal spreads; None where one shows no spread."""
    if spread(x) is None or spread(y) is None:
        return None
    error, freedom = welch(x, y)
    return float(2 * stats.t.sf(abs(x.mean() - y.mean()) / error, freedom))


def welch(x: Scores, y: Scores) -> tuple[Scores, Scores]:
    """Standard error of the difference of means along the last axis, and its degrees of freedom.

    Those of Satterthwaite (1946), rounded down, and as if both arms had as few seeds as the one
    with fewer. As they are they make the test too sharp for few seeds: of equal means it told up
    to 6 in 100 apart where spreads are as 1 to 10, and up to 17 where half of the arms have two or
    three seeds and the others more. So it is 5 at most for normal scores, and up to 5.7 for skewed
    ones of unlike spread, as Student's t of one skewed arm does (`benchmarks/error_rates.py`). The
    price is power: a difference of three standard deviations is seen by 58 in 100 pairs of three
    seeds, not 68; one of two by 75 in 100 pairs of five, not 76.
    """
    a, b = (z.var(axis=-1, ddof=1) / z.shape[-1] for z in (x, y))
    fewer = min(x.shape[-1], y.shape[-1])
    freedom = (fewer - 1) * (a + b) ** 2 / (a**2 + b**2)
    # Spreads that are equal but for the last digit shall not lose a whole degree.
    return np.sqrt(a + b), np.floor(freedom + 1e-9)


def permutation_p(x: Scores, y: Scores) -> float:
    """Two-sided p of the permutation test on the difference of means.

    Exact up to seven seeds an arm; beyond, from 9,999 permutations drawn with a fixed seed.
    """
    rng = np.random.default_rng(0)
    # Numbers that are all alike make SciPy warn of lost precision; the p of 1 is right.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        result = stats.permutation_test(
            (x, y),
            lambda u, v, axis: u.mean(axis=axis) - v.mean(axis=axis),
            vectorized=True,
            n_resamples=PERMUTATIONS,
            random_state=rng,
        )
    return float(result.pvalue)


def permutation_floor(n: int, m: int) -> float:
    """The least two-sided p of a permutation test with n and m seeds: 2 over n + m choose n."""
    return max(min(1.0, 2 / math.comb(n + m, n)), 2 / (PERMUTATIONS + 1))


def holm(ps: Sequence[float]) -> list[float]:
    """P values corrected so that any false call is as rare as one test's (Holm 1979)."""
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    corrected, highest = [0.0] * len(ps), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[i]))
        corrected[i] = highest
    return corrected


def difference(x: Scores, y: Scores) -> Estimate:
    """Mean of x minus mean of y, with Welch's interval."""
    value = float(x.mean() - y.mean())
    if spread(x) is None or spread(y) is None:
        return Estimate(value)
    error, freedom = welch(x, y)
    return Estimate.around(value, float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * error))


def hedges_g(x: Scores, y: Scores) -> float | None:
    """Difference of means over the pooled standard deviation, without its bias (Hedges 1981)."""
    freedom = len(x) + len(y) - 2
    pooled = math.sqrt(((len(x) - 1) * x.var(ddof=1) + (len(y) - 1) * y.var(ddof=1)) / freedom)
    if spread(x) is None and spread(y) is None:
        return None
    bias = special.gamma(freedom / 2) / special.gamma((freedom - 1) / 2) if freedom < 300 else 0
    factor = bias / math.sqrt(freedom / 2) if bias else 1.0
    return float(factor * (x.mean() - y.mean()) / pooled)


def probability_of_improvement(x: Scores, y: Scores) -> Estimate:
    """Probability that a draw of x is less than one of y, ties counted half.

    The Mann-Whitney statistic over its greatest value (Agarwal et al. 2021, arXiv:2108.13264,
    section 4.3), with method 5 of Newcombe (2006, Statistics in Medicine 25:559): all
    probabilities whose own standard error makes the one seen likely. A bootstrap of separated
    seeds would say [1, 1].

    It covers 93 to 97 %, but for equal arms of three seeds: a tenth of them fall wholly apart, so
    that every interval by this statistic covers a half in at most 90 or in all 100 of 100. We take
    the 100.
    """
    n, m = len(x), len(y)
    value = float(stats.mannwhitneyu(y, x, method="asymptotic").statistic / (n * m))
    grid = np.linspace(0, 1, 10_001)
    between = (n + m) / 2 - 1
    variance = grid * (1 - grid) * (1 + between * ((1 - grid) / (2 - grid) + grid / (1 + grid)))
    likely = grid[np.abs(value - grid) <= stats.norm.ppf(0.975) * np.sqrt(variance / (n * m))]
    low, high = float(min(likely.min(), value)), float(max(likely.max(), value))
    if permutation_floor(n, m) > ALPHA:
        # So few seeds fall apart by chance too often to exclude that the arms are equal.
        low, high = min(low, 0.5), max(high, 0.5)
    return Estimate(value, low, high)
