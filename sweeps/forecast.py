"""How many epochs a plan will train, told before it starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, NamedTuple

from sweeps.plan import Plan
from sweeps.schedule.brackets import Brackets, Setting, simulated


class Run(NamedTuple):
    """A trial to come; those of a search that learns are not chosen yet, but will have an arm."""

    arm: str
    draw: int
    epochs: int


@dataclass(frozen=True)
class Outlook:
    """The trials to come of both phases, and how long each may be trained.

    Args:
        search: In the order in which they start, at full length.
        stopped: Sweeps as early stopping may make them: the epochs of each trial of `search`.
            Without early stopping there is one, in which all are trained whole.
        confirm: What follows when the search is over, never stopped early.
    """

    search: tuple[Run, ...]
    stopped: tuple[tuple[int, ...], ...]
    confirm: tuple[Run, ...]

    @classmethod
    def of(cls, plan: Plan) -> Outlook:
        search = tuple(_searched(plan))
        stopped = [tuple(run.epochs for run in search)]
        if plan.stops:
            groups = [list(range(len(search)))]
            if plan.schedule.within == "arm":
                arms: dict[str, list[int]] = {}
                for place, run in enumerate(search):
                    arms.setdefault(run.arm, []).append(place)
                groups = list(arms.values())
            stopped = list(_stopped(search, groups, _setting(plan)))
        return cls(search, tuple(stopped), tuple(_confirmed(plan)))

    def arm_epochs(self) -> dict[str, dict[str, float]]:
        """Of each arm, both phases together: the epochs to expect, and all that are planned."""
        again = dict.fromkeys((run.arm for run in self.search), 0)
        for run in self.confirm:
            again[run.arm] += run.epochs
        found = {arm: {"expected": float(n), "all": float(n)} for arm, n in again.items()}
        for place, run in enumerate(self.search):
            found[run.arm]["expected"] += fmean(sweep[place] for sweep in self.stopped)
            found[run.arm]["all"] += run.epochs
        return found


def forecast(plan: Plan) -> dict[str, Any]:
    """Trials, arms, rungs, and epochs with and without early stopping."""
    outlook = Outlook.of(plan)
    rungs: list[list[int]] = []
    if plan.search.method == "pbt":
        rungs = [list(range(plan.schedule.grace, plan.epochs, plan.schedule.grace))]
    elif plan.stops:
        rungs = [rule.epochs for rule in Brackets(_setting(plan), last=plan.epochs).rules]
    expected = fmean(map(sum, outlook.stopped))
    again = sum(run.epochs for run in outlook.confirm)
    return {
        "name": plan.name,
        "objective": plan.objective,
        "goal": plan.goal,
        "trial_count": len(outlook.search),
        "arms": dict(plan.searched),
        "confirmations": len(outlook.confirm),
        "epochs": sum(run.epochs for run in outlook.search) + again,
        "rungs": rungs[0] if rungs else [],
        "brackets": rungs,
        "expected_epochs": expected + again,
        "expected_each": expected / len(outlook.search),
        "arm_epochs": outlook.arm_epochs(),
    }


def _setting(plan: Plan) -> Setting:
    schedule = plan.schedule
    return Setting(schedule.variant, schedule.grace, schedule.eta, schedule.brackets)


def _searched(plan: Plan) -> Iterator[Run]:
    explored = (trial for trial in plan.trials if trial.phase == "explore")
    known = [trial for trial in explored if trial.source is None]
    yield from (Run(trial.arm, trial.draw, trial.epochs) for trial in known)
    # A search that learns has not chosen most of its trials yet: they are as long as the longest.
    chosen = {arm: sum(trial.arm == arm for trial in known) for arm in plan.searched}
    for draw in range(min(chosen.values()), max(plan.searched.values())):
        for arm, count in plan.searched.items():
            if chosen[arm] <= draw < count:
                yield Run(arm, draw, plan.epochs)


def _stopped(
    search: Sequence[Run], groups: Sequence[Sequence[int]], setting: Setting
) -> Iterator[tuple[int, ...]]:
    lengths = [[(search[place].draw, search[place].epochs) for place in group] for group in groups]
    for sweep in simulated(lengths, setting, rounds=max(3, min(200, 20_000 // len(search)))):
        epochs = [0] * len(search)
        for group, trained in zip(groups, sweep, strict=True):
            for place, count in zip(group, trained, strict=True):
                epochs[place] = count
        yield tuple(epochs)


def _confirmed(plan: Plan) -> Iterator[Run]:
    """As many as there will be, should every arm have enough that can be."""
    if plan.confirm is None:
        return
    for _ in range(plan.confirm.seeds):
        for place in range(plan.confirm.top):
            for arm, count in plan.searched.items():
                if place < count:
                    yield Run(arm, place, plan.epochs)
