"""Public data sets, read (and where there is a network, downloaded) by torchvision."""

from __future__ import annotations

import contextlib
import io
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from gancore.cache import cache_root
from gancore.data.canvas import fit_all
from gancore.data.registry import DataUnavailable, Pictures, Split, datasets
from gancore.drafts import draft

_SILENCE_SECONDS = 10.0
"""How long a server may say nothing before a download is given up."""


class _Public:
    """What the sets below share; each has its name in torchvision and an option `root`."""

    root: str | None

    def read(self, split: Split, resolution: int, /) -> Pictures:
        name = type(self).__name__
        folder = Path(self.root).expanduser() if self.root else cache_root() / "downloads"
        if self.root and not folder.is_dir():  # A misspelt folder must not be filled.
            raise DataUnavailable(f"data.root: there is no folder {self.root!r}")
        try:
            found = _torchvision(name, folder, self.arguments(split))
        except Exception as error:  # Of the network, an archive, a disk, a build of torchvision.
            why = (str(error).splitlines() or [type(error).__name__])[-1]
            raise DataUnavailable(
                f"{name} can be had neither from {self.root or folder} nor by download ({why}); "
                f"give data.root, a folder that has torchvision's files of {name}"
            ) from error
        images = np.asarray(found.data)
        if images.ndim == 3:  # MNIST and its like: [N, H, W]
            images = images[:, None]
        elif images.shape[-1] == 3:  # CIFAR: [N, H, W, C]
            images = images.transpose(0, 3, 1, 2)
        labels = found.labels if hasattr(found, "labels") else found.targets
        return Pictures(fit_all(images, resolution), np.asarray(labels, np.int64))

    def arguments(self, split: Split) -> dict[str, Any]:
        """How torchvision's reader is told the split."""
        return {"train": split == "train"}

    def identity(self) -> str:
        return repr(self)


def _torchvision(name: str, folder: Path, arguments: dict[str, Any]) -> Any:
    """torchvision's data set of a name, downloaded only where it is not whole on the disk."""
    from gancore.torchvision_import import ensure_torchvision

    ensure_torchvision()
    from torchvision import datasets as readers

    reader = getattr(readers, name)
    with contextlib.suppress(Exception):
        return reader(folder, **arguments)
    folder.mkdir(parents=True, exist_ok=True)
    # Apart first: another machine may share the folder and not its locks.
    with draft(folder, name) as place:
        with _quiet_and_patient():
            found = reader(place, download=True, **arguments)
        for file in [path for path in place.rglob("*") if path.is_file()]:
            target = folder / file.relative_to(place)
            target.parent.mkdir(parents=True, exist_ok=True)
            file.replace(target)
    return found


@contextlib.contextmanager
def _quiet_and_patient() -> Iterator[None]:
    """No progress bars, and no waiting for ever: torchvision sets no time limit of its own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SILENCE_SECONDS)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        socket.setdefaulttimeout(before)


@datasets.register("mnist")
@dataclass(frozen=True, kw_only=True)
class MNIST(_Public):
    """70,000 handwritten digits (LeCun et al. 1998).

    Args:
        root: The folder that has, or gets, torchvision's files; None is `downloads` in the cache.
    """

    size: ClassVar[int] = 28
    channels: ClassVar[int] = 1
    pictures: ClassVar[int] = 60000
    classes: ClassVar[int] = 10
    root: str | None = None


@datasets.register("fashion_mnist")
@dataclass(frozen=True, kw_only=True)
class FashionMNIST(_Public):
    """70,000 articles of clothing (Xiao et al. 2017, arXiv:1708.07747).

    Args:
        root: The folder that has, or gets, torchvision's files; None is `downloads` in the cache.
    """

    size: ClassVar[int] = 28
    channels: ClassVar[int] = 1
    pictures: ClassVar[int] = 60000
    classes: ClassVar[int] = 10
    root: str | None = None


@datasets.register("cifar10")
@dataclass(frozen=True, kw_only=True)
class CIFAR10(_Public):
    """60,000 photographs of 10 kinds of things (Krizhevsky 2009).

    Args:
        root: The folder that has, or gets, torchvision's files; None is `downloads` in the cache.
    """

    size: ClassVar[int] = 32
    channels: ClassVar[int] = 3
    pictures: ClassVar[int] = 50000
    classes: ClassVar[int] = 10
    root: str | None = None


@datasets.register("cifar100")
@dataclass(frozen=True, kw_only=True)
class CIFAR100(_Public):
    """60,000 photographs of 100 kinds of things (Krizhevsky 2009).

    Args:
        root: The folder that has, or gets, torchvision's files; None is `downloads` in the cache.
    """

    size: ClassVar[int] = 32
    channels: ClassVar[int] = 3
    pictures: ClassVar[int] = 50000
    classes: ClassVar[int] = 100
    root: str | None = None


@datasets.register("svhn")
@dataclass(frozen=True, kw_only=True)
class SVHN(_Public):
    """99,289 house numbers from street views (Netzer et al. 2011).

    Args:
        root: The folder that has, or gets, torchvision's files; None is `downloads` in the cache.
    """

    size: ClassVar[int] = 32
    channels: ClassVar[int] = 3
    pictures: ClassVar[int] = 73257
    classes: ClassVar[int] = 10
    root: str | None = None

    def arguments(self, split: Split) -> dict[str, Any]:
        return {"split": split}
