"""Scores with the interval that holds what more such draws would give on average."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import torch

from gancore import seeds
from gancore.metrics.feature_set import FeatureSet
from gancore.metrics.frechet import FrechetDistance
from gancore.metrics.manifold import Coverage, Precision, Recall
from gancore.metrics.modes import ModeDivergence, ModeShare
from gancore.metrics.moments import NoScore
from gancore.metrics.registry import FeatureMetric, metrics
from gancore.metrics.variances import variance


@dataclass(frozen=True)
class Estimate:
    """A score and its interval.

    Args:
        value: The score.
        low, high: Where its expectation lies, at a level; NaN where pictures are too few to tell.
    """

    value: float
    low: float
    high: float


def estimates(
    real: FeatureSet,
    generated: FeatureSet,
    names: Sequence[str] | None = None,
    *,
    repeats: int = 100,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Scores of generated pictures, by name, with their intervals.

    An interval holds the expectation of the score over draws of as many generated pictures with
    the given probability: it says how far chance in drawing them reaches. It is not about real
    pictures, which are taken as they are, nor about other seeds of training, and scores that are
    biased at this count are so in expectation. How the variance is estimated and why so, see
    `variances.py`.

    Args:
        names: None takes all that can be had of these features.
        repeats: How many times pictures are split into quarters, for scores that need it; each
            costs eight times the score of all. Chance in the splits makes an interval of 100 of
            them too wide or too narrow by about 4%, and more for few pictures.
        seed: Of the splits.

    Raises:
        gancore.metrics.moments.NoScore: A metric that was asked for cannot be had.
        gancore.schema.Refused: There is no such metric.
    """
    random = seeds.stream(seed, "estimates")
    count = len(generated.rows)
    orders = [torch.randperm(count, generator=random) for _ in range(repeats)]
    quarter = count // 4
    splits = torch.stack(orders)[:, : 4 * quarter].unflatten(1, (4, quarter))
    splits = splits.to(generated.rows.device)
    found: dict[str, Estimate] = {}
    for name in names or metrics.names():
        metric = metrics.build(name)
        if not isinstance(metric, FeatureMetric):
            if names:
                raise NoScore(f"{name} is not computed from features")
            continue
        try:
            value = metric.score(real, generated)
        except NoScore:
            if names:
                raise
            continue
        try:
            spread = variance(metric, real, generated, splits) if math.isfinite(value) else math.nan
        except NoScore:
            spread = math.nan
        found[name] = _interval(metric, value, spread, count, level)
    return found


def _interval(
    metric: FeatureMetric, value: float, spread: float, count: int, level: float
) -> Estimate:
    z = NormalDist().inv_cdf((1 + level) / 2)
    if math.isnan(spread):
        return Estimate(value, math.nan, math.nan)
    if isinstance(metric, Precision | Recall | Coverage | ModeShare):
        return _share(value, spread, count, z)
    reach = z * math.sqrt(spread)
    if isinstance(metric, FrechetDistance | ModeDivergence) and value > 0:
        # Near 0 these are skewed, and small ones vary less: it is their logarithm that is normal.
        factor = math.exp(reach / value)
        return Estimate(value, value / factor, value * factor)
    return Estimate(value, value - reach, value + reach)


def _share(value: float, spread: float, count: int, z: float) -> Estimate:
    """Wilson's interval, which a share near 0 or 1 needs.

    For as many independent trials as would vary so much.
    """
    product = value * (1 - value)
    trials = product / spread if product * spread > 0 else float(count)
    middle = (value + z**2 / (2 * trials)) / (1 + z**2 / trials)
    reach = z * math.sqrt(product / trials + z**2 / (4 * trials**2)) / (1 + z**2 / trials)
    return Estimate(value, max(0.0, middle - reach), min(1.0, middle + reach))
