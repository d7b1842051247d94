"""Data sets whose modes are known, so that what a generator leaves out can be counted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from gancore.data.bundled import Mnist5k
from gancore.data.public import MNIST
from gancore.data.registry import Dataset, DataUnavailable, Pictures, Split, datasets
from gancore.schema import Count, Positive

_POINTS = {"train": 10_000, "test": 2_000}
_STACKS = {"train": 25_600, "test": 2_560}
_SEEDS = {"train": 0, "test": 1}

_REACH = 0.75
"""Where the outermost modes lie: well inside the square, since tanh only just reaches its rim."""

_STEP = 1 / 127.5
"""What two neighbouring values of a pixel are apart."""


@datasets.register("ring")
@dataclass(frozen=True, kw_only=True)
class Ring:
    """Gaussians in the plane, evenly on a circle (Metz et al. 2017, arXiv:1611.02163).

    A point of [-1, 1] x [-1, 1] is a picture of one pixel, its x and y two channels. Each mode has
    equally many points, and its number, counter-clockwise from (radius, 0), is their label. The
    default deviation is 2.55 steps of 8 bits, to which rounding adds 0.6%; a circle of 100
    deviations, as in the paper, is too fine for 8 bits.

    Args:
        modes: Gaussians.
        radius: Of the circle.
        deviation: Of each Gaussian, in x and in y.
    """

    size: ClassVar[int] = 1
    channels: ClassVar[int] = 2
    pictures: ClassVar[int] = 10_000
    features: ClassVar[str] = "plane"

    modes: Count = 8
    radius: Positive = 0.75
    deviation: Positive = 0.02

    def read(self, split: Split, _resolution: int, /) -> Pictures:
        apart = 2 * self.radius * math.sin(math.pi / self.modes) if self.modes > 1 else math.inf
        _check(self.radius, apart, self.deviation)
        angles = 2 * np.pi * np.arange(self.modes) / self.modes
        centres = self.radius * np.stack([np.cos(angles), np.sin(angles)], 1)
        return _points(centres, self.deviation, split)

    def identity(self) -> str:
        return repr(self)


@datasets.register("grid")
@dataclass(frozen=True, kw_only=True)
class Grid:
    """Gaussians in the plane, in a square lattice (Srivastava et al. 2017, arXiv:1705.07761).

    Pictures as in `ring`; the lattice reaches from -0.75 to 0.75 both ways, and its modes count by
    rows, from the left and from below. The default deviation is 2.55 steps of 8 bits, to which
    rounding adds 0.6%; modes are 19 of them apart, in the paper 40.

    Args:
        side: Gaussians in a row and in a column.
        deviation: Of each Gaussian, in x and in y.
    """

    size: ClassVar[int] = 1
    channels: ClassVar[int] = 2
    pictures: ClassVar[int] = 10_000
    features: ClassVar[str] = "plane"

    side: Count = 5
    deviation: Positive = 0.02

    def read(self, split: Split, _resolution: int, /) -> Pictures:
        _check(_REACH, 2 * _REACH / max(1, self.side - 1), self.deviation)
        places = np.linspace(-_REACH, _REACH, self.side)
        y, x = np.meshgrid(places, places, indexing="ij")
        return _points(np.stack([x.ravel(), y.ravel()], 1), self.deviation, split)

    def identity(self) -> str:
        return repr(self)


@datasets.register("stacked_mnist")
@dataclass(frozen=True, kw_only=True)
class StackedMnist:
    """Three digits as the channels of a picture: 1,000 modes (Metz et al. 2017, arXiv:1611.02163).

    Counting them was made the custom by Srivastava et al. 2017 (arXiv:1705.07761) and Lin et al.
    2018 (PacGAN, arXiv:1712.04086). The digits of every picture are drawn independently, once and
    for all, those of a split from the same split of their source. The label is 100 a + 10 b + c
    for the digits a, b and c of the first, second and third channel.

    Args:
        source: The data set that has the digits.
        root: Of `mnist`: the folder that has, or gets, torchvision's files; None is `downloads`
            in the cache.
    """

    size: ClassVar[int] = 28
    channels: ClassVar[int] = 3
    pictures: ClassVar[int] = 25_600
    classes: ClassVar[int] = 1000
    features: ClassVar[str] = "stacked"

    source: Literal["mnist5k", "mnist"] = "mnist5k"
    root: str | None = None

    def read(self, split: Split, resolution: int, /) -> Pictures:
        digits = self._digits().read(split, resolution)
        assert digits.labels is not None
        random = np.random.RandomState(_SEEDS[split])  # Its stream never changes: NEP 19.
        rows = random.randint(len(digits.images), size=(_STACKS[split], self.channels))
        labels = digits.labels[rows] @ np.array([100, 10, 1])
        return Pictures(digits.images[:, 0][rows], labels)

    def identity(self) -> str:
        return f"{self!r} {self._digits().identity()}"

    def _digits(self) -> Dataset:
        if self.source == "mnist":
            return MNIST(root=self.root)
        if self.root is not None:
            raise DataUnavailable("data.root is where `source: mnist` lies: mnist5k has no folder")
        return Mnist5k()


def _check(reach: float, apart: float, deviation: float) -> None:
    """Refuses modes that no one could tell apart, or that 8 bits or the square cannot hold."""
    if deviation < _STEP:
        raise DataUnavailable(f"deviation {deviation:g} is below a step of 8 bits ({_STEP:.4f})")
    if apart < 6 * deviation:
        raise DataUnavailable(
            f"modes {apart:.3g} apart overlap at deviation {deviation:g}: 6 of it would be enough"
        )
    if reach + 3 * deviation > 1:
        raise DataUnavailable(
            f"modes {reach:g} from the centre with deviation {deviation:g} leave the square: "
            "3 deviations have to fit between them and 1"
        )


def _points(centres: npt.NDArray[np.float64], deviation: float, split: Split) -> Pictures:
    """Points around centres [K, 2], equally many around each, as uint8 [N, 2, 1, 1]."""
    import torch

    from gancore.data.batches import to_uint8

    labels = np.arange(_POINTS[split], dtype=np.int64) % len(centres)
    random = np.random.RandomState(_SEEDS[split])  # Its stream never changes: NEP 19.
    points = centres[labels] + deviation * random.standard_normal((len(labels), 2))
    return Pictures(to_uint8(torch.from_numpy(points)).numpy()[:, :, None, None], labels)
