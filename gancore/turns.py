"""Lets one process at a time do what all of them need done once."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""How file systems say that they have none: NFS without its lock daemon, Lustre without `flock`."""


@contextmanager
def turn(lock: Path) -> Iterator[None]:
    """Waits for a lock; it ends with its process, however that ends.

    All machines see it that share the folder, where its file system has locks; where it has none,
    only the processes of this machine do. So what is done inside must be harmless when another
    machine does the same at the same time.

    Args:
        lock: A file, made where it is missing; it stays, and stays empty.
    """
    handle = _opened(lock)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            os.close(handle)
            handle = _opened(_own(lock))
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _opened(lock: Path) -> int:
    return os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)


def _own(lock: Path) -> Path:
    """A lock of this machine and user in the place of one."""
    name = hashlib.sha256(str(lock.absolute()).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"gansweep-{os.getuid()}-{name}.lock"
