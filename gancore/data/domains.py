"""Pictures of two domains that are not paired, for systems that translate one into the other.

A label says both: which domain (0 for A, 1 for B) is its remainder by 2, and the half of it,
rounded down, is what the picture shows where that is known. So a classifier of the labels tells
styles and contents apart, and a picture that was translated well keeps the one and changes the
other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from gancore.data.bundled import Mnist5k
from gancore.data.folder import Folder
from gancore.data.registry import Dataset, DataUnavailable, Pictures, Split, datasets
from gancore.schema import MISSING, Fraction, Refused, Whole

STYLES = 1
"""Counts up when a style changes, so that pictures made before are not used again."""

Shades = npt.NDArray[np.float64]
"""Digits [N, H, W], from 0 (ground) to 1 (stroke)."""


def domain(pictures: Pictures, which: int) -> Pictures:
    """The pictures of one domain.

    Where they lie together, as in the sets below, they stay memory-mapped.

    Args:
        which: 0 for A, 1 for B.

    Raises:
        DataUnavailable: There are none, or the pictures have no labels.
    """
    name = "AB"[which]
    if pictures.labels is None:
        raise DataUnavailable("these pictures have no labels, and so no domains")
    rows = np.flatnonzero(pictures.labels % 2 == which)
    if not len(rows):
        raise DataUnavailable(f"these pictures have none of domain {name}")
    if rows[-1] - rows[0] + 1 != len(rows):
        return pictures.chosen(rows, f"domain {name}")
    together = slice(int(rows[0]), int(rows[-1]) + 1)
    digest = hashlib.sha256(f"{pictures.fingerprint} domain {name}".encode()).hexdigest()
    return Pictures(pictures.images[together], pictures.labels[together], digest)


@datasets.register("two_folders")
@dataclass(frozen=True, kw_only=True)
class TwoFolders:
    """One's own pictures, a folder for each domain; `folder` says what is found and how it splits.

    Subfolders `train` and `test` of each are its splits; other subfolders mean nothing here. The
    labels are the domains alone, so the feature network `classifier` would know little else: use
    `inception`.

    Args:
        path_a: The folder of domain A.
        path_b: The folder of domain B.
        channels: 3 for colour, 1 for grey; pictures of either kind are converted.
        test_share: Share of the pictures of each folder held out, at least one of them.
        smaller: What becomes of pictures smaller than the resolution: refuse them all by name,
            centre each on a black border, or enlarge it.
    """

    domains: ClassVar[bool] = True
    classes: ClassVar[int] = 2

    path_a: str
    path_b: str
    channels: Literal[1, 3] = 3
    test_share: Fraction = 0.1
    smaller: Literal["refuse", "border", "enlarge"] = "refuse"

    def __post_init__(self) -> None:
        _differ("path_a", self.path_a, "path_b", self.path_b)

    def read(self, split: Split, resolution: int, /) -> Pictures:
        a, b = (folder.read(split, resolution).images for folder in self._folders())
        return _joined(a, b)

    def identity(self) -> str:
        return " ".join([repr(self), *(folder.identity() for folder in self._folders())])

    def _folders(self) -> list[Folder]:
        return [
            Folder(
                path=path,
                channels=self.channels,
                test_share=self.test_share,
                smaller=self.smaller,
            )
            for path in (self.path_a, self.path_b)
        ]


@datasets.register("styles")
@dataclass(frozen=True, kw_only=True)
class Styles:
    """The digits of `mnist5k` in two styles, no digit in both: 2,000 and 500 to test on in each.

    Half of each class is in domain A and half in B, all in three channels. The labels tell the
    digits too, so a feature network that learns them sees whether a translation keeps the digit.

    Args:
        a: Style of domain A: `plain` is white on black; `ink` dark blue on paper; `coloured` has
            a hue of its own for every digit, on black; `thick` is plain with a stroke two pixels
            wider, and `outlined` only what that adds.
        b: Style of domain B.
    """

    size: ClassVar[int] = 28
    channels: ClassVar[int] = 3
    pictures: ClassVar[int] = 4000
    domains: ClassVar[bool] = True
    classes: ClassVar[int] = 20

    a: Literal["plain", "ink", "coloured", "thick", "outlined"] = "plain"
    b: Literal["plain", "ink", "coloured", "thick", "outlined"] = "ink"

    def __post_init__(self) -> None:
        _differ("a", self.a, "b", self.b)

    def read(self, split: Split, resolution: int, /) -> Pictures:
        digits = Mnist5k().read(split, resolution)
        assert digits.labels is not None
        half = _halves(digits.labels)
        a, b = (
            _STYLES[style](digits.images[half == which, 0] / 255)
            for which, style in enumerate((self.a, self.b))
        )
        return _joined(_pixels(a), _pixels(b), digits.labels[half == 0], digits.labels[half == 1])

    def identity(self) -> str:
        return f"{self!r} {STYLES} {Mnist5k().identity()}"


@datasets.register("two_classes")
@dataclass(frozen=True, kw_only=True)
class TwoClasses:
    """Two classes of another data set as two domains.

    The other set takes its defaults, so it must be one that needs no options; a folder with two
    classes is `two_folders`. Its own resolution is not known here, so a run has to give one.

    Args:
        of: The data set.
        a: The class that is domain A.
        b: The class that is domain B.
    """

    domains: ClassVar[bool] = True
    classes: ClassVar[int] = 2

    of: str
    a: Whole = 0
    b: Whole = 1

    def __post_init__(self) -> None:
        _differ("a", self.a, "b", self.b)

    def read(self, split: Split, resolution: int, /) -> Pictures:
        pictures = self._source().read(split, resolution)
        a, b = (pictures.of_class(label).images for label in (self.a, self.b))
        return _joined(a, b)

    def identity(self) -> str:
        return f"{self!r} {self._source().identity()}"

    def _source(self) -> Dataset:
        for option in datasets.options(self.of).values():
            if option.default is MISSING:
                needs = f"data.of: {self.of!r} needs {option.name}, which cannot be given here"
                raise DataUnavailable(f"{needs}: use a data set that needs nothing")
        return datasets.build(self.of)


def _differ(one: str, value: str | int, other: str, same: str | int) -> None:
    if value == same:
        raise Refused(f"{one} and {other} must differ: both are {value!r}")


def _joined(
    a: npt.NDArray[np.uint8],
    b: npt.NDArray[np.uint8],
    shows_a: npt.NDArray[np.int64] | int = 0,
    shows_b: npt.NDArray[np.int64] | int = 0,
) -> Pictures:
    """Both domains as one set, A first, with labels as this module has them."""
    labels = [np.full(len(a), 2 * shows_a), np.full(len(b), 2 * shows_b + 1)]
    return Pictures(np.concatenate([a, b]), np.concatenate(labels).astype(np.int64))


def _halves(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """0 for every other picture of each class, 1 for the rest."""
    half = np.empty_like(labels)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        half[rows] = np.arange(len(rows)) % 2
    return half


def _pixels(colours: Shades) -> npt.NDArray[np.uint8]:
    return np.rint(255 * colours).astype(np.uint8)


def _plain(shades: Shades) -> Shades:
    return np.repeat(shades[:, None], 3, axis=1)


def _ink(shades: Shades) -> Shades:
    paper, ink = (np.array(rgb)[:, None, None] / 255 for rgb in ((250, 240, 215), (20, 30, 120)))
    return paper + shades[:, None] * (ink - paper)


def _coloured(shades: Shades) -> Shades:
    hues = np.random.RandomState(0).random_sample(len(shades))  # Its stream never changes: NEP 19.
    # Full saturation: red, green and blue are a third of the circle apart.
    away = np.abs((6 * hues[:, None] + np.array([0, 4, 2])) % 6 - 3)
    return shades[:, None] * np.clip(away - 1, 0, 1)[:, :, None, None]


def _thick(shades: Shades) -> Shades:
    return _plain(_widened(shades))


def _outlined(shades: Shades) -> Shades:
    return _plain(_widened(shades) - shades)


def _widened(shades: Shades) -> Shades:
    """The lightest of each pixel and its eight neighbours."""
    high, wide = shades.shape[1:]
    edged = np.pad(shades, ((0, 0), (1, 1), (1, 1)))
    near = [edged[:, y : y + high, x : x + wide] for y in range(3) for x in range(3)]
    widest: Shades = np.maximum.reduce(near)
    return widest


_STYLES: dict[str, Callable[[Shades], Shades]] = {
    "plain": _plain,
    "ink": _ink,
    "coloured": _coloured,
    "thick": _thick,
    "outlined": _outlined,
}
