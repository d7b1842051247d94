"""Population-based training: an arm's worst trials take over the state of its best, and vary it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from sweeps.naming import UID_LENGTH
from sweeps.plan import Plan, Trial
from sweeps.results import Results, TrialResult
from sweeps.schedule.decision import GO_ON, Decision
from sweeps.spec import load
from sweeps.variation import Explorer


class Turn(NamedTuple):
    """What becomes of an arm's population at one epoch.

    Args:
        decided: By trial: it stops, its place being taken, or goes on.
        joining: The trials that take places over.
    """

    epoch: int
    decided: Mapping[str, Decision]
    joining: tuple[Trial, ...]


class Population:
    """Population-based training (Jaderberg et al. 2017, arXiv:1711.09846), an arm at a time.

    Every `schedule.grace` epochs the trials of an arm wait for each other. Then the worst 1/eta
    end, and in the place of each a new trial goes on from the state of one of the best 1/eta, with
    other values (see `Explorer`). One that diverged or failed on the way counts among the worst,
    and its place is taken as well. What is compared is the score at that very epoch, not the best
    so far: it is the present weights that are taken over.

    Trials wait, where Ray's scheduler of this name lets each go on, so that what happens does not
    depend on which machine was quicker, nor on how many there are; and everything is read from
    the journal, so that a sweep which was killed goes on with the same turns.
    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        spec = load(folder / "sweep.yaml", plugins=folder / "plugins")
        self._config = spec.config
        self._explorer = Explorer(spec.space, plan.search.seed)

    def judge(self, trial: Trial, epoch: int, results: Results) -> tuple[Decision, Turn | None]:
        """What becomes of a trial that has just reported, and the turn that is due now."""
        if epoch % results.plan.schedule.grace or epoch >= trial.epochs:
            return GO_ON, None
        turn = self._turn(results, trial.arm)
        # After an interruption the turn before may still have to be carried out to its end.
        if turn and turn.epoch == epoch and trial.uid in turn.decided:
            return turn.decided[trial.uid], turn
        return Decision("pause", f"pbt, epoch {epoch}: waits for the others of its arm"), None

    def turns(self, results: Results) -> Iterator[Turn]:
        """The turns that are due: all have come that ever will."""
        for arm in results.of_phase("explore"):
            if turn := self._turn(results, arm):
                yield turn

    def waiting(self, results: Results) -> Iterator[tuple[str, int, str]]:
        """The trials that wait, each with its epoch and why."""
        for uid, result in results.trials.items():
            if result.state == "paused":
                yield uid, result.epoch, result.reason

    def _turn(self, results: Results, arm: str) -> Turn | None:
        """The first turn of an arm that has not been carried out to its end, if it is due.

        The turns before it are worked out again and give what they gave: a trial that has ended at
        its turn was among the worst, and counts so.
        """
        trials = results.of_phase("explore")[arm]
        grace = results.plan.schedule.grace
        for epoch in range(grace, trials[0].trial.epochs, grace):
            members = _members(trials, epoch)
            if any(r.epoch < epoch and not r.ended for r in members):
                return None
            alive = [r for r in members if r.epoch >= epoch and not (r.ended and r.epoch == epoch)]
            if not alive:
                return None
            turn = self._decide(results, members, alive, epoch)
            there = any(new.uid not in results.trials for new in turn.joining)
            if there or any(r.state == "paused" and r.epoch == epoch for r in alive):
                return turn
        return None

    def _decide(
        self, results: Results, members: list[TrialResult], alive: list[TrialResult], epoch: int
    ) -> Turn:
        plan = results.plan
        ranked = sorted(alive, key=lambda r: (_score(r, epoch), r.trial.draw))
        share = len(members) // plan.schedule.eta
        lost = [r for r in members if r not in alive]
        going = lost + (ranked[len(ranked) - share + len(lost) :] if share > len(lost) else [])
        best = [r for r in ranked[: max(1, share)] if r not in going]
        decided, joining = {}, []
        for result in going:
            draw = result.trial.draw
            winner = best[self._explorer.pick(len(best), draw, epoch)]
            new = self._taking_over(_first(results, result.trial), winner.trial, epoch)
            joining.append(new)
            if result in alive:
                reason = (
                    f"pbt, epoch {epoch}: {_told(result, epoch)} is among the worst {len(going)} "
                    f"of {len(members)}; {new.uid} goes on from {winner.trial.uid} "
                    f"({_told(winner, epoch)})"
                )
                decided[result.trial.uid] = Decision("stop", reason)
        decided |= {r.trial.uid: GO_ON for r in alive if r not in going}
        return Turn(epoch, decided, tuple(joining))

    def _taking_over(self, root: Trial, winner: Trial, epoch: int) -> Trial:
        """The trial that goes on from a winner's state in the place that another trial had."""
        varied = self._explorer.vary(winner.varied, root.draw, epoch)
        suffix = f"-e{epoch}"
        return replace(
            root,
            uid=root.uid[: UID_LENGTH - len(suffix)] + suffix,
            varied=varied,
            config=self._config(varied, root.seed),
            source=winner.uid,
            begins=epoch,
        )


def _members(trials: list[TrialResult], epoch: int) -> list[TrialResult]:
    """An arm's population on its way to an epoch: of each draw the trial that trains then."""
    places: dict[int, TrialResult] = {}
    for result in sorted(trials, key=lambda r: r.trial.begins):
        if result.trial.begins < epoch:
            places[result.trial.draw] = result
    return list(places.values())


def _first(results: Results, trial: Trial) -> Trial:
    """The trial that had another's place at the beginning."""
    planned = (t for t in results.plan.trials if t.source is None)
    return next(t for t in planned if (t.arm, t.draw) == (trial.arm, trial.draw))


def _score(result: TrialResult, epoch: int) -> float:
    """A trial's score at an epoch, lower being better; the worst of all where it is none."""
    value = result.at(epoch)
    if value is None or not math.isfinite(value):
        return math.inf
    return value if result.goal == "min" else -value


def _told(result: TrialResult, epoch: int) -> str:
    value = result.at(epoch)
    return "no score" if value is None else f"{value:.4g}"
