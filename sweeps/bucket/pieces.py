"""A journal in a bucket, where nothing can be appended to: an object that is written anew.

A record is durable once the object has been written with it. That is done only over what the writer
itself has left there, so that whoever was thought dead and is not finds out, and writes nothing.

When the object has grown, what is in it is first put into a piece of its own, which never changes;
the object then begins with a line that names all pieces: `{"sealed": [[digest, bytes], ...]}`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from sweeps.bucket.client import Bucket, Conflict
from sweeps.errors import DamagedSweep, Superseded

PIECE_BYTES = 65_536
"""How large the object may grow: what is sent for each record is half of it."""

_HEAD = b'{"sealed":'


@dataclass(frozen=True)
class Written:
    """What a journal's object says.

    Args:
        sealed: The pieces before it, each by its digest and its bytes.
        rest: The lines after them.
    """

    sealed: tuple[tuple[str, int], ...] = ()
    rest: bytes = b""

    @classmethod
    def of(cls, content: bytes) -> Written:
        """Reads the object.

        Raises:
            ValueError: It is none.
        """
        if not content.startswith(_HEAD):
            return cls(rest=content)
        head, _, rest = content.partition(b"\n")
        return cls(tuple((str(d), int(b)) for d, b in json.loads(head)["sealed"]), rest)

    @property
    def content(self) -> bytes:
        """Of the object."""
        if not self.sealed:
            return self.rest
        return json.dumps({"sealed": self.sealed}, separators=(",", ":")).encode() + (
            b"\n" + self.rest
        )

    def keys(self, folder: str) -> list[str]:
        """Of the pieces, in their order."""
        return [f"{folder}{number:04d}-{d}" for number, (d, _) in enumerate(self.sealed, 1)]


class Pieces:
    """One writer's journal in a bucket.

    Args:
        key: Of the object.
        folder: Of its pieces; ends in a slash.
    """

    def __init__(self, bucket: Bucket, key: str, folder: str) -> None:
        self._bucket = bucket
        self._key = key
        self._folder = folder
        self._written = Written()
        self._etag: str | None = None

    def open(self) -> bytes:
        """All that has been written; from now on `append` goes on from there."""
        self._written, self._etag = Written(), None
        if found := self._bucket.get(self._key):
            self._written, self._etag = Written.of(found[0]), found[1]
        return all_lines(self._bucket, self._written, self._folder)

    def append(self, line: bytes) -> None:
        """Adds a line, durable when this returns.

        Raises:
            Superseded: Another has written since.
        """
        sealed, rest = self._written.sealed, self._written.rest
        if len(rest) >= PIECE_BYTES:
            sealed, rest = (*sealed, (hashlib.sha256(rest).hexdigest()[:8], len(rest))), b""
            # Should another have written, nobody will ever name it.
            self._bucket.put(Written(sealed).keys(self._folder)[-1], self._written.rest)
        written = Written(sealed, rest + line)
        try:
            self._etag = self._bucket.put(self._key, written.content, over=self._etag)
        except Conflict:
            raise self._superseded() from None
        self._written = written

    def check(self) -> None:
        """Makes sure that nobody else has written.

        Raises:
            Superseded: Somebody has.
        """
        there = self._bucket.head(self._key)
        if (there[0].etag if there else None) != self._etag:
            raise self._superseded()

    def _superseded(self) -> Superseded:
        return Superseded(f"{self._key}: another process goes on with what this one wrote")


def all_lines(bucket: Bucket, written: Written, folder: str, old: bytes = b"") -> bytes:
    """All lines of a journal.

    Args:
        folder: Of its pieces.
        old: What it began with when it was looked at last.

    Raises:
        DamagedSweep: A piece is missing, or not as it was.
    """
    have, size = 0, 0
    while have < len(written.sealed) and size + written.sealed[have][1] <= len(old):
        size += written.sealed[have][1]
        have += 1
    keys = written.keys(folder)[have:]
    content = [old[:size]]
    for key, found in zip(keys, bucket.get_all(keys), strict=True):
        digest = hashlib.sha256(found[0]).hexdigest()[:8] if found else ""
        if found is None or not key.endswith(f"-{digest}"):
            why = "is not as it was" if found else "is missing"
            raise DamagedSweep(f"{bucket.address}/{key}: a piece of the journal {why}")
        content.append(found[0])
    return b"".join([*content, written.rest])
