"""Precision, recall, density and coverage: which pictures lie among those of the other set."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gancore.metrics.distances import parts, to_others
from gancore.metrics.feature_set import FeatureSet
from gancore.metrics.moments import TooFew
from gancore.metrics.registry import metrics
from gancore.schema import Count


@dataclass(frozen=True)
class Manifold:
    """The four scores of one pass, whose definitions are those of the metrics of these names."""

    precision: float
    recall: float
    density: float
    coverage: float


@metrics.register("precision")
@dataclass(frozen=True, kw_only=True)
class Precision:
    """The share of generated pictures near real ones (Kynkaanniemi et al. 2019, arXiv:1904.06991).

    Near is: in the ball around a real picture that reaches to its k-th nearest other real one.
    Blind to pictures that are never generated, and one outlier among the real pictures, whose
    ball is wide, can lift it.

    Args:
        nearest: k, the neighbour that a ball reaches to.
    """

    goal: ClassVar[str] = "max"

    nearest: Count = 3

    def score(self, real: FeatureSet, generated: FeatureSet) -> float:
        return manifold(real, generated, self.nearest).precision


@metrics.register("recall")
@dataclass(frozen=True, kw_only=True)
class Recall:
    """The share of real pictures near generated ones (Kynkaanniemi et al. 2019, arXiv:1904.06991).

    Precision with the sides exchanged. The balls are those of the generated pictures, so noise
    that is scattered widely can lift it.

    Args:
        nearest: k, the neighbour that a ball reaches to.
    """

    goal: ClassVar[str] = "max"

    nearest: Count = 3

    def score(self, real: FeatureSet, generated: FeatureSet) -> float:
        return manifold(real, generated, self.nearest).recall


@metrics.register("density")
@dataclass(frozen=True, kw_only=True)
class Density:
    """Real balls that a generated picture lies in, over k (Naeem et al. 2020, arXiv:2002.09797).

    Precision that counts instead of asking whether: an outlier's ball adds only one. 1 is
    expected of pictures of the real distribution; a generator that keeps to where real pictures
    are dense goes beyond, so that more is not always better.

    Args:
        nearest: k, the neighbour that a ball reaches to.
    """

    goal: ClassVar[str] = "max"

    nearest: Count = 5

    def score(self, real: FeatureSet, generated: FeatureSet) -> float:
        return manifold(real, generated, self.nearest).density


@metrics.register("coverage")
@dataclass(frozen=True, kw_only=True)
class Coverage:
    """The share of real pictures with a generated one near (Naeem et al. 2020, arXiv:2002.09797).

    Recall with the balls of the real pictures, which generated outliers cannot widen. It grows
    with the number of generated pictures; of as many as there are real ones, and of their
    distribution, 1 - 2^-k is expected.

    Args:
        nearest: k, the neighbour that a ball reaches to.
    """

    goal: ClassVar[str] = "max"

    nearest: Count = 5

    def score(self, real: FeatureSet, generated: FeatureSet) -> float:
        return manifold(real, generated, self.nearest).coverage


def manifold(real: FeatureSet, generated: FeatureSet, nearest: int) -> Manifold:
    """All four scores with balls that reach to the `nearest`-th other picture.

    Balls are closed, as in the paper of precision and recall: equal sets have precision, recall
    and coverage 1 even where all their pictures are one. Pictures beyond `feature_set.KEPT` are
    left out.

    Raises:
        TooFew: A side has no more than `nearest` pictures.
    """
    found = inside(real, generated, nearest)
    if found is None:
        return Manifold(math.nan, math.nan, math.nan, math.nan)
    return Manifold(
        precision=_share(found.balls > 0),
        recall=_share(found.recalled),
        density=found.balls.double().mean().item() / nearest,
        coverage=_share(found.covered),
    )


@dataclass(frozen=True)
class Inside:
    """Which pictures lie in balls of the other side.

    Args:
        balls: How many real balls each generated picture lies in, int64 [M].
        covered: Whether a generated picture lies in each real ball, bool [N].
        recalled: Whether each real picture lies in a generated ball, bool [N].
    """

    balls: Tensor
    covered: Tensor
    recalled: Tensor


def inside(real: FeatureSet, generated: FeatureSet, nearest: int) -> Inside | None:
    """What all four scores rest on; None where features are not finite.

    Raises:
        TooFew: A side has no more than `nearest` pictures.
    """
    fewest = min(len(real.rows), len(generated.rows))
    if fewest <= nearest:
        message = f"balls that reach to the {nearest} nearest others need at least {nearest + 1}"
        raise TooFew(f"{message} real and generated pictures, got {fewest}")
    if not (real.finite and generated.finite):
        return None
    return generated.once(("inside", nearest, real), lambda: _inside(real, generated, nearest))


def _inside(real: FeatureSet, generated: FeatureSet, nearest: int) -> Inside:
    real_radii, radii = to_others(real, nearest), to_others(generated, nearest)
    balls = torch.zeros(len(radii), dtype=torch.int64, device=radii.device)
    covered, recalled = [], []
    for part, distances in parts(real.rows, generated.rows):
        in_real = distances <= real_radii[part, None]
        balls += in_real.sum(0)
        covered.append(in_real.any(1))
        recalled.append((distances <= radii).any(1))
    return Inside(balls, torch.cat(covered), torch.cat(recalled))


def _share(found: Tensor) -> float:
    return found.double().mean().item()
