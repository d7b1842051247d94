"""How many seeds it takes to tell two arms apart."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats

from sweeps.compare.intervals import Arm

POWER = 0.8
DIFFERENCES = (0.02, 0.05, 0.1, 0.2, 0.5)
MOST = 10_000


@dataclass(frozen=True)
class SeedPlan:
    """Seeds each arm needs, by the relative difference that is to be seen.

    Args:
        cov: Coefficient of variation between seeds, pooled over arms.
        seeds: (relative difference, seeds for one pair, seeds when all pairs are corrected for).
        pairs: How many pairs the correction is over.
    """

    cov: float
    alpha: float
    power: float
    pairs: int
    seeds: tuple[tuple[float, int, int], ...]


def plan_seeds(arms: Sequence[Arm], alpha: float = 0.05) -> SeedPlan | None:
    """The table of seeds for the spread seen so far; None where no spread can be seen.

    A spread from few seeds is itself uncertain: from two arms of three seeds the true number of
    seeds lies between a third and eight times the one told.
    """
    cov = pooled_cov(arms)
    if cov is None:
        return None
    pairs = max(1, math.comb(len(arms), 2))
    table = tuple(
        (d, seeds_needed(d / cov, alpha=alpha), seeds_needed(d / cov, alpha=alpha / pairs))
        for d in DIFFERENCES
    )
    return SeedPlan(cov, alpha, POWER, pairs, table)


def pooled_cov(arms: Sequence[Arm]) -> float | None:
    """Root mean square of the arms' spreads over their means, weighted by degrees of freedom.

    Relative, because an arm with ten times the score mostly has ten times the spread. Arms
    without a positive mean or a visible spread are left out.
    """
    seen = [
        (a.n - 1, a.spread / a.mean.value)
        for a in arms
        if a.mean is not None and a.spread is not None and a.mean.value > 0
    ]
    if not seen:
        return None
    return math.sqrt(sum(df * c**2 for df, c in seen) / sum(df for df, _ in seen))


def power_of(effect: float, n: int, alpha: float = 0.05) -> float:
    """Chance that the two-sided test of `pairs` with n seeds an arm sees a true difference.

    Its degrees of freedom vary with the spreads seen; for normal scores of equal spread they are
    2 (n - 1) n / (n + 1) on average, and rounding down takes half of one. With them the chance
    is that of a simulation to within a point from four seeds on at a p of 0.05, and at most five
    points too high for three. The square of a noncentral t is a noncentral F, whose SciPy version
    keeps its digits where that of t gives NaN.

    Args:
        effect: The difference in standard deviations, not negative.
    """
    freedom = max(1.0, 2 * (n - 1) * n / (n + 1) - 0.5)
    shift = max(effect, 1e-6) * math.sqrt(n / 2)
    return float(stats.ncf.sf(stats.t.isf(alpha / 2, freedom) ** 2, 1, freedom, shift**2))


def seeds_needed(effect: float, *, alpha: float = 0.05, power: float = POWER) -> int:
    """The fewest seeds an arm, 2 to 10,000, with which a true difference is seen.

    By the noncentral t distribution, of which the normal approximation, 15.7 / effect^2 at the
    defaults, is one or two short. Where 10,000 are too few, that number is returned all the same.

    Args:
        effect: The difference in standard deviations, not negative.
    """
    seeds = range(2, MOST)
    return 2 + bisect.bisect_left(seeds, power, key=lambda n: power_of(effect, n, alpha))
