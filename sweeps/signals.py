"""What signals ask of a sweep: the first to end in order, the second to leave at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_TWICE_SECONDS = 0.25
"""One press may arrive twice, from the terminal and from a wrapper that hands it on."""


class Signals:
    """Hears SIGINT (Ctrl-C), SIGTERM (a scheduler's notice) and SIGHUP (the terminal is gone).

    The first is noted in `first`, and whoever trains looks there; only inside of `breaking` it is a
    KeyboardInterrupt at once, so that nothing is broken off that must be written whole. A signal
    that this process was started to ignore (`nohup`) stays ignored.

    Args:
        leave: Called with the second; the process ends there.
    """

    def __init__(self, leave: Callable[[int], None]) -> None:
        self.first: int | None = None
        self._leave = leave
        self._since = 0.0
        self._breaks = False
        self._before: dict[int, object] = {}

    @property
    def seconds(self) -> float:
        """Since the first; 0 before."""
        return time.monotonic() - self._since if self.first else 0.0

    @contextmanager
    def heard(self) -> Iterator[Signals]:
        """Signals are heard inside; other threads than the main one can hear none."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        ignored = [n for n in HEARD if signal.getsignal(n) is signal.SIG_IGN]
        self._before = {n: signal.getsignal(n) for n in HEARD if n not in ignored}
        self.arm()
        try:
            yield self
        finally:
            for number, handler in self._before.items():
                signal.signal(number, handler)  # type: ignore[arg-type]
            self._before = {}

    def arm(self) -> None:
        """Takes the signals back from whoever took them: `ray.init` takes SIGTERM."""
        for number in self._before:
            signal.signal(number, self._hear)

    @contextmanager
    def breaking(self) -> Iterator[None]:
        """What is done inside may be broken off anywhere.

        Raises:
            KeyboardInterrupt: By the first signal, also by one that came before.
        """
        self._breaks = True
        try:
            if self.first:
                raise KeyboardInterrupt
            yield
        finally:
            self._breaks = False

    def note(self, number: int) -> None:
        """Takes a signal for heard."""
        if self.first is None:
            self.first, self._since = number, time.monotonic()

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        if self.first is not None:
            if self.seconds > _TWICE_SECONDS:
                self._leave(number)
            return
        self.note(number)
        if number == signal.SIGHUP:
            _let_go_of_terminal()
        else:
            tell("ending; once more to leave at once")
        if self._breaks:
            raise KeyboardInterrupt


def tell(line: str) -> None:
    """Writes a line to stderr; `print` may not, from within itself."""
    try:
        os.write(2, f"{line}\n".encode())
    except OSError:
        return  # Nobody is there to read it.


def show_cursor() -> None:
    """Gives the terminal its cursor back, which a live table hides."""
    if sys.__stdout__ is not None and sys.__stdout__.isatty():
        os.write(1, b"\x1b[?25h")


def exit_code(number: int) -> int:
    """The exit code of what a signal ended, as shells count it: 130, 143, 129."""
    return 128 + number


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM ends what is done inside as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def hand_on(_number: int, _frame: FrameType | None) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGTERM, hand_on)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _let_go_of_terminal() -> None:
    """What is still written to a terminal that is gone would be an error."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for handle in (0, 1, 2):
        if os.isatty(handle):
            os.dup2(nowhere, handle)
    os.close(nowhere)
