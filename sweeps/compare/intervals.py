"""What the seeds of one arm say: best, median, mean and interquartile mean with 95 % intervals."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

CONFIDENCE = 0.95
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A number and the interval that covers the truth in 95 of 100 such experiments.

    `low` and `high` are None where the data allow no interval: fewer than two seeds, or seeds
    that all gave the same number, whose spread is unknown and not zero.
    """

    value: float
    low: float | None = None
    high: float | None = None

    @classmethod
    def around(cls, value: float, half_width: float) -> Estimate:
        return cls(float(value), float(value - half_width), float(value + half_width))


@dataclass(frozen=True)
class Arm:
    """What the confirmed seeds of an arm say.

    Args:
        n: Seeds with a finite score; all else here is of these.
        lost: Seeds whose score is not finite, as of runs that diverged.
        spread: Standard deviation between seeds, None where it cannot be seen.
    """

    label: str
    n: int
    lost: int
    best: float | None
    median: float | None
    mean: Estimate | None
    iqm: Estimate | None
    spread: float | None

    @classmethod
    def of(cls, label: str, scores: Sequence[float], goal: str) -> Arm:
        """The row of one arm; `goal` is `min` or `max`."""
        x = finite(scores)
        lost = len(scores) - len(x)
        if not len(x):
            return cls(label, 0, lost, None, None, None, None, None)
        return cls(
            label,
            len(x),
            lost,
            best=float(x.min() if goal == "min" else x.max()),
            median=float(np.median(x)),
            mean=mean_interval(x),
            iqm=iqm_interval(x),
            spread=spread(x),
        )


def finite(scores: Sequence[float] | Scores) -> Scores:
    """The scores that are numbers, [n]."""
    x = np.asarray(scores, dtype=np.float64)
    return x[np.isfinite(x)]


def spread(x: Scores) -> float | None:
    """Standard deviation with n - 1, or None for one score or scores that are all alike."""
    if len(x) < 2 or np.ptp(x) <= 1e-12 * np.abs(x).max():
        return None
    return float(x.std(ddof=1))


def mean_interval(scores: Sequence[float] | Scores) -> Estimate:
    """Mean with Student's t interval."""
    x = np.asarray(scores, dtype=np.float64)
    sd = spread(x)
    if sd is None:
        return Estimate(float(x.mean()))
    t = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(x) - 1))
    return _of_its_kind(Estimate.around(x.mean(), t * sd / math.sqrt(len(x))), x)


def iqm(scores: Sequence[float] | Scores) -> float:
    """Mean of the middle half (Agarwal et al. 2021, arXiv:2108.13264), of all numbers at once.

    A quarter of the scores, rounded down, is dropped at either end: with three seeds or fewer
    it is the mean.
    """
    return float(stats.trim_mean(scores, 0.25, axis=None))


def iqm_interval(scores: Sequence[float] | Scores) -> Estimate:
    """Interquartile mean of one data set, with an interval that also holds for three seeds.

    (iqm - truth) / sd has one distribution for all normal scores; the interval is the point
    estimate plus or minus the sd times that distribution's 95 % point. With two and three seeds
    this is Student's interval. The percentile bootstrap of Agarwal et al. covers 73 % instead of
    95 % with three seeds and 88 % with five; Tukey and McLaughlin's (1963) covers 92 to 94 % and
    is three times as wide with four (`benchmarks/error_rates.py`).
    """
    x = np.asarray(scores, dtype=np.float64)
    sd = spread(x)
    if sd is None:
        return Estimate(iqm(x))
    return _of_its_kind(Estimate.around(iqm(x), _iqm_factor(len(x)) * sd), x)


def _of_its_kind(found: Estimate, scores: Scores) -> Estimate:
    """Scores none of which is below 0 are taken for distances, such as FID: no mean of them is."""
    if found.low is None or scores.min() < 0:
        return found
    return replace(found, low=max(0.0, found.low))


@functools.cache
def _iqm_factor(n: int) -> float:
    """95 % point of |iqm| / sd of n standard normal scores, to within about 0.3 %."""
    draws = np.random.default_rng(n).standard_normal((200_000, n))
    middle = stats.trim_mean(draws, 0.25, axis=1)
    return float(np.quantile(np.abs(middle) / draws.std(axis=1, ddof=1), CONFIDENCE))


def stratified_draws(
    tasks: Sequence[Sequence[float] | Scores], resamples: int = 2000, seed: int = 0
) -> Scores:
    """Bootstrapped interquartile means over several data sets, [resamples].

    Seeds are drawn with replacement within each data set, so that each keeps its weight
    (stratified bootstrap, Agarwal et al. 2021, arXiv:2108.13264, section 4.1).
    """
    rng = np.random.default_rng(seed)
    columns = [np.asarray(t, dtype=np.float64) for t in tasks]
    drawn = [x[rng.integers(len(x), size=(resamples, len(x)))] for x in columns]
    middle: Scores = stats.trim_mean(np.concatenate(drawn, axis=1), 0.25, axis=1)
    return middle


def iqm_over_tasks(tasks: Sequence[Sequence[float] | Scores]) -> Estimate:
    """Interquartile mean over several data sets with a bootstrapped interval that is wide enough.

    The scores must be on one scale. Percentiles of the stratified bootstrap are too narrow below
    ten seeds a data set (they cover 84 to 87 % with three seeds, 89 to 93 % with five): with n
    seeds a resample varies by (n - 1) / n of what it should, and the normal quantile forgets that
    the spread is an estimate. Both are mended as in Hesterberg (2015, arXiv:1411.5279, on the
    narrowness bias): the bootstrap's standard error times sqrt(n / (n - 1)) times Student's t.

    Args:
        tasks: For each data set the scores of its seeds; at least two seeds in one of them.
    """
    value = iqm(np.concatenate([np.asarray(t, dtype=np.float64) for t in tasks]))
    seeds = sum(len(t) for t in tasks)
    freedom = seeds - len(tasks)
    error = float(stratified_draws(tasks).std(ddof=1))
    if freedom < 1 or error <= 1e-12 * abs(value):
        return Estimate(value)
    t = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom))
    return Estimate.around(value, t * math.sqrt(seeds / freedom) * error)
