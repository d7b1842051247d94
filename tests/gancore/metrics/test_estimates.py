"""Intervals hold the expectation of a score about as often as they say."""

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from gancore.metrics import FeatureSet, metrics
from gancore.metrics.estimates import Estimate, estimates
from gancore.metrics.moments import NoScore
from gancore.schema import Refused

CLASSES = 8
ALL = [
    "coverage",
    "density",
    "fid",
    "fid_infinity",
    "is",
    "kid",
    "memorisation",
    "mode_kl",
    "mode_share",
    "modes",
    "precision",
    "recall",
]


@dataclass(frozen=True)
class Normal:
    """Real features are standard normal, generated ones are not quite.

    Args:
        count: Of either side.
        decay: Power by which the deviation falls from one feature to the next.
    """

    count: int = 200
    size: int = 8
    scale: float = 1.0
    shift: float = 0.0
    decay: float = 0.0

    def real(self) -> FeatureSet:
        random = torch.Generator().manual_seed(1000)
        return self._features(torch.randn(self.count, self.size, generator=random))

    def generated(self, seed: int) -> FeatureSet:
        random = torch.Generator().manual_seed(seed)
        rows = torch.randn(self.count, self.size, generator=random)
        return self._features(self.scale * rows + self.shift)

    def _features(self, rows: Tensor) -> FeatureSet:
        rows = rows * torch.arange(1, self.size + 1) ** -self.decay
        logits = 2 * rows[:, :CLASSES]
        modes = logits.argmax(1).where(logits.amax(1) > 1.5, -1)
        return FeatureSet.of(rows, logits, modes, CLASSES)


def held(case: Normal, names: list[str], draws: int, repeats: int) -> dict[str, float]:
    """How often the interval of each score held its expectation, the mean of four times as many."""
    real = case.real()
    told = [
        estimates(real, case.generated(seed), names, repeats=repeats, seed=seed)
        for seed in range(draws)
    ]
    shares = {}
    for name in names:
        metric = metrics.build(name)
        scores = [metric.score(real, case.generated(seed)) for seed in range(4 * draws)]
        mean = sum(scores) / len(scores)
        shares[name] = sum(t[name].low <= mean <= t[name].high for t in told) / draws
        # An interval that is always too wide would hold it too.
        reach = sum((t[name].high - t[name].low) / 2 for t in told) / draws
        deviation = torch.tensor(scores).std().item()
        assert reach <= 1.5 * 1.96 * deviation + 1e-12, f"{name} is told too wide"
    return shares


COMMON = [name for name in ALL if name not in ("modes", "fid_infinity")]
"""Without what every draw here hits, and what is slow."""


def test_they_hold_the_expectation_about_as_often_as_they_say() -> None:
    """95 in 100, of which chance makes at least 85 in this many draws."""
    for name, share in held(Normal(shift=0.2), COMMON, draws=60, repeats=12).items():
        assert share >= 0.85, name


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        Normal(500, 16),
        Normal(400, 16, scale=1.15, shift=0.1),
        Normal(400, 64, scale=0.95, shift=0.1, decay=0.7),
    ],
)
def test_they_do_so_in_many_cases(case: Normal) -> None:
    """95 in 100 of all; those of scores close to 0, which are skewed, a little less often."""
    shares = held(case, COMMON, draws=150, repeats=40)
    for name, share in shares.items():
        assert share >= 0.87, name
    assert 0.92 <= sum(shares.values()) / len(shares) <= 0.98


@pytest.mark.slow
def test_they_hold_what_is_expected_of_the_extrapolation() -> None:
    shares = held(Normal(256, 8, shift=0.2), ["fid_infinity"], draws=80, repeats=10)
    assert shares["fid_infinity"] >= 0.87


def test_the_value_is_the_score() -> None:
    real, generated = Normal().real(), Normal().generated(0)
    for name, told in estimates(real, generated, repeats=5).items():
        assert told.value == metrics.build(name).score(real, generated)
        assert told.low <= told.value <= told.high, name


def test_without_names_it_is_all_that_these_features_allow() -> None:
    real, generated = Normal().real(), Normal().generated(0)
    assert sorted(estimates(real, generated, repeats=2)) == ALL
    bare = FeatureSet.of(generated.rows)
    without = [n for n in ALL if n not in ("is", "modes", "mode_kl", "mode_share")]
    assert sorted(estimates(real, bare, repeats=2)) == without


@pytest.mark.parametrize("name", ["is", "test_error"])
def test_what_was_asked_for_and_cannot_be_had_is_refused(name: str) -> None:
    real = FeatureSet.of(Normal().real().rows)
    with pytest.raises(NoScore, match=r"needs a feature network|is not computed from features"):
        estimates(real, real, [name])
    with pytest.raises(Refused, match="unknown metric 'fidd'"):
        estimates(real, real, ["fidd"])


def test_a_higher_level_is_a_wider_interval() -> None:
    real, generated = Normal().real(), Normal(shift=0.3).generated(0)
    usual, wide = (
        estimates(real, generated, ["fid", "precision"], repeats=10, level=level)
        for level in (0.95, 0.99)
    )
    for name in usual:
        assert wide[name].low < usual[name].low < usual[name].high < wide[name].high
    reach = [math.log(found["fid"].high / found["fid"].value) for found in (usual, wide)]
    assert reach[1] / reach[0] == pytest.approx(2.5758 / 1.9600, rel=1e-3)


def test_a_share_of_all_or_none_still_has_an_interval_within_0_and_1() -> None:
    """Wilson's: n of n leaves n / (n + z^2) to 1."""
    real = Normal().real()
    all_near = FeatureSet.of(real.rows[:1].repeat(200, 1))
    found = estimates(real, all_near, ["precision", "recall"], repeats=4)
    assert (found["precision"].value, found["precision"].high) == (1, 1)
    assert found["precision"].low == pytest.approx(200 / (200 + 1.96**2), rel=1e-4)
    assert 0 <= found["recall"].low <= found["recall"].value < found["recall"].high < 0.1


def test_the_same_seed_gives_the_same_intervals() -> None:
    real, generated = Normal().real(), Normal().generated(0)
    one, again, other = (
        estimates(real, generated, ["fid"], repeats=5, seed=seed) for seed in (1, 1, 2)
    )
    assert one == again
    assert one["fid"].value == other["fid"].value
    assert one["fid"].low != other["fid"].low


def test_features_that_are_not_finite_have_neither_score_nor_interval() -> None:
    rows = Normal().generated(0).rows
    rows[3, 3] = math.nan
    for told in estimates(Normal().real(), FeatureSet.of(rows), repeats=2).values():
        assert all(map(math.isnan, (told.value, told.low, told.high)))


def test_too_few_pictures_for_parts_have_a_score_without_an_interval() -> None:
    few = FeatureSet.of(Normal().generated(0).rows[:3])
    told = estimates(Normal().real(), few, ["fid", "kid"], repeats=2)
    for found in told.values():
        assert isinstance(found, Estimate)
        assert math.isfinite(found.value)
        assert math.isnan(found.low)
