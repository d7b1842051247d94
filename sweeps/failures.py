"""Whose fault a failure is, how it is told in one line, and when many of them are one."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

from sweeps.errors import EnvironmentTrouble, GansweepError
from sweeps.folder import resume_command
from sweeps.results import Results, TrialResult
from sweeps.secret import scrubbed

ALIKE = 3
"""Trials that fail alike, with none that gets anywhere, until the sweep ends."""


NODE_LOST = "its node was lost"
"""Why a worker died that was lost with its node, or with the way there."""


class FailedAlike(GansweepError):
    """The trials of a sweep fail one after another, all for the same reason."""

    exit_code = 4


def reason_of(error: BaseException, batch: object = None) -> str:
    """What went wrong in a trial, in one line.

    Args:
        batch: Of the trial: the first thing to change where memory ran out.
    """
    text = scrubbed(str(error)).strip().split("\n")[0] or type(error).__name__
    if type(error).__name__ == "OutOfMemoryError" or isinstance(error, MemoryError):
        return _out_of_memory("", batch, text[:200])
    return f"{type(error).__name__}: {text}"


def reason_of_death(told: str, batch: object = None) -> str:
    """Why a trial's worker died, from what Ray says of it."""
    told = scrubbed(told)
    told = told[told.rfind("Failure # ") :] if "Failure # " in told else told  # The last of them.
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    if "OutOfMemoryError" in told:
        return _out_of_memory(
            " of its node", batch, "Ray's memory monitor killed it; resources.memory_gb sets aside"
        )
    if NODE_LOST in told or _node_died(told):
        return NODE_LOST
    if "killed by the OOM killer" in told:  # Ray's guess at any end without a word.
        return (
            "its worker was killed or crashed without a word; the kernel kills so what takes too "
            f"much memory{_at(batch)}"
        )
    return lines[-1] if lines else "the worker died"


def is_infrastructure(error: BaseException) -> bool:
    """Whether a worker was lost with its node, or with the way there: no fault of its trial."""
    if type(error).__name__ == "ActorUnavailableError" or _node_died(str(error)):
        return True
    return bool(getattr(error, "preempted", False))


def environment_trouble(error: Exception, place: Path) -> EnvironmentTrouble | None:
    """An error that is storage's, the network's or the cluster's, with how to go on after it."""
    if isinstance(error, EnvironmentTrouble):
        if "gansweep resume" in str(error):
            return error
        return type(error)(f"{error}; then go on with `{resume_command(place)}`")
    of_ray = any(kind.__module__ == "ray.exceptions" for kind in type(error).__mro__)
    if not isinstance(error, OSError) and not of_ray:
        return None
    lines = [line.strip() for line in scrubbed(str(error)).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    what = "Ray" if of_ray else "storage or network"
    return EnvironmentTrouble(f"{what}: {text}; go on with `{resume_command(place)}`")


class Streak:
    """Whether trials fail alike while none gets anywhere.

    Who was running when the third failed is waited for: it may yet get somewhere. A sweep of
    several arms is given up only once two of them have failed.
    """

    def __init__(self, results: Results) -> None:
        self._arms = len(results.plan.arms)
        self._running: set[str] = set()
        self._somewhere = {r.trial.uid for r in results.trials.values() if _somewhere(r)}
        self._failed: dict[str, list[tuple[str, str]]] = {}
        self._witnesses: set[str] | None = None

    @property
    def fresh(self) -> bool:
        """Whether no trial has got anywhere yet."""
        return not self._somewhere

    @property
    def holds(self) -> bool:
        """Whether no trial should begin for now."""
        return self._witnesses is not None

    @property
    def over(self) -> bool:
        """Whether nobody is left who might do better."""
        return self._witnesses is not None and not self._witnesses

    def began(self, uid: str) -> None:
        self._running.add(uid)

    def reported(self, uid: str) -> None:
        """A trial got somewhere: those that fail do so for reasons of their own."""
        self._somewhere.add(uid)
        self._witnesses = None

    def failed(self, uid: str, arm: str, reason: str) -> None:
        self._somewhere.discard(uid)
        self._failed.setdefault(_shape(reason), []).append((arm, reason))
        self.left(uid)
        if self._witnesses is None and not self._somewhere and any(map(self._many, self._alike())):
            self._witnesses = set(self._running)

    def left(self, uid: str) -> None:
        self._running.discard(uid)
        if self._witnesses is not None:
            self._witnesses.discard(uid)

    def error(self, place: Path) -> FailedAlike:
        """What all of them say, once."""
        alike = max(self._alike(), key=len)
        return FailedAlike(
            f"{len(alike)} trials failed alike and none got anywhere, so the sweep has ended: "
            f"{alike[0][1]}; once that is repaired: {resume_command(place)} --retry-failed"
        )

    def _alike(self) -> list[list[tuple[str, str]]]:
        return list(self._failed.values())

    def _many(self, alike: list[tuple[str, str]]) -> bool:
        return len(alike) >= ALIKE and len({arm for arm, _ in alike}) >= min(2, self._arms)


class Watchdog:
    """Which trials have not reported for too long.

    Args:
        minutes: Since its start or its last report; None waits for ever.
    """

    def __init__(self, minutes: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._minutes = minutes
        self._clock = clock
        self._last: dict[str, float] = {}

    def heard(self, uid: str) -> None:
        self._last[uid] = self._clock()

    def left(self, uid: str) -> None:
        self._last.pop(uid, None)

    def overdue(self) -> list[str]:
        if self._minutes is None:
            return []
        until = self._clock() - 60 * self._minutes
        return [uid for uid, last in self._last.items() if last < until]

    @property
    def reason(self) -> str:
        return (
            f"hung: no report for {self._minutes:g} minutes (resources.trial_timeout); its worker "
            "was killed"
        )


def _somewhere(result: TrialResult) -> bool:
    return bool(result.points) and result.state != "failed"


def _out_of_memory(where: str, batch: object, why: str) -> str:
    return f"out of memory{where} (oom){_at(batch)}: use a smaller batch or model ({why})"


def _at(batch: object) -> str:
    return "" if batch is None else f", batch {batch}"


def _node_died(told: str) -> bool:
    return "node has died" in told or "NodeDiedError" in told


def _shape(reason: str) -> str:
    """A reason without its numbers: pids, sizes and addresses differ from trial to trial."""
    return re.sub(r"\b(0x)?[0-9a-f]{8,}\b|[0-9]+(\.[0-9]+)?", "#", reason)
