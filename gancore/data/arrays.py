"""Each split of a data set as one uint8 array, decoded once a machine and memory-mapped by all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gancore.cache import cache_root
from gancore.config import Data
from gancore.contradictions import power_of_two_from
from gancore.data.canvas import RULE
from gancore.data.registry import Dataset, DataUnavailable, Pictures, Split, datasets
from gancore.drafts import draft
from gancore.files import fsync_folder, patiently, write_json
from gancore.turns import turn


def load(data: Data, split: Split = "train", cache: Path | None = None) -> Pictures:
    """The pictures of a split, prepared first where nobody did it yet who shares the cache.

    Args:
        cache: Where prepared arrays are kept; None takes `cache_root()`.

    Raises:
        gancore.schema.Refused: No such data set or option.
        DataUnavailable: The data are missing or cannot be used.
    """
    source, resolution, folder = _place(data, split, cache)
    home = folder.parent
    pictures = _open(folder)
    if pictures is None:
        home.mkdir(parents=True, exist_ok=True)
        # One lock a data set, not a split: both splits may come from one download.
        with turn(home / f"{data.name}.lock"):
            pictures = _open(folder) or _prepare(source, split, resolution, folder)
    return pictures


def is_prepared(data: Data, split: Split = "train", cache: Path | None = None) -> bool:
    """Whether the pictures of a split are in the cache.

    Raises:
        gancore.schema.Refused: No such data set or option.
        DataUnavailable: The data are missing.
    """
    return _open(_place(data, split, cache)[2]) is not None


def _place(data: Data, split: Split, cache: Path | None) -> tuple[Dataset, int, Path]:
    """A data set, its resolution, and the folder of its prepared array."""
    source = datasets.build(data.name, **data.options)
    size = getattr(source, "size", None)
    resolution = data.resolution or (power_of_two_from(size) if size else None)
    if resolution is None:
        raise DataUnavailable(f"data set {data.name!r} has no size of its own: give a resolution")
    digest = hashlib.sha256(f"{RULE} {source.identity()}".encode()).hexdigest()[:16]
    name = f"{data.name}-{resolution}-{split}-{digest}"
    return source, resolution, (cache or cache_root()) / "arrays" / name


def fingerprint(images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64] | None) -> str:
    """SHA-256 of the shapes and bytes of pictures [N, C, H, W] and labels [N]."""
    digest = hashlib.sha256()
    for array in (images, labels):
        digest.update(f"{None if array is None else array.shape};".encode())
        if array is not None:
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _prepare(source: Dataset, split: Split, resolution: int, folder: Path) -> Pictures:
    """Reads a split and writes it under its final name only when all of it is on the disk.

    Machines that share a folder without sharing its locks may do this at the same time: the first
    to be done gives all of them their array.
    """
    pictures = source.read(split, resolution)
    count, _, height, width = pictures.images.shape
    if not count or (height, width) != (resolution, resolution):
        raise DataUnavailable(
            f"{source!r} read pictures of shape {pictures.images.shape} for resolution {resolution}"
        )
    with draft(folder.parent, folder.name) as place:
        sizes = {"images.npy": _save(place / "images.npy", pictures.images)}
        if pictures.labels is not None:
            sizes["labels.npy"] = _save(place / "labels.npy", pictures.labels)
        digest = fingerprint(pictures.images, pictures.labels)
        write_json(place / "about.json", {"fingerprint": digest, "bytes": sizes})
        place.chmod(0o755)  # Other users of a shared cache may read it.
        if folder.exists() and _open(folder) is None:  # Damaged.
            shutil.rmtree(folder)
        try:
            place.rename(folder)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise  # Else another machine was first: its array is as good.
    fsync_folder(folder.parent)
    prepared = _open(folder)
    assert prepared is not None, f"{folder} was damaged while it was written"
    return prepared


def _save(file: Path, array: npt.NDArray[Any]) -> int:
    """Writes an array durably and returns the size of the file in bytes."""
    with file.open("xb") as stream:
        try:
            np.save(stream, np.ascontiguousarray(array), allow_pickle=False)
        except OSError as error:
            # Of a full disk NumPy says only how many bytes it took.
            number = error.errno or errno.ENOSPC
            raise OSError(number, os.strerror(number), str(file)) from None
        stream.flush()
        os.fsync(stream.fileno())
        return stream.tell()


def _open(folder: Path) -> Pictures | None:
    """What was prepared in a folder, or None where it is absent or damaged."""
    about_file = folder / "about.json"
    try:
        about = json.loads(patiently(lambda: about_file.read_text(encoding="utf-8")))
        sizes = about["bytes"]
        if any((folder / name).stat().st_size != size for name, size in sizes.items()):
            return None
        images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        labels = np.load(folder / "labels.npy", allow_pickle=False) if len(sizes) > 1 else None
        return Pictures(images, labels, about["fingerprint"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
