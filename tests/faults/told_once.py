"""Whether MLflow has a sweep exactly once, and an uploader on a clock that costs no time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from written_sweep import (
    drive,
    journalled,
    points_of,
)

from sweeps.folder import owned
from sweeps.journal import sweep_id
from sweeps.results import Results
from sweeps.tracking import process
from sweeps.tracking.description import SWEEP_ID, TRIAL

HEALTHY = {"state": "completed", "verdict": "healthy", "reason": "all 3 epochs"}


class Clock:
    """A clock that costs no time, and does at its hours what it is told to."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, Callable[[], object]]] = []

    def at(self, hour: float, action: Callable[[], object]) -> None:
        self._due = sorted([*self._due, (hour, action)], key=lambda due: due[0])

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float, /) -> None:
        self.now += seconds
        while self._due and self._due[0][0] <= self.now:
            self._due.pop(0)[1]()


def runs_of(client: Any, place: Path) -> dict[str, Any]:
    """MLflow's runs of a sweep by trial; two of one trial are a failure."""
    experiment = client.get_experiment_by_name("gansweep").experiment_id
    runs = client.search_runs([experiment], f"tags.`{SWEEP_ID}` = '{sweep_id(place)}'")
    owners = [run.data.tags.get(TRIAL, "sweep") for run in runs]
    assert len(set(owners)) == len(owners), owners
    return dict(zip(owners, runs, strict=True))


def assert_told_once(client: Any, place: Path) -> None:
    """I3 and I4: each point once and bit for bit, a run a trial, none RUNNING."""
    runs = runs_of(client, place)
    results = Results.read(place)
    began = {uid for uid, result in results.trials.items() if result.starts or result.ended}
    assert runs.keys() == {*began, "sweep"}
    for uid in began:
        assert points_of(client, runs[uid]) == journalled(place, uid), uid
    if results.state != "running":
        assert "RUNNING" not in {run.info.status for run in runs.values()}


def follow_until(place: Path, uri: str, clock: Clock, end: float) -> str | None:
    """Runs the uploader's loop on a sweep that runs from now to an hour of the clock."""
    drive(place, "sweep", state="running")
    held = owned(place)
    held.__enter__()

    def over() -> None:
        drive(place, "sweep", state="interrupted")
        held.__exit__(None, None, None)

    clock.at(end, over)
    return process.follow(place, uri, 60, clock)
