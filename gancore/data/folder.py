"""One's own pictures: every picture file below a folder."""

from __future__ import annotations

import hashlib
import itertools
import os
import textwrap
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from gancore.data.canvas import square_picture
from gancore.data.registry import DataUnavailable, Pictures, Split, datasets
from gancore.pictures import SUFFIXES
from gancore.schema import Fraction

ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".7z", ".rar")

_NAMED = 10
"""How many of the files that cannot be used a message names."""

_DECODERS = 4
"""Threads that decode; each may hold a picture of `canvas.LARGEST_PIXELS`."""


@datasets.register("folder")
@dataclass(frozen=True, kw_only=True)
class Folder:
    """PNG, JPEG, WEBP, BMP, GIF and TIFF files below a folder.

    Where every picture lies in a subfolder, the subfolders are its classes, by name. Where the
    subfolders are just `train` and `test`, they are the splits, each with or without classes.
    Links are followed, each folder once; hidden files and files of other kinds are left out.

    Args:
        path: The folder.
        channels: 3 for colour, 1 for grey; pictures of either kind are converted.
        test_share: Share of the pictures held out, at least one of them, chosen by a hash of
            their names; without effect where the folder has its own splits.
        smaller: What becomes of pictures smaller than the resolution: refuse them all by name,
            centre each on a black border, or enlarge it.
    """

    perhaps_labelled: ClassVar[bool] = True

    path: str
    channels: Literal[1, 3] = 3
    test_share: Fraction = 0.1
    smaller: Literal["refuse", "border", "enlarge"] = "refuse"

    def read(self, split: Split, resolution: int, /) -> Pictures:
        names = list(self._files())
        has_splits = {name.split("/")[0] for name in names} == {"train", "test"}
        classes = _classes(names, depth=1 if has_splits else 0)
        if has_splits:
            _refuse_unlike(self.path, classes)
            chosen = [name for name in names if name.startswith(f"{split}/")]
        else:
            chosen = _share(names, split, self.test_share)
        if not chosen:
            counts = f"{len(names)} pictures, test_share {self.test_share:g}"
            raise DataUnavailable(f"{self.path} has none for the {split} split ({counts})")
        images = self._decode(chosen, resolution)
        if not classes:
            return Pictures(images, None)
        numbers = {name: number for number, name in enumerate(sorted(set(classes.values())))}
        labels = np.asarray([numbers[classes[name]] for name in chosen], np.int64)
        return Pictures(images, labels)

    def identity(self) -> str:
        listing = hashlib.sha256()
        for name, facts in self._files().items():
            listing.update(f"{name}\0{facts.st_size}\0{facts.st_mtime_ns}\0".encode())
        return f"{self!r} {listing.hexdigest()}"

    def _files(self) -> dict[str, os.stat_result]:
        """Picture files by path below the folder, in the same order on every machine."""
        root = Path(self.path).expanduser()
        if root.is_file() and self.path.lower().endswith(ARCHIVES):
            raise DataUnavailable(
                f"{self.path} is an archive, and none is unpacked here: unpack it yourself, with a "
                "program that keeps its files inside a folder, and give that folder"
            )
        if not self.path or not root.is_dir():
            where = "" if root.is_absolute() else f" below {Path.cwd()}"
            raise DataUnavailable(f"there is no folder {self.path!r}{where}")
        try:
            files = dict(sorted(_walk(root, "", set())))
        except OSError as error:
            raise DataUnavailable(f"{self.path} cannot be listed: {error}") from error
        if not files:
            raise DataUnavailable(f"{self.path} has no pictures ({' '.join(sorted(SUFFIXES))})")
        return files

    def _decode(self, names: list[str], resolution: int) -> npt.NDArray[np.uint8]:
        root = Path(self.path).expanduser()
        images = np.empty((len(names), self.channels, resolution, resolution), np.uint8)

        def decode(number: int) -> str:
            file = root / names[number]
            try:
                images[number] = square_picture(file, self.channels, resolution, self.smaller)
            except Exception as error:  # A decoder may raise anything at a damaged file.
                why = str(error).replace(f" {str(file)!r}", "") or type(error).__name__
                return textwrap.shorten(why, 80)
            return ""

        with warnings.catch_warnings(), ThreadPoolExecutor(_DECODERS) as pool:
            warnings.simplefilter("ignore")  # Odd metadata do not matter here; a bomb does.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            reasons = list(pool.map(decode, range(len(names))))
        if unusable := [(name, why) for name, why in zip(names, reasons, strict=True) if why]:
            raise DataUnavailable(
                f"{len(unusable)} of {len(names)} pictures in {self.path} cannot be used: "
                + "; ".join(
                    f"{', '.join(name for name, _ in same)} ({why})"
                    for why, same in itertools.groupby(unusable[:_NAMED], lambda pair: pair[1])
                )
                + ("; ..." if len(unusable) > _NAMED else "")
            )
        return images


def _walk(
    folder: Path, prefix: str, seen: set[tuple[int, int]]
) -> Iterator[tuple[str, os.stat_result]]:
    facts = folder.stat()
    if (facts.st_dev, facts.st_ino) in seen:  # A link that leads back to where we come from.
        return
    seen.add((facts.st_dev, facts.st_ino))
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from _walk(folder / entry.name, f"{prefix}{entry.name}/", seen)
            elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:
                # A broken link is a picture that is missing, to be named when it is read.
                broken = entry.is_symlink() and not os.path.exists(entry.path)
                yield prefix + entry.name, entry.stat(follow_symlinks=not broken)


def _classes(names: list[str], depth: int) -> dict[str, str]:
    """The subfolder at a depth that each picture lies in; empty where one lies in none."""
    parts = {name: name.split("/") for name in names}
    if any(len(of) < depth + 2 for of in parts.values()):
        return {}
    return {name: of[depth] for name, of in parts.items()}


def _refuse_unlike(path: str, classes: dict[str, str]) -> None:
    """Labels are numbers: of a class that one split lacks, the other's scores would tell nothing.

    Raises:
        DataUnavailable: Naming the classes of one split that the other lacks.
    """
    train, test = (
        {kind for name, kind in classes.items() if name.startswith(f"{split}/")}
        for split in ("train", "test")
    )
    if train == test:
        return
    told = [
        f"{split}/ lacks {', '.join(map(repr, lacking[:_NAMED]))}"
        + (f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else "")
        for split, lacking in (("test", sorted(train - test)), ("train", sorted(test - train)))
        if lacking
    ]
    raise DataUnavailable(f"{path}: train/ and test/ have unlike classes: {'; '.join(told)}")


def _share(names: list[str], split: Split, test_share: float) -> list[str]:
    """The names of a split; those with the least hashes are the test split."""
    count = max(1, round(test_share * len(names))) if test_share else 0
    by_hash = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
    test = set(by_hash[:count])
    return [name for name in names if (name in test) == (split == "test")]
