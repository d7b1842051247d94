"""Precision, recall, density and coverage against closed forms and two implementations."""

import math
import warnings

import pytest
import torch
from prdc import compute_prdc
from torch import Tensor

from gancore.metrics import FeatureSet, distances, metrics
from gancore.metrics.manifold import Manifold, manifold
from gancore.metrics.moments import TooFew
from gancore.torchvision_import import ensure_torchvision


def normal(count: int, size: int, seed: int, scale: float = 1.0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return scale * torch.randn(count, size, generator=random)


def told(real: Tensor, generated: Tensor, nearest: int = 3) -> Manifold:
    return manifold(FeatureSet.of(real), FeatureSet.of(generated), nearest)


SCORES = ["precision", "recall", "density", "coverage"]
PAIRS = [
    (normal(400, 2, 1), normal(300, 2, 2)),
    (normal(300, 64, 1), normal(400, 64, 2, 0.9)),
    (normal(300, 16, 1) + 1000, normal(300, 16, 2, 1.2) + 1000),
]


class TestClosedForms:
    def test_of_points_on_a_line(self) -> None:
        """Real balls reach from 0 and 1 to 1 away, from 3 to 2 away; generated ones by 0.1."""
        real = torch.tensor([[0.0], [1.0], [3.0]])
        generated = torch.tensor([[0.9], [1.0], [9.0], [9.1]])
        found = told(real, generated, 1)
        assert found.precision == 2 / 4
        assert found.recall == 1 / 3
        assert found.density == pytest.approx((2 + 3) / 4)
        assert found.coverage == 3 / 3

    @pytest.mark.parametrize("nearest", [1, 3, 5])
    def test_of_equal_sets(self, nearest: int) -> None:
        """Each ball holds its centre, its k - 1 nearest others and, on its rim, the k-th."""
        features = normal(200, 8, 0)
        density = (nearest + 1) / nearest
        assert told(features, features.clone(), nearest) == Manifold(1, 1, density, 1)

    def test_of_sets_far_apart(self) -> None:
        assert told(normal(50, 8, 0), normal(50, 8, 1) + 100) == Manifold(0, 0, 0, 0)

    def test_one_half_of_two_clusters(self) -> None:
        """Nothing generated is amiss, and one half of the real pictures is never generated."""
        real = torch.cat([normal(200, 2, 0), normal(200, 2, 1) + 100])
        found = told(real, real[:200])
        assert (found.precision, found.recall, found.coverage) == (1, 0.5, 0.5)

    def test_expected_coverage_of_the_same_distribution(self) -> None:
        """1 - 2^-k (Naeem et al. 2020)."""
        found = told(normal(2000, 2, 0), normal(2000, 2, 1), 2)
        assert found.coverage == pytest.approx(0.75, abs=0.04)
        assert found.density == pytest.approx(1, abs=0.05)


class TestPeers:
    @pytest.mark.parametrize("pair", PAIRS)
    @pytest.mark.parametrize("nearest", [1, 3, 5])
    def test_prdc_says_the_same(self, pair: tuple[Tensor, Tensor], nearest: int) -> None:
        """Its balls are open and ours are closed, which no two of these distances can tell."""
        real, generated = (features.double().numpy() for features in pair)
        theirs = compute_prdc(real, generated, nearest)
        found = told(*pair, nearest)
        for name in SCORES:
            assert getattr(found, name) == pytest.approx(theirs[name], rel=1e-9), name
            metric = metrics.build(name, nearest=nearest)
            assert metric.score(*map(FeatureSet.of, pair)) == getattr(found, name)

    def test_prdc_opens_the_balls(self) -> None:
        """So that pictures that are all one are not even near themselves."""
        real, generated = torch.ones(9, 4), torch.ones(7, 4)
        assert compute_prdc(real.numpy(), generated.numpy(), 3)["precision"] == 0
        assert told(real, generated) == Manifold(1, 1, 9 / 3, 1)

    @pytest.mark.parametrize("pair", [*PAIRS, (torch.ones(9, 4), torch.ones(7, 4))])
    @pytest.mark.parametrize("nearest", [1, 3])
    def test_torch_fidelity_says_the_same(self, pair: tuple[Tensor, Tensor], nearest: int) -> None:
        """Its balls are closed too; generated pictures come first."""
        ensure_torchvision()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from torch_fidelity.metric_prc import prc_features_to_metric

            real, generated = (features.double() for features in pair)
            theirs = prc_features_to_metric(
                generated, real, prc_neighborhood=nearest, save_cpu_ram=False, verbose=False
            )
        found = told(*pair, nearest)
        assert found.precision == pytest.approx(theirs["precision"], rel=1e-6)
        assert found.recall == pytest.approx(theirs["recall"], rel=1e-6)


class TestDegenerate:
    def test_real_duplicates_have_balls_of_no_size(self) -> None:
        """Only copies of them lie there: a distance that is nearly 0 would let others in."""
        real = normal(30, 8, 0).repeat(4, 1)
        near = real[:30] + 1e-5
        assert told(real, near).precision == 0
        assert told(real, near).coverage == 0
        assert told(real, real[:30].clone()).precision == 1

    @pytest.mark.parametrize("bad", [math.nan, math.inf])
    @pytest.mark.parametrize("name", SCORES)
    def test_features_that_are_not_finite_give_nan(self, name: str, bad: float) -> None:
        generated = normal(30, 8, 0)
        generated[4, 2] = bad
        features = FeatureSet.of(normal(30, 8, 1)), FeatureSet.of(generated)
        assert math.isnan(metrics.build(name).score(*features))

    @pytest.mark.parametrize(("real", "generated"), [(3, 30), (30, 3)])
    def test_as_many_pictures_as_neighbours_are_refused(self, real: int, generated: int) -> None:
        with pytest.raises(TooFew, match=r"the 3 nearest others need at least 4 .*, got 3"):
            told(normal(real, 8, 0), normal(generated, 8, 1))


class TestDistances:
    def test_they_are_those_of_numbers_that_are_not_rounded(self) -> None:
        x, y = normal(50, 64, 0) + 1000, normal(40, 64, 1, 0.1) + 1000
        found = torch.cat([part for _, part in distances.parts(x, y)])
        exact = (x.double()[:, None] - y.double()).norm(dim=2)
        torch.testing.assert_close(found.double(), exact, rtol=1e-6, atol=0)

    def test_equal_features_are_at_no_distance(self) -> None:
        features = normal(64, 200, 0, 1e4) + 1e5
        (_, found), *_ = distances.parts(features, features)
        assert (found.diag() == 0).all()
        assert ((found == 0).sum(1) == 1).all()

    def test_one_picture_far_off_does_not_blur_the_others(self) -> None:
        features = normal(20, 8, 0)
        features[0] = 1e8
        found = torch.cat([part for _, part in distances.parts(features, features)])
        exact = (features.double()[:, None] - features.double()).norm(dim=2)
        torch.testing.assert_close(found.double(), exact, rtol=1e-6, atol=0)

    def test_some_at_a_time_are_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = told(*PAIRS[1])
        monkeypatch.setattr(distances, "_AT_ONCE", 1000)
        assert told(*PAIRS[1]) == whole

    def test_more_neighbours_than_usual(self) -> None:
        features = FeatureSet.of(torch.arange(30.0)[:, None])
        assert distances.to_others(features, 2)[0] == 2
        assert distances.to_others(features, 20)[0] == 20
        assert distances.to_others(features, 1)[0] == 1


def test_the_balls_of_real_pictures_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep scores many epochs against one set of real pictures."""
    made: list[Tensor] = []
    find = distances.nearest_others
    monkeypatch.setattr(
        distances, "nearest_others", lambda rows, most: made.append(rows) or find(rows, most)
    )
    real, generated = FeatureSet.of(normal(50, 4, 0)), FeatureSet.of(normal(40, 4, 1))
    for name in SCORES:
        metrics.build(name).score(real, generated)
    metrics.build("precision").score(real, FeatureSet.of(normal(40, 4, 2)))
    assert [len(rows) for rows in made] == [50, 40, 40]
