"""Copies of training pictures are told from fresh pictures of the same distribution."""

import math

import pytest
import torch
from torch import Tensor

from gancore.metrics import FeatureSet, metrics
from gancore.metrics.memorisation import Nearness, nearness
from gancore.metrics.moments import NoScore


def normal(count: int, seed: int) -> Tensor:
    return torch.randn(count, 8, generator=torch.Generator().manual_seed(seed))


def told(real: Tensor, generated: Tensor) -> Nearness:
    found = nearness(FeatureSet.of(real), FeatureSet.of(generated))
    score = metrics.build("memorisation").score(FeatureSet.of(real), FeatureSet.of(generated))
    assert score == found.ratio or math.isnan(score)
    return found


def test_points_on_a_line() -> None:
    """Real points are 2 from their nearest other; 1.5 is the median of 1 and 2."""
    real = 2 * torch.arange(10.0)[:, None]
    generated = torch.tensor([[1.0], [20.0]])
    assert told(real, generated) == Nearness(0.75, 0)


def test_copies_score_0() -> None:
    real = normal(300, 0)
    assert told(real, real[:40].clone()) == Nearness(0, 1)


def test_fresh_pictures_score_1() -> None:
    found = told(normal(1000, 0), normal(1000, 1))
    assert found.ratio == pytest.approx(1, abs=0.03)
    assert found.copies == 0


def test_the_share_of_near_copies() -> None:
    """A median sees nothing while they are the fewer half."""
    real = normal(1000, 0)
    found = told(real, torch.cat([normal(60, 1), real[:40] + 1e-3]))
    assert found.copies == 0.4
    assert found.ratio > 0.8


def test_bad_pictures_score_more_than_good_ones() -> None:
    assert told(normal(300, 0), 3 * normal(300, 1)).ratio > 2


def test_real_pictures_that_are_mostly_duplicates_are_refused() -> None:
    real = torch.cat([normal(30, 0), normal(30, 0), normal(10, 2)])
    with pytest.raises(NoScore, match="most real pictures have a duplicate"):
        told(real, normal(20, 1))
    few = torch.cat([normal(30, 0), normal(10, 0)])
    assert told(few, normal(20, 1)).ratio > 0


def test_features_that_are_not_finite_are_nan() -> None:
    generated = normal(20, 1)
    generated[3, 3] = math.nan
    found = told(normal(20, 0), generated)
    assert math.isnan(found.ratio)
    assert math.isnan(found.copies)
