"""A cache in a folder that several machines see: one preparation, or several that do no harm."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from gancore import drafts
from gancore.config import Data
from gancore.data import Pictures, Split, arrays, datasets, load
from gancore.drafts import draft, machine
from gancore.turns import turn

meanwhile: list[Callable[[], None]] = []
"""What other machines do while the pictures are read."""


@datasets.register("test_shared")
@dataclass(frozen=True, kw_only=True)
class Shared:
    """Random pictures that leave a mark in a file whenever they are read."""

    marks: str

    def read(self, split: Split, resolution: int, /) -> Pictures:
        del split
        with open(self.marks, "a") as marks:
            marks.write("read\n")
        if meanwhile:
            meanwhile.pop()()
        time.sleep(0.05)
        images = np.random.default_rng(0).integers(0, 256, (5, 3, resolution, resolution))
        return Pictures(images.astype(np.uint8), np.arange(5))

    def identity(self) -> str:
        return repr(self)


@pytest.fixture(autouse=True, scope="module")
def only_here() -> Iterator[None]:
    yield
    del datasets._table["test_shared"]


@pytest.fixture
def data(tmp_path: Path) -> Data:
    return Data(name="test_shared", options={"marks": str(tmp_path / "marks")}, resolution=8)


def reads(data: Data) -> int:
    return len(Path(data.options["marks"]).read_text().split())


@contextmanager
def on_machine(name: str, cache: Path, own: Path) -> Iterator[None]:
    """What is done inside is done on a machine that sees the cache, where nobody can lock."""

    def without_locks(handle: int, how: int) -> None:
        if Path(os.readlink(f"/proc/self/fd/{handle}")).is_relative_to(cache):
            raise OSError(errno.ENOLCK, "No locks available")
        flock(handle, how)

    flock = fcntl.flock
    (own / name).mkdir(exist_ok=True)
    with (
        patch.object(drafts, "machine", lambda: name),
        patch.object(fcntl, "flock", without_locks),
        patch.object(tempfile, "tempdir", str(own / name)),
    ):
        yield


def folders(cache: Path) -> list[str]:
    return [path.name for path in (cache / "arrays").iterdir() if path.is_dir()]


@pytest.mark.parametrize("while_it", ["reads", "writes"])
def test_of_two_machines_at_once_the_second_takes_what_the_first_made(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, while_it: str
) -> None:
    cache, found, save = tmp_path / "cache", [], arrays._save

    def other() -> None:
        with on_machine("b", cache, tmp_path):
            found.append(load(data, "train", cache))

    def saved(file: Path, array: Any) -> int:
        size = save(file, array)
        if others:
            others.pop()()
        return size

    others = [other] if while_it == "writes" else []
    meanwhile[:] = [other] if while_it == "reads" else []
    monkeypatch.setattr(arrays, "_save", saved)
    with on_machine("a", cache, tmp_path):
        mine = load(data, "train", cache)
    assert reads(data) == 2
    assert mine.fingerprint == found[0].fingerprint
    assert os.path.samefile(mine.images.filename, found[0].images.filename)
    assert len(folders(cache)) == 1, "and no drafts"


def on_a_machine(
    name: str, barrier: Barrier, data: Data, cache: Path, own: Path, answer: Path
) -> None:
    barrier.wait()
    with on_machine(name, cache, own):
        answer.write_text(load(data, "train", cache).fingerprint)


def test_machines_whose_locks_are_not_shared_prepare_once_each_and_agree(
    data: Data, tmp_path: Path
) -> None:
    """Two machines of three processes: each has its own locks, and all start together."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["gancore.data"])
    barrier, cache = processes.Barrier(6), tmp_path / "cache"
    answers = [tmp_path / f"answer{number}" for number in range(6)]
    children = [
        processes.Process(
            target=on_a_machine,
            args=("ab"[number % 2], barrier, data, cache, tmp_path, answer),
        )
        for number, answer in enumerate(answers)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * 6
    assert len({answer.read_text() for answer in answers}) == 1
    assert reads(data) in (1, 2), "at most once a machine"
    assert len(folders(cache)) == 1


def test_a_draft_is_cleared_once_nobody_can_be_writing_it(tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    names = {
        "of a process that was killed": f".x.{machine()}.{dead.pid}.1",
        "of a process that lives": f".x.{machine()}.{os.getpid()}.2",
        "of another machine": ".x.elsewhere.1.3",
        "of another machine, long ago": ".x.elsewhere.1.4",
        "of something else": f".y.{machine()}.{dead.pid}.5",
    }
    for name in names.values():
        (tmp_path / name).mkdir()
    os.utime(tmp_path / names["of another machine, long ago"], (0, 0))
    with draft(tmp_path, "x") as place:
        left = {path.name for path in tmp_path.iterdir()} - {place.name}
    assert not place.exists()
    stay = ("of a process that lives", "of another machine", "of something else")
    assert left == {names[which] for which in stay}


def test_a_lock_that_fails_for_another_reason_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_handle: int, _how: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", broken)
    with pytest.raises(OSError, match="Input/output"), turn(tmp_path / "lock"):
        pytest.fail("entered without a lock")
