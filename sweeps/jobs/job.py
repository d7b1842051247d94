"""A submitted sweep as the cluster knows it: which sweep it is, how it is, how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sweeps.errors import EnvironmentTrouble

SWEEP, STORAGE, CODE = "gansweep.sweep", "gansweep.storage", "gansweep.code_version"
"""What is noted with a job; all of it is there for whoever may ask the cluster."""

TERMINATED = 143
ALIVE = ("PENDING", "RUNNING")

_STATES = {"PENDING": "starting", "RUNNING": "running", "STOPPED": "interrupted"}
_ENDS = {
    0: "finished",
    1: "broken",
    2: "refused",
    3: "refused",
    4: "finished",
    129: "interrupted",
    130: "interrupted",
    143: "interrupted",
}


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job.

    Args:
        storage: Of the sweeps, as the cluster's nodes see it.
        code_version: Which gansweep it runs.
        state: In words.
        alive: Whether it may still change.
        exit_code: Of the sweep's own command; None while it is alive.
        reason: Why it never began, where it did not.
        submitted, ended: Seconds since 1970; None while it is alive.
    """

    id: str
    sweep: str
    storage: str
    code_version: str
    state: str
    alive: bool
    exit_code: int | None
    reason: str
    submitted: float
    ended: float | None

    @classmethod
    def of(cls, details: Any) -> Job:
        """A job from what Ray says of it."""
        status, noted = details.status.value, details.metadata
        code = None if status in ALIVE else _exit_code(status, details.driver_exit_code)
        began = details.driver_exit_code is not None or status != "FAILED"
        lines = [line.strip() for line in (details.message or "").splitlines() if line.strip()]
        return cls(
            id=details.submission_id,
            sweep=noted[SWEEP],
            storage=noted.get(STORAGE, ""),
            code_version=noted.get(CODE, ""),
            state=_STATES.get(status) or _ENDS.get(code if code is not None else 1, "failed"),
            alive=status in ALIVE,
            exit_code=code,
            reason="" if began else lines[-1] if lines else "Ray does not say why",
            submitted=(details.start_time or 0) / 1000,
            ended=details.end_time / 1000 if details.end_time and code is not None else None,
        )


def _exit_code(status: str, driver: int | None) -> int:
    """What the sweep's command left with, or would have."""
    if driver is not None:
        return driver if driver >= 0 else 128 - driver  # As shells count what a signal ended.
    if status == "STOPPED":
        return TERMINATED  # Ray does not ask what became of what it stopped.
    return 0 if status == "SUCCEEDED" else EnvironmentTrouble.exit_code
