"""Scores that a GAN system has of itself; no function of features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gancore.metrics.registry import metrics


@metrics.register("test_error")
@dataclass(frozen=True, kw_only=True)
class TestError:
    """The share of the test split that a semi-supervised GAN's classifier gets wrong."""

    __test__ = False  # It is no test, whatever its name begins with.

    goal: ClassVar[str] = "min"
    system: ClassVar[tuple[str, ...]] = ("semi_supervised",)


@metrics.register("label_accuracy")
@dataclass(frozen=True, kw_only=True)
class LabelAccuracy:
    """The share of a conditional GAN's pictures that the feature network gives the asked class."""

    goal: ClassVar[str] = "max"
    needs: ClassVar[str] = "modes"
    system: ClassVar[tuple[str, ...]] = ("conditional",)


@metrics.register("cycle_error")
@dataclass(frozen=True, kw_only=True)
class CycleError:
    """CycleGAN: the mean absolute error of pictures that went to the other domain and back."""

    goal: ClassVar[str] = "min"
    system: ClassVar[tuple[str, ...]] = ("cycle",)
