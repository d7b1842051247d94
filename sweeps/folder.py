"""The folder of a sweep: its name, its files, and who may write to it."""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import shlex
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from gancore.files import fsync_folder, is_locked
from sweeps import bucket
from sweeps.errors import Busy, EnvironmentTrouble, UserError

REPORT = "report"
"""The folder of a sweep's report, in the sweep's own."""

GRID_SCALE = 2
"""Sample grids are enlarged, since 32 pixels a picture are too small to judge by eye."""

LOCK = "lock"
LOOKS = 10
"""How often a lock is asked for: who only looks holds it for a moment."""

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


@contextmanager
def built(storage: Path, name: str) -> Iterator[Path]:
    """A new sweep's folder, which has its name only once all is in it.

    It is built aside, in a hidden folder, and renamed last: whoever is killed on the way leaves
    nothing that is in the way, and what earlier ones left is swept away.

    Raises:
        UserError: The name could not be a folder's.
        Busy: There is such a sweep already, or something else of the name.
        EnvironmentTrouble: The storage cannot be written to.
    """
    place = named(storage, name)
    try:
        storage.mkdir(parents=True, exist_ok=True)
        _sweep_away(storage, name)
        if place.exists():
            raise taken(place)
        draft = storage / f".{name}.{secrets.token_hex(4)}"
        draft.mkdir()
    except OSError as error:
        raise EnvironmentTrouble(
            f"--storage: cannot write to {storage}: {error.strerror or error}"
        ) from None
    try:
        with owned(draft):
            yield draft
            if not bucket.of(place).publish(draft):
                raise taken(place)
            try:
                draft.rename(place)
            except OSError:
                if place.exists():
                    raise taken(place) from None
                raise
            fsync_folder(storage)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def taken(place: Path) -> Busy:
    """Why no new sweep can have a name, and the way on."""
    name = place.name
    bucket.of(place).pull()
    if not is_sweep(place):
        return Busy(f"{place} is there and is no sweep: remove it, or choose another --name")
    where = bucket.spoken(place.parent)
    command = resume_command(place) if bucket.is_address(where) else f"gansweep resume {name}"
    return Busy(
        f"a sweep {name!r} exists in {where}: go on with `{command}`, "
        "or choose another name with --name"
    )


def resume_command(place: Path) -> str:
    """What a user types to go on with a sweep, from the folder that this process runs in."""
    where = bucket.spoken(place.parent)
    if bucket.is_address(where):
        return f"gansweep resume {place.name} --storage {shlex.quote(where)}"
    usual = place.parent == (Path.cwd() / "runs").resolve()
    return f"gansweep resume {place.name if usual else shlex.quote(str(place))}"


def _sweep_away(storage: Path, name: str) -> None:
    """Deletes what those left who were killed while they built a sweep of this name."""
    for draft in storage.glob(f".{name}.????????"):
        if (draft / LOCK).is_file() and not is_owned(draft):
            shutil.rmtree(draft, ignore_errors=True)


def find(storage: Path, name: str) -> Path:
    """The folder of a sweep by its name, or by a path to it.

    Raises:
        UserError: There is none; the message lists the ones there are.
    """
    as_path = Path(name)
    if is_sweep(as_path):
        return as_path.resolve()
    folder = named(storage, name)
    bucket.of(folder).pull()
    if not is_sweep(folder):
        known = ", ".join(bucket.names(storage) or [p.name for p in every(storage)]) or "none"
        raise UserError(f"no sweep {name!r} in {bucket.spoken(storage)} (there: {known})")
    return folder


def every(storage: Path) -> list[Path]:
    """The sweeps of a storage folder, by name."""
    for name in bucket.names(storage) or ():
        bucket.of(storage / name).pull()
    if not storage.is_dir():
        return []
    return sorted(p for p in storage.glob("[!.]*") if is_sweep(p))


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
        Busy: Another process has it; the message names process, machine and since when.
    """
    with (folder / LOCK).open("a+") as stream:
        _take(stream, folder)
        stream.truncate(0)
        since = time.strftime("%F %T")
        stream.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since}))
        stream.flush()
        with bucket.of(folder).held():
            yield


def _take(stream: TextIO, folder: Path) -> None:
    for left in reversed(range(LOOKS)):
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if left:  # Perhaps somebody just looks whether it is owned.
                time.sleep(0.02)
    stream.seek(0)
    try:
        owner = dict(json.loads(stream.read()))
    except (ValueError, TypeError):  # It is just being written, or was torn.
        owner = {}
    raise Busy(
        f"sweep {folder.name!r} is being run by process {owner.get('pid', '?')} "
        f"on {owner.get('host', '?')} since {owner.get('since', '?')}"
    )


def is_owned(folder: Path) -> bool:
    """Whether some process is running the sweep now."""
    return is_locked(folder / LOCK) or bucket.of(folder).is_held()


def named(storage: Path, name: str) -> Path:
    """Where the sweep of a name lies, or would.

    Raises:
        UserError: The name could not be a folder's.
    """
    if not NAME.fullmatch(name):
        raise UserError(
            f"{name!r} cannot name a sweep: letters, digits, `.`, `_` and `-`, at most 100, "
            "no leading `.` or `-`"
        )
    return storage / name
