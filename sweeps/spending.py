"""What a sweep has used of time and machines, and whether its budget allows more."""

from __future__ import annotations

import time
from collections.abc import Callable

from sweeps import journal
from sweeps.plan import Plan
from sweeps.results import Results

HOUR = 3600.0


class Spending:
    """Counts hours of the sweep and of its trials' GPUs, from the journal and from then on.

    Args:
        results: What earlier runs of the sweep have used.
        clock: Seconds; never runs backwards.
    """

    def __init__(
        self, plan: Plan, results: Results, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.plan = plan
        self._clock = clock
        self._began = clock()
        self._hours = _earlier_hours(results)
        self._results = results
        earlier = {uid: attempt_seconds(results, uid) / HOUR for uid in results.trials}
        self._gpu_hours = sum(hours * self._gpu(uid) for uid, hours in earlier.items())
        self._epochs = results.epochs_done
        self._epoch_hours, self._epoch_gpu_hours = sum(earlier.values()), self._gpu_hours
        self._since: dict[str, float] = {}
        self._heard: dict[str, float] = {}
        self._at_once = 1

    def begins(self, uid: str) -> None:
        """A trial has been given its machine."""
        self._since[uid] = self._heard[uid] = self._clock()
        self._at_once = max(self._at_once, len(self._since))

    def reported(self, uid: str) -> None:
        """A trial has trained one epoch more."""
        now = self._clock()
        self._epochs += 1
        hours = (now - self._heard.get(uid, now)) / HOUR
        self._epoch_hours += hours
        self._epoch_gpu_hours += hours * self._gpu(uid)
        self._heard[uid] = now

    def ends(self, uid: str) -> None:
        """A trial has given its machine back."""
        seconds = self._clock() - self._since.pop(uid, self._clock())
        self._gpu_hours += seconds * self._gpu(uid) / HOUR

    @property
    def hours(self) -> float:
        return self._hours + (self._clock() - self._began) / HOUR

    @property
    def gpu_hours(self) -> float:
        """Of all trials together, those that run now among them, each times its share of GPUs."""
        now = self._clock()
        running = ((now - since) * self._gpu(uid) for uid, since in self._since.items())
        return self._gpu_hours + sum(running) / HOUR

    def _gpu(self, uid: str) -> float:
        plan = self._results.plan  # Trials join it.
        return plan.needs(plan.trial(uid)).gpu

    def exhausted(self, epochs_reserved: int = 0) -> str:
        """Why nothing more may be spent, in words; empty where something may.

        Args:
            epochs_reserved: Epochs that should still be possible afterwards, at what an epoch has
                cost so far, over all arms; at most half of the budget is kept for them.
        """
        each = self._epoch_hours / self._epochs if self._epochs else 0.0
        gpu_each = self._epoch_gpu_hours / self._epochs if self._epochs else 0.0
        budget = self.plan.budget
        limits = (
            ("hours", budget.hours, self.hours, each / self._at_once),
            ("GPU-hours", budget.gpu_hours, self.gpu_hours, gpu_each),
        )
        for name, limit, used, epoch in limits:
            if limit is None:
                continue
            reserved = min(epochs_reserved * epoch, limit / 2)
            if used + reserved >= limit:
                kept = f", {reserved:.3g} kept for the confirmations" if reserved else ""
                return f"budget: {used:.3g} of {limit:g} {name} used{kept}"
        return ""


def attempt_seconds(results: Results, uid: str) -> float:
    """How long a trial has held its machine: from each start to the last word before the next."""
    seconds, start, last = 0.0, None, None
    for record in journal.read(results.folder, uid):
        if record["kind"] == "start":
            seconds += _span(start, last)
            start = record["time_ms"]
        last = record["time_ms"]
    return seconds + _span(start, last)


def _earlier_hours(results: Results) -> float:
    """The hours of a sweep's earlier runs, each from its start to the last word before the next.

    The driver's own words alone count, since other machines have other clocks; one that died
    without a word ended with the last report that it heard. Of journals in which the driver does
    not say what it heard, the trials' words count too.
    """
    writers = [journal.DRIVER] if results.format else [journal.DRIVER, *results.trials]
    words = [
        (record["time_ms"], record["kind"] == "sweep" and record["state"] == "running")
        for writer in writers
        for record in journal.read(results.folder, writer)
    ]
    seconds, start, last = 0.0, None, None
    for time_ms, starts in words if results.format else sorted(words):
        if starts:
            seconds += _span(start, last)
            start = time_ms
        last = time_ms
    return (seconds + _span(start, last)) / HOUR


def _span(start_ms: int | None, end_ms: int | None) -> float:
    """None is negative, though a clock may have been set back."""
    return 0.0 if start_ms is None or end_ms is None else max(0, end_ms - start_ms) / 1000
