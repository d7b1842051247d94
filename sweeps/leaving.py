"""How a driver ends when it cannot end in order: at once, told, and so that it can go on."""

from __future__ import annotations

import _thread
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from sweeps import journal
from sweeps.folder import resume_command
from sweeps.journal import Journal
from sweeps.signals import exit_code, show_cursor, tell

_TELLING_SECONDS = 3.0
"""How long leaving may wait for the journal: a bucket takes some requests, a busy disk its time."""

GCS_PATIENCE = "RAY_gcs_rpc_server_reconnect_timeout_s"
"""Ray's own: after so many seconds without the head its C++ ends this process, without a word."""


def end_now(place: Path, code: int, line: str, **said: Any) -> NoReturn:
    """Ends this process now, whatever it is doing.

    Args:
        line: Tells the user.
        said: Goes into the driver's journal with the state `interrupted`, should that take no time.
    """

    def say() -> None:
        with Journal(place, journal.DRIVER) as log:
            log.append("sweep", state="interrupted", **said)

    told = _thread.allocate_lock()
    told.acquire()

    def say_in_time() -> None:
        with suppress(Exception):  # A disk that is full, say: the line is told all the same.
            say()
        told.release()

    # In its own thread: this one may be a signal's, in the midst of another record, or of
    # `threading`'s own bookkeeping.
    _thread.start_new_thread(say_in_time, ())
    told.acquire(timeout=_TELLING_SECONDS)
    show_cursor()
    tell(line)
    _end_ray()
    os._exit(code)


def _end_ray() -> None:
    """Kills all that Ray has started here: its agents would outlive us by a minute or more.

    The uploader has a session of its own, and sends the rest to MLflow.
    """
    psutil = sys.modules.get("psutil")  # Ray brings it, and imports it.
    if psutil is None:
        return
    with suppress(psutil.Error, OSError):
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error, OSError):
                if os.getsid(child.pid) == os.getsid(0):
                    child.kill()


def leave(place: Path, number: int) -> None:
    """Ends this process at once, by a second signal."""
    line = f"left at once; go on with: {resume_command(place)}"
    end_now(place, exit_code(number), line, signal=number)


@contextmanager
def watched(address: str, lost: Callable[[], object]) -> Iterator[None]:
    """Looks every now and then whether the head of the cluster still answers.

    Ray ends a process that has lost the head for a minute, with no chance to say so; this is
    faster, so that the sweep's journal and its user are told.

    Args:
        address: Host and port of the head's control store.
        lost: Called, in another thread, once it has not answered for two thirds of that time.
    """
    host, _, port = address.rpartition(":")
    patience = float(os.environ.get(GCS_PATIENCE, "60")) * 2 / 3
    over = threading.Event()

    def watch() -> None:
        answered = time.monotonic()
        while not over.wait(patience / 10):
            try:
                socket.create_connection((host, int(port)), timeout=patience / 4).close()
                answered = time.monotonic()
            except OSError:
                if time.monotonic() - answered > patience and not over.is_set():
                    lost()
                    return

    watcher = threading.Thread(target=watch, daemon=True, name="head")
    watcher.start()
    try:
        yield
    finally:
        over.set()
