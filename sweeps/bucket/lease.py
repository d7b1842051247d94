"""Who runs a sweep whose files lie in a bucket, where nobody can hold a lock.

An object says who, and is written anew every few seconds. How old it is the server says, by its own
clock. It only keeps people from running a sweep twice by mistake: what really keeps two drivers
apart is that each journal has one writer (see `sweeps.bucket.pieces`).
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from gancore.drafts import lives, machine
from sweeps.bucket.client import Bucket, Conflict
from sweeps.errors import Busy, EnvironmentTrouble

LEASE = "lease.json"
RENEW_SECONDS = 10.0
STALE_SECONDS = 60.0
"""How long after its last renewal a lease belongs to nobody."""


class Lease:
    """The right to run one sweep.

    Args:
        key: Of the object.
    """

    def __init__(self, bucket: Bucket, key: str) -> None:
        self._bucket = bucket
        self._key = key
        self._etag: str | None = None
        self._renewed = 0.0

    def is_alive(self) -> bool:
        """Whether somebody has it."""
        found = self._bucket.head(self._key)
        if found is None or found[1] > STALE_SECONDS:
            return False
        content = self._bucket.get(self._key)
        return content is not None and not _is_dead(_read(content[0]))

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Has the right meanwhile.

        Raises:
            Busy: Somebody else has it; the message names process, machine and since when.
        """
        self._take()
        try:
            yield
        finally:
            self._give_back()

    def renew(self) -> None:
        """Says again that this process has it, if that was a while ago."""
        if self._etag and time.monotonic() - self._renewed > RENEW_SECONDS:
            with suppress(Conflict):  # Somebody took it over; then the journal is his too.
                self._etag = self._bucket.put(self._key, _word(), over=self._etag)
            self._renewed = time.monotonic()

    def _take(self) -> None:
        over = None
        if found := self._bucket.head(self._key):
            entry, age = found
            content = self._bucket.get(self._key)
            owner = _read(content[0]) if content else {}
            if content and age <= STALE_SECONDS and not _is_dead(owner):
                raise self._busy(owner, age)
            over = content[1] if content else entry.etag
        try:
            self._etag = self._bucket.put(self._key, _word(), over=over)
        except Conflict:
            raise self._busy({}, 0) from None
        self._renewed = time.monotonic()

    def _busy(self, owner: dict[str, Any], age: float) -> Busy:
        name = self._key.split("/")[0]
        left = max(1, round(STALE_SECONDS - age))
        return Busy(
            f"sweep {name!r} is being run by process {owner.get('pid', '?')} "
            f"on {owner.get('host', '?')} since {owner.get('since', '?')}; "
            f"should that have died, it is free in {left} s"
        )

    def _give_back(self) -> None:
        with suppress(EnvironmentTrouble):
            found = self._bucket.get(self._key)
            if found and found[1] == self._etag:
                self._bucket.delete([self._key])
        self._etag = None


_SINCE = time.strftime("%F %T")


def _word() -> bytes:
    mine = {"pid": os.getpid(), "host": socket.gethostname(), "since": _SINCE}
    return json.dumps({**mine, "machine": machine(), "at": time.time()}).encode()


def _read(content: bytes) -> dict[str, Any]:
    with suppress(ValueError, TypeError):
        return dict(json.loads(content))
    return {}


def _is_dead(owner: dict[str, Any]) -> bool:
    """Whether a process of this machine had it that is no more."""
    pid = owner.get("pid")
    return owner.get("machine") == machine() and isinstance(pid, int) and not lives(pid)
