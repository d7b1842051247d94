"""Writes a golden sweep: run it once for a new format, and never over one that is there.

    python tests/faults/golden.py tests/faults/golden/format-N

It is what sweeps look like that people have. `format-0` is from before records were numbered.
"""

from __future__ import annotations

import sys
from pathlib import Path
from unittest.mock import patch

from counted_sweep import Counting, attempt, counted_sweep

from sweeps import journal
from sweeps.journal import Journal

COMPLETED, DIVERGED, STOPPED, LEFT = (f"{number:03d}-hinge" for number in range(4))


def write(place: Path) -> None:
    """A sweep that was interrupted: one trial of every fate."""
    made = counted_sweep(place.parent, search={"trials_each": 4})
    made.rename(place)
    # Nothing in it should tell of the machine that wrote it.
    with (
        patch("socket.gethostname", lambda: "node7"),
        patch("os.getpid", lambda: 1),
        patch("sweeps.trial.code_version", lambda: "0.1.0"),
        Journal(place, journal.DRIVER) as log,
    ):
        log.append("sweep", state="running", id="5f1d0c", pid=1, code_version="0.1.0")
        for _ in attempt(place, COMPLETED):
            pass
        with patch.object(Counting, "diverges_at", 2):
            for told in attempt(place, DIVERGED):
                if told.ended:
                    break
        for uid in (STOPPED, LEFT):
            for told in attempt(place, uid):
                if told.epoch == 2:
                    break
        log.append("stop", trial=STOPPED, epoch=2, reason="asha, rung 2: 9 misses 8")
        log.append("sweep", state="interrupted", id="5f1d0c")


if __name__ == "__main__":
    write(Path(sys.argv[1]).resolve())
