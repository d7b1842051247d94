"""FID without its bias, held to the distance of Gaussians whose moments are known."""

import math

import pytest
import torch
from torch import Tensor

from gancore.metrics import FeatureSet, metrics
from gancore.metrics.extrapolation import intercept
from gancore.metrics.frechet import frechet_distance
from gancore.metrics.moments import Reference, Sample, TooFew


def known(size: int) -> FeatureSet:
    """Real pictures with moments exactly 0 and I: all bias is then that of the generated ones."""
    covariance = torch.eye(size).double()
    zero = torch.zeros(size).double()
    sample = Sample(1001, zero, scatter=1000 * covariance)
    return FeatureSet(sample, torch.zeros(2, size), known=Reference(1001, zero, covariance))


def normal(count: int, size: int, seed: int) -> Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed))


def both(rows: Tensor) -> tuple[float, float]:
    """FID, and its extrapolation."""
    real, generated = known(rows.shape[1]), FeatureSet.of(rows)
    told = [metrics.build(name).score(real, generated) for name in ("fid", "fid_infinity")]
    return told[0], told[1]


@pytest.mark.parametrize(("count", "size"), [(1000, 16), (600, 64), (2000, 64)])
@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (1.2, 0.1)])
def test_nearer_to_the_truth_than_fid(count: int, size: int, scale: float, shift: float) -> None:
    """W2^2 of N(shift, scale^2 I) and N(0, I) is D (shift^2 + (scale - 1)^2)."""
    truth = size * (shift**2 + (scale - 1) ** 2)
    told = [both(scale * normal(count, size, seed) + shift) for seed in range(3)]
    fid, extrapolated = (torch.tensor(scores).mean().item() for scores in zip(*told, strict=True))
    assert abs(extrapolated - truth) < abs(fid - truth) / 2


def test_a_straight_line_is_read_at_0() -> None:
    places = [0.001 * i for i in range(1, 8)]
    assert intercept(places, [3 + 250 * place for place in places]) == pytest.approx(3)


def test_a_collapsed_generator_has_no_bias_to_take_away() -> None:
    """|m - x|^2 + tr(S), at every count."""
    fid, extrapolated = both(torch.full((100, 16), 0.5))
    assert fid == pytest.approx(16 * 0.25 + 16)
    assert extrapolated == pytest.approx(fid)


def test_too_few_for_a_line_are_refused() -> None:
    with pytest.raises(TooFew, match="over 16 features needs at least 64 pictures, got 63"):
        both(normal(63, 16, 0))
    assert math.isfinite(both(normal(64, 16, 0))[1])


def test_features_that_are_not_finite_are_nan() -> None:
    rows = normal(100, 8, 0)
    rows[7, 7] = math.inf
    assert math.isnan(both(rows)[1])


def test_the_same_features_have_the_same_score() -> None:
    rows = normal(300, 16, 0)
    assert both(rows) == both(rows)


def test_small_draws_are_averaged_over_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """15 sizes from a quarter; at the quarter, all four quarters."""
    drawn: list[int] = []

    def distance(real: Reference, sample: Sample) -> float:
        drawn.append(sample.count)
        return frechet_distance(real, sample)

    monkeypatch.setattr("gancore.metrics.extrapolation.frechet_distance", distance)
    both(normal(400, 8, 0))
    assert drawn[:4] == [100] * 4
    assert len(set(drawn)) == 15
    assert drawn[-1] == 400
