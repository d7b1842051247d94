"""Prepared once a machine, whole or not at all, and the same for every process."""

import multiprocessing
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import pytest

from gancore.catalogue import Catalogue
from gancore.config import Data
from gancore.contradictions import resolution_of
from gancore.data import DataUnavailable, Pictures, Split, cache_root, datasets, load
from gancore.data.arrays import fingerprint
from gancore.drafts import machine


@datasets.register("test_counted")
@dataclass(frozen=True, kw_only=True)
class Counted:
    """Random pictures that leave a mark in a file whenever they are read."""

    marks: str
    count: int = 5
    labelled: bool = True

    def read(self, split: Split, resolution: int, /) -> Pictures:
        with open(self.marks, "a") as marks:
            marks.write(f"{split}\n")
        time.sleep(0.1)
        shape = (self.count, 3, resolution, resolution)
        images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        return Pictures(images, np.arange(self.count) if self.labelled else None)

    def identity(self) -> str:
        return repr(self)


@pytest.fixture(autouse=True, scope="module")
def only_here() -> Iterator[None]:
    yield
    del datasets._table["test_counted"]


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    return tmp_path / "marks"


@pytest.fixture
def data(marks: Path) -> Data:
    return Data(name="test_counted", options={"marks": str(marks)}, resolution=8)


def reads(marks: Path) -> int:
    return len(marks.read_text().split())


def start_together(barrier: Barrier, data: Data, cache: Path, answer: Path) -> None:
    barrier.wait()
    answer.write_text(load(data, "train", cache).fingerprint)


def test_eight_processes_that_start_together_prepare_once(
    data: Data, marks: Path, tmp_path: Path
) -> None:
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["gancore.data"])
    barrier = processes.Barrier(8)
    answers = [tmp_path / f"answer{number}" for number in range(8)]
    children = [
        processes.Process(target=start_together, args=(barrier, data, tmp_path / "cache", answer))
        for answer in answers
    ]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * 8
    assert len({answer.read_text() for answer in answers}) == 1
    assert reads(marks) == 1


def test_what_is_loaded_is_what_was_read(data: Data, tmp_path: Path) -> None:
    read = datasets.build(data.name, **data.options).read("train", 8)
    for _ in range(2):
        loaded = load(data, "train", tmp_path)
        assert np.array_equal(loaded.images, read.images)
        assert loaded.labels is not None
        assert read.labels is not None
        assert np.array_equal(loaded.labels, read.labels)
        assert loaded.fingerprint == fingerprint(read.images, read.labels)


def test_pictures_without_labels_have_none(data: Data, tmp_path: Path) -> None:
    plain = replace(data, options={**data.options, "labelled": False})
    assert load(plain, "train", tmp_path).labels is None


def test_pictures_are_mapped_and_cannot_be_changed(data: Data, tmp_path: Path) -> None:
    images = load(data, "train", tmp_path).images
    assert isinstance(images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0


def test_a_split_a_resolution_and_an_option_each_have_their_own_array(
    data: Data, marks: Path, tmp_path: Path
) -> None:
    load(data, "train", tmp_path)
    load(data, "test", tmp_path)
    load(replace(data, resolution=16), "train", tmp_path)
    load(replace(data, options={**data.options, "count": 6}), "train", tmp_path)
    assert reads(marks) == 4


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "about.json"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_array_is_prepared_anew(
    name: str, damage: str, data: Data, marks: Path, tmp_path: Path
) -> None:
    before = load(data, "train", tmp_path)
    (file,) = tmp_path.glob(f"arrays/*/{name}")
    if damage == "gone":
        file.unlink()
    else:
        os.truncate(file, file.stat().st_size // 2)
    after = load(data, "train", tmp_path)
    assert reads(marks) == 2
    assert after.fingerprint == before.fingerprint
    load(data, "train", tmp_path)
    assert reads(marks) == 2


def test_an_array_of_another_size_is_prepared_anew(data: Data, marks: Path, tmp_path: Path) -> None:
    load(data, "train", tmp_path)
    (file,) = tmp_path.glob("arrays/*/images.npy")
    np.save(file, np.zeros((5, 3, 4, 4), np.uint8))
    assert load(data, "train", tmp_path).images.shape == (5, 3, 8, 8)
    assert reads(marks) == 2


def test_a_foreign_json_is_prepared_anew(data: Data, marks: Path, tmp_path: Path) -> None:
    load(data, "train", tmp_path)
    (about,) = tmp_path.glob("arrays/*/about.json")
    for content in ("[]", "{}", '{"bytes": 3}'):
        about.write_text(content)
        assert len(load(data, "train", tmp_path).images) == 5
    assert reads(marks) == 4


def test_what_a_killed_process_left_is_neither_used_nor_kept(data: Data, tmp_path: Path) -> None:
    load(data, "train", tmp_path)
    (folder,) = tmp_path.glob("arrays/*/")
    dead = f".{folder.name}.{machine()}.{2**22 + 1}.x1"  # More than Linux gives to a process.
    draft = folder.rename(folder.with_name(dead))
    (draft / "about.json").unlink()
    load(data, "train", tmp_path)
    assert [path.name for path in tmp_path.glob("arrays/*") if path.is_dir()] == [folder.name]


def test_a_failure_while_writing_leaves_nothing(
    data: Data, marks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left")))
        with pytest.raises(OSError, match="No space left"):
            load(data, "train", tmp_path)
    assert [path.name for path in tmp_path.glob("arrays/*")] == ["test_counted.lock"]
    assert len(load(data, "train", tmp_path).images) == 5
    assert reads(marks) == 2


def test_a_data_set_without_pictures_is_refused(data: Data, tmp_path: Path) -> None:
    empty = replace(data, options={**data.options, "count": 0})
    with pytest.raises(DataUnavailable, match=r"shape \(0, 3, 8, 8\)"):
        load(empty, "train", tmp_path)


def test_a_fingerprint_tells_pixels_shapes_and_labels_apart() -> None:
    images, labels = np.zeros((4, 1, 2, 2), np.uint8), np.zeros(4, np.int64)
    other = images.copy()
    other[3, 0, 1, 1] = 1
    prints = [
        fingerprint(images, labels),
        fingerprint(images, None),
        fingerprint(images, labels + 1),
        fingerprint(other, labels),
        fingerprint(images.reshape(4, 1, 1, 4), labels),
    ]
    assert len(set(prints)) == 5
    assert prints[0] == fingerprint(images.copy(), labels.copy())


def test_the_fingerprint_of_mnist5k_never_changes() -> None:
    """Scores are stored with it: a change makes old scores incomparable, so it must be meant."""
    assert load(Data(name="mnist5k"), "test").fingerprint.startswith("5a38a7012ee78db7")


def test_a_data_set_without_a_size_needs_a_resolution(data: Data, tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable, match="give a resolution"):
        load(replace(data, resolution=None), "train", tmp_path)


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANSWEEP_CACHE", "/a")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert cache_root() == Path("/a")
    monkeypatch.delenv("GANSWEEP_CACHE")
    assert cache_root() == Path("/b/gansweep")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_root() == Path.home() / ".cache" / "gansweep"


CATALOGUE = Catalogue.read_source()


def test_the_catalogue_has_every_data_set() -> None:
    own = [n for n in datasets.names() if datasets.get(n).__module__.startswith("gancore.")]
    assert sorted(CATALOGUE["datasets"]) == own


@pytest.mark.parametrize("name", sorted(CATALOGUE["datasets"]))
def test_the_catalogue_reads_from_source_what_the_class_says(name: str) -> None:
    entry = CATALOGUE["datasets"][name]
    read = {key: replace(option, help="") for key, option in entry.options.items()}
    assert read == datasets.options(name)
    assert all(option.help for option in entry.options.values())
    assert all(getattr(datasets.get(name), fact) == value for fact, value in entry.facts.items())


@pytest.mark.parametrize("name", ["mnist5k", "digits"])
def test_loaded_pictures_are_what_the_catalogue_promises(name: str) -> None:
    data, facts = Data(name=name), CATALOGUE["datasets"][name].facts
    pictures = load(data, "train")
    side = resolution_of(data, CATALOGUE)
    assert pictures.images.shape == (facts["pictures"], facts["channels"], side, side)
    assert pictures.labels is not None
    assert np.array_equal(np.unique(pictures.labels), np.arange(facts["classes"]))
