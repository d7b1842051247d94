"""Keeps an uploader running beside a sweep, and has the last word on what MLflow lacks."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from sweeps import bucket
from sweeps.children import python, python_path
from sweeps.tracking.address import check_uri, default_uri, redacted
from sweeps.tracking.process import ALL_SENT, ENOUGH, GAVE_UP, START_OVER

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
DEATHS_AT_THE_END = 3
"""How often an uploader that dies after the sweep's end is started again."""

GRACE_SECONDS = 3.0
"""What an uploader that is told to end may still take; it may be killed at any point."""


class Supervisor:
    """One uploader at a time, in a process of its own; one that dies is started again.

    It never waits for MLflow, and nothing that happens to an uploader is raised: it runs in a
    thread of its own beside the sweep.

    Args:
        sweep: The sweep's folder.
        uri: The tracking store.
    """

    def __init__(self, sweep: Path, uri: str) -> None:
        self.sweep = sweep
        self._uri = uri
        self._process: subprocess.Popen[bytes] | None = None
        self._why: str | None = None
        self._all_sent = False
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._closed = threading.Event()
        self._start()
        self._thread = threading.Thread(target=self._keep, name="uploader's keeper", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """Of the uploader that runs now, or ran last."""
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        """Whether an uploader runs, or will be started again."""
        return self._thread.is_alive()

    def end(self, seconds: float) -> bool:
        """Waits for all to be sent, at most so long; says in one line what is left to do.

        Returns:
            Whether MLflow has everything.
        """
        self._ending.set()
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._why = "there was no more time"
            self._close()
        if not self._all_sent:
            say(f"MLflow does not have everything ({self._why}); later: {self._command()}")
        return self._all_sent

    def _keep(self) -> None:
        """Lives as long as there is an uploader to care for."""
        pause, at_the_end = FIRST_PAUSE_SECONDS, 0
        told = False
        while True:
            began = time.monotonic()
            code, why = self._one_life()
            self._all_sent = code == ALL_SENT
            self._why = self._why if self._closed.is_set() else why
            if code in (ALL_SENT, GAVE_UP) or self._closed.is_set():
                if code == GAVE_UP and not self._ending.is_set():
                    say(f"warning: MLflow is told no more: {why}; the sweep goes on")
                return
            at_the_end += self._ending.is_set()
            if at_the_end > DEATHS_AT_THE_END:
                return
            if code != START_OVER and not told:
                # Once: what else dies in a night stands in the log, and in the last word.
                say(f"warning: {why}; it is started again, and the sweep goes on")
                told = True
            if time.monotonic() - began > LONGEST_PAUSE_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            if self._ending.wait(pause):
                self._closed.wait(FIRST_PAUSE_SECONDS)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            self._start()

    def _one_life(self) -> tuple[int | None, str]:
        """Waits for the uploader's end; its exit code, and what it said or died of."""
        process = self._process
        if process is None or process.stdout is None:
            return None, self._why or "no uploader could be started"
        code = process.wait()
        with process.stdout as stream:
            # A child that it left behind may hold the other end for longer than it lived.
            os.set_blocking(stream.fileno(), False)
            said = (stream.read() or b"").decode(errors="replace").strip()
        if code in (ALL_SENT, GAVE_UP, START_OVER):
            return code, said
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return code, f"the process that tells MLflow died ({said or how})"

    def _start(self) -> None:
        """Starts an uploader, unless it is too late for one.

        It has a session of its own, so that Ctrl-C does not end it before the interruption is sent
        too. The address goes by the environment: an argument, with its password, is for all to
        read.
        """
        with self._lock:
            self._process = None
            if self._closed.is_set():
                return
            try:
                self._process = subprocess.Popen(
                    [python(), "-P", "-m", "sweeps.tracking", str(self.sweep)],
                    env={
                        **os.environ,
                        "MLFLOW_TRACKING_URI": self._uri,
                        "PYTHONPATH": python_path(),
                    },
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    start_new_session=True,
                )
            except OSError as error:  # No memory, or no process is left to be had.
                self._why = f"no uploader could be started: {error}"

    def _close(self) -> None:
        self._closed.set()
        for number in (ENOUGH, signal.SIGKILL):
            with self._lock:
                if self._process is not None:
                    self._process.send_signal(number)
            self._thread.join(GRACE_SECONDS)

    def _command(self) -> str:
        """How what is missing can be sent later, from where we are."""
        words = ["gansweep", "sync", self.sweep.name]
        if self.sweep.parent != Path("runs").resolve():
            words += ["--storage", bucket.spoken(self.sweep.parent)]
        if self._uri != default_uri(self.sweep.parent):
            words += ["--tracking-uri", redacted(self._uri)]
        return shlex.join(words)


def start_uploader(sweep: Path, uri: str) -> Supervisor:
    """Starts what follows a sweep's journal until the sweep is over and all is sent.

    Raises:
        UserError: The address cannot be a tracking store's.
    """
    check_uri(uri)
    return Supervisor(sweep, uri)


def wait(uploader: Supervisor, seconds: float) -> bool:
    """Waits for an uploader to end, and ends it when it takes too long.

    Returns:
        Whether MLflow has everything; where not, one line has said so.
    """
    return uploader.end(seconds)


def say(line: str) -> None:
    """One line to the terminal; that nobody can read it is no reason to end a sweep."""
    try:
        print(line, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        return
