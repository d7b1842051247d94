"""The plan's schedule as a sweep asks for it: who competes with whom, and what has happened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sweeps.hearing import judged
from sweeps.plan import Plan, Trial
from sweeps.results import Results
from sweeps.schedule.brackets import Brackets, Setting
from sweeps.schedule.decision import GO_ON, Decision
from sweeps.schedule.rule import Promoted


class Scheduled:
    """ASHA over the trials of a search, or a schedule that ends nobody.

    Rebuilt from the journal, so that a sweep goes on after an interruption with the very rungs
    that it had: reports are told again in the order in which they were heard, and what is said of
    each now stands in `replayed`, by trial and epoch.
    """

    def __init__(self, results: Results) -> None:
        plan = results.plan
        self._within = plan.schedule.within
        self._rules = _rules(plan)
        self.replayed: dict[tuple[str, int], Decision] = {}
        if self._rules is None:
            return
        for trial, point, *_ in judged(results):
            if trial.phase == "explore":
                score = point.values[plan.objective]
                decision = self.judge(trial, point.epoch, score, point.stage)
                self.replayed[trial.uid, point.epoch] = decision
        self._rules.settle({u for u, r in results.trials.items() if r.state == "paused"})
        for result in results.trials.values():
            early = result.ended and result.epoch < result.trial.epochs
            if early and result.trial.phase == "explore":
                self.lose(result.trial)

    def judge(self, trial: Trial, epoch: int, score: float, stage: int) -> Decision:
        """Takes a report in and decides."""
        if self._rules is None:
            return GO_ON
        self._rules.enter(trial.uid, trial.draw)
        return self._rules.judge(trial.uid, self._group(trial), epoch, score, stage)

    def promotable(self, busy: Iterable[Trial]) -> Promoted | None:
        """A trial that waited and may go on now, given those that train: see `Promotion`."""
        if self._rules is None:
            return None
        groups = {}
        for trial in busy:
            self._rules.enter(trial.uid, trial.draw)
            groups[trial.uid] = self._group(trial)
        return self._rules.promotable(groups)

    def leave(self, trial: Trial) -> None:
        """A trial waits no longer."""
        if self._rules:
            self._rules.enter(trial.uid, trial.draw).leave(trial.uid)

    def lose(self, trial: Trial) -> None:
        """A trial has ended before its time, by itself: another takes its place."""
        if self._rules:
            self._rules.enter(trial.uid, trial.draw).lose(trial.uid)

    def waiting(self) -> Iterator[Promoted]:
        """The trials that wait, and why."""
        if self._rules:
            yield from self._rules.waiting()

    def _group(self, trial: Trial) -> str:
        return trial.arm if self._within == "arm" else ""


def _rules(plan: Plan) -> Brackets | None:
    asked = plan.schedule
    if not plan.stops:
        return None
    setting = Setting(asked.variant, asked.grace, asked.eta, asked.brackets, plan.repeats)
    return Brackets(setting, last=plan.epochs, goal=plan.goal)
