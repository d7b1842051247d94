"""The kernel distance against its definition, closed forms and torch-fidelity."""

import warnings
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from gancore.metrics import FeatureSet, metrics
from gancore.metrics.kernel import among, drawn, kernel
from gancore.torchvision_import import ensure_torchvision


def normal(count: int, size: int, seed: int, shift: float = 0.0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(count, size, generator=random) + shift


def score(real: Tensor, generated: Tensor, **options: int) -> float:
    return metrics.build("kid", **options).score(FeatureSet.of(real), FeatureSet.of(generated))


def theirs(generated: Tensor, real: Tensor, subsets: int, size: int) -> float:
    ensure_torchvision()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch_fidelity.metric_kid import kid_features_to_metric

        told = kid_features_to_metric(
            generated.double(),
            real.double(),
            kid_subsets=subsets,
            kid_subset_size=size,
            verbose=False,
            rng_seed=2020,
        )
    return told["kernel_inception_distance_mean"]


def test_it_is_the_unbiased_estimate_by_its_definition() -> None:
    x, y = normal(7, 3, 0).double(), normal(7, 3, 1, 0.5).double()

    def k(a: Tensor, b: Tensor) -> float:
        return (a @ b / 3 + 1).item() ** 3

    within = sum(k(u, v) for s in (x, y) for i, u in enumerate(s) for v in [*s[:i], *s[i + 1 :]])
    between = sum(k(u, v) for u, v in product(x, y))
    assert score(x, y) == pytest.approx(within / 42 - 2 * between / 49, rel=1e-5)


def test_two_sets_of_one_picture_each() -> None:
    """k(a, a) + k(b, b) - 2 k(a, b)."""
    a, b = torch.tensor([1.0, 2.0]), torch.tensor([3.0, -1.0])
    expected = (5 / 2 + 1) ** 3 + (10 / 2 + 1) ** 3 - 2 * (1 / 2 + 1) ** 3
    assert score(a.repeat(5, 1), b.repeat(9, 1)) == pytest.approx(expected)
    assert score(a.repeat(5, 1), a.repeat(9, 1)) == pytest.approx(0, abs=1e-12)


def test_a_scaled_picture_in_one_dimension() -> None:
    """(x y + 1)^3 of -s and s with equal chance: E k = 1 + 3 s^2 t^2 of two such sets."""
    real, generated = (s * torch.tensor([[-1.0], [1.0]]).repeat(1000, 1) for s in (1.0, 2.0))
    told = score(real, generated, subset_size=2000, subsets=1)
    assert told == pytest.approx(3 * (1 + 16 - 2 * 4), rel=0.01)


@pytest.mark.parametrize("size", [8, 64, 192])
def test_torch_fidelity_says_the_same_of_all_pictures(size: int) -> None:
    real, generated = normal(300, size, 1), normal(300, size, 2, 0.1)
    told = score(real, generated, subset_size=300)
    assert told == pytest.approx(theirs(generated, real, 1, 300), rel=1e-9)


def test_torch_fidelity_says_the_same_of_the_same_subsets() -> None:
    """It draws each subset from all rows, where ours take turns: its subsets, our formula."""
    real, generated = normal(200, 16, 1).double(), normal(150, 16, 2, 0.1).double()
    random, distances = np.random.RandomState(2020), []
    for _ in range(20):
        y = generated[random.choice(150, 50, replace=False)]
        x = real[random.choice(200, 50, replace=False)]
        distances.append((among(x) + among(y) - 2 * kernel(x, y).mean()).item())
    assert np.mean(distances) == pytest.approx(theirs(generated, real, 20, 50), rel=1e-9)


def test_subsets_give_the_same_as_all_on_average() -> None:
    real, generated = normal(1000, 8, 1), normal(1000, 8, 2, 0.3)
    whole = score(real, generated, subset_size=1000)
    assert score(real, generated, subset_size=100) == pytest.approx(whole, rel=0.05)


@pytest.mark.parametrize("count", [20, 60])
def test_pictures_of_the_same_distribution_score_0_on_average(count: int) -> None:
    """Whatever their number: the estimate with the diagonal would be above 0 by 30 deviations."""
    scores = torch.tensor(
        [score(normal(count, 8, 2 * i), normal(count, 8, 2 * i + 1)) for i in range(200)]
    )
    assert abs(scores.mean()) < 3 * scores.std() / 200**0.5
    assert (scores < 0).any()


def test_every_row_has_its_turn() -> None:
    rows = torch.cat(list(drawn("real", 60, 20, 9)))
    assert rows.bincount(minlength=60).tolist() == [3] * 60
    left_out = torch.cat(list(drawn("real", 50, 20, 10))).bincount(minlength=50)
    assert left_out.sum() == 200
    assert left_out.max() <= 5


def test_the_same_features_have_the_same_score_whatever_was_drawn_before() -> None:
    real, generated = normal(300, 8, 1), normal(200, 8, 2)
    told = score(real, generated, subset_size=50)
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    assert score(real, generated, subset_size=50) == told
    assert torch.rand(1) == expected


def test_the_real_side_is_kept_for_the_next_epoch() -> None:
    real = FeatureSet.of(normal(300, 8, 1))
    generated = [FeatureSet.of(normal(200, 8, seed)) for seed in (2, 3)]
    for features in generated:
        for size in (50, 70):
            metric = metrics.build("kid", subset_size=size)
            assert metric.score(real, features) == metric.score(FeatureSet.of(real.rows), features)
