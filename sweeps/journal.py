"""The journal: every reported point of a sweep, on disk before anyone else hears of it.

One file a writer (each trial its own, and the driver's), one line a record, appended and fsynced.
A line is JSON that ends in a checksum of what stands before it. A torn last line, left by a crash
in the middle of a write, is not a record: readers pass over it, and the next writer cuts it off.

Records by `kind`:
    start     a trial begins an attempt: node, device, versions, passport
    epoch     a reported point: epoch, values
    end       a trial ended by itself: verdict, reason, evidence
    retry     a trial that failed is tried again: reason
    stop      the driver ended a trial: epoch, reason
    pause     the driver lets a trial wait at a rung: epoch, reason
    promote   a trial that waited goes on: epoch, reason
    join      a trial has been added to the plan: the trial
    sweep     the driver's own state: running, finished, interrupted (by which signal), failed
"""

from __future__ import annotations

import json
import math
import os
import re
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from gancore.files import fsync_folder

Record = dict[str, Any]

DRIVER = "_driver"
"""The writer of the driver's records; no trial may have this name."""

_LINE = re.compile(rb'^(\{.*),"crc":"([0-9a-f]{8})"\}$')


def journal_folder(sweep: Path) -> Path:
    """Where a sweep's journal lies."""
    return sweep / "journal"


class Journal:
    """Appends one writer's records, each durable when `append` returns.

    Args:
        sweep: The sweep's folder.
        writer: A trial's uid, or `DRIVER`.
    """

    def __init__(self, sweep: Path, writer: str) -> None:
        self.path = journal_folder(sweep) / f"{writer}.jsonl"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._cut_torn_tail()
        fsync_folder(self.path.parent)

    def append(self, kind: str, **content: Any) -> Record:
        """Writes a record and returns it with its timestamp, fixed from now on."""
        record = {"kind": kind, "time_ms": time.time_ns() // 1_000_000, **content}
        body = json.dumps(_encode(record), ensure_ascii=False, allow_nan=False).encode()
        line = body[:-1] + b',"crc":"%08x"}\n' % zlib.crc32(body)
        os.write(self._handle, line)
        os.fsync(self._handle)
        return record

    def close(self) -> None:
        os.close(self._handle)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _cut_torn_tail(self) -> None:
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.ftruncate(self._handle, whole)


def read(sweep: Path, writer: str) -> list[Record]:
    """Every whole record of one writer, in the order written; empty where there is none."""
    return list(read_from(journal_folder(sweep) / f"{writer}.jsonl")[0])


def read_from(path: Path, offset: int = 0) -> tuple[list[Record], int]:
    """The whole records of a file from a byte offset on, and the offset to go on from."""
    try:
        with path.open("rb") as stream:
            stream.seek(offset)
            content = stream.read()
    except FileNotFoundError:
        return [], offset
    whole = content.rfind(b"\n") + 1
    return list(_records(content[:whole])), offset + whole


def writers(sweep: Path) -> list[str]:
    """The trials that have written anything, sorted."""
    names = (path.stem for path in journal_folder(sweep).glob("*.jsonl"))
    return sorted(name for name in names if name != DRIVER)


def _records(content: bytes) -> Iterator[Record]:
    for line in content.splitlines():
        found = _LINE.match(line)
        # A line damaged in the middle is a disk's fault, not a crash's; it is left out alike.
        if found and zlib.crc32(found[1] + b"}") == int(found[2], 16):
            yield _decode(json.loads(found[1] + b"}"))


def _encode(value: Any) -> Any:
    """JSON has no NaN and no infinity; they travel as texts."""
    if isinstance(value, dict):
        return {key: _encode(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": repr(value)}
    return value


def _decode(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"$float"}:
            return float(value["$float"])
        return {key: _decode(item) for key, item in value.items()}
    return value
