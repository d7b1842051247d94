"""Storage in a bucket: its address, and the folder of this machine that stands for it.

A folder stands for `s3://bucket/path` when it has a file `storage.json` that says so. All code that
takes the folder of a storage takes this one too.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gancore.cache import cache_root
from gancore.files import write_json
from sweeps.errors import UserError

SCHEME = "s3://"
MARK = "storage.json"
DRIVERS, NODES = "sweeps", "trials"
"""Who reads and runs sweeps has copies of his own, apart from those in which trials write."""

_SCHEMED = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


@dataclass(frozen=True)
class Address:
    """Where in a bucket sweeps lie.

    Args:
        bucket: Its name.
        path: Of the sweeps in it: empty, or ending in a slash.
    """

    bucket: str
    path: str

    @classmethod
    def of(cls, text: str) -> Address:
        """Reads `s3://bucket/path`.

        Raises:
            UserError: It is none.
        """
        bucket, _, path = text.removeprefix(SCHEME).partition("/")
        parts = [part for part in path.split("/") if part]
        if not text.startswith(SCHEME) or not _BUCKET.fullmatch(bucket):
            raise UserError(
                f"--storage: {text!r} names no bucket: write s3://bucket/path, the bucket's name "
                "in small letters, digits, `.` and `-`"
            )
        if any(part in (".", "..") or not part.isprintable() for part in parts):
            raise UserError(
                f"--storage: {text!r}: its path has `.`, `..` or unprintable characters"
            )
        return cls(bucket, "".join(f"{part}/" for part in parts))

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.path}".rstrip("/")


def is_address(text: str) -> bool:
    """Whether a storage is meant to be in a bucket, rightly written or not: no folder begins so."""
    return _SCHEMED.match(text) is not None


def folder_of(text: str, kind: str = DRIVERS) -> Path:
    """The folder of this machine that stands for a storage in a bucket; made where it is not yet.

    Raises:
        UserError: It is no address of a bucket.
    """
    address = Address.of(text)
    digest = hashlib.sha256(str(address).encode()).hexdigest()[:8]
    words = re.sub(r"[^A-Za-z0-9.-]+", "-", f"{address.bucket}/{address.path}").strip("-.")
    place = cache_root().resolve() / "buckets" / f"{words[:60]}-{digest}" / kind
    if not (place / MARK).is_file():
        write_json(place / MARK, {"storage": str(address)})
    return place


@cache
def address_of(storage: Path) -> Address | None:
    """What a folder stands for; None where it is the storage itself."""
    try:
        said = json.loads((storage / MARK).read_text(encoding="utf-8"))
        return Address.of(said["storage"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, UserError):
        return None


def spoken(path: Path) -> str:
    """A storage, or a sweep's folder in it, as its user calls it."""
    if address := address_of(path):
        return str(address)
    if address := address_of(path.parent):
        return f"{address}/{path.name}"
    return str(path)
