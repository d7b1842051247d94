"""What every test of a fault leaves as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import gancore.training

TRAIN = gancore.training.train


@pytest.fixture(autouse=True)
def nothing_stays_swapped() -> Iterator[None]:
    """Whoever imports a scripted sweep's plug-in, to build its report say, swaps training for good:
    it is back after the test."""
    yield
    gancore.training.train = TRAIN
