"""The journal: every reported point of a sweep, on disk before anyone else hears of it.

One file a writer (each trial its own, and the driver's), one line a record, appended and fsynced.
A line is JSON that ends in a checksum of what stands before it. A torn last line, left by a crash
in the middle of a write, is not a record: readers pass over it, and the next writer cuts it off.

Every record has a `kind`, its `time_ms`, and `seq`: 1, 2, ... within its file, without gaps, so
that what is lost is known to be lost. The first record of a file also says the `format`. A trial's
own records carry its `attempt`: only the newest attempt may write (see `Journal`). Files from
before all this have none of it, and are read as they are.

Records by `kind`:
    start     a trial begins an attempt: node, device, versions, passport
    epoch     a reported point: epoch, values
    void      an epoch done again came out otherwise: the points from that epoch on do not count
    end       a trial ended by itself: verdict, reason, evidence
    retry     a trial that failed is tried again: reason
    lost      a trial's worker died, and the trial is to have another: after which epoch, reason
    stop      the driver ended a trial: epoch, reason
    pause     the driver lets a trial wait at a rung: epoch, reason
    promote   a trial that waited goes on: epoch, reason
    join      a trial has been added to the plan: the trial
    heard     the driver takes a trial's report in, before it decides: epoch
    amend     the plan is another from now on: its changed parts, and the trials that it adds
    reopen    a trial that had trained all of its epochs is to train more: epoch, reason
    retire    a confirmation counts no more: reason
    sweep     the driver's own state: running, finished, failed or interrupted; the sweep's id, and
              which signal interrupted it
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import math
import os
import re
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from gancore.files import fsync_folder, patiently
from sweeps import bucket, storage
from sweeps.errors import EnvironmentTrouble, Superseded

Record = dict[str, Any]

DRIVER = "_driver"
"""The writer of the driver's records; no trial may have this name."""

FORMAT = 1
"""Of what is written; whoever reads a higher one says so and stops."""

_LINE = re.compile(rb'^(\{.*),"crc":"([0-9a-f]{8})"\}$')


def journal_folder(sweep: Path) -> Path:
    """Where a sweep's journal lies."""
    return sweep / "journal"


class Journal:
    """Appends one writer's records, each durable when `append` returns.

    Who opened the file last and has written to it is its writer: any other `Journal` on it, of an
    attempt that was thought dead, finds the file grown and may write no more.

    Args:
        sweep: The sweep's folder.
        writer: A trial's uid, or `DRIVER`.

    Raises:
        Unwritable: The storage does not take it.
    """

    def __init__(self, sweep: Path, writer: str) -> None:
        self.path = journal_folder(sweep) / f"{writer}.jsonl"
        self._sweep = sweep
        self._pieces = bucket.of(sweep).pieces(writer)
        with storage.named(sweep):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = self._opened()
            with self._locked():
                if self._pieces is not None:
                    self._take(self._pieces.open())
                self._size, self._seq = self._cut_torn_tail()
            fsync_folder(self.path.parent)

    def append(self, kind: str, **content: Any) -> Record:
        """Writes a record and returns it with its timestamp, fixed from now on.

        Raises:
            Superseded: Another has written to the file since it was opened here.
            Unwritable: The storage does not take it; the file is as it was.
        """
        record = {"kind": kind, "time_ms": time.time_ns() // 1_000_000, **content}
        record["seq"] = self._seq + 1
        if record["seq"] == 1:
            record["format"] = FORMAT
        body = json.dumps(_encode(record), ensure_ascii=False, allow_nan=False).encode()
        line = body[:-1] + b',"crc":"%08x"}\n' % zlib.crc32(body)
        with storage.named(self._sweep):
            try:
                patiently(lambda: self._write(line))
            except OSError as error:
                error.filename = error.filename or str(self.path)
                raise
        self._size, self._seq = self._size + len(line), self._seq + 1
        return record

    def check(self) -> None:
        """Makes sure that this is still the writer.

        Raises:
            Superseded: It is not.
        """
        self._check_file()
        if self._pieces is not None:
            self._pieces.check()

    def records(self) -> list[Record]:
        """What stood in the file when it was opened, and what has been appended here since."""
        with self.path.open("rb") as stream:
            return _read(self.path, stream.read(self._size), Mark()).records

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

    def _opened(self) -> int:
        return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Nobody else opens the file, or appends to it, meanwhile."""
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._handle, fcntl.LOCK_UN)

    def _write(self, line: bytes) -> None:
        """Appends a line whole, or leaves the file as it was."""
        try:
            with self._locked():
                self._check_file()
                try:
                    left = memoryview(line)
                    while left:
                        left = left[os.write(self._handle, left) :]
                    os.fsync(self._handle)
                    if self._pieces is not None:
                        self._pieces.append(line)
                except (OSError, EnvironmentTrouble, Superseded):
                    with suppress(OSError):
                        os.ftruncate(self._handle, self._size)
                    raise
        except OSError as error:
            if error.errno == errno.ESTALE:
                self._reopen(line)
            raise

    def _check_file(self) -> None:
        if os.fstat(self._handle).st_size != self._size:
            raise Superseded(f"{self.path}: another process goes on with what this one wrote")

    def _take(self, content: bytes) -> None:
        """Makes the file what the bucket has: a last line that was never sent is no record."""
        if self.path.read_bytes() != content:
            os.ftruncate(self._handle, 0)
            os.write(self._handle, content)

    def _reopen(self, line: bytes) -> None:
        """A stale handle stays stale; what was written of the line through it is cut off."""
        stale, self._handle = self._handle, self._opened()
        with suppress(OSError):
            os.close(stale)
        with self._locked():
            tail = os.pread(self._handle, len(line) + 1, self._size)
            if line.startswith(tail):
                os.ftruncate(self._handle, self._size)

    def _cut_torn_tail(self) -> tuple[int, int]:
        """The size of what is whole, and the number of its last record."""
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.ftruncate(self._handle, whole)
        last = _record(content[content.rfind(b"\n", 0, max(whole - 1, 0)) + 1 : whole - 1])
        if last and "seq" in last:
            return whole, last["seq"]
        return whole, _read(self.path, content[:whole], Mark()).mark.seq


@dataclass(frozen=True)
class Mark:
    """How far a file has been read.

    Args:
        seq: The number of the last record read.
    """

    offset: int = 0
    seq: int = 0


@dataclass(frozen=True)
class Reading:
    """What has been read of a file.

    Args:
        mark: Where to go on.
        lost: The numbers of records that should be there and are not, or are damaged.
    """

    records: list[Record]
    mark: Mark
    lost: tuple[int, ...] = ()


def read(sweep: Path, writer: str) -> list[Record]:
    """Every whole record of one writer, in the order written; empty where there is none."""
    return read_from(journal_folder(sweep) / f"{writer}.jsonl").records


def read_from(path: Path, mark: Mark = Mark()) -> Reading:
    """The whole records of a file from a mark on.

    Raises:
        EnvironmentTrouble: A later version has written it.
    """
    try:
        with path.open("rb") as stream:
            stream.seek(mark.offset)
            content = stream.read()
    except FileNotFoundError:
        return Reading([], mark)
    return _read(path, content[: content.rfind(b"\n") + 1], mark)


def writers(sweep: Path) -> list[str]:
    """The trials that have written anything, sorted."""
    names = (path.stem for path in journal_folder(sweep).glob("*.jsonl"))
    return sorted(name for name in names if name != DRIVER)


def sweep_id(sweep: Path) -> str | None:
    """What tells a sweep from all others, wherever its folder lies; None before it first ran.

    The driver's records say it, and the trials' starts. Of a sweep from before they did it is the
    digest of the driver's first line, which no other sweep shares.
    """
    first = None
    for record in _one_by_one(sweep, DRIVER):  # The first says it, and there may be many.
        if "id" in record:
            return str(record["id"])
        first = first or record
    if first and first.get("seq", 1) == 1:
        return hashlib.sha256(json.dumps(first, sort_keys=True).encode()).hexdigest()[:32]
    for writer in writers(sweep):
        for record in read(sweep, writer):
            if record.get("sweep"):
                return str(record["sweep"])
    return None


def _one_by_one(sweep: Path, writer: str) -> Iterator[Record]:
    """As `read`, for who may not need them all."""
    with (
        suppress(FileNotFoundError),
        (journal_folder(sweep) / f"{writer}.jsonl").open("rb") as stream,
    ):
        for line in stream:
            if line.endswith(b"\n") and (record := _record(line[:-1])):
                yield record


def _read(path: Path, content: bytes, mark: Mark) -> Reading:
    """The records of whole lines. A damaged line is a lost record, as is one that is not there."""
    records: list[Record] = []
    lost: list[int] = []
    seq = mark.seq
    damaged = 0
    for line in content.split(b"\n")[:-1]:
        record = _record(line)
        if record is None:
            damaged += 1
            continue
        if record.get("format", FORMAT) > FORMAT:
            raise EnvironmentTrouble(
                f"{path}: gansweep {record.get('code_version', 'of a later version')} wrote this "
                f"(format {record['format']}); this one reads format {FORMAT}: update gansweep"
            )
        number = record.get("seq", seq + damaged + 1)
        lost += range(seq + 1, number)
        records.append(record)
        seq, damaged = max(seq, number), 0
    lost += range(seq + 1, seq + damaged + 1)
    return Reading(records, Mark(mark.offset + len(content), seq + damaged), tuple(lost))


def _record(line: bytes) -> Record | None:
    found = _LINE.match(line)
    if not found or zlib.crc32(found[1] + b"}") != int(found[2], 16):
        return None
    record: Record = _decode(json.loads(found[1] + b"}"))
    return record


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
