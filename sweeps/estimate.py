"""What a plan will cost in hours and disk, from its epochs and what an epoch of each arm costs."""

from __future__ import annotations

import bisect
import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from statistics import fmean
from typing import NamedTuple

from sweeps.forecast import Outlook
from sweeps.needs import Needs
from sweeps.plan import Plan

_KEPT = 3
"""Checkpoints that a trial keeps: its best, its newest, and the one before; one more where others
may take over its state."""


class Stage(NamedTuple):
    """A stretch of a run in which a step costs the same.

    Args:
        begins: Pictures shown before it.
        picture: Seconds of training a picture.
        score: Seconds of a score.
    """

    begins: int
    picture: float
    score: float


@dataclass(frozen=True)
class Arm:
    """What the epochs of an arm's trials cost.

    Args:
        stages: In order; the first begins at 0.
        pictures: Of an epoch.
        keeping: Seconds of writing what an epoch leaves.
        checkpoint_bytes: Of one checkpoint, at its largest.
        grid_bytes: Of one sample grid, at its largest.
    """

    stages: tuple[Stage, ...]
    pictures: int
    keeping: float
    checkpoint_bytes: int
    grid_bytes: int

    def epoch_seconds(self, epochs: int) -> list[float]:
        """The seconds of each of a trial's first epochs."""
        begins = [stage.begins for stage in self.stages]
        ends = [*begins[1:], epochs * self.pictures]
        found = []
        for first, last in pairwise(range(0, (epochs + 1) * self.pictures, self.pictures)):
            training = sum(
                stage.picture * max(0, min(last, end) - max(first, stage.begins))
                for stage, end in zip(self.stages, ends, strict=True)
            )
            at_the_end = self.stages[bisect.bisect_right(begins, last) - 1]
            found.append(training + at_the_end.score + self.keeping)
        return found


@dataclass(frozen=True)
class Cost:
    """What a whole sweep costs.

    Args:
        hours: Of all its trials, in the unit of the estimate.
        wall_seconds: From its first trial to its last.
        confirm_epochs, confirm_hours, confirm_seconds: Of these, what confirms.
        checkpoint_bytes: At most.
    """

    epochs: float
    hours: float
    wall_seconds: float
    confirm_epochs: int
    confirm_hours: float
    confirm_seconds: float
    checkpoint_bytes: float
    grid_bytes: float


@dataclass(frozen=True)
class ArmCost:
    """An arm's share of it, both phases together.

    Args:
        epoch_seconds: Of each epoch of a trial that is trained whole.
        epochs, hours: With early stopping.
        all_epochs, all_hours: Without.
    """

    epoch_seconds: tuple[float, ...]
    epochs: float
    hours: float
    all_epochs: float
    all_hours: float


@dataclass(frozen=True)
class Fit:
    """Whether the sweep is expected to end within a limit of its budget."""

    unit: str
    limit: float
    expected: float

    @property
    def fits(self) -> bool:
        return self.expected <= self.limit


@dataclass(frozen=True)
class Estimate:
    """With early stopping and without, on one machine.

    Args:
        unit: Of the trials' hours: `GPU-hours`, or `core-hours` where trials have no GPU.
        expected: With early stopping.
        whole: Without.
    """

    unit: str
    expected: Cost
    whole: Cost
    arms: Mapping[str, ArmCost]
    budget: tuple[Fit, ...]


@dataclass(frozen=True)
class Room:
    """What the trials that run side by side have together."""

    cpu: float = math.inf
    gpu: float = math.inf
    trials: float = math.inf

    def holds(self, running: Iterable[Needs]) -> bool:
        """Whether these trials can run side by side."""
        every = list(running)
        return (
            len(every) <= self.trials
            # A tenth of a GPU ten times over is one, whatever the binary fractions say.
            and sum(needs.cpu for needs in every) <= self.cpu + 1e-6
            and sum(needs.gpu for needs in every) <= self.gpu + 1e-6
        )

    def at_once(self, needs: Needs) -> int:
        """How many trials alike run side by side; one in any case."""
        fits = [self.trials, self.cpu / needs.cpu + 1e-6]
        fits += [self.gpu / needs.gpu + 1e-6] if needs.gpu else []
        return max(1, int(min(fits)))


class _Phase(NamedTuple):
    """One phase of a sweep that went one way: each trial's arm and epochs, in starting order."""

    arms: Sequence[str]
    epochs: Sequence[int]


class Estimator:
    """Adds up.

    Args:
        arms: What was measured; trials of arms that are not among them count nothing.
        room: Where they run.
    """

    def __init__(self, plan: Plan, arms: Mapping[str, Arm], room: Room) -> None:
        self._plan, self._arms, self._room = plan, arms, room
        self._each = {label: arm.epoch_seconds(plan.epochs) for label, arm in arms.items()}
        self._until = {k: [0.0, *accumulate(each)] for k, each in self._each.items()}
        self._needs = arm_needs(plan)
        gpu = any(needs.gpu for needs in plan.kinds())
        self._unit = "GPU-hours" if gpu else "core-hours"
        # Of each arm those in a second of one trial.
        self._rate = {
            arm: (needs.gpu if gpu else needs.cpu) / 3600 for arm, needs in self._needs.items()
        }

    def estimate(self) -> Estimate:
        outlook = Outlook.of(self._plan)
        places = [n for n, run in enumerate(outlook.search) if run.arm in self._arms]
        labels = [outlook.search[n].arm for n in places]
        stopped = [_Phase(labels, [sweep[n] for n in places]) for sweep in outlook.stopped]
        whole = _Phase(labels, [outlook.search[n].epochs for n in places])
        again = [run for run in outlook.confirm if run.arm in self._arms]
        confirm = _Phase([run.arm for run in again], [run.epochs for run in again])
        expected = self._cost(stopped, confirm)
        return Estimate(
            unit=self._unit,
            expected=expected,
            whole=self._cost([whole], confirm),
            arms={label: self._arm(label, stopped, whole, confirm) for label in self._arms},
            budget=tuple(self._budget(expected)),
        )

    def _cost(self, searches: Sequence[_Phase], confirm: _Phase) -> Cost:
        both = [_Phase([*s.arms, *confirm.arms], [*s.epochs, *confirm.epochs]) for s in searches]
        confirming = self._makespan(confirm)
        checkpoints, grids = zip(*map(self._bytes, both), strict=True)
        return Cost(
            epochs=fmean(sum(sweep.epochs) for sweep in both),
            hours=fmean(map(self._hours, both)),
            # The confirmations begin when the search has ended.
            wall_seconds=confirming + fmean(map(self._makespan, searches)),
            confirm_epochs=sum(confirm.epochs),
            confirm_hours=self._hours(confirm),
            confirm_seconds=confirming,
            checkpoint_bytes=fmean(checkpoints),
            grid_bytes=fmean(grids),
        )

    def _arm(
        self, label: str, stopped: Sequence[_Phase], whole: _Phase, confirm: _Phase
    ) -> ArmCost:
        def epochs(phase: _Phase) -> list[int]:
            return [e for arm, e in zip(phase.arms, phase.epochs, strict=True) if arm == label]

        until, again = self._until[label], epochs(confirm)
        ways = [[*epochs(search), *again] for search in stopped]
        every = [*epochs(whole), *again]
        return ArmCost(
            epoch_seconds=tuple(self._each[label]),
            epochs=fmean(map(sum, ways)),
            hours=self._rate[label] * fmean(sum(until[e] for e in way) for way in ways),
            all_epochs=sum(every),
            all_hours=self._rate[label] * sum(until[e] for e in every),
        )

    def _seconds(self, phase: _Phase) -> list[float]:
        return [self._until[arm][e] for arm, e in zip(phase.arms, phase.epochs, strict=True)]

    def _hours(self, phase: _Phase) -> float:
        """In the unit of the estimate."""
        rates = (self._rate[arm] for arm in phase.arms)
        return sum(r * s for r, s in zip(rates, self._seconds(phase), strict=True))

    def _makespan(self, phase: _Phase) -> float:
        """Seconds until the last trial ends."""
        needs = (self._needs[arm] for arm in phase.arms)
        return makespan(zip(needs, self._seconds(phase), strict=True), self._room)

    def _bytes(self, sweep: _Phase) -> tuple[float, int]:
        """Of all checkpoints at most, and of all grids: one before training and one an epoch."""
        trials = [(self._arms[arm], e) for arm, e in zip(sweep.arms, sweep.epochs, strict=True)]
        kept, lines = _KEPT, 1.0
        if self._plan.search.method == "pbt":  # Whoever is replaced leaves what it had.
            schedule = self._plan.schedule
            turns = (self._plan.epochs - 1) // schedule.grace
            kept, lines = _KEPT + 1, 1 + turns / schedule.eta
        return (
            lines * sum(arm.checkpoint_bytes * min(kept, epochs) for arm, epochs in trials),
            sum(arm.grid_bytes * (epochs + 1) for arm, epochs in trials),
        )

    def _budget(self, expected: Cost) -> Iterable[Fit]:
        budget = self._plan.budget
        if budget.hours is not None:
            yield Fit("hours", budget.hours, expected.wall_seconds / 3600)
        if budget.gpu_hours is not None:
            yield Fit("GPU-hours", budget.gpu_hours, expected.hours)


def arm_needs(plan: Plan) -> dict[str, Needs]:
    """What a trial of each arm is given, on average where its trials differ in that."""
    kinds: dict[str, list[Needs]] = {}
    for trial in plan.trials:
        kinds.setdefault(trial.arm, []).append(plan.needs(trial))
    return {
        arm: Needs(cpu=fmean(n.cpu for n in kind), gpu=fmean(n.gpu for n in kind))
        for arm, kind in kinds.items()
    }


def makespan(trials: Iterable[tuple[Needs, float]], room: Room) -> float:
    """Seconds until the last of some trials ends, each started where one first has room."""
    now, running = 0.0, list[tuple[float, int, Needs]]()
    for number, (needs, seconds) in enumerate(trials):
        # One that is larger than the room runs alone.
        while running and not room.holds([needs, *(other for _, _, other in running)]):
            now, _, _ = heapq.heappop(running)
        heapq.heappush(running, (now + seconds, number, needs))
    return max((end for end, _, _ in running), default=0.0)
