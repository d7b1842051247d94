"""Crash points: a forked child in which something happens to its n-th call that makes data durable.

SQLite's method: fail at n = 1, 2, 3, ... until a run passes clean. The child is forked from a
process that has imported everything, so a point costs a fraction of a second.
"""

from __future__ import annotations

import errno
import importlib
import io
import json
import os
import select
import shutil
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

CALLS = ("write", "fsync", "replace", "ftruncate", "unlink")
KILLS = ("kill_before", "kill_after", "half")
_LEFT_BY_ERROR = 70


@dataclass(frozen=True)
class Outcome:
    """What became of a child.

    Args:
        code: Its exit code, or minus the signal that ended it.
        points: Its counted calls, each as `write NAME OF FILE`.
        struck: The call to which something was done; None where there were fewer calls.
        error: The traceback with which the action ended, empty where it did not.
    """

    code: int
    points: tuple[str, ...]
    struck: str | None
    error: str

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


def child(
    action: Callable[[], object],
    at: int = 0,
    do: str = "kill_before",
    *,
    calls: Sequence[str] | None = None,
    lasting: bool = False,
    seconds: float = 60,
) -> Outcome:
    """Runs an action in a forked child and does something to its `at`-th call of `os.write` & co.

    What a buffered file writes is counted too, if it was opened by `os.fdopen`.

    Args:
        at: From 1; 0 disturbs nothing, and tells which calls there are.
        do: `kill_before`, `kill_after`, `half` (half of a write, then killed; any other call:
            killed before it), `short` (half of a write, which says so), or an error by its name:
            `ENOSPC`, `EROFS`, `ESTALE`, `EIO`.
        calls: Those that count; None takes all of `CALLS`, for `short` the writes.
        lasting: An error stays: every later call that counts has it too.
        seconds: After which the child is killed and the test fails.
    """
    _warm_up()
    counted = calls or (("write",) if do == "short" else CALLS)
    mine, its = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Of 3.12: threads do not come along.
        pid = os.fork()
    if pid == 0:
        _in_child(action, _Striker(its, at, do, counted, lasting))
    os.close(its)
    told = _told(mine, pid, seconds)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    lines = [json.loads(line) for line in told.splitlines()]
    points = tuple(text for kind, text in lines if kind == "call")
    struck = points[at - 1] if 0 < at <= len(points) else None
    return Outcome(code, points, struck, "".join(text for kind, text in lines if kind == "error"))


def every_crash_point(
    action: Callable[[Path], object],
    check: Callable[[Path], object],
    *,
    start: Path,
    do: str = "kill_before",
    calls: Sequence[str] | None = None,
    lasting: bool = False,
    stride: int = 1,
) -> int:
    """Does something to the first counted call of an action, to the second, ... until none is left.

    Each run has a copy of its own of the folder `start`, by the same name; both functions get it.

    Args:
        action: Runs in a child.
        check: Runs here after each child: resumes and looks at what is there, without waiting for
            the disk. What it raises names the crash point.
        do, calls, lasting: See `child`.
        stride: Every how manieth point is taken, for a sample.

    Returns:
        How many points there were.
    """
    at = 1
    while True:
        place = start.parent / f"{start.name}-{do}-{at:04d}" / start.name
        shutil.copytree(start, place)
        outcome = child(lambda place=place: action(place), at, do, calls=calls, lasting=lasting)
        where = f"crash point {at}: {do} {outcome.struck or '(none left)'}"
        if do in KILLS and outcome.struck and not outcome.killed:
            raise AssertionError(f"{where}: the child outlived it\n{outcome.error}")
        if not outcome.struck and outcome.code != 0:
            raise AssertionError(f"undisturbed, the action fails\n{outcome.error}")
        try:
            with patch("os.fsync"):
                check(place)
        except Exception as error:
            error.add_note(f"{where}\n{outcome.error}")
            raise
        shutil.rmtree(place.parent)
        if not outcome.struck:
            return len(outcome.points)
        at += stride


class _Striker:
    """Wraps the counted calls and strikes at one of them."""

    def __init__(self, pipe: int, at: int, do: str, calls: Sequence[str], lasting: bool) -> None:
        known = (*KILLS, "short")
        if do not in known and not hasattr(errno, do):
            raise ValueError(f"{do!r} is none of {', '.join(known)} and no name of an error")
        self._pipe, self._at, self._do, self._lasting = pipe, at, do, lasting
        self._count = 0
        self._write = os.write
        for name in calls:
            # A kill loses nothing that the system holds: without waiting for the disk it is faster.
            real = os.fstat if name == "fsync" else getattr(os, name)
            setattr(os, name, self._wrapped(name, real))
        self._fdopen = os.fdopen
        os.fdopen = self._opened

    def say(self, kind: str, text: str) -> None:
        self._write(self._pipe, (json.dumps([kind, text]) + "\n").encode())

    def _wrapped(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            path = _path(arguments[0])
            if path is None:
                return real(*arguments, **named)
            self._count += 1
            self.say("call", f"{name} {path.name}")
            due = self._count == self._at
            if not due and not (self._lasting and 0 < self._at < self._count):
                return real(*arguments, **named)
            return self._strike(name, path, real, arguments, named)

        return call

    def _strike(
        self,
        name: str,
        path: Path,
        real: Callable[..., Any],
        arguments: tuple[Any, ...],
        named: dict[str, Any],
    ) -> Any:
        if hasattr(errno, self._do):
            number = getattr(errno, self._do)
            raise OSError(number, os.strerror(number), str(path))
        if self._do in ("half", "short") and name == "write":
            written = real(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
            if self._do == "short":
                return written
        elif self._do == "kill_after":
            real(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("still alive")

    def _opened(self, handle: int, mode: str = "r", *rest: Any, **named: Any) -> Any:
        """A buffered file writes in C, past `os.write`: here its bytes go through it."""
        if "b" not in mode or not set(mode) & set("wax+"):
            return self._fdopen(handle, mode, *rest, **named)
        return io.BufferedWriter(_Through(handle, mode.replace("b", "")))


class _Through(io.FileIO):
    def write(self, content: Any, /) -> int:
        return os.write(self.fileno(), bytes(content))


def _path(target: Any) -> Path | None:
    """The file that a call is about; None for pipes, sockets and devices."""
    text = os.readlink(f"/proc/self/fd/{target}") if isinstance(target, int) else os.fspath(target)
    path = Path(os.fsdecode(text))
    named = isinstance(target, int) and not path.is_absolute()
    return None if named or str(path).startswith(("/dev/", "/proc/")) else path


def _in_child(action: Callable[[], object], striker: _Striker) -> None:
    code = 0
    try:
        action()
    except BaseException:
        striker.say("error", traceback.format_exc())
        code = _LEFT_BY_ERROR
    finally:
        os._exit(code)


def _told(pipe: int, pid: int, seconds: float) -> bytes:
    """All that a child says until it ends."""
    until = time.monotonic() + seconds
    told = b""
    try:
        while True:
            if not select.select([pipe], [], [], max(0.0, until - time.monotonic()))[0]:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise AssertionError(f"the child hangs after {seconds:g} s:\n{told.decode()}")
            got = os.read(pipe, 65536)
            if not got:
                return told
            told += got
    finally:
        os.close(pipe)


@cache
def _warm_up() -> None:
    """Imports what a trial imports, once, before anything forks."""
    for name in ("PIL.PngImagePlugin", "gancore.systems.grid", "gancore.training", "sweeps.trial"):
        importlib.import_module(name)
    from sweeps.version import code_version

    code_version()
