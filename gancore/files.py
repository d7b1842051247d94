"""The one way that files are written: whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

_PAUSES = (0.1, 0.5, 2.0)
"""Seconds before each new try on a network mount that answers with a stale handle."""

_TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}")


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file so that a reader, or a crash at any point, sees all of it or none.

    A temporary file in the same folder is written and fsynced, then renamed over the target;
    the folder is fsynced, since a rename is durable only then.
    """
    try:
        patiently(lambda: _write(path, content))
    except OSError as error:
        # A full disk does not say of itself which file it was.
        error.filename = error.filename or str(path)
        raise


def patiently(action: Callable[[], T]) -> T:
    """Does something that may be done again, and again while a network mount is stale."""
    for pause in _PAUSES:
        try:
            return action()
        except OSError as error:
            if error.errno != errno.ESTALE:
                raise
            time.sleep(pause)
    return action()


def clear_temporaries(folder: Path, older_than: float = 0.0) -> None:
    """Deletes what writers that were killed have left in a folder.

    Args:
        older_than: In seconds: younger ones stay, since somebody may be about to rename them.
    """
    for path in folder.glob(".*"):
        with suppress(FileNotFoundError):
            if is_temporary(path.name) and _age(path) >= older_than:
                path.unlink()


def is_temporary(name: str) -> bool:
    """Whether a file is one that somebody is writing, or was when he was killed."""
    return _TEMPORARY.fullmatch(name) is not None


def _age(path: Path) -> float:
    """In seconds; below 0 for what is no file."""
    return time.time() - path.stat().st_mtime if path.is_file() else -1.0


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


def write_json(path: Path, content: Any) -> None:
    """Writes JSON atomically, indented for people; NaN and infinity are refused."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(path, (text + "\n").encode())


def looks(file: Path) -> tuple[int, int, int]:
    """What changes when a file is written anew.

    Raises:
        OSError: There is none.
    """
    found = file.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def is_locked(file: Path) -> bool:
    """Whether some process, this one included, holds a file's lock."""
    try:
        with file.open("r") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False


def fsync_folder(folder: Path) -> None:
    """Makes the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
