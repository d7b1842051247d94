"""In which order the driver took reports in, and which of them nobody has judged yet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sweeps.folder import trial_folder
from sweeps.plan import Plan, Trial
from sweeps.results import Point, Results, TrialResult


class Report(NamedTuple):
    """One epoch that a trial reported.

    Args:
        ended: The trial ended with it, before its last epoch and by itself.
        heard: It was taken in already.
    """

    trial: Trial
    point: Point
    ended: bool = False
    heard: bool = True


def by_clock(results: Results) -> bool:
    """Whether a journal is older than `heard`: then only the clocks tell the order."""
    return not results.format and not results.heard


def judged(results: Results) -> Iterator[Report]:
    """The reports that were judged, in the order in which they were."""
    if by_clock(results):
        everything = (Report(r.trial, p) for r in results.trials.values() for p in r.points)
        yield from sorted(everything, key=lambda report: report.point.time_ms)
        return
    for uid, epoch in results.heard:
        point = results.trials[uid].point(epoch) if uid in results.trials else None
        if point and (uid, epoch) != results.undecided:
            yield Report(results.trials[uid].trial, point)


def unjudged(results: Results) -> list[Report]:
    """The reports that a driver which died has left, in an order that depends on no clock.

    First the one that was heard last, since its decision may be lost; then what nobody heard, by
    epoch, and within an epoch as planned.
    """
    if by_clock(results):
        return []
    last = dict(results.heard)
    missed = [
        report
        for result in results.trials.values()
        for report in since(results, result.trial.uid, last.get(result.trial.uid, 0))
    ]
    missed.sort(key=lambda report: report.point.epoch)
    if results.undecided:
        uid, epoch = results.undecided
        result = results.trials[uid]
        if point := result.point(epoch):
            missed.insert(0, Report(result.trial, point, _ended(results.plan, result, point)))
    return missed


def since(results: Results, uid: str, epoch: int) -> Iterator[Report]:
    """What a trial has reported after an epoch that was heard.

    An epoch of which a crash has left the record and no checkpoint is reported once it has been
    done again: else a trial that it stops would keep nothing of it.
    """
    result = results.trials[uid]
    for point in result.points:
        if point.epoch > epoch and not _is_half_done(results, result, point):
            yield Report(result.trial, point, _ended(results.plan, result, point), heard=False)


def _is_half_done(results: Results, result: TrialResult, point: Point) -> bool:
    if result.ended or point.epoch < result.epoch or point.verdict == "diverged":
        return False
    checkpoints = trial_folder(results.folder, result.trial.uid) / "checkpoints"
    return not (checkpoints / f"epoch-{point.epoch:04d}.json").is_file()


def _ended(plan: Plan, result: TrialResult, point: Point) -> bool:
    """Whether a trial ended by itself with a report, or would have, had it not been killed."""
    ends = ("diverged", *plan.stop_on) if result.trial.phase == "explore" else ("diverged",)
    said = result.ended and point.epoch == result.epoch
    return point.epoch < result.trial.epochs and (said or point.verdict in ends)
