"""Which trial runs next and what becomes of it: search, promotions, confirmations, budget."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Container
from dataclasses import asdict
from typing import TYPE_CHECKING

from sweeps import hearing
from sweeps.casualties import Casualties
from sweeps.confirm import confirmations
from sweeps.extending import reopened
from sweeps.journal import Journal
from sweeps.needs import Needs
from sweeps.plan import Plan, Trial
from sweeps.results import Results
from sweeps.schedule.decision import GO_ON, Decision
from sweeps.schedule.rule import Promoted
from sweeps.schedule.scheduled import Scheduled
from sweeps.search.chosen import adaptive_of, population_of
from sweeps.spending import Spending

if TYPE_CHECKING:
    from sweeps.hearing import Report
    from sweeps.search.population import Population, Turn

AHEAD = 8
"""Trials that wait for room, at most, before any has got anywhere: all may fail alike."""


class Dispatcher:
    """Hands trials out and judges them; every decision is in the journal before anyone hears it.

    Knows nothing of Ray: whoever has room for a trial asks `next`, says when it `began`, tells
    `judge` of each report, and says when it `left` its machine. All that it knows it reads from
    plan and journal, so that a sweep goes on after any interruption as if there had been none.

    Args:
        results: As the journal tells them now.
        log: The driver's journal.
        clock: Tells for how long a trial has not reported.
    """

    def __init__(
        self,
        results: Results,
        log: Journal,
        spending: Spending | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._results = results
        self._log = log
        self._schedule = Scheduled(results)
        self._spending = spending or Spending(results.plan, results)
        self._casualties = Casualties(results, log, clock, self._schedule.lose)
        self._live: set[str] = set()
        self._ready: set[str] = set()
        self._trials: dict[str, Trial] = {}
        self._queues: dict[str, deque[str]] = {"explore": deque(), "confirm": deque()}
        for result in results.trials.values():
            self._trials[result.trial.uid] = result.trial
        self._searched = False
        self._population = population_of(results)
        self._heard = dict(results.heard)
        self._adaptive = adaptive_of(results)
        self._catch_up()

    @property
    def plan(self) -> Plan:
        return self._results.plan

    @property
    def over(self) -> bool:
        """Whether there is nothing left to hand out, now or later. True after `next` has said
        None with no trial alive."""
        return not self._live and not any(self._queues.values()) and self._searched

    def next(self) -> str | None:
        """The trial that should run now, or None: there is none, or one must wait for reports.

        Trials may be handed out before there is room for them, so that an autoscaler sees what is
        to come; but where a report may still change which trial is next, just one at a time.
        """
        streak = self._casualties.streak
        if streak.over:
            raise streak.error(self._results.folder)
        if streak.holds or (self._ready and self._choosy):
            return None
        if streak.fresh and len(self._ready) >= AHEAD:
            return None
        while uid := self._searching() or self._confirming():
            if self._hears_out(uid):
                self._live.add(uid)
                self._ready.add(uid)
                return uid
        return None

    def needs(self, uid: str) -> Needs:
        """What a trial is given of a machine."""
        return self.plan.needs(self._trials[uid])

    @property
    def _choosy(self) -> bool:
        """Whether what is next hangs on reports: on scores, or on what is left of a budget."""
        budget = self.plan.budget
        limited = budget.hours is not None or budget.gpu_hours is not None
        learns = self._adaptive is not None or self._population is not None
        return limited or learns or self.plan.schedule.variant == "promotion"

    def began(self, uid: str) -> None:
        """A trial that was handed out has a machine now."""
        self._ready.discard(uid)
        self._spending.begins(uid)
        self._casualties.began(uid)

    def judge(self, uid: str, epoch: int, score: float, stage: int, *, ended: bool) -> Decision:
        """Takes a report in and says what becomes of its trial.

        Args:
            ended: The trial ended by itself: its score still counts for others.
        """
        self._spending.reported(uid)
        trial = self._trials[uid]
        self._casualties.reported(trial, ended=ended)
        last = self._heard.get(uid, trial.begins)
        if epoch <= last:  # Trained again after its worker died, or its own end.
            if ended:
                self._schedule.lose(trial)
            return GO_ON
        if epoch > last + 1:  # A worker died between its journal and its report.
            self._results.refresh(only=uid)
            for missed in hearing.since(self._results, uid, last):
                if missed.point.epoch < epoch:
                    decision = self._judge_late(missed)
                    if decision.action != "go_on":
                        return decision
        self._hear(uid, epoch)
        return self._decide(trial, epoch, score, stage, ended=ended)

    def left(self, uid: str) -> None:
        """A trial has left its machine, for whatever reason."""
        self._live.discard(uid)
        self._ready.discard(uid)
        self._spending.ends(uid)
        self._casualties.left(uid)

    def lost(self, uid: str, told: str) -> bool:
        """A trial's worker died, and the trial will have another; whether yet another after that.

        Args:
            told: What Ray says of it.
        """
        return self._casualties.lost(uid, told)

    def died(self, uid: str, told: str) -> None:
        """A trial's worker died once too often; `told` is what Ray says of it."""
        self._casualties.died(uid, told)

    def hung(self) -> list[str]:
        """Trials that have not reported for too long: they have failed, and are to be killed."""
        return self._casualties.hung()

    def _hear(self, uid: str, epoch: int) -> None:
        self._log.append("heard", trial=uid, epoch=epoch)
        self._heard[uid] = epoch

    def _decide(
        self, trial: Trial, epoch: int, score: float, stage: int, *, ended: bool
    ) -> Decision:
        decision = GO_ON
        if trial.phase == "explore":
            decision = self._schedule.judge(trial, epoch, score, stage)
            if self._population and not ended:
                decision = self._in_population(self._population, trial, epoch)
        if epoch == trial.epochs:
            self._schedule.leave(trial)
            return GO_ON
        if ended:
            self._schedule.lose(trial)
            return GO_ON
        if why := self._spent(trial):
            decision = Decision("stop", why)
        elif decision.action == "pause" and self._first_in_line(trial):
            self._schedule.leave(trial)
            return GO_ON
        if decision.action == "stop":
            self._schedule.leave(trial)
        if decision.action != "go_on":
            self._log.append(decision.action, trial=trial.uid, epoch=epoch, reason=decision.reason)
        return decision

    def _catch_up(self) -> None:
        """Judges what was reported to a driver that died, as it would have; then fills the queues.

        A journal that is older than `heard` is given its order, by its clocks, once and for all.
        """
        results = self._results
        if hearing.by_clock(results):
            for old in hearing.judged(results):
                self._hear(old.trial.uid, old.point.epoch)
        todo = [r for r in results.trials.values() if not r.ended and r.state != "paused"]
        begun = [r.trial.uid for r in todo if r.starts]
        # Until all is judged, the sweep stands as it did: these train, and those are to come.
        self._live.update(begun)
        for result in todo:
            if not result.starts:
                self._queues[result.trial.phase].append(result.trial.uid)
        for report in hearing.unjudged(results):
            result = results.trials[report.trial.uid]
            if result.point(report.point.epoch):  # Else it was told to stop or wait before that.
                self._judge_late(report)
                results.refresh()
        self._live.clear()
        # Those that have begun go first, and keep what they have of their machine's caches.
        for uid in reversed(begun):
            result = results.trials[uid]
            if not result.ended and result.state != "paused":
                self._queues[result.trial.phase].appendleft(uid)

    def _judge_late(self, report: Report) -> Decision:
        """Judges what stands in a trial's journal and was never told."""
        trial, point = report.trial, report.point
        if not report.heard:
            self._hear(trial.uid, point.epoch)
        score = point.values[self.plan.objective]
        return self._decide(trial, point.epoch, score, point.stage, ended=report.ended)

    def _hears_out(self, uid: str) -> bool:
        """Whether a trial still is to run once all that it has reported is judged.

        One that waited may have come further than its driver, which died, ever heard.
        """
        result = self._results.trials[uid]
        for report in hearing.since(self._results, uid, self._heard.get(uid, 0)):
            if self._judge_late(report).action != "go_on":
                return False
        return not result.ended

    def _searching(self) -> str | None:
        if why := self._spending.exhausted(self._reserved()):
            self._give_up("explore", why)
            return None
        if self._queues["explore"]:
            return self._queues["explore"].popleft()
        if self._adaptive and not self._searched and (uid := self._chosen()):
            return uid
        if self._population:
            self._results.refresh()
            for turn in self._population.turns(self._results):
                self._carry_out(turn)
            return self._queues["explore"].popleft() if self._queues["explore"] else None
        promoted = self._schedule.promotable(self._searchers())
        return self._promote(promoted) if promoted else None

    def _promote(self, promoted: Promoted) -> str:
        uid, epoch, reason = promoted
        self._schedule.leave(self._trials[uid])
        self._log.append("promote", trial=uid, epoch=epoch, reason=reason)
        self._results.refresh(only=uid)
        return uid

    def _in_population(self, population: Population, trial: Trial, epoch: int) -> Decision:
        self._results.refresh()
        decision, turn = population.judge(trial, epoch, self._results)
        if turn:
            self._carry_out(turn, judged=trial.uid)
        return decision

    def _carry_out(self, turn: Turn, judged: str | None = None) -> None:
        """Ends the worst, plans who takes their places, and lets the others go on.

        Args:
            judged: The trial whose report completed the turn: it did not wait.
        """
        for uid, decision in turn.decided.items():
            if decision.action == "stop" and uid != judged:
                self._log.append("stop", trial=uid, epoch=turn.epoch, reason=decision.reason)
            elif self._waits_at(uid, turn.epoch):
                reason = f"pbt, epoch {turn.epoch}: goes on"
                self._log.append("promote", trial=uid, epoch=turn.epoch, reason=reason)
                self._queues["explore"].append(uid)
        for trial in turn.joining:
            if trial.uid not in self._trials:
                self._join(trial)
                self._queues["explore"].append(trial.uid)
        self._results.refresh()

    def _waits_at(self, uid: str, epoch: int) -> bool:
        result = self._results.trials[uid]
        return result.state == "paused" and result.epoch == epoch

    def _chosen(self) -> str | None:
        """The next trial of a search that learns; it joins before it starts."""
        assert self._adaptive is not None
        self._results.refresh()
        self._adaptive.hear(self._results)
        trial = self._adaptive.next()
        if trial is None:
            return None
        self._join(trial)
        return trial.uid

    def _first_in_line(self, trial: Trial) -> bool:
        """Whether a trial that has come to wait would be the next to go on anyway."""
        if self._queues["explore"] or (self._adaptive and self._adaptive.left):
            return False
        others = [other for other in self._searchers() if other is not trial]
        promoted = self._schedule.promotable(others)
        return promoted is not None and promoted[0] == trial.uid

    def _confirming(self) -> str | None:
        if self._searchers():
            return None
        if not self._searched:
            self._end_search()
        if why := self._spending.exhausted():
            self._give_up("confirm", why)
        return self._queues["confirm"].popleft() if self._queues["confirm"] else None

    def _end_search(self) -> None:
        """What still waits at a rung has lost; the winners are planned again."""
        self._searched = True
        self._results.refresh()
        waiting = (
            self._population.waiting(self._results)
            if self._population
            else self._schedule.waiting()
        )
        for uid, _, reason in waiting:
            epoch = self._results.trials[uid].epoch
            self._log.append("stop", trial=uid, epoch=epoch, reason=reason)
        self._results.refresh()
        wanted = list(confirmations(self._results))
        self._retire({trial.uid for trial in wanted})
        for trial in wanted:
            if trial.uid not in self._trials:
                self._join(trial)
                self._queues["confirm"].append(trial.uid)
            elif reopened(self._results.trials[trial.uid], self._log):
                self._queues["confirm"].append(trial.uid)

    def _retire(self, wanted: Container[str]) -> None:
        """A larger search has found better points: what confirmed the others counts no more."""
        for result in self._results.of_phase("confirm").values():
            for uid in [r.trial.uid for r in result if r.trial.uid not in wanted]:
                reason = "its arm has a better point since the sweep was extended"
                self._log.append("retire", trial=uid, reason=reason)
                if uid in self._queues["confirm"]:
                    self._queues["confirm"].remove(uid)
        self._results.refresh()

    def _join(self, trial: Trial) -> None:
        self._log.append("join", trial=asdict(trial))
        self._results.join(trial)
        self._trials[trial.uid] = trial

    def _give_up(self, phase: str, why: str) -> None:
        """Trials for which the budget does not suffice end before they begin."""
        queue = self._queues[phase]
        while queue:
            uid = queue.popleft()
            epoch = self._results.trials[uid].epoch
            self._log.append("stop", trial=uid, epoch=epoch, reason=why)

    def _spent(self, trial: Trial) -> str:
        return self._spending.exhausted(self._reserved() if trial.phase == "explore" else 0)

    def _reserved(self) -> int:
        """Epochs that the confirmations will need."""
        return self.plan.confirmations * self.plan.epochs

    def _searchers(self) -> list[Trial]:
        """The trials of the search that are under way."""
        trials = (self._trials[uid] for uid in self._live)
        return [trial for trial in trials if trial.phase == "explore"]
