"""The Inception score against closed forms and torch-fidelity."""

import math
import warnings

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gancore.metrics import FeatureSet, metrics
from gancore.metrics.inception_score import inception_score
from gancore.metrics.moments import NoScore, TooFew
from gancore.torchvision_import import ensure_torchvision


def sure(classes: int, each: int, logit: float = 100.0) -> Tensor:
    """Pictures that show every class equally often, and leave no doubt which."""
    return logit * F.one_hot(torch.arange(classes * each) % classes, classes).float()


def drawn(count: int, classes: int, seed: int) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(count, classes, generator=random)


def theirs(logits: Tensor, splits: int, shuffle: bool) -> tuple[float, float]:
    ensure_torchvision()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch_fidelity.metric_isc import isc_features_to_metric

        told = isc_features_to_metric(logits, splits, shuffle, rng_seed=2020)
    return told["inception_score_mean"], told["inception_score_std"]


@pytest.mark.parametrize("classes", [2, 10, 1008])
def test_sure_and_equally_likely_classes_score_their_number(classes: int) -> None:
    assert inception_score(sure(classes, 10), 10) == pytest.approx((classes, 0), abs=1e-9)


def test_pictures_of_one_class_or_of_none_score_one() -> None:
    one_class = 100 * F.one_hot(torch.zeros(50, dtype=torch.int64), 10).float()
    assert inception_score(one_class, 10) == pytest.approx((1, 0))
    assert inception_score(torch.ones(50, 10), 10) == pytest.approx((1, 0))


def test_half_sure_and_half_doubtful() -> None:
    """Shares (1, 0) and (1/2, 1/2) have the mean (3/4, 1/4)."""
    logits = torch.tensor([[1000.0, 0.0], [0.0, 0.0]]).repeat(20, 1)
    marginal = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    expected = math.exp(marginal - math.log(2) / 2)
    assert inception_score(logits, 4)[0] == pytest.approx(expected, rel=1e-12)


def test_logits_that_leave_a_share_of_exactly_0_are_no_trouble() -> None:
    """Where torch-fidelity multiplies 0 by infinity."""
    logits = sure(10, 10, logit=1e4)[:, :9]
    assert math.isnan(theirs(F.pad(logits, (0, 1), value=-1e4), 1, False)[0])
    assert math.isfinite(inception_score(F.pad(logits, (0, 1), value=-1e4), 1)[0])


@pytest.mark.parametrize(("count", "splits"), [(1000, 10), (1003, 10), (57, 1), (64, 64)])
def test_torch_fidelity_says_the_same_of_the_same_order(count: int, splits: int) -> None:
    logits = drawn(count, 10, count)
    assert inception_score(logits, splits) == pytest.approx(
        theirs(logits, splits, shuffle=False), rel=1e-9, abs=1e-12
    )


def test_torch_fidelity_draws_an_order_first_unless_told_not_to() -> None:
    logits = drawn(500, 10, 3)
    order = np.random.RandomState(2020).permutation(500)
    shuffled = theirs(logits, 10, shuffle=True)
    assert inception_score(logits[order], 10) == pytest.approx(shuffled, rel=1e-9)
    assert inception_score(logits, 10) != pytest.approx(shuffled, rel=1e-6)


def test_splits_are_parts_whose_scores_are_averaged() -> None:
    logits = drawn(400, 10, 5)
    parts = [inception_score(part, 1)[0] for part in logits.split(100)]
    mean, deviation = inception_score(logits, 4)
    assert mean == pytest.approx(np.mean(parts))
    assert deviation == pytest.approx(np.std(parts))
    rows = torch.zeros(400, 2)
    told = [
        metrics.build("is", splits=n).score(FeatureSet.of(rows), FeatureSet.of(rows, logits))
        for n in (1, 4)
    ]
    assert told == pytest.approx([inception_score(logits, 1)[0], mean])


def test_fewer_pictures_than_splits_are_refused() -> None:
    with pytest.raises(TooFew, match="of 10 splits needs at least 10 pictures, got 9"):
        inception_score(drawn(9, 10, 0), 10)
    assert inception_score(drawn(10, 10, 0), 10)[0] == pytest.approx(1)


def test_a_network_without_classes_has_no_such_score() -> None:
    rows = FeatureSet.of(torch.zeros(20, 4))
    with pytest.raises(NoScore, match="needs a feature network that tells classes"):
        metrics.build("is").score(rows, rows)


def test_logits_that_are_not_finite_are_nan() -> None:
    logits = drawn(100, 10, 0)
    logits[50, 2] = math.inf
    assert math.isnan(inception_score(logits, 10)[0])
