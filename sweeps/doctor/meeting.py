"""A folder in the storage where driver and nodes leave word for each other, and then nothing."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gancore.files import write_atomically
from sweeps import preflight
from sweeps.doctor.facts import Storage
from sweeps.errors import EnvironmentTrouble

_WORD, _LOCK = "driver", "lock"


@contextmanager
def meeting(storage: Path) -> Iterator[Path]:
    """Leaves word there and holds a lock; afterwards everything is as it was before.

    Raises:
        EnvironmentTrouble: The driver itself cannot write there.
    """
    missing = [folder for folder in (storage, *storage.parents) if not folder.exists()]
    preflight.check_storage(storage)
    folder = storage / f".doctor-{secrets.token_hex(8)}"
    try:
        try:
            folder.mkdir()
            write_atomically(folder / _WORD, folder.name.encode())
        except OSError as error:
            raise EnvironmentTrouble(
                f"the storage {storage} takes no folder ({_why(error)}): give --storage another"
            ) from None
        with (folder / _LOCK).open("w") as stream:
            with suppress(OSError):  # Whoever looks at it finds that out.
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for made in missing:
            with suppress(OSError):
                made.rmdir()


def attend(folder: Path, name: str) -> Storage:
    """What a machine sees there; it leaves word too, as every file of a sweep is written.

    Args:
        name: Of the machine, as the driver will look for it.
    """
    try:
        sees = (folder / _WORD).read_text() == folder.name
        free = shutil.disk_usage(folder).free
    except OSError:
        return Storage(sees=False)
    try:
        write_atomically(folder / f"of-{name}", f"{folder.name} {name}".encode())
    except OSError as error:
        return Storage(sees, refused=_why(error), free=free)
    return Storage(sees, lock=_lock(folder / _LOCK), free=free)


def heard(folder: Path, name: str) -> bool:
    """Whether the driver reads what a machine has written."""
    try:
        return (folder / f"of-{name}").read_text() == f"{folder.name} {name}"
    except OSError:
        return False


def _lock(file: Path) -> str:
    try:
        with file.open("r+") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return "seen"
    except OSError as error:
        return _why(error)
    return "not seen"


def _why(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)
