"""Scores over known modes: how many are hit, how evenly, and how often any at all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gancore.metrics.feature_set import FeatureSet
from gancore.metrics.moments import NoScore
from gancore.metrics.registry import metrics


@metrics.register("modes")
@dataclass(frozen=True, kw_only=True)
class Modes:
    """The number of modes that a generated picture belongs to (Metz et al. 2017, arXiv:1611.02163).

    One picture hits a mode, so the number grows with that of pictures, and a classifier's errors
    hit modes too. Of digits the modes are the classes, of which a collapsed generator may still
    hit every one.
    """

    goal: ClassVar[str] = "max"
    needs: ClassVar[str] = "modes"

    def score(self, _real: FeatureSet, generated: FeatureSet) -> float:
        counts = mode_counts(generated)
        return math.nan if counts is None else float((counts > 0).sum())


@metrics.register("mode_kl")
@dataclass(frozen=True, kw_only=True)
class ModeDivergence:
    """KL of the generated histogram of modes to equal shares (Metz et al. 2017, arXiv:1611.02163).

    In nats: 0 if all modes are hit equally often, log(modes) if one alone is, and where no picture
    belongs to a mode. Those that belong to none are left out. Biased upwards by about
    (modes - 1) / (2 pictures), and for real data as far as its own modes are unequal.
    """

    goal: ClassVar[str] = "min"
    needs: ClassVar[str] = "modes"

    def score(self, _real: FeatureSet, generated: FeatureSet) -> float:
        counts = mode_counts(generated)
        return math.nan if counts is None else divergence(counts)


@metrics.register("mode_share")
@dataclass(frozen=True, kw_only=True)
class ModeShare:
    """The share of generated pictures that belong to a mode (Srivastava et al. 2017).

    VEEGAN's share of high quality samples (arXiv:1705.07761). Without meaning, since always 1,
    under a feature network that finds a mode for every picture, as classifiers do.
    """

    goal: ClassVar[str] = "max"
    needs: ClassVar[str] = "modes"

    def score(self, _real: FeatureSet, generated: FeatureSet) -> float:
        counts = mode_counts(generated)
        return math.nan if counts is None else counts.sum().item() / len(generated.rows)


def divergence(counts: Tensor) -> float:
    """KL of a histogram [modes] to equal shares, in nats; log(modes) where it is empty."""
    shares = counts.double() / counts.sum().clamp(min=1)
    return max(0.0, math.log(len(counts)) - torch.special.entr(shares).sum().item())


def mode_counts(generated: FeatureSet) -> Tensor | None:
    """How many pictures each mode has, int64 [modes]; None where features are not finite.

    Raises:
        NoScore: The feature network knows no modes.
    """
    if generated.modes is None or not generated.mode_count:
        raise NoScore("a score of modes needs a feature network that knows modes")
    if not generated.finite:
        return None
    belonging = generated.modes[generated.modes >= 0]
    return torch.bincount(belonging, minlength=generated.mode_count)
