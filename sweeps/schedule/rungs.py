"""Where trials are compared: the rungs of each group, and the best so far of each trial."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar


@dataclass
class Rung:
    """One epoch at which trials are compared.

    Args:
        scores: The best so far of each trial that came here; lower is better.
    """

    epoch: int
    scores: dict[str, float] = field(default_factory=dict)


AnyRung = TypeVar("AnyRung", bound=Rung)


class Rungs(Generic[AnyRung]):
    """The rungs of every group that is compared within itself, at the same epochs in each.

    The best score so far counts, and one that is not finite never enters a rung. A run whose scores
    change their meaning on the way (a network that grows) says so by its stage: only equal stages
    are compared, and each has a best of its own.

    Args:
        make: A rung at an epoch.
        sign: -1 where a higher score is better; inside, lower always is.
    """

    def __init__(self, make: Callable[[int], AnyRung], epochs: list[int], sign: float) -> None:
        self._make, self._epochs, self._sign = make, epochs, sign
        self.groups: dict[tuple[str, int], list[AnyRung]] = {}
        self._best: dict[tuple[str, int], float] = {}
        self._since: dict[tuple[str, int], int] = {}

    def arrive(
        self, trial: str, group: str, epoch: int, score: float, stage: int
    ) -> tuple[AnyRung, float] | None:
        """The rung that a trial comes to with a report, and its best so far.

        None between rungs, at one that it has been at, and without a finite score.
        """
        key = trial, stage
        since = self._since.setdefault(key, epoch if stage else 0)
        told = self._sign * score if math.isfinite(score) else math.inf
        best = self._best[key] = min(self._best.get(key, math.inf), told)
        rungs = self.groups.setdefault((group, stage), [self._make(e) for e in self._epochs])
        # A rung that lies before this stage was passed in another.
        rung = next((r for r in reversed(rungs) if since <= r.epoch <= epoch), None)
        if rung is None or trial in rung.scores or not math.isfinite(best):
            return None
        return rung, best

    def __iter__(self) -> Iterator[AnyRung]:
        return (rung for rungs in self.groups.values() for rung in rungs)


def rung_epochs(grace: int, eta: int, last: int) -> Iterator[int]:
    """grace, grace * eta, grace * eta^2, ... below the last epoch."""
    epoch = grace
    while epoch < last:
        yield epoch
        epoch *= eta
