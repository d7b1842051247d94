"""Scores of known modes are counts, and an entropy."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gancore.metrics import FeatureSet, metrics
from gancore.metrics.moments import NoScore

NAMES = ["modes", "mode_kl", "mode_share"]


def score(name: str, modes: list[int], count: int = 4, feature: float = 0.0) -> float:
    rows = torch.full((len(modes), 2), feature)
    features = FeatureSet.of(rows, None, torch.tensor(modes), count)
    return metrics.build(name).score(features, features)


def test_modes_that_are_hit_are_counted_once_each() -> None:
    assert score("modes", [0, 0, 3, -1, 3]) == 2
    assert score("modes", [-1, -1]) == 0
    assert score("modes", list(range(1000)), 1000) == 1000


def test_equal_shares_diverge_by_nothing_and_a_single_mode_by_log_modes() -> None:
    assert score("mode_kl", [0, 1, 2, 3] * 5) == pytest.approx(0, abs=1e-12)
    assert score("mode_kl", [2] * 9) == pytest.approx(math.log(4))
    assert score("mode_kl", [2, 1] * 9) == pytest.approx(math.log(2))


def test_pictures_of_no_mode_are_left_out_of_the_histogram() -> None:
    assert score("mode_kl", [0, 1, -1, -1, -1]) == score("mode_kl", [0, 1])
    assert score("mode_kl", [-1, -1]) == pytest.approx(math.log(4))


def test_the_share_that_belongs_to_a_mode() -> None:
    assert score("mode_share", [0, 0, 3, -1]) == 0.75
    assert score("mode_share", [-1, -1]) == 0
    assert score("mode_share", [1, 2]) == 1


@given(st.lists(st.integers(0, 5), min_size=2, max_size=60))
def test_divergence_is_that_of_the_definition(modes: list[int]) -> None:
    shares = [modes.count(mode) / len(modes) for mode in range(6)]
    expected = sum(p * math.log(6 * p) for p in shares if p)
    assert score("mode_kl", modes, 6) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_features_that_are_not_finite_are_nan(name: str) -> None:
    assert math.isnan(score(name, [0, 1, 2], feature=math.nan))


@pytest.mark.parametrize("name", NAMES)
def test_a_network_that_knows_no_modes_has_no_such_score(name: str) -> None:
    rows, modes = torch.zeros(3, 2), torch.tensor([0, 1, 2])
    for features in (FeatureSet.of(rows), FeatureSet.of(rows, None, modes)):
        with pytest.raises(NoScore, match="needs a feature network that knows modes"):
            metrics.build(name).score(features, features)
