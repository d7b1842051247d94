"""A search that chooses each trial's point by what came of the trials before."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from sweeps.naming import uid_of
from sweeps.plan import Trial
from sweeps.results import Results
from sweeps.search.tpe import Told, Tpe, history, told
from sweeps.space import seed_of
from sweeps.spec import load


class Adaptive:
    """The trials of a TPE search, one after the other; the arm that has fewest is next.

    Rebuilt from the journal like everything: the same events lead to the same points.
    """

    def __init__(self, results: Results) -> None:
        self._plan = results.plan
        folder: Path = results.folder
        self._spec = load(folder / "sweep.yaml", plugins=folder / "plugins")
        arms = {arm.label: arm.values for arm in self._plan.arms}
        self._tpe = Tpe(self._spec.space, self._plan.search, arms, self._plan.goal)
        events = list(history(results))
        self._tpe.replay(events)
        self._told = {event.uid: event for event in events if isinstance(event, Told)}
        self._number = self._plan.next_number
        self._counts = Counter({label: 0 for label in arms})
        self._counts.update(t.arm for t in self._plan.trials if t.phase == "explore")

    @property
    def left(self) -> bool:
        """Whether it has another trial to give."""
        return min(self._counts.values()) < self._plan.search.trials_each

    def next(self) -> Trial | None:
        """The next trial, or None where every arm has as many as it is to have."""
        if not self.left:
            return None
        arm, draw = min(self._counts.items(), key=lambda pair: pair[1])
        self._counts[arm] += 1
        uid = uid_of(self._number, arm, self._plan.digits)
        self._number += 1
        varied = self._tpe.ask(uid, arm)
        seed = seed_of(self._plan.search.seed, draw)
        return Trial(uid, arm, draw, seed, varied, self._spec.config(varied, seed))

    def hear(self, results: Results) -> None:
        """Takes in which trials of the search have ended, or wait at a rung, since."""
        for result in results.trials.values():
            event = told(result) if result.trial.phase == "explore" else None
            if event and event != self._told.get(event.uid):
                self._told[event.uid] = event
                self._tpe.tell(*event)
