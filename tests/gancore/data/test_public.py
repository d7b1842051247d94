"""Public data sets, from files in the format in which torchvision keeps them."""

import pickle
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gancore.config import Data
from gancore.data import (
    CIFAR10,
    CIFAR100,
    MNIST,
    SVHN,
    Dataset,
    DataUnavailable,
    FashionMNIST,
    Pictures,
    load,
)
from gancore.torchvision_import import ensure_torchvision

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (6, 28, 28), dtype=np.uint8)
COLOUR = RANDOM.integers(0, 256, (6, 3, 32, 32), dtype=np.uint8)
LABELS = [3, 1, 4, 1, 5, 9]


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> Any:
    """torchvision's readers, without a network and without the check sums of the real files."""
    ensure_torchvision()
    from torchvision import datasets
    from torchvision.datasets import cifar, mnist, svhn

    def no_network(*_: object, **__: object) -> None:
        raise OSError("downloading\nno network")

    monkeypatch.setattr(mnist, "download_and_extract_archive", no_network)
    monkeypatch.setattr(cifar, "download_and_extract_archive", no_network)
    monkeypatch.setattr(svhn, "download_url", no_network)
    for reader in (datasets.CIFAR10, datasets.CIFAR100):
        for files in ("train_list", "test_list"):
            unchecked = [[name, None] for name, _ in getattr(reader, files)]
            monkeypatch.setattr(reader, files, unchecked)
        monkeypatch.setattr(reader, "meta", {**reader.meta, "md5": None})
    unsummed = {split: [*facts[:2], None] for split, facts in datasets.SVHN.split_list.items()}
    monkeypatch.setattr(datasets.SVHN, "split_list", unsummed)
    return datasets


def write_idx(folder: Path) -> None:
    folder.mkdir(parents=True)
    for split, count in (("train", 4), ("t10k", 2)):
        images = GREY[:4] if split == "train" else GREY[4:]
        labels = bytes(LABELS[:4] if split == "train" else LABELS[4:])
        head = struct.pack(">BBBBIII", 0, 0, 8, 3, count, 28, 28)
        (folder / f"{split}-images-idx3-ubyte").write_bytes(head + images.tobytes())
        head = struct.pack(">BBBBI", 0, 0, 8, 1, count)
        (folder / f"{split}-labels-idx1-ubyte").write_bytes(head + labels)


def write_batches(folder: Path, reader: Any, key: str) -> None:
    folder.mkdir(parents=True)
    shares = np.array_split(np.arange(4), len(reader.train_list))
    for (name, _), rows in zip(
        [*reader.train_list, *reader.test_list], [*shares, np.arange(4, 6)], strict=True
    ):
        batch = {"data": COLOUR[rows].reshape(-1, 3072), key: [LABELS[row] for row in rows]}
        (folder / name).write_bytes(pickle.dumps(batch))
    (folder / reader.meta["filename"]).write_bytes(pickle.dumps({reader.meta["key"]: []}))


def write_mat(root: Path) -> None:
    from scipy.io import savemat

    for split, rows in (("train", slice(0, 4)), ("test", slice(4, 6))):
        labels = np.array([[label or 10] for label in LABELS[rows]], np.uint8)
        savemat(root / f"{split}_32x32.mat", {"X": COLOUR[rows].transpose(2, 3, 1, 0), "y": labels})


WRITERS: dict[type[Dataset], Callable[[Path, Any], None]] = {
    MNIST: lambda root, _: write_idx(root / "MNIST" / "raw"),
    FashionMNIST: lambda root, _: write_idx(root / "FashionMNIST" / "raw"),
    CIFAR10: lambda root, datasets: write_batches(
        root / "cifar-10-batches-py", datasets.CIFAR10, "labels"
    ),
    CIFAR100: lambda root, datasets: write_batches(
        root / "cifar-100-python", datasets.CIFAR100, "fine_labels"
    ),
    SVHN: lambda root, _: write_mat(root),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_pictures_and_labels_are_those_of_the_files(
    kind: type[Any], tmp_path: Path, readers: Any
) -> None:
    WRITERS[kind](tmp_path, readers)
    for split, rows in (("train", slice(0, 4)), ("test", slice(4, 6))):
        pictures: Pictures = kind(root=str(tmp_path)).read(split, 32)
        grey = np.pad(GREY[rows], ((0, 0), (2, 2), (2, 2)))[:, None]
        assert np.array_equal(pictures.images, grey if kind.channels == 1 else COLOUR[rows])
        assert pictures.labels is not None
        assert pictures.labels.tolist() == LABELS[rows]


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar100", "svhn"])
@pytest.mark.usefixtures("readers")
def test_without_files_and_network_one_line_says_what_to_do(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    socket.setdefaulttimeout(77)
    try:
        with pytest.raises(DataUnavailable) as caught:
            load(Data(name=name, options={"root": str(tmp_path)}), "train", tmp_path / "cache")
        assert socket.getdefaulttimeout() == 77
    finally:
        socket.setdefaulttimeout(None)
    message = str(caught.value)
    assert "\n" not in message
    for part in (str(tmp_path), "no network", "give data.root"):
        assert part in message
    assert capfd.readouterr() == ("", "")


def test_a_silent_server_is_given_up_and_its_progress_bar_is_not_shown(
    readers: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    limits = []

    def download(*_: object) -> None:
        limits.append(socket.getdefaulttimeout())
        print("12%")
        raise TimeoutError("timed out")

    monkeypatch.setattr(readers.MNIST, "download", download)
    with pytest.raises(DataUnavailable, match="timed out"):
        MNIST(root=str(tmp_path)).read("train", 32)
    assert limits == [10]
    assert capsys.readouterr() == ("", "")


def test_a_download_is_seen_when_it_is_whole(
    readers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine may read the folder, or download into it, at the same time."""
    WRITERS[MNIST](tmp_path, None)
    damaged = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    damaged.write_bytes(b"half")
    (tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte").unlink()
    seen = []

    def download(self: Any) -> None:
        if not self._check_exists():
            WRITERS[MNIST](Path(self.root), None)
        seen.append(damaged.read_bytes())

    monkeypatch.setattr(readers.MNIST, "download", download)
    assert len(MNIST(root=str(tmp_path)).read("train", 32).images) == 4
    assert seen == [b"half"], "while it is downloaded, nothing of it is in its place"
    assert [path.name for path in tmp_path.iterdir()] == ["MNIST"]
    monkeypatch.setattr(readers.MNIST, "download", None)
    assert len(MNIST(root=str(tmp_path)).read("train", 32).images) == 4


@pytest.mark.usefixtures("readers")
def test_a_damaged_file_is_no_traceback(tmp_path: Path) -> None:
    WRITERS[MNIST](tmp_path, None)
    images = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:-100])
    with pytest.raises(DataUnavailable, match="MNIST can be had neither from"):
        MNIST(root=str(tmp_path)).read("train", 32)


def test_a_root_that_is_misspelt_is_not_filled(tmp_path: Path) -> None:
    root = tmp_path / "dta"
    with pytest.raises(DataUnavailable, match=f"there is no folder '{root}'"):
        MNIST(root=str(root)).read("train", 32)
    assert not root.exists()


@pytest.mark.usefixtures("readers")
def test_without_a_root_files_are_kept_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANSWEEP_CACHE", str(tmp_path))
    WRITERS[MNIST](tmp_path / "downloads", None)
    assert len(MNIST().read("test", 28).images) == 2
