"""Asynchronous successive halving by promotion: trials wait until they are among the best."""

from __future__ import annotations

import bisect
import math
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field

from sweeps.schedule.decision import GO_ON, Decision
from sweeps.schedule.rule import Promoted, Rule
from sweeps.schedule.rungs import Rung, Rungs, rung_epochs


@dataclass
class _Rung(Rung):
    """One epoch at which trials wait.

    Args:
        ranked: Those that came, the best first; of equals, the first to come, or by name.
        lost: Those that can never be trained whole.
    """

    ranked: list[str] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)

    def enter(self, trial: str, score: float, *, by_name: bool = False) -> None:
        self.scores[trial] = score
        key = (lambda uid: (self.scores[uid], uid)) if by_name else self.scores.__getitem__
        bisect.insort(self.ranked, trial, key=key)

    def allowed(self, eta: int, *, coming: bool) -> list[str]:
        """The best 1/eta: rounded down while others come, else up, and of those not lost."""
        if coming:
            return self.ranked[: len(self.ranked) // eta]
        sound = [uid for uid in self.ranked if uid not in self.lost]
        return sound[: math.ceil(len(sound) / eta)]


class Promotion(Rule):
    """Asynchronous successive halving, promotion variant (Li et al. 2020, arXiv:1810.05934).

    Every trial waits at each rung and goes on once it is among the best 1/eta of all that came
    there, so that none goes on for having come early. As long as others are on their way to a
    rung, the share is rounded down (algorithm 2); when all are there that will ever be, it is
    rounded up, so that the best of few goes on too, and each group's best is trained whole. The
    place of one that diverged, here or later, then falls to the next; until then it counts.

    Unlike algorithm 2, which promotes before it begins new trials, this rule is to be asked when no
    new trial is left to begin: a sweep has a number of trials, and what is known of all of them is
    the better ground to choose on. A trial without a finite score enters no rung and goes on to its
    next report (see `Rungs`).

    Args:
        grace: Epoch of the first rung; the k-th is at grace * eta^k.
        eta: The share that goes on is 1/eta; at least 2.
        last: Epoch of the trials' end, at which nothing is decided.
        goal: `min` or `max`.
        synchronous: Nobody goes on before all have come to the rung that ever will, so that who
            does hangs on scores alone and not on who was quicker.
    """

    def __init__(
        self, *, grace: int, eta: int, last: int, goal: str = "min", synchronous: bool = False
    ) -> None:
        self._synchronous = synchronous
        self.eta = eta
        self.epochs = list(rung_epochs(grace, eta, last))
        self.sign = 1.0 if goal == "min" else -1.0
        self._rungs = Rungs(_Rung, self.epochs, self.sign)
        self._waiting: dict[str, _Rung] = {}

    def judge(self, trial: str, group: str, epoch: int, score: float, stage: int = 0) -> Decision:
        """Takes a trial's report in and decides.

        Args:
            score: This epoch's, of any size; not finite is ignored.
            stage: Scores of unlike stages are never compared.
        """
        arrived = self._rungs.arrive(trial, group, epoch, score, stage)
        if arrived is None:
            return GO_ON
        rung, best = arrived
        rung.enter(trial, best, by_name=self._synchronous)
        self._waiting[trial] = rung
        return Decision("pause", self._explain(rung, best, len(rung.scores) // self.eta))

    def promotable(self, busy: Mapping[str, str]) -> Promoted | None:
        """A waiting trial that may go on: of the highest rung that has one, its best.

        Args:
            busy: The trials that train now, each with its group.
        """
        found: Promoted | None = None
        for (group, _), rungs in self._rungs.groups.items():
            coming = False
            for rung in rungs:
                own = (uid for uid, other in busy.items() if other == group)
                coming = coming or any(uid not in rung.scores for uid in own)
                if coming and self._synchronous:
                    continue
                allowed = rung.allowed(self.eta, coming=coming)
                waiting = [uid for uid in allowed if self._waiting.get(uid) is rung]
                if waiting:
                    coming = True
                    if found is None or rung.epoch > found[1]:
                        found = waiting[0], rung.epoch, self._praise(rung, waiting[0], len(allowed))
        return found

    def leave(self, trial: str) -> None:
        self._waiting.pop(trial, None)

    def lose(self, trial: str) -> None:
        self.leave(trial)
        for rung in self._rungs:
            if trial in rung.scores:
                rung.lost.add(trial)

    def settle(self, waiting: Container[str]) -> None:
        """Makes just these trials wait that a journal says wait.

        Two reports that came at one moment may be told again in the other order, which would
        leave one trial waiting instead of another.
        """
        came = {trial: rung for rung in self._rungs for trial in rung.scores}
        self._waiting = {trial: rung for trial, rung in came.items() if trial in waiting}

    def waiting(self) -> Iterator[Promoted]:
        for trial, rung in self._waiting.items():
            allowed = math.ceil(len(rung.scores) / self.eta)
            yield trial, rung.epoch, self._explain(rung, rung.scores[trial], allowed)

    def _praise(self, rung: _Rung, trial: str, allowed: int) -> str:
        score = self.sign * rung.scores[trial]
        return (
            f"asha, rung {rung.epoch}: {score:.4g}, among the best {allowed} of {len(rung.scores)}"
        )

    def _explain(self, rung: _Rung, best: float, allowed: int) -> str:
        told, came = f"asha, rung {rung.epoch}: {self.sign * best:.4g} waits", len(rung.scores)
        if not allowed:
            return f"{told} for {self.eta} to compare, {came} came"
        last = self.sign * rung.scores[rung.ranked[allowed - 1]]
        return f"{told}, the best {allowed} of {came} end at {last:.4g}"
