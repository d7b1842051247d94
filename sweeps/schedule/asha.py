"""The rule that ends poor trials early: asynchronous successive halving, without Ray."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sweeps.schedule.decision import GO_ON, Decision
from sweeps.schedule.rule import Rule
from sweeps.schedule.rungs import Rung, Rungs, rung_epochs


class _Rung(Rung):
    def cutoff(self, eta: int) -> float | None:
        """The score that the best 1/eta of the trials reach, if any came."""
        return quantile(sorted(self.scores.values()), 1 / eta) if self.scores else None


class Asha(Rule):
    """Asynchronous successive halving, stopping variant (Li et al. 2020, arXiv:1810.05934).

    A trial is compared at each rung, by its best score so far, with those that came there before
    it; it goes on if it is among their best 1/eta. The first to come always goes on. This is the
    rule of Ray's `AsyncHyperBandScheduler`, with three differences that GANs need: the best score
    counts instead of the last, each group (an arm) has rungs of its own, and a score that is not
    finite never enters a rung (see `Rungs`).

    Args:
        grace: Epoch of the first rung; the k-th is at grace * eta^k.
        eta: The share that goes on is 1/eta; at least 2.
        last: Epoch of the trials' end, at which nothing is decided.
        goal: `min` or `max`.
    """

    def __init__(self, *, grace: int, eta: int, last: int, goal: str = "min") -> None:
        self.eta = eta
        self.epochs = list(rung_epochs(grace, eta, last))
        self.sign = 1.0 if goal == "min" else -1.0
        self._rungs = Rungs(_Rung, self.epochs, self.sign)

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
        cutoff = rung.cutoff(self.eta)
        rung.scores[trial] = best
        if cutoff is not None and best > cutoff:
            return Decision("stop", self._explain(rung, best, cutoff))
        return GO_ON

    def _explain(self, rung: Rung, best: float, cutoff: float) -> str:
        return (
            f"asha, rung {rung.epoch}: {self.sign * best:.4g} misses {self.sign * cutoff:.4g} "
            f"({len(rung.scores) - 1} came before)"
        )


def quantile(ordered: Sequence[float], share: float) -> float:
    """The share-quantile of ordered numbers, linear between neighbours (NumPy's default)."""
    position = share * (len(ordered) - 1)
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (position - low) * (ordered[high] - ordered[low])
