"""Two arms over several data sets: Wilcoxon's signed ranks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from sweeps.compare.intervals import Scores
from sweeps.compare.pairs import ALPHA
from sweeps.compare.ranks import shared
from sweeps.compare.verdict import probability

FEWEST = 1 + math.ceil(-math.log2(ALPHA))
"""Data sets with which all signs alike are rarer than alpha: below it no p can be that small."""

FLIPS = 2**14
"""Flips of signs that are tried where ranks are shared: all there are, up to 14 data sets."""


@dataclass(frozen=True)
class SignedRanks:
    """How two arms differ over several data sets (Wilcoxon 1945; Demsar 2006, section 3.1.3).

    Scores of unlike data are of unlike size: a FID of MNIST differs by less than one of CIFAR-10
    whatever is compared. So a data set counts by its difference relative to the two arms' mean.

    Args:
        arms: The one with the greater sum of ranks first.
        left_out: Arms that lack a score on some data set, and take no part.
        means: Of both arms on each data set.
        differences: By how much the first arm is better on each data set, as a share of the mean
            of both; below 0 where it is worse.
        relative: False where a mean is not positive: then differences are as they are.
        ranks: Of the differences without their signs, the smallest 1; equal ones share theirs.
        better, worse: Sums of the ranks of the data sets where the first arm is that; ranks of no
            difference go half to either.
        p: Two-sided.
        exact: Whether all signs were tried; else many random ones.
        smallest_p: What p is where the first arm is better on all data sets that tell them apart.
    """

    goal: str
    data_sets: tuple[str, ...]
    arms: tuple[str, str]
    left_out: tuple[str, ...]
    means: tuple[tuple[float, float], ...]
    differences: tuple[float, ...]
    relative: bool
    ranks: tuple[float, ...]
    better: float
    worse: float
    p: float
    exact: bool
    smallest_p: float
    sentence: str

    def as_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`."""
        return asdict(self)


def signed_ranks(
    scores: Mapping[str, Mapping[str, Sequence[float]]], goal: str
) -> SignedRanks | None:
    """Compares two arms by their mean scores on each data set.

    None where there are not just two arms that have a score on each of two data sets or more.

    Args:
        scores: By data set, then by arm.
        goal: `min` or `max`.
    """
    tables, arms, left_out = shared(scores)
    if len(tables) < 2 or len(arms) != 2:
        return None
    means = np.array([[table[a].mean() for a in arms] for table in tables.values()])
    gains = (means[:, 1] - means[:, 0]) * (1 if goal == "min" else -1)
    relative = bool(means.min() > 0)
    if relative:
        gains = gains / means.mean(axis=1)
    gains = np.array([float(f"{gain:.10g}") for gain in gains])  # Else rounding would part ties.
    ranks = stats.rankdata(np.abs(gains))
    split = float(ranks[gains == 0].sum()) / 2
    sums = [float(ranks[gains > 0].sum()) + split, float(ranks[gains < 0].sum()) + split]
    if sums[1] > sums[0]:
        arms, means, gains, sums = arms[::-1], means[:, ::-1], -gains, sums[::-1]
    p, exact = wilcoxon(gains)
    apart = int(np.count_nonzero(gains))
    return SignedRanks(
        goal=goal,
        data_sets=tuple(tables),
        arms=(arms[0], arms[1]),
        left_out=left_out,
        means=tuple((float(a), float(b)) for a, b in means),
        differences=tuple(float(gain) for gain in gains),
        relative=relative,
        ranks=tuple(float(rank) for rank in ranks),
        better=sums[0],
        worse=sums[1],
        p=p,
        exact=exact,
        smallest_p=_smallest(apart),
        sentence=_sentence(arms, gains, sums, p, exact),
    )


def wilcoxon(differences: Scores) -> tuple[float, bool]:
    """The two-sided p of the signed ranks, and whether it is exact.

    Args:
        differences: [data sets].
    """
    sizes = np.abs(differences)
    if not sizes.any():
        return 1.0, True
    if sizes.all() and len(np.unique(sizes)) == len(sizes):
        return float(stats.wilcoxon(differences, method="exact").pvalue), True
    flips = stats.PermutationMethod(n_resamples=FLIPS, rng=0)
    found = stats.wilcoxon(differences, zero_method="zsplit", method=flips)
    return float(found.pvalue), 2 ** len(sizes) <= FLIPS


def _smallest(apart: int) -> float:
    return min(1.0, 2.0 ** (1 - apart))


def _sentence(
    arms: Sequence[str], gains: Scores, sums: Sequence[float], p: float, exact: bool
) -> str:
    first, second = arms
    sets, apart = len(gains), int(np.count_nonzero(gains))
    wins = f"on {int((gains > 0).sum())} of {sets} data sets"
    kind = "exact " if exact else ""
    test = f"Wilcoxon's signed ranks {sums[0]:g} against {sums[1]:g}, {kind}{probability(p)}"
    if p <= ALPHA:
        return f"{first} beats {second} over {sets} data sets: it is better {wins} ({test})"
    lead = f"{first} is better than {second} {wins}"
    if apart < FEWEST:
        alike = f" that tell them apart ({sets - apart} do not)" if apart < sets else ""
        return (
            f"no verdict: {lead}, but {apart} data sets{alike} are too few: whatever the scores, "
            f"p is {_smallest(apart):.3g} or more, and {ALPHA:g} takes {FEWEST} data sets ({test})"
        )
    return f"no winner: {lead}, but the two are not separable ({test})"
