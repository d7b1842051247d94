"""Arms over several data sets: average ranks, Friedman's test and Nemenyi's critical difference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from sweeps.compare.intervals import Estimate, Scores, finite, iqm_over_tasks
from sweeps.compare.pairs import ALPHA
from sweeps.compare.verdict import listing, probability


@dataclass(frozen=True)
class Ranking:
    """How arms rank over several data sets (Demsar 2006, JMLR 7:1-30).

    Args:
        arms: Best average rank first; `ranks` and `relative` go with them.
        left_out: Arms that lack a score on some data set, and take no part.
        places: By data set, the rank of each arm on it; `means` are the mean scores behind them.
        relative: Interquartile mean of score over the data set's mean score; None where a mean
            is not positive. 1 is average; with goal `min`, less is better.
        friedman_p: Of Friedman's chi-squared.
        iman_davenport_p: Of the F statistic that Demsar prefers to it, and which decides.
        critical_difference: Of average ranks, at alpha 0.05.
        groups: Arms that are not separable, as long as they go; arms may be in two.
    """

    goal: str
    data_sets: tuple[str, ...]
    arms: tuple[str, ...]
    left_out: tuple[str, ...]
    ranks: tuple[float, ...]
    places: tuple[tuple[float, ...], ...]
    means: tuple[tuple[float, ...], ...]
    relative: tuple[Estimate | None, ...]
    friedman_p: float
    iman_davenport_p: float
    critical_difference: float
    groups: tuple[tuple[str, ...], ...]
    sentence: str

    def as_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`."""
        return asdict(self)


def rank(scores: Mapping[str, Mapping[str, Sequence[float]]], goal: str) -> Ranking | None:
    """Ranks arms by their mean score on each data set.

    None where that says nothing: fewer than two data sets, or fewer than three arms that have
    a score on each.

    Args:
        scores: By data set, then by arm.
        goal: `min` or `max`.
    """
    tables, arms, left_out = shared(scores)
    if len(tables) < 2 or len(arms) < 3:
        return None
    sign = 1 if goal == "min" else -1
    means = np.array([[sign * table[a].mean() for a in arms] for table in tables.values()])
    places = stats.rankdata(means, axis=1)  # [data sets, arms], ties share their ranks
    average = places.mean(axis=0)
    order = [int(i) for i in np.argsort(average, kind="stable")]
    chi, f = friedman(means)
    difference = critical_difference(len(arms), len(tables))
    ordered = [arms[i] for i in order]
    ranks = [float(average[i]) for i in order]
    groups = not_separable(ranks, difference if f <= ALPHA else math.inf)
    named = tuple(tuple(ordered[i:j]) for i, j in groups)
    return Ranking(
        goal=goal,
        data_sets=tuple(tables),
        arms=tuple(ordered),
        left_out=left_out,
        ranks=tuple(ranks),
        places=tuple(tuple(row) for row in places[:, order].tolist()),
        means=tuple(tuple(row) for row in (sign * means[:, order]).tolist()),
        relative=tuple(_relative(tables, arms, a) for a in ordered),
        friedman_p=chi,
        iman_davenport_p=f,
        critical_difference=difference,
        groups=named,
        sentence=_sentence(ordered, ranks, f, difference, len(tables)),
    )


def shared(
    scores: Mapping[str, Mapping[str, Sequence[float]]],
) -> tuple[dict[str, dict[str, Scores]], list[str], tuple[str, ...]]:
    """The scores that are numbers, the arms that have one on every data set, and the others."""
    tables = {
        d: {a: x for a, s in arms.items() if len(x := finite(s))} for d, arms in scores.items()
    }
    every = list(dict.fromkeys(a for arms in scores.values() for a in arms))
    arms = [a for a in every if all(a in table for table in tables.values())]
    return tables, arms, tuple(a for a in every if a not in arms)


def friedman(means: Scores) -> tuple[float, float]:
    """P of Friedman's test by chi-squared, and by Iman and Davenport's F (Demsar 2006, eq. 4).

    Args:
        means: [data sets, arms].
    """
    sets, arms = means.shape
    if np.ptp(means, axis=1).max() == 0:
        return 1.0, 1.0  # All tied everywhere: SciPy divides 0 by 0.
    result = stats.friedmanchisquare(*means.T)
    statistic = float(result.statistic)
    rest = sets * (arms - 1) - statistic
    if rest <= 1e-9:
        return float(result.pvalue), 0.0  # All data sets agree: F is infinite.
    f = (sets - 1) * statistic / rest
    return float(result.pvalue), float(stats.f.sf(f, arms - 1, (arms - 1) * (sets - 1)))


def nemenyi_quantile(arms: int, alpha: float = ALPHA) -> float:
    """The studentised range's quantile over the root of 2 (Demsar 2006, table 5)."""
    return float(stats.studentized_range.ppf(1 - alpha, arms, math.inf) / math.sqrt(2))


def critical_difference(arms: int, data_sets: int, alpha: float = ALPHA) -> float:
    """Average ranks further apart than this are separable (Nemenyi 1963; Demsar 2006, 3.2.2)."""
    return nemenyi_quantile(arms, alpha) * math.sqrt(arms * (arms + 1) / (6 * data_sets))


def not_separable(ranks: Sequence[float], difference: float) -> list[tuple[int, int]]:
    """Runs [i, j) of two or more ordered ranks within the difference, none inside another."""
    runs: list[tuple[int, int]] = []
    for i, first in enumerate(ranks):
        j = next((j for j in range(i, len(ranks)) if ranks[j] - first > difference), len(ranks))
        if j - i > 1 and (not runs or j > runs[-1][1]):
            runs.append((i, j))
    return runs


def _relative(
    tables: Mapping[str, Mapping[str, Scores]], arms: Sequence[str], arm: str
) -> Estimate | None:
    """The arm's scores over each data set's mean, put together."""
    centres = [float(np.mean([table[a].mean() for a in arms])) for table in tables.values()]
    if min(centres) <= 0:
        return None
    return iqm_over_tasks([t[arm] / c for t, c in zip(tables.values(), centres, strict=True)])


def _sentence(
    arms: Sequence[str], ranks: Sequence[float], p: float, difference: float, sets: int
) -> str:
    lead = f"{arms[0]} ranks best over {sets} data sets (average rank {ranks[0]:.2f})"
    if p > ALPHA:
        return f"no winner: {lead}, but no arm is separable (Friedman {probability(p)})"
    apart = [r - ranks[0] > difference for r in ranks[1:]]
    beaten = [a for a, far in zip(arms[1:], apart, strict=True) if far]
    others = [a for a, far in zip(arms[1:], apart, strict=True) if not far]
    rest = f"Friedman {probability(p)}, critical difference {difference:.2f}"
    if not beaten:
        return f"no winner: {lead} and is separable from none ({rest})"
    but = f" but not from {listing(others)}" if others else ""
    return f"{lead} and is separable from {listing(beaten)}{but} ({rest})"
