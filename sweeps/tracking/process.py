"""The uploader as a process beside the sweep, and as a single call."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

from sweeps import trust
from sweeps.errors import EnvironmentTrouble
from sweeps.tracking.address import check_uri, scrubbed

POLL_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 8.0
NOT_ALL_SENT = 3
"""Exit code of an uploader that gave up."""


def start_uploader(sweep: Path, uri: str) -> subprocess.Popen[bytes]:
    """Starts a process that follows a sweep's journal until the sweep is over and all is sent.

    It has a session of its own, so that Ctrl-C does not end it before the interruption is sent
    too. The address goes by the environment: an argument, with its password, is for all to read.

    Raises:
        UserError: The address cannot be a tracking store's.
    """
    check_uri(uri)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "sweeps.tracking", str(sweep)],
        env={**os.environ, "MLFLOW_TRACKING_URI": uri, "PYTHONPATH": _python_path()},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def wait(uploader: subprocess.Popen[bytes], seconds: float) -> bool:
    """Waits for an uploader to end, and ends it when it takes too long.

    Returns:
        Whether MLflow has everything; where not, the uploader has said so in one line.
    """
    try:
        return uploader.wait(seconds) == 0
    except subprocess.TimeoutExpired:
        uploader.terminate()
    try:
        uploader.wait(10)
    except subprocess.TimeoutExpired:
        uploader.kill()
        uploader.wait()
    return False


def sync(sweep: Path, uri: str) -> None:
    """Sends to MLflow what it lacks of a sweep, now, in this process.

    Raises:
        UserError: The address cannot be a tracking store's, or plug-ins are not trusted.
        EnvironmentTrouble: MLflow did not get everything; the message says why.
    """
    trust.check(sweep)
    from sweeps.tracking.uploader import Uploader

    uploader = Uploader(sweep, uri)
    # Twice, since a run that was deleted in MLflow is noticed in one pass and remade in the next.
    trouble = uploader.pass_once() and uploader.pass_once()
    if trouble:
        raise EnvironmentTrouble(f"MLflow does not have everything: {trouble.message}")


def follow(sweep: Path, uri: str, give_up_seconds: float) -> str | None:
    """Keeps MLflow up to date until the sweep is over; says why where it gave up.

    Args:
        give_up_seconds: How long after the sweep's end a store that does not answer is tried.
    """
    from sweeps.tracking.uploader import Uploader

    uploader = Uploader(sweep, uri)
    pause, over_since = POLL_SECONDS, None
    while True:
        over = uploader.over()
        trouble = uploader.pass_once()
        if trouble is None:
            if over:
                return None
            pause = POLL_SECONDS
        else:
            print(time.strftime("%F %T"), trouble.message, flush=True)
            if over:
                over_since = over_since or time.monotonic()
            late = over_since is not None and time.monotonic() - over_since > give_up_seconds
            if trouble.lasting or late:
                return trouble.message
            pause = min(2 * pause, LONGEST_WAIT_SECONDS)
        time.sleep(pause)


def main(sweep: Path, uri: str, give_up_seconds: float) -> int:
    """Runs `follow` quietly: what MLflow prints goes to `tracking.log` in the sweep's folder."""
    os.nice(10)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    terminal = os.dup(2)
    with (sweep / "tracking.log").open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    try:
        why = follow(sweep, uri, give_up_seconds)
    except KeyboardInterrupt:
        why = "there was no more time"
    except Exception as error:
        print(scrubbed(traceback.format_exc(), uri), flush=True)
        why = f"{type(error).__name__}, see {sweep / 'tracking.log'}"
    if why is None:
        return 0
    line = f"MLflow does not have everything ({why}); later: gansweep sync {sweep.name}\n"
    os.write(terminal, line.encode())
    return NOT_ALL_SENT


def _python_path() -> str:
    """Where this process finds the package, an uninstalled checkout included."""
    here = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
