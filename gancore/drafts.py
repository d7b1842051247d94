"""Folders that are filled apart and then take their name; what killed processes left is cleared."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ABANDONED_SECONDS = 3600
"""For how long nothing was written to a draft of another machine that is nobody's any more."""


@contextmanager
def draft(folder: Path, name: str) -> Iterator[Path]:
    """A new folder in a folder, gone at the end unless it was renamed.

    Drafts of the same name whose processes are dead are cleared away; those that another machine
    is writing are left alone.
    """
    own = f".{name}.{machine()}."
    for old in folder.glob(f".{name}.*"):
        pid = old.name.removeprefix(own).partition(".")[0]
        if not lives(int(pid)) if pid.isdigit() else _is_abandoned(old):
            shutil.rmtree(old, ignore_errors=True)
    place = Path(tempfile.mkdtemp(dir=folder, prefix=f"{own}{os.getpid()}."))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def machine() -> str:
    """Tells this machine from others that see the same folders, and from itself before it was last
    started. Containers of one machine count as machines.
    """
    try:
        started = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:  # Not Linux.
        started = ""
    return hashlib.sha256(f"{os.uname().nodename} {started}".encode()).hexdigest()[:12]


def lives(pid: int) -> bool:
    """Whether there is a process of this machine with a number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # Somebody else's.
        return True
    return True


def _is_abandoned(place: Path) -> bool:
    """Whether nobody has written to a draft for so long that nobody will."""
    try:
        written = max(path.stat().st_mtime for path in (place, *place.rglob("*")))
    except OSError:  # It is gone, or just going.
        return False
    return time.time() - written > ABANDONED_SECONDS
