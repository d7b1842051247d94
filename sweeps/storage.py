"""Whether an error is the storage's fault, and then which mount's, and what to do."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sweeps.errors import GansweepError, Unwritable
from sweeps.folder import resume_command

_TOLD = {
    errno.ENOSPC: ("no space is left on {}", "free some"),
    errno.EDQUOT: ("the quota on {} is used up", "free some space"),
    errno.EFBIG: ("a file on {} may grow no further", "raise the limit (`ulimit -f`)"),
    errno.EROFS: ("{} is read-only", "make it writable"),
    errno.ESTALE: ("the network mount {} has gone stale", "mount it anew"),
    errno.EIO: ("reading or writing on {} fails", "check the disk or the connection to it"),
}


def fault_of(error: BaseException) -> OSError | None:
    """The storage's own error, should an error be one or come from one."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _TOLD:
            return cause
        cause = cause.__cause__ or cause.__context__
    return None


@contextmanager
def named(sweep: Path) -> Iterator[None]:
    """Tells an error of the storage in one line.

    Raises:
        Unwritable: The disk is full, read-only, gone or broken; any other error passes.
    """
    try:
        yield
    except GansweepError:
        raise
    except Exception as error:
        fault = fault_of(error)
        if fault is None:
            raise
        raise Unwritable(_told(fault, sweep)) from error


def _told(fault: OSError, sweep: Path) -> str:
    path = Path(fault.filename) if isinstance(fault.filename, str) else sweep
    what, remedy = _TOLD[fault.errno or errno.EIO]
    mount = path.absolute()
    while not os.path.ismount(mount):
        mount = mount.parent
    return (
        f"{what.format(mount)} ({os.strerror(fault.errno or errno.EIO)}: {path}): {remedy}, "
        f"then go on with `{resume_command(sweep)}`"
    )
