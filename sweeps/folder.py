"""The folder of a sweep: its name, its files, and who may write to it."""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gancore.files import fsync_folder
from sweeps.errors import Busy, UserError

REPORT = "report"
"""The folder of a sweep's report, in the sweep's own."""

GRID_SCALE = 2
"""Sample grids are enlarged, since 32 pixels a picture are too small to judge by eye."""

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


def create(storage: Path, name: str) -> Path:
    """Makes the folder of a new sweep.

    Raises:
        UserError: The name could not be a folder's.
        Busy: There is such a sweep already.
    """
    folder = _named(storage, name)
    try:
        storage.mkdir(parents=True, exist_ok=True)
        folder.mkdir()
    except FileExistsError:
        raise Busy(
            f"a sweep {name!r} exists in {storage}: go on with `gansweep resume {name}`, "
            "or choose another name with --name"
        ) from None
    fsync_folder(storage)
    return folder


def find(storage: Path, name: str) -> Path:
    """The folder of a sweep by its name, or by a path to it.

    Raises:
        UserError: There is none; the message lists the ones there are.
    """
    as_path = Path(name)
    if is_sweep(as_path):
        return as_path.resolve()
    folder = _named(storage, name)
    if not is_sweep(folder):
        known = ", ".join(p.name for p in every(storage)) or "none"
        raise UserError(f"no sweep {name!r} in {storage} (there: {known})")
    return folder


def every(storage: Path) -> list[Path]:
    """The sweeps of a storage folder, by name."""
    return sorted(p for p in storage.glob("*") if is_sweep(p)) if storage.is_dir() else []


def is_sweep(folder: Path) -> bool:
    """Whether a folder holds a sweep."""
    return (folder / "plan.json").is_file()


def trial_folder(sweep: Path, uid: str) -> Path:
    """Where a trial keeps its checkpoints and samples."""
    return sweep / "trials" / uid


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Holds the sweep for this process; the system lets go of it when the process dies.

    Raises:
        Busy: Another process has it; the message names process and machine.
    """
    with (folder / "lock").open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            owner = json.loads(stream.read() or "{}")
            raise Busy(
                f"sweep {folder.name!r} is being run by process {owner.get('pid', '?')} "
                f"on {owner.get('host', '?')}"
            ) from None
        stream.truncate(0)
        stream.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        stream.flush()
        yield


def is_owned(folder: Path) -> bool:
    """Whether some process is running the sweep now."""
    try:
        with (folder / "lock").open("r") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False


def _named(storage: Path, name: str) -> Path:
    if not NAME.fullmatch(name):
        raise UserError(
            f"{name!r} cannot name a sweep: letters, digits, `.`, `_` and `-`, at most 100, "
            "no leading `.` or `-`"
        )
    return storage / name
