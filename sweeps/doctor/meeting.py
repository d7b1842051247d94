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
from sweeps import bucket, preflight
from sweeps.doctor.facts import Storage
from sweeps.errors import EnvironmentTrouble

_WORD, _LOCK = "driver", "lock"


@contextmanager
def meeting(storage: Path) -> Iterator[Path]:
    """Leaves word there and holds a lock; afterwards everything is as it was before.

    Raises:
        EnvironmentTrouble: The driver itself cannot write there.
    """
    if bucket.is_address(bucket.spoken(storage)):
        with _in_bucket(storage) as place:
            yield place
        return
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


@contextmanager
def _in_bucket(storage: Path) -> Iterator[Path]:
    """The same where nobody can hold a lock."""
    preflight.check_storage(storage)
    found, name = bucket.bucket_of(storage), f".doctor-{secrets.token_hex(8)}"
    try:
        found.put(f"{name}/{_WORD}", name.encode())
        yield storage / name
    finally:
        found.delete(found.entries(f"{name}/"))


def attend(place: str, name: str) -> Storage:
    """What a machine sees there; it leaves word too, as every file of a sweep is written.

    Args:
        place: The folder, or its address in a bucket.
        name: Of the machine, as the driver will look for it.
    """
    if bucket.is_address(place):
        return _attend_bucket(place, name)
    folder = Path(place)
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


def _attend_bucket(place: str, name: str) -> Storage:
    try:
        found, folder = bucket.objects_at(place)
        word = found.get(f"{folder}/{_WORD}")
        found.put(f"{folder}/of-{name}", f"{folder} {name}".encode())
    except EnvironmentTrouble as trouble:
        return Storage(sees=False, refused=str(trouble))
    return Storage(sees=word is not None and word[0] == folder.encode())


def heard(place: str, name: str) -> bool:
    """Whether the driver reads what a machine has written."""
    if bucket.is_address(place):
        found, known = bucket.objects_at(place)
        word = found.get(f"{known}/of-{name}")
        return word is not None and word[0] == f"{known} {name}".encode()
    folder = Path(place)
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
