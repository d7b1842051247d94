"""What every data set promises, and the table of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from gancore.errors import Unavailable
from gancore.registry import Registry

Split = Literal["train", "test"]


@dataclass(frozen=True)
class Pictures:
    """Decoded pictures.

    Args:
        images: uint8 [N, C, H, W]; memory-mapped and read-only once prepared.
        labels: int64 [N], or None where there are none.
        fingerprint: Hex digest of pictures and labels; equal data, equal fingerprint.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64] | None
    fingerprint: str = ""

    def of_class(self, label: int) -> Pictures:
        """The pictures of one class.

        Raises:
            DataUnavailable: There are none, or the pictures have no labels.
        """
        if self.labels is None:
            raise DataUnavailable("these pictures have no labels")
        rows = np.flatnonzero(self.labels == label)
        if not len(rows):
            raise DataUnavailable(f"these pictures have none of class {label}")
        return self.chosen(rows, f"class {label}")

    def chosen(self, rows: npt.NDArray[np.int64], why: str) -> Pictures:
        """Some of the pictures, in the given order, with a fingerprint that says `why`."""
        labels = None if self.labels is None else self.labels[rows]
        digest = hashlib.sha256(f"{self.fingerprint} {why}".encode()).hexdigest()
        return Pictures(self.images[rows], labels, digest)


class DataUnavailable(Unavailable):
    """The data are not on this machine or cannot be used; one line says why, and what to do."""


class Dataset(Protocol):
    """A named source of pictures.

    A data set is a frozen dataclass whose fields are its options; as class constants (`ClassVar`)
    it says what is known before reading: `size` (pixels), `channels`, `pictures` (in the training
    split) and `classes`, each only where it is fixed; `perhaps_labelled`, where only the pictures
    tell whether they have labels; and `features`, the feature network that knows its modes, where
    `classifier` is not the one.
    """

    def read(self, split: Split, resolution: int, /) -> Pictures:
        """Every picture of a split, decoded, at a resolution, by the rule of `canvas.py`.

        Raises:
            DataUnavailable: The data are missing and cannot be downloaded, or cannot be used.
        """
        ...

    def identity(self) -> str:
        """What tells this source from another before it is read: options, file names and sizes.

        Raises:
            DataUnavailable: The data are missing.
        """
        ...


datasets: Registry[Dataset] = Registry("data set")
