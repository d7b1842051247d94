"""From a sweep's folder to what there is to fetch and send of it."""

from __future__ import annotations

import secrets
from functools import cache
from pathlib import Path

from sweeps.bucket.address import NODES, address_of, folder_of, is_address, spoken
from sweeps.bucket.client import Bucket, Conflict
from sweeps.bucket.copy import Copy
from sweeps.bucket.plain import Folder
from sweeps.errors import EnvironmentTrouble


@cache
def of(place: Path) -> Folder:
    """What there is to fetch and send of a sweep's folder."""
    address = address_of(place.parent)
    if address is None or place.name.startswith("."):
        return Folder()
    return Copy(bucket_of(place.parent), place)


@cache
def bucket_of(storage: Path) -> Bucket:
    """The bucket that a folder stands for.

    Raises:
        ValueError: It stands for none.
    """
    address = address_of(storage)
    if address is None:
        raise ValueError(f"{storage} stands for no bucket")
    return Bucket(address)


def check(storage: Path) -> None:
    """Writes and deletes an object where sweeps shall lie, if that is a bucket.

    Raises:
        EnvironmentTrouble: That fails, or it is written over by who said that nothing was there.
    """
    if address_of(storage) is None:
        return
    found, key = bucket_of(storage), f".gansweep-{secrets.token_hex(8)}"
    found.put(key, b"1", over=None)
    try:
        found.put(key, b"2", over=None)
    except Conflict:
        return
    finally:
        found.delete([key])
    raise EnvironmentTrouble(
        f"the storage {spoken(storage)} ignores `If-None-Match`, by which writers keep out of each "
        "other's way: use another, or a newer version of its server"
    )


def objects_at(address: str) -> tuple[Bucket, str]:
    """The bucket of a storage by the address of something in it, and the name of that.

    Raises:
        EnvironmentTrouble: boto3 is not installed.
    """
    storage, _, name = address.rpartition("/")
    return bucket_of(folder_of(storage, NODES)), name


def names(storage: Path) -> list[str] | None:
    """The names in a storage that may be sweeps; None where that is a folder."""
    if address_of(storage) is None:
        return None
    return [name for name in bucket_of(storage).folders() if not name.startswith(".")]


def arrived(sweep: str) -> Path:
    """The folder in which a trial finds and leaves the files of its sweep, on any machine.

    Args:
        sweep: The sweep's folder, or its address in a bucket (see `spoken`).

    Raises:
        EnvironmentTrouble: The bucket cannot be used.
    """
    if not is_address(sweep):
        return Path(sweep)
    storage, _, name = sweep.rpartition("/")
    place = folder_of(storage, NODES) / name
    of(place).pull(whole=False)
    return place
