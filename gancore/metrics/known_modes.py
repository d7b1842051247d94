"""Feature networks that tell which of a data set's known modes a picture belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gancore.metrics import classifier
from gancore.metrics.classifier import Layers, kept_or, train_classifier, weights_digest
from gancore.metrics.registry import (
    FeatureNetwork,
    FeatureNetworkUnavailable,
    Labelled,
    features,
)

WITHIN = 3.0
"""Deviations from its mode at which a point still belongs to it."""

RECIPE = 1
"""Changes whenever the same stacks would give the classifier other digits to learn from."""

_LEARNT = 10_000
"""Stacks whose first digit is learnt: enough for 98% of held-out digits, in seconds."""


@features.register("plane")
@dataclass(frozen=True, kw_only=True)
class Plane:
    """The point of the plane that a picture of one pixel and two channels is; no network at all.

    A point belongs to the nearest mode if it is within three standard deviations of it: a "high
    quality sample" (Srivastava et al. 2017, arXiv:1705.07761). So are 1 - exp(-9/2), or 98.9%, of
    the real points. Centres and the deviation, one for all modes, are those of the real points.
    A Frechet distance only sees mean and covariance here, which points between the modes may have
    too: a metric of modes says more.
    """

    gives: ClassVar[tuple[str, ...]] = ("modes",)
    named: ClassVar[bool] = True

    def load(
        self, real: Labelled, _held_out: Labelled, _folder: Path, _weights: str | None
    ) -> FeatureNetwork:
        if real.labels is None or real.images.shape[1:] != (2, 1, 1):
            raise FeatureNetworkUnavailable(
                "the feature network `plane` knows modes from labelled points of the plane "
                f"[N, 2, 1, 1], not from pictures {list(real.images.shape)}: use data `ring` or "
                "`grid`"
            )
        return Points(*_modes_of(_plane(torch.tensor(real.images)), torch.tensor(real.labels)))


class Points(FeatureNetwork):
    """Points and their modes: uint8 [N, 2, 1, 1] -> [N, 2] in [-1, 1].

    Args:
        centres: Of the modes, float32 [K, 2].
        deviation: Of each mode, in x and in y.
    """

    centres: Tensor
    deviation: Tensor

    def __init__(self, centres: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.size, self.mode_count = 2, len(centres)
        self.register_buffer("centres", centres)
        self.register_buffer("deviation", deviation)
        self.digest = weights_digest(self.state_dict())

    def forward(self, images: Tensor) -> Tensor:
        return _plane(images)

    def modes(self, features: Tensor) -> Tensor:
        nearest = (features[:, None] - self.centres).norm(dim=2).min(1)  # over [N, K]
        return nearest.indices.where(nearest.values <= WITHIN * self.deviation, -1)


def _plane(images: Tensor) -> Tensor:
    return images.flatten(1).float().div(127.5).sub(1)


def _modes_of(points: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Centres [K, 2] of points [N, 2] by label, and their pooled deviation in x and in y."""
    counts = labels.bincount()
    if not counts.all():
        missing = int((counts == 0).nonzero()[0])
        raise FeatureNetworkUnavailable(f"no real point has the label {missing}")
    points = points.double()
    centres = points.new_zeros(len(counts), 2).index_add(0, labels, points) / counts[:, None]
    freedom = max(1, 2 * (len(points) - len(counts)))
    deviation = ((points - centres[labels]).square().sum() / freedom).sqrt()
    return centres.float(), deviation.float()


@features.register("stacked")
@dataclass(frozen=True, kw_only=True)
class Stacked:
    """A classifier of digits, applied to each channel of a stack of three.

    It is `classifier`, trained on the digits of the first channel, as Lin et al. 2018 (PacGAN,
    arXiv:1712.04086) count modes with a classifier of MNIST. Features are those of the three
    channels in a row, and the mode is 100 a + 10 b + c. The accuracy is that of single digits: of
    stacks, about its third power.
    """

    gives: ClassVar[tuple[str, ...]] = ("modes",)
    named: ClassVar[bool] = True

    def load(
        self, real: Labelled, held_out: Labelled, folder: Path, _weights: str | None
    ) -> FeatureNetwork:
        if real.labels is None or held_out.labels is None or real.images.shape[1] != 3:
            raise FeatureNetworkUnavailable(
                "the feature network `stacked` learns from labelled stacks of three digits, not "
                f"from pictures {list(real.images.shape)}: use data `stacked_mnist`"
            )
        recipe = f"{classifier.RECIPE}.{RECIPE}"
        path = folder / f"stacked-{real.fingerprint[:12]}-{recipe}.pt"
        first, held_out = _FirstDigits.of(real, _LEARNT), _FirstDigits.of(held_out)
        return Stack(kept_or(lambda: train_classifier(first, held_out), path))


@dataclass(frozen=True)
class _FirstDigits:
    """The first channels of stacks, [N, 1, H, W], and the digits that they show."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    fingerprint: str

    @classmethod
    def of(cls, stacks: Labelled, most: int | None = None) -> _FirstDigits:
        assert stacks.labels is not None
        images, labels = stacks.images[:most, :1], stacks.labels[:most] // 100
        return cls(np.ascontiguousarray(images), labels, stacks.fingerprint)


class Stack(FeatureNetwork):
    """Digits of three channels by one classifier: uint8 [N, 3, H, W] -> [N, 3 D]."""

    def __init__(self, digits: Layers) -> None:
        super().__init__()
        self.digits = digits
        self.size, self.mode_count = 3 * digits.size, 1000
        self.digest, self.accuracy = digits.digest, digits.accuracy

    def forward(self, images: Tensor) -> Tensor:
        digits = images.flatten(0, 1)[:, None]  # [3 N, 1, H, W]
        rows: Tensor = self.digits(digits)
        return rows.reshape(len(images), self.size)

    def modes(self, features: Tensor) -> Tensor:
        a, b, c = self.digits.logits(features.unflatten(1, (3, -1))).argmax(2).unbind(1)
        return 100 * a + 10 * b + c
