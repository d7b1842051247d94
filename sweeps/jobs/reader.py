"""Notices that nobody reads what is printed any more, as after `head`, while nothing is printed."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def while_read() -> Iterator[None]:
    """What a task does inside ends once nobody reads its output, and not at its next line only.

    Raises:
        BrokenPipeError: Then.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    pipe, left = _pipe(), False

    def leave() -> None:
        nonlocal left
        left = True
        if task is not None:
            task.cancel()

    if pipe is not None:
        loop.add_reader(pipe, leave)  # All that the end that writes can tell is that it is alone.
    try:
        yield
    except asyncio.CancelledError:
        if not left:
            raise
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from None
    finally:
        if pipe is not None:
            loop.remove_reader(pipe)


def _pipe() -> int | None:
    """The output, where it is one that somebody may leave."""
    try:
        handle = sys.stdout.fileno()
        return handle if stat.S_ISFIFO(os.fstat(handle).st_mode) else None
    except (AttributeError, OSError):  # There is none, or none of the system's.
        return None
