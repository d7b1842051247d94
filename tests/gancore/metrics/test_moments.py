"""Moments from a stream are those of the whole."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gancore.metrics.moments import Moments, Reference


@settings(max_examples=50, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    dimensions=st.integers(1, 24),
    shift=st.sampled_from([0.0, 1e3, 1e6]),
    seed=st.integers(0, 10**6),
)
def test_any_cut_into_batches_gives_numpys_covariance(
    sizes: list[int], dimensions: int, shift: float, seed: int
) -> None:
    random = torch.Generator().manual_seed(seed)
    total = max(2, sum(sizes))
    features = torch.randn(total, dimensions, generator=random).double() + shift
    moments = Moments()
    for batch in features.split([*sizes[:-1], total - sum(sizes[:-1])]):
        moments.add(batch)
    sample = moments.sample()
    assert sample.count == total
    np.testing.assert_allclose(sample.mean.numpy(), features.mean(0).numpy(), 1e-12, 1e-12)
    expected = np.atleast_2d(np.cov(features.numpy(), rowvar=False))
    np.testing.assert_allclose(sample.covariance.numpy(), expected, rtol=1e-6, atol=1e-8)
    assert sample.variance.item() == pytest.approx(np.trace(expected), rel=1e-8, abs=1e-9)


def test_few_pictures_are_kept_and_many_are_not() -> None:
    few, many = Moments(), Moments()
    few.add(torch.randn(10, 32))
    many.add(torch.randn(64, 32))
    assert few.sample().scatter is None
    assert many.sample().centred is None


def test_float32_features_are_summed_in_float64() -> None:
    """In float32 a million and one is a million: the variance would be lost."""
    features = torch.randn(4000, 4) + 4e3
    moments = Moments()
    for batch in features.split(100):
        moments.add(batch)
    expected = np.cov(features.double().numpy(), rowvar=False)
    np.testing.assert_allclose(moments.sample().covariance.numpy(), expected, rtol=1e-9)


def test_a_sample_can_be_read_and_the_stream_go_on() -> None:
    features = torch.randn(50, 8)
    moments = Moments()
    moments.add(features[:20])
    assert moments.sample().count == 20
    moments.add(features[20:])
    np.testing.assert_allclose(
        moments.sample().covariance.numpy(), np.cov(features.double().numpy(), rowvar=False)
    )


def test_the_variance_of_a_reference_is_the_trace() -> None:
    moments = Moments()
    moments.add(torch.randn(50, 8))
    sample = moments.sample()
    assert Reference.of(sample).variance.item() == pytest.approx(sample.variance.item())
