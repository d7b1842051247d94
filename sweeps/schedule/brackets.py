"""Rules side by side whose first rungs lie ever later, for trials that start slowly."""

from __future__ import annotations

import itertools
import math
import random
from collections import deque
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sweeps.schedule.asha import Asha
from sweeps.schedule.decision import Decision
from sweeps.schedule.promotion import Promotion
from sweeps.schedule.rule import Promoted, Rule

VARIANTS: dict[str, type[Asha] | type[Promotion]] = {"stopping": Asha, "promotion": Promotion}


@dataclass(frozen=True)
class Setting:
    """A schedule, as a sweep file asks for it or as a replay tries it.

    Args:
        grace: Epochs (of recorded curves: points) before the first rung.
        eta: Of `eta` trials at a rung, one goes on.
        synchronous: Trials are promoted when all have come to their rung that ever will.
    """

    variant: str
    grace: int
    eta: int
    brackets: int = 1
    synchronous: bool = False


class Brackets:
    """One rule a bracket: the first rung of bracket s is at grace * eta^s.

    After Hyperband (Li et al. 2018, arXiv:1603.06560), which hedges so against curves whose early
    ranks mislead. Trials of unlike brackets are never compared. A bracket whose first rung would
    lie at the end or beyond trains its trials whole.

    Args:
        last: Epoch of the trials' end.
        goal: `min` or `max`.
    """

    def __init__(self, setting: Setting, *, last: int, goal: str = "min") -> None:
        kind, eta = VARIANTS[setting.variant], setting.eta
        # Where one trains at a time, stopping has one order anyway; where more do, it is refused.
        waits = {"synchronous": True} if setting.synchronous and kind is Promotion else {}
        self.rules: list[Rule] = [
            kind(grace=setting.grace * eta**s, eta=eta, last=last, goal=goal, **waits)
            for s in range(setting.brackets)
        ]
        self._shares = shares([len(rule.epochs) for rule in self.rules])
        self._dealt: list[int] = []
        self._of: dict[str, Rule] = {}

    def enter(self, trial: str, draw: int) -> Rule:
        """The rule of a trial, by the number of its draw: equal draws of all arms are together."""
        if trial not in self._of:
            if draw >= len(self._dealt):
                # No generator is kept: Tune pickles whoever hands trials out.
                self._dealt = list(itertools.islice(dealing(self._shares), 2 * draw + 1))
            self._of[trial] = self.rules[self._dealt[draw]]
        return self._of[trial]

    def judge(self, trial: str, group: str, epoch: int, score: float, stage: int = 0) -> Decision:
        """Takes the report of a trial that has entered in and decides."""
        return self._of[trial].judge(trial, group, epoch, score, stage)

    def promotable(self, busy: Mapping[str, str]) -> Promoted | None:
        """A waiting trial that may go on: of the bracket whose rung is the highest."""
        found = []
        for rule in self.rules:
            own = {trial: group for trial, group in busy.items() if self._of.get(trial) is rule}
            if promoted := rule.promotable(own):
                found.append(promoted)
        return max(found, key=lambda promoted: promoted[1], default=None)

    def leave(self, trial: str) -> None:
        """A trial waits no longer: it goes on, or has ended."""
        self._of[trial].leave(trial)

    def lose(self, trial: str) -> None:
        """A trial has ended before its time, by itself."""
        self._of[trial].lose(trial)

    def settle(self, waiting: Container[str]) -> None:
        """Makes just these trials wait that a journal says wait."""
        for rule in self.rules:
            rule.settle(waiting)

    def waiting(self) -> Iterator[Promoted]:
        """The trials that wait, and why."""
        for rule in self.rules:
            yield from rule.waiting()


def shares(rungs: Sequence[int]) -> list[float]:
    """Which share of the trials each bracket is dealt, by its number of rungs.

    Ray's: exp(rungs), so that a bracket with one rung fewer is dealt 1/e as many.
    """
    weights = [math.exp(count - max(rungs)) for count in rungs]
    return [weight / sum(weights) for weight in weights]


def dealing(parts: Sequence[float]) -> Iterator[int]:
    """The bracket of each draw in turn, without end.

    Each draw goes to the bracket that lacks most, so that the shares hold for few trials too, and
    a sweep that goes on or grows deals as before.
    """
    dealt = [0] * len(parts)
    for count in itertools.count(1):
        lacking = [part * count - had for part, had in zip(parts, dealt, strict=True)]
        chosen = lacking.index(max(lacking))
        dealt[chosen] += 1
        yield chosen


def simulated(
    groups: Sequence[Sequence[tuple[int, int]]], setting: Setting, rounds: int = 200
) -> Iterator[list[list[int]]]:
    """Sweeps as they may go: how many epochs each trial of each group trains.

    Each has an arrival order of its own, with trials that keep their rank from the first epoch to
    the last and report one after the other.

    Args:
        groups: For each group that is compared within itself, the draw and the full length of
            each of its trials.
    """
    draws = random.Random(0)
    for _ in range(rounds):
        yield [_trained(group, setting, draws) for group in groups]


def _trained(group: Sequence[tuple[int, int]], setting: Setting, draws: random.Random) -> list[int]:
    rules = Brackets(setting, last=max(length for _, length in group))
    trials = {str(n): trial for n, trial in enumerate(group)}
    scores = {uid: draws.random() for uid in trials}
    reached = dict.fromkeys(trials, 0)
    fresh = deque(trials)
    while uid := next_trial(rules, fresh, {}):
        draw, length = trials[uid]
        ahead = (e for e in rules.enter(uid, draw).epochs if reached[uid] < e < length)
        stays = (e for e in ahead if rules.judge(uid, "", e, scores[uid]).action != "go_on")
        reached[uid] = next(stays, length)
    return list(reached.values())


def next_trial(rules: Brackets, fresh: deque[str], busy: Mapping[str, str]) -> str | None:
    """The trial that a free worker takes, or None: a new one before a promoted one."""
    if fresh:
        return fresh.popleft()
    if promoted := rules.promotable(busy):
        rules.leave(promoted[0])
        return promoted[0]
    return None
