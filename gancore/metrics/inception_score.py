"""The Inception score: how sure and how varied the classes of generated pictures are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor

from gancore.metrics.feature_set import FeatureSet
from gancore.metrics.moments import NoScore, TooFew
from gancore.metrics.registry import metrics
from gancore.schema import Count


@metrics.register("is")
@dataclass(frozen=True, kw_only=True)
class InceptionScore:
    """exp E KL(p(y|x) || p(y)), from 1 to the number of classes (Salimans et al. 2016).

    arXiv:1606.03498. It never looks at real pictures: blind to collapse within a class and to
    copies of training pictures, and, of classes that are not the data's own, of little meaning
    (Barratt and Sharma 2018, arXiv:1801.01973). Biased by the count, so that only scores of equal
    counts and splits compare.

    Args:
        splits: Parts, whose scores are averaged.
    """

    goal: ClassVar[str] = "max"
    needs: ClassVar[str] = "logits"

    splits: Count = 10

    def score(self, _real: FeatureSet, generated: FeatureSet) -> float:
        if generated.logits is None:
            raise NoScore("an Inception score needs a feature network that tells classes")
        if not generated.finite:
            return math.nan
        return inception_score(generated.logits, self.splits)[0]


def inception_score(logits: Tensor, splits: int) -> tuple[float, float]:
    """Mean and standard deviation (without Bessel's correction) over the splits, in float64.

    Args:
        logits: Class scores [N, K]; one that is not finite gives NaN.
        splits: Parts of rows that follow one another, as in the authors' code, in the order that
            they come in: torch-fidelity draws an order first, unless `samples_shuffle=False`.

    Raises:
        TooFew: A split would be empty.
    """
    if len(logits) < splits:
        message = f"an Inception score of {splits} splits needs at least {splits} pictures"
        raise TooFew(f"{message}, got {len(logits)}")
    if not torch.isfinite(logits).all():
        return math.nan, math.nan
    shares = logits.double().softmax(1)
    entropy = torch.special.entr(shares).sum(1)
    count = len(logits)
    cuts = [number * count // splits for number in range(splits + 1)]
    scores = []
    for low, high in pairwise(cuts):
        # The mean divergence is the entropy of the mean, less the mean entropy; for a class of
        # share 0 the divergence itself would be 0 x infinity.
        marginal = torch.special.entr(shares[low:high].mean(0)).sum()
        scores.append((marginal - entropy[low:high].mean()).exp())
    found = torch.stack(scores)
    return found.mean().item(), found.std(correction=0).item()
