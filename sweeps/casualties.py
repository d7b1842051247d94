"""Trials whose workers die, hang or fail: how they end, and when that ends the sweep."""

from __future__ import annotations

from collections.abc import Callable

from sweeps.failures import Streak, Watchdog, reason_of_death
from sweeps.journal import Journal
from sweeps.plan import Trial
from sweeps.results import Results, TrialResult

MOST_LOSSES = 4
"""Workers that a trial may lose after one and the same epoch; the next that it loses is its end."""


class Casualties:
    """Watches over the trials that have a machine.

    Args:
        results: As the journal tells them now.
        log: The driver's journal.
        clock: Tells for how long a trial has not reported.
        lose: Told of a trial of the search that has failed without having said so itself.
    """

    def __init__(
        self,
        results: Results,
        log: Journal,
        clock: Callable[[], float],
        lose: Callable[[Trial], None],
    ) -> None:
        self._results = results
        self._log = log
        self._lose = lose
        self.streak = Streak(results)
        self._watchdog = Watchdog(results.plan.resources.trial_timeout, clock)

    def began(self, uid: str) -> None:
        self.streak.began(uid)
        self._watchdog.heard(uid)

    def reported(self, trial: Trial, *, ended: bool) -> None:
        self._watchdog.heard(trial.uid)
        if ended and (result := self._looked_up(trial.uid)).state == "failed":
            self.streak.failed(trial.uid, trial.arm, result.reason)
        else:
            self.streak.reported(trial.uid)

    def left(self, uid: str) -> None:
        self.streak.left(uid)
        self._watchdog.left(uid)

    def lost(self, uid: str, told: str) -> bool:
        """A trial's worker died, and the trial will have another.

        Returns:
            Whether it may have yet another after that. Nodes that are lost are no fault of their
            trials, unless one trial loses them again and again, and never gets any further.
        """
        # Its next worker may be long in coming: there is none that could hang.
        self._watchdog.left(uid)
        result = self._looked_up(uid)
        reason = self._reason(result, told)
        self._log.append("lost", trial=uid, after=result.epoch, reason=reason)
        last = self._looked_up(uid).losses[-MOST_LOSSES:]
        return len(last) < MOST_LOSSES or any(loss["after"] != result.epoch for loss in last)

    def died(self, uid: str, told: str) -> None:
        """A trial's worker died once too often; it could not say so itself.

        Args:
            told: What Ray says of it.
        """
        result = self._looked_up(uid)
        if not result.ended:
            self._fail(result, self._reason(result, told))

    def hung(self) -> list[str]:
        """Trials that have not reported for too long: they have failed, and are to be killed."""
        overdue = self._watchdog.overdue()
        for uid in overdue:
            self._watchdog.left(uid)
            result = self._looked_up(uid)
            if not result.ended:
                self._fail(result, self._watchdog.reason)
        return overdue

    def _fail(self, result: TrialResult, reason: str) -> None:
        """Journals in a trial's own name how it ended: where all else of it stands, in order."""
        uid = result.trial.uid
        end = {"state": "failed", "verdict": "failed", "reason": reason}
        with Journal(self._results.folder, uid) as log:
            log.append("end", trial=uid, attempt=result.attempt, epoch=result.epoch, **end)
        self._results.refresh(only=uid)
        if result.trial.phase == "explore":
            self._lose(result.trial)
        self.streak.failed(uid, result.trial.arm, reason)

    def _reason(self, result: TrialResult, told: str) -> str:
        return reason_of_death(told, result.trial.config.get("batch"))

    def _looked_up(self, uid: str) -> TrialResult:
        self._results.refresh(only=uid)
        return self._results.trials[uid]
