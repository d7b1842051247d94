"""Whether generated pictures are copies of training pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from gancore.metrics.distances import to_nearest, to_others
from gancore.metrics.feature_set import FeatureSet
from gancore.metrics.moments import NoScore
from gancore.metrics.registry import metrics


@dataclass(frozen=True)
class Nearness:
    """How near generated pictures are to training pictures.

    Args:
        ratio: The score `memorisation`.
        copies: The share of generated pictures whose nearest training picture is nearer than a
            tenth of what is usual among training pictures.
    """

    ratio: float
    copies: float


@metrics.register("memorisation")
@dataclass(frozen=True, kw_only=True)
class Memorisation:
    """How far generated pictures are from training pictures, by how far those are from each other.

    The median distance to the nearest real picture, over the median distance of real pictures to
    their nearest other: 0 if most are copies, 1 as of fresh pictures of the distribution. A check
    and no ranking: bad pictures are far from every other, so that a larger score is not a better
    one. After the test of Meehan et al. 2020 (arXiv:2004.05675), who compare with held-out
    pictures; a copy of one of the real pictures beyond `feature_set.KEPT` is not seen.
    """

    goal: ClassVar[str] = "max"

    def score(self, real: FeatureSet, generated: FeatureSet) -> float:
        return nearness(real, generated).ratio


def nearness(real: FeatureSet, generated: FeatureSet) -> Nearness:
    """The score, and the share of near copies; NaN where features are not finite.

    Raises:
        NoScore: There is no second real picture, or most have a duplicate.
    """
    shares = relative_distances(real, generated)
    if shares is None:
        return Nearness(math.nan, math.nan)
    return Nearness(shares.quantile(0.5).item(), (shares < 0.1).double().mean().item())


def relative_distances(real: FeatureSet, generated: FeatureSet) -> Tensor | None:
    """Of each generated picture to its nearest real one, in units of the usual distance, [N].

    Raises:
        NoScore: There is no second real picture, or most have a duplicate, so that the usual
            distance is 0.
    """
    if not (real.finite and generated.finite):
        return None
    usual = to_others(real, 1).double().quantile(0.5)
    if usual == 0:
        raise NoScore("most real pictures have a duplicate: copies of them cannot be told")
    return (
        generated.once(("to nearest", real), lambda: to_nearest(generated, real)).double() / usual
    )
