"""The Frechet distance against closed forms and against the two implementations people cite."""

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gancore.metrics.frechet import frechet_distance, trace_of_root
from gancore.metrics.moments import Moments, Reference, Sample, TooFew
from gancore.torchvision_import import ensure_torchvision


def moments(features: Tensor, batch: int = 97) -> Sample:
    stream = Moments()
    for part in features.split(batch):
        stream.add(part)
    return stream.sample()


def distance(real: Tensor, fake: Tensor) -> float:
    return frechet_distance(Reference.of(moments(real)), moments(fake))


def exact(mean: Tensor, covariance: Tensor) -> Sample:
    """Moments that are known, instead of those of a sample."""
    return Sample(1001, mean, scatter=1000 * covariance)


def drawn(count: int, size: int, seed: int, scale: float = 1.0, shift: float = 0.0) -> Tensor:
    """Correlated features with a spectrum that decays, as those of networks do."""
    random = torch.Generator().manual_seed(seed)
    mixing = torch.randn(size, size, generator=random).double() / size**0.5
    mixing *= torch.arange(1, size + 1).double() ** -0.5
    return shift + scale * torch.randn(count, size, generator=random).double() @ mixing.T


def numpy_moments(features: Tensor) -> tuple[Any, Any]:
    return features.mean(0).numpy(), np.cov(features.numpy(), rowvar=False)


def rotation(size: int, seed: int) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(size, size, generator=random).double())[0]


class TestClosedForms:
    def test_in_one_dimension(self) -> None:
        """(m - n)^2 + (s - t)^2."""
        real = exact(torch.tensor([2.0]).double(), torch.tensor([[9.0]]).double())
        fake = exact(torch.tensor([-1.0]).double(), torch.tensor([[0.25]]).double())
        told = frechet_distance(Reference.of(real), fake)
        assert told == pytest.approx(9 + (3 - 0.5) ** 2, rel=1e-12)

    @pytest.mark.parametrize("size", [2, 16, 128])
    def test_of_covariances_that_commute(self, size: int) -> None:
        """|m - n|^2 + sum (s_i - t_i)^2 in the basis that both share."""
        basis = rotation(size, 0)
        random = torch.Generator().manual_seed(1)
        s, t = torch.rand(2, size, generator=random).double() * 3 + 0.01
        m, n = torch.randn(2, size, generator=random).double()
        real = Reference.of(exact(m, basis @ torch.diag(s**2) @ basis.T))
        fake = exact(n, basis @ torch.diag(t**2) @ basis.T)
        closed = (m - n).square().sum() + (s - t).square().sum()
        assert frechet_distance(real, fake) == pytest.approx(closed.item(), rel=1e-8)

    def test_of_covariances_that_do_not_commute(self) -> None:
        """In two dimensions tr((ST)^(1/2)) = sqrt(tr(ST) + 2 sqrt(det(ST)))."""
        s = torch.tensor([[2.0, 0.7], [0.7, 1.0]]).double()
        t = torch.tensor([[0.5, -0.3], [-0.3, 3.0]]).double()
        zero = torch.zeros(2).double()
        product = s @ t
        root = math.sqrt(product.trace() + 2 * math.sqrt(torch.linalg.det(product)))
        closed = (s.trace() + t.trace()).item() - 2 * root
        told = frechet_distance(Reference.of(exact(zero, s)), exact(zero, t))
        assert told == pytest.approx(closed, rel=1e-8)

    @pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
    def test_a_shift_of_the_same_pictures_is_its_length(self, scale: float) -> None:
        features = scale * drawn(500, 16, 3)
        shifted = features + 2 * scale / 4
        assert distance(features, shifted) == pytest.approx(scale**2 * 4, rel=1e-8)

    def test_stretching_by_two_costs_the_variance(self) -> None:
        """tr(S) + 4 tr(S) - 2 tr(2 S) = tr(S), and the mean's length."""
        features = drawn(800, 12, 4)
        sample = moments(features)
        closed = (sample.variance + sample.mean.square().sum()).item()
        assert distance(features, 2 * features) == pytest.approx(closed, rel=1e-8)


class TestPeers:
    @pytest.mark.parametrize("size", [8, 64, 192])
    def test_pytorch_fid_says_the_same(self, size: int) -> None:
        ensure_torchvision()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pytorch_fid.fid_score import calculate_frechet_distance

            real, fake = drawn(1000, size, 1), drawn(900, size, 2, 1.3, 0.1)
            theirs = calculate_frechet_distance(*numpy_moments(real), *numpy_moments(fake))
        assert distance(real, fake) == pytest.approx(float(theirs), rel=1e-6)

    @pytest.mark.parametrize("size", [8, 64, 192])
    def test_torch_fidelity_says_the_same(self, size: int) -> None:
        ensure_torchvision()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from torch_fidelity.metric_fid import (
                fid_features_to_statistics,
                fid_statistics_to_metric,
            )

            real, fake = drawn(1000, size, 1), drawn(900, size, 2, 1.3, 0.1)
            theirs = fid_statistics_to_metric(
                fid_features_to_statistics(real), fid_features_to_statistics(fake), verbose=False
            )["frechet_inception_distance"]
        assert distance(real, fake) == pytest.approx(theirs, rel=1e-6)


class TestDegenerate:
    """A matrix root by Newton or Schur gives NaN or nonsense on these; this must not."""

    @pytest.mark.parametrize("count", [2, 3, 20, 63, 64, 65])
    def test_fewer_pictures_than_dimensions(self, count: int) -> None:
        """The n x n way and the d x d way agree, up to the root of zero's round-off."""
        real, fake = Reference.of(moments(drawn(300, 64, 1))), drawn(count, 64, 2)
        short = moments(fake)
        full = Sample(count, fake.mean(0), scatter=(count - 1) * torch.cov(fake.T))
        assert frechet_distance(real, short) == pytest.approx(
            frechet_distance(real, full), rel=1e-6
        )

    def test_both_sides_with_fewer(self) -> None:
        """Spans that are orthogonal have no root in common: the variances simply add up."""
        real, fake = torch.zeros(2, 5, 32).double().unbind()
        real[:, :16] = drawn(5, 16, 1)
        fake[:, 16:] = drawn(5, 16, 2)
        a, b = moments(real), moments(fake)
        closed = (a.mean - b.mean).square().sum() + a.variance + b.variance
        assert distance(real, fake) == pytest.approx(closed.item(), rel=1e-6)

    def test_a_generator_with_one_picture(self) -> None:
        """Total collapse: no variance, so |m - x|^2 + tr(S)."""
        real = drawn(400, 24, 1)
        fake = torch.ones(50, 24).double().mul(0.3)
        sample = moments(real)
        closed = (sample.mean - 0.3).square().sum() + sample.variance
        assert distance(real, fake) == pytest.approx(closed.item(), rel=1e-8)

    def test_two_sets_of_one_picture_each(self) -> None:
        same, other = torch.ones(9, 8).double(), torch.ones(30, 8).double() * 3
        assert distance(same, other) == pytest.approx(8 * 4)
        assert distance(same, same) == 0

    @pytest.mark.parametrize("times", [2, 7])
    def test_duplicates(self, times: int) -> None:
        """Pictures shown several times have their mean and, biased, their covariance."""
        real, few = drawn(300, 32, 1), drawn(6, 32, 2)
        many = few.repeat(times, 1)
        told = distance(real, many)
        sample = Sample(7, few.mean(0), scatter=6 * torch.cov(few.T) * 5 * times / (6 * times - 1))
        assert told == pytest.approx(
            frechet_distance(Reference.of(moments(real)), sample), rel=1e-7
        )

    def test_dead_features(self) -> None:
        """A ReLU that never fires is a zero row and column in both covariances."""
        real, fake = drawn(200, 16, 1), drawn(200, 16, 2, 1.5)
        padded = [torch.nn.functional.pad(x, (0, 8)) for x in (real, fake)]
        assert distance(*padded) == pytest.approx(distance(real, fake), rel=1e-8)

    def test_identical_sets_are_at_no_distance(self) -> None:
        for count in (2, 10, 500):
            features = drawn(count, 40, 5)
            assert 0 <= distance(features, features) < 1e-9 * features.square().sum()

    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
    @pytest.mark.parametrize("count", [10, 500])
    def test_features_that_are_not_finite_give_nan(self, bad: float, count: int) -> None:
        real, fake = drawn(300, 24, 1), drawn(count, 24, 2)
        fake[3, 7] = bad
        assert math.isnan(distance(real, fake))

    def test_numbers_that_overflow_give_nan_and_no_error(self) -> None:
        assert math.isnan(distance(drawn(100, 8, 1), 1e200 * drawn(100, 8, 2)))

    def test_one_picture_is_refused(self) -> None:
        with pytest.raises(TooFew, match="at least 2 pictures, got 1"):
            moments(torch.zeros(1, 4))


class TestProperties:
    @settings(max_examples=30, deadline=None)
    @given(st.integers(2, 40), st.integers(1, 24), st.integers(0, 10**6))
    def test_symmetric_and_never_negative(self, count: int, size: int, seed: int) -> None:
        one, other = drawn(count, size, seed), drawn(count + 5, size, seed + 1, 2.0)
        there, back = distance(one, other), distance(other, one)
        assert there >= 0
        assert there == pytest.approx(back, rel=1e-6, abs=1e-6)

    @settings(max_examples=20, deadline=None)
    @given(st.integers(3, 60), st.integers(1, 16), st.integers(0, 10**6))
    def test_a_rotation_of_both_changes_nothing(self, count: int, size: int, seed: int) -> None:
        one, other = drawn(count, size, seed), drawn(count, size, seed + 1, 0.5, 1.0)
        turn = rotation(size, seed)
        told = distance(one @ turn, other @ turn)
        assert told == pytest.approx(distance(one, other), rel=1e-6, abs=1e-6)


def test_the_root_squares_to_the_covariance() -> None:
    sample = moments(drawn(300, 48, 1))
    root = Reference.of(sample).root
    torch.testing.assert_close(root @ root, sample.covariance)
    assert trace_of_root(root, sample) == pytest.approx(sample.covariance.trace().item())
