"""The Frechet distance of infinitely many generated pictures, from those that there are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gancore import seeds
from gancore.metrics.feature_set import FeatureSet
from gancore.metrics.frechet import frechet_distance
from gancore.metrics.moments import Moments, Reference, TooFew
from gancore.metrics.registry import metrics

_SIZES = 15
"""As in the paper."""


@metrics.register("fid_infinity")
@dataclass(frozen=True, kw_only=True)
class FrechetExtrapolation:
    """FID without the bias of few generated pictures (Chong and Forsyth 2020, arXiv:1911.07023).

    The FID of n pictures is about FID_infinity + b / n; the straight line through 15 sizes from a
    quarter of all rows to all of them is read at 1 / n = 0. Sizes are evenly spaced, each averages
    as many disjoint draws as there are, and the smallest is twice the dimension, below which the
    line bends. The bias of few real pictures remains; near 0 a score may be slightly negative.
    """

    goal: ClassVar[str] = "min"

    def score(self, real: FeatureSet, generated: FeatureSet) -> float:
        count, dimensions = generated.rows.shape
        if count < 4 * dimensions:
            message = f"extrapolation over {dimensions} features needs at least {4 * dimensions}"
            raise TooFew(f"{message} pictures, got {count}")
        if not (real.finite and generated.finite):
            return math.nan
        least = max(2 * dimensions, count // 4)
        sizes = torch.linspace(least, count, _SIZES).round().long().tolist()
        distances = [_mean_distance(real.reference, generated.rows, size) for size in sizes]
        return intercept([1 / size for size in sizes], distances)


def intercept(places: list[float], values: list[float]) -> float:
    """Where the straight line of least squares through the values is at place 0."""
    x, y = torch.tensor(places).double(), torch.tensor(values).double()
    centred = x - x.mean()
    slope = (centred * y).sum() / centred.square().sum()
    return (y.mean() - slope * x.mean()).item()


def _mean_distance(real: Reference, rows: Tensor, size: int) -> float:
    """Over as many disjoint random draws of `size` rows as there are."""
    order = torch.randperm(len(rows), generator=seeds.stream(0, "extrapolation", size))
    distances = []
    for number in range(len(rows) // size):
        moments = Moments()
        moments.add(rows[order[number * size : (number + 1) * size].to(rows.device)])
        distances.append(frechet_distance(real, moments.sample()))
    return sum(distances) / len(distances)
