"""The variance of each score, against closed forms and against scores of fresh draws."""

import math

import pytest
import torch
from torch import Tensor

from gancore.metrics import FeatureSet, metrics
from gancore.metrics.moments import TooFew
from gancore.metrics.variances import _groups, extrapolated, scorer, variance, variance_of_hits

NO_SPLITS = torch.zeros(0, 4, 0, dtype=torch.int64)


def normal(count: int, size: int, random: torch.Generator) -> Tensor:
    return torch.randn(count, size, generator=random)


def features(rows: Tensor) -> FeatureSet:
    return FeatureSet.of(rows, 2 * rows, rows.argmax(1), rows.shape[1])


def test_the_power_of_the_count_is_found() -> None:
    """1 / n and 1 / n^2 and their sum are exact, and 1 / sqrt(n); what does not vary does not."""
    assert extrapolated(2 * 5.0, 4 * 5.0, 2) == pytest.approx(5)
    assert extrapolated(4 * 5.0, 16 * 5.0, 2) == pytest.approx(5)
    assert extrapolated((2 + 4) * 5.0, (4 + 16) * 5.0, 2) == pytest.approx(10)
    assert extrapolated(2**0.5 * 5.0, 2 * 5.0, 2) == pytest.approx(5)
    assert extrapolated(2 * 5.0, 4 * 5.0, 10) == pytest.approx(1)
    assert extrapolated(0, 0, 2) == 0
    assert extrapolated(1, 0, 2) == 0.5
    assert extrapolated(3, 0.1, 2) == 6


@pytest.mark.parametrize(("size", "nearest"), [(2, 3), (2, 1), (16, 3), (64, 5)])
def test_recall_of_parts_is_that_of_the_parts_alone(size: int, nearest: int) -> None:
    random = torch.Generator().manual_seed(size)
    real, rows = FeatureSet.of(normal(300, size, random)), normal(400, size, random)
    metric = metrics.build("recall", nearest=nearest)
    score = scorer(metric, real, FeatureSet.of(rows))
    for count in (400, 200, 200, 100, 100, 100):
        part = torch.randperm(400, generator=random)[:count]
        assert score(part) == pytest.approx(metric.score(real, FeatureSet.of(rows[part])), abs=0.01)


@pytest.mark.parametrize("name", ["is", "mode_kl", "memorisation", "fid", "density"])
def test_the_score_of_a_part_is_that_of_the_part_alone(name: str) -> None:
    random = torch.Generator().manual_seed(0)
    real, generated = features(normal(200, 8, random)), features(normal(200, 8, random))
    metric = metrics.build(name)
    part = torch.randperm(200, generator=random)[:77]
    expected = metric.score(real, features(generated.rows[part]))
    assert scorer(metric, real, generated)(part) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("mean", [0.3, 1.0, 3.0, 8.0])
def test_of_the_number_of_things_hit(mean: float) -> None:
    """Exact: var of the empty ones of a multinomial, equal and unequal chances."""
    random = torch.Generator().manual_seed(1)
    chances = torch.cat([torch.full((200,), 1.0), torch.full((100,), 3.0)]).double()
    chances /= chances.sum()
    tries = round(mean * len(chances))
    empty = (1 - chances) ** tries
    both = (1 - chances[:, None] - chances) ** tries - empty[:, None] * empty
    exact = both.sum() - both.trace() + (empty * (1 - empty)).sum()
    found = []
    for _ in range(300):
        hits = chances.multinomial(tries, replacement=True, generator=random).bincount(
            minlength=len(chances)
        )
        found.append(variance_of_hits(hits, torch.ones_like(hits), tries))
    mean_found, error = torch.tensor(found).mean(), torch.tensor(found).std() / 300**0.5
    assert abs(mean_found - exact) < 4 * error + 0.05 * exact


def test_things_that_the_same_tries_hit_vary_together() -> None:
    """A twin of each thing doubles their number and its deviation."""
    random = torch.Generator().manual_seed(1)
    hits = torch.randint(300, (300,), generator=random).bincount(minlength=300)
    one, two = (variance_of_hits(hits, torch.full((300,), size), 300) for size in (1, 2))
    assert one > 0
    assert two == pytest.approx(4 * one, rel=0.1)


def test_real_balls_are_grouped_by_what_they_hold() -> None:
    real = torch.tensor([[0.0], [1.0], [1.5], [50.0], [51.0], [52.0], [90.0]])
    generated = torch.tensor([[0.5], [50.5], [51.0], [51.5]])
    hits, sizes = _groups(FeatureSet.of(real), FeatureSet.of(generated), 1)
    told = sorted(zip(hits.tolist(), sizes.tolist(), strict=True))
    assert told == [(0, 2), (1, 2), (2, 1), (2, 1), (3, 1)]


@pytest.mark.parametrize(
    ("name", "size", "shift"),
    [
        ("kid", 4, 0.0),
        ("kid", 4, 1.0),
        ("coverage", 2, 1.0),
        ("coverage", 16, 0.3),
        ("precision", 8, 0.3),
        ("density", 8, 0.3),
    ],
)
def test_closed_forms_are_the_variance_of_fresh_draws(name: str, size: int, shift: float) -> None:
    random = torch.Generator().manual_seed(2)
    metric = metrics.build(name)
    real = FeatureSet.of(normal(200, size, random))
    scores, found = [], []
    for _ in range(400):
        generated = FeatureSet.of(normal(200, size, random) + shift)
        scores.append(metric.score(real, generated))
        found.append(variance(metric, real, generated, NO_SPLITS))
    ratio = torch.tensor(found).mean() / torch.tensor(scores).var()
    assert 0.65 < ratio < 1.35


def test_a_kernel_distance_of_five_pictures_is_the_least_with_a_variance() -> None:
    random = torch.Generator().manual_seed(3)
    real, four = FeatureSet.of(normal(20, 2, random)), FeatureSet.of(normal(4, 2, random))
    with pytest.raises(TooFew, match="at least 5 pictures, got 4"):
        variance(metrics.build("kid"), real, four, NO_SPLITS)
    five = FeatureSet.of(normal(5, 2, random))
    assert math.isfinite(variance(metrics.build("kid"), real, five, NO_SPLITS))
