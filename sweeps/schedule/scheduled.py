"""The plan's schedule as a sweep asks for it: who competes with whom, and what has happened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sweeps.plan import Plan, Trial
from sweeps.results import Point, Results
from sweeps.schedule.asha import Asha
from sweeps.schedule.decision import GO_ON, Decision
from sweeps.schedule.promotion import Promoted, Promotion


class Scheduled:
    """ASHA over the trials of a search, or a schedule that ends nobody.

    Rebuilt from the journal, so that a sweep goes on after an interruption with the very rungs
    that it had: reports are told again in the order in which they came.
    """

    def __init__(self, results: Results) -> None:
        plan = results.plan
        self._within = plan.schedule.within
        self._rule = _rule(plan)
        for _, trial, point in sorted(_events(results), key=lambda event: event[0]):
            self.judge(trial, point.epoch, point.values[plan.objective], point.stage)
        if isinstance(self._rule, Promotion):
            self._rule.settle({u for u, r in results.trials.items() if r.state == "paused"})

    def judge(self, trial: Trial, epoch: int, score: float, stage: int) -> Decision:
        """Takes a report in and decides."""
        if self._rule is None:
            return GO_ON
        return self._rule.judge(trial.uid, self._group(trial), epoch, score, stage)

    def promotable(self, busy: Iterable[Trial]) -> Promoted | None:
        """A trial that waited and may go on now, given those that train: see `Promotion`."""
        if not isinstance(self._rule, Promotion):
            return None
        return self._rule.promotable({trial.uid: self._group(trial) for trial in busy})

    def leave(self, uid: str) -> None:
        """A trial waits no longer."""
        if isinstance(self._rule, Promotion):
            self._rule.leave(uid)

    def _group(self, trial: Trial) -> str:
        return trial.arm if self._within == "arm" else ""

    def waiting(self) -> Iterator[Promoted]:
        """The trials that wait, and why."""
        if isinstance(self._rule, Promotion):
            yield from self._rule.waiting()


def _rule(plan: Plan) -> Asha | Promotion | None:
    schedule = plan.schedule
    if schedule.name == "none":
        return None
    kind = Promotion if schedule.variant == "promotion" else Asha
    return kind(grace=schedule.grace, eta=schedule.eta, last=plan.epochs, goal=plan.goal)


def _events(results: Results) -> Iterator[tuple[int, Trial, Point]]:
    """The reports of the search, each with its time."""
    for result in results.trials.values():
        if result.trial.phase == "explore":
            for point in result.points:
                yield point.time_ms, result.trial, point
