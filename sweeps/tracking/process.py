"""The uploader as a process beside the sweep, and as a single call."""

from __future__ import annotations

import os
import signal
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Protocol

from sweeps import trust
from sweeps.errors import EnvironmentTrouble
from sweeps.tracking.address import scrubbed

if TYPE_CHECKING:
    from sweeps.tracking.store import Trouble
    from sweeps.tracking.uploader import Uploader

POLL_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 8.0
LOG_BYTES = 1_000_000
"""How large `tracking.log` may grow; then its older half is dropped."""

ALL_SENT, DIED, GAVE_UP, START_OVER = 0, 1, 3, 4
"""Exit codes of an uploader. One that must start over met a database that is not the one it knew,
and MLflow keeps connections for as long as a process lives."""


ENOUGH = signal.SIGUSR1
"""By this the driver tells an uploader that there is no more time."""


class Clock(Protocol):
    """What `time` has, so that tests need not wait."""

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float, /) -> None: ...


def sync(sweep: Path, uri: str, *, rebuild: bool = False) -> None:
    """Sends to MLflow what it lacks of a sweep, now, in this process.

    Args:
        rebuild: Takes nothing for sent: MLflow's own histories and files are compared.

    Raises:
        UserError: The address cannot be a tracking store's, or plug-ins are not trusted.
        EnvironmentTrouble: MLflow did not get everything; the message says why.
    """
    trust.check(sweep)
    from sweeps.tracking.store import StoreReplaced
    from sweeps.tracking.uploader import Uploader

    uploader = Uploader(sweep, uri, rebuild=rebuild)
    try:
        trouble = uploader.pass_once()
        if trouble and trouble.healed:
            trouble = uploader.pass_once()
    except StoreReplaced as replaced:
        raise EnvironmentTrouble(f"MLflow does not have everything: {replaced}") from None
    if trouble:
        raise EnvironmentTrouble(f"MLflow does not have everything: {trouble.message}")


@dataclass
class Patience:
    """When a store that failed is tried again, and when no more.

    Args:
        give_up_seconds: How long a store that does not answer is tried once the sweep is over,
            counted from when it stopped to answer.
    """

    give_up_seconds: float
    clock: Clock
    pause: float = POLL_SECONDS
    away_since: float | None = None

    def well(self) -> None:
        """The store has answered."""
        self.pause, self.away_since = POLL_SECONDS, None

    def is_at_an_end(self, trouble: Trouble) -> bool:
        """Whether to give up, of a sweep that is over."""
        now = self.clock.monotonic()
        self.away_since = now if self.away_since is None else self.away_since
        return now + trouble.wait_seconds >= self.away_since + self.give_up_seconds

    def rest(self, uploader: Uploader, over: bool, asked_seconds: float) -> bool:
        """Pauses: longer each time, and never shorter than the server has asked for.

        The sweep's end is a reason to look again at once, where the server has not asked.

        Returns:
            Whether to try again; not where the server asks for longer than is left to us.
        """
        self.pause = min(2 * self.pause, LONGEST_WAIT_SECONDS)
        asked_until = self.clock.monotonic() + asked_seconds
        until = max(self.clock.monotonic() + self.pause, asked_until)
        while (left := until - self.clock.monotonic()) > 0:
            self.clock.sleep(min(POLL_SECONDS, left))
            if not over and uploader.over():
                over, until = True, asked_until
                if asked_until - self.clock.monotonic() > self.give_up_seconds:
                    return False
        return True


def follow(sweep: Path, uri: str, give_up_seconds: float, clock: Clock = time) -> str | None:
    """Keeps MLflow up to date until the sweep is over; says why where it gave up.

    Args:
        give_up_seconds: See `Patience`.

    Raises:
        StoreReplaced: The database is another one now.
    """
    from sweeps.tracking.uploader import Uploader

    uploader = Uploader(sweep, uri)
    patience = Patience(give_up_seconds, clock)
    while True:
        over = uploader.over()
        trouble = uploader.pass_once()
        cap(sweep / "tracking.log")
        if trouble is None:
            if over:
                return None
            patience.well()
            clock.sleep(POLL_SECONDS)
            continue
        print(time.strftime("%F %T"), trouble.message, flush=True)
        if trouble.lasting or (patience.is_at_an_end(trouble) and over):
            return trouble.message
        if not patience.rest(uploader, over, trouble.wait_seconds):
            return trouble.message


def main(sweep: Path, uri: str, give_up_seconds: float) -> int:
    """Runs `follow` quietly: what MLflow prints goes to `tracking.log` in the sweep's folder.

    Why it gave up or died is told on what was its standard output.
    """
    from sweeps.tracking.store import StoreReplaced

    os.nice(10)
    _hear(os.getppid())
    out = os.dup(1)
    with (sweep / "tracking.log").open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    code = GAVE_UP
    try:
        why = follow(sweep, uri, give_up_seconds)
    except KeyboardInterrupt:
        why = "there was no more time"
    except StoreReplaced as replaced:
        code, why = START_OVER, str(replaced)
    except Exception as error:
        print(scrubbed(traceback.format_exc(), uri), flush=True)
        code, why = DIED, f"{type(error).__name__}, see {sweep / 'tracking.log'}"
    if why is None:
        return ALL_SENT
    with suppress(OSError):  # The driver may be dead.
        os.write(out, why.encode())
    return code


def _hear(driver: int) -> None:
    """Ends by ENOUGH, and by SIGTERM only where the driver is gone.

    Ray and Slurm send SIGTERM to every process of a job: the driver then ends the sweep in order,
    and that is still to be told.
    """

    def terminated(number: int, frame: FrameType | None) -> None:
        if os.getppid() != driver:
            signal.default_int_handler(number, frame)

    signal.signal(ENOUGH, signal.default_int_handler)
    signal.signal(signal.SIGTERM, terminated)


def cap(log: Path) -> None:
    """Drops the older half of a log that has grown too large; who appends to it goes on."""
    with suppress(FileNotFoundError):
        if log.stat().st_size > LOG_BYTES:
            with log.open("r+b") as stream:
                stream.seek(-LOG_BYTES // 2, os.SEEK_END)
                newer = stream.read().partition(b"\n")[2]
                stream.seek(0)
                stream.write(newer)
                stream.truncate()
