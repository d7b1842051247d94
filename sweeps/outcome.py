"""What the journal says of one trial: its curve, its state and its best."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from sweeps import journal
from sweeps.plan import Trial

State = Literal[
    "waiting", "running", "paused", "completed", "stopped", "diverged", "failed", "interrupted"
]
ENDED: tuple[State, ...] = ("completed", "stopped", "diverged", "failed")


@dataclass(frozen=True)
class Point:
    """One reported epoch of a trial.

    Args:
        stage: Objectives of unlike stages are never compared.
        verdict: What ails the trial, told after this epoch; `evidence` says why.
    """

    epoch: int
    time_ms: int
    values: dict[str, float]
    stage: int = 0
    verdict: str = "healthy"
    evidence: str = ""


@dataclass
class TrialResult:
    """A trial and all that it reported.

    Args:
        reason: Why it ended, in words.
        retried: It failed once, and has been tried again since.
        losses: What the journal says of workers that died, after each of which it is tried again.
        voids: What the journal says of epochs that were done again and came out otherwise.
        written: The last epoch in the journal; beyond `epoch`, records between are lost.
        best: Best finite objective so far in its last stage, or None; `best_epoch` is where.
        improvements: The points at which `best` changed.
    """

    trial: Trial
    objective: str
    goal: str
    points: list[Point] = field(default_factory=list)
    starts: list[journal.Record] = field(default_factory=list)
    losses: list[journal.Record] = field(default_factory=list)
    voids: list[journal.Record] = field(default_factory=list)
    written: int = 0
    state: State = "waiting"
    verdict: str = ""
    reason: str = ""
    retried: bool = False
    best: float | None = None
    best_epoch: int | None = None
    best_stage: int = 0
    improvements: list[Point] = field(default_factory=list)
    _told: list[journal.Record] = field(default_factory=list)
    _bound: int | None = None

    @property
    def epoch(self) -> int:
        """The last epoch reported; before the first, the one that it goes on from."""
        return self.points[-1].epoch if self.points else self.trial.begins

    @property
    def attempt(self) -> int:
        """The number of its newest attempt; 0 before the first."""
        numbered = enumerate(self.starts, start=1)
        return max((int(start.get("attempt", number)) for number, start in numbered), default=0)

    @property
    def trained(self) -> int:
        """How many epochs it has trained itself."""
        return self.epoch - self.trial.begins

    def at(self, epoch: int) -> float | None:
        """The objective at an epoch, or None where it has not reported that."""
        point = self.point(epoch)
        return point.values.get(self.objective) if point else None

    def point(self, epoch: int) -> Point | None:
        """What it reported at an epoch, or None where it has not."""
        return next((point for point in self.points if point.epoch == epoch), None)

    @property
    def ended(self) -> bool:
        """Whether nothing is left to do for it."""
        return self.state in ENDED

    @property
    def rank_key(self) -> tuple[bool, int, float]:
        """Sorts the best trial first and those without a score last.

        Of trials whose networks grow, one that came further stands before one that did not: their
        scores are not of the same pictures.
        """
        if self.best is None:
            return (True, 0, 0.0)
        return (False, -self.best_stage, self.best if self.goal == "min" else -self.best)

    def add(self, record: journal.Record) -> None:
        """Takes one journal record in, of this trial or of the driver about it."""
        if record.get("attempt", self.attempt) < self.attempt:
            return  # Of an attempt that was thought dead: a later one has begun.
        match record["kind"]:
            case "start":
                self.starts.append(record)
                self.state = "running"
            case "epoch" | "end":
                self._told.append(record)
                if self._bound is None or _epoch(record) <= self._bound:
                    self._count(record)
            case "void":
                self._forget(record)
            case "retry":
                self._told = [told for told in self._told if told["kind"] != "end"]
                self.retried = True
                self.state, self.verdict, self.reason = "waiting", "", record["reason"]
            case _:
                self._obey(record)

    def _obey(self, record: journal.Record) -> None:
        """Takes in what the driver says of it."""
        match record["kind"]:
            case "stop":
                self._bind(record["epoch"])
                self.state, self.reason = "stopped", record["reason"]
            case "pause":
                self._bind(record["epoch"])
                if not self.ended:
                    self.state, self.reason = "paused", record["reason"]
            case "reopen" if self.state == "completed" and record["epoch"] >= self.epoch:
                self.state = "paused" if record["waits"] else "waiting"
                self.reason = record["reason"]
            case "lost":
                self.losses.append(record)
            case "retire":
                self.reason = record["reason"]
                if not self.ended:
                    self.state = "stopped"
            case "promote":
                if self.state == "paused":
                    self.state, self.reason = "waiting", record["reason"]
                self._release()

    def _count(self, record: journal.Record) -> None:
        """Takes in what the trial itself says."""
        match record["kind"]:
            case "epoch":
                self._hear(record)
            case "end" if _epoch(record) <= self.epoch:
                self.state, self.verdict = record["state"], record["verdict"]
                self.reason = record["reason"]

    def _bind(self, epoch: int) -> None:
        """What a trial says of later epochs does not count: its word was not heard when it went on.

        Workers outlive a driver by an epoch or two, which may be beyond where a trial should have
        stopped or waited.
        """
        self._bound = max(epoch, self._bound or 0)
        if self.epoch > self._bound > 0:
            self.state, self.reason = "running", ""
            self._count_again(record for record in self._told if _epoch(record) <= self._bound)

    def _release(self) -> None:
        """A trial that waited goes on, from as far as it came."""
        bound, self._bound = self._bound, None
        ahead = [record for record in self._told if bound is not None and _epoch(record) > bound]
        for record in ahead:
            self.state = "running"
            self._count(record)

    def _hear(self, record: journal.Record) -> None:
        """An epoch counts if it is the next: a curve ends before the first record that is lost.

        One done again after a crash is the same epoch: the first record stands.
        """
        self.written = max(self.written, record["epoch"])
        if record["epoch"] == self.epoch + 1:
            self._put(
                Point(
                    record["epoch"],
                    record["time_ms"],
                    record["values"],
                    record.get("stage", 0),
                    record.get("verdict", "healthy"),
                    record.get("evidence", ""),
                )
            )

    def _forget(self, void: journal.Record) -> None:
        """What was said of an epoch and all after it does not count."""
        self.voids.append(void)
        self._told = [record for record in self._told if _epoch(record) < void["epoch"]]
        self._count_again(self._told)

    def _count_again(self, records: Iterable[journal.Record]) -> None:
        self.points, self.improvements = [], []
        self.written, self.verdict = 0, ""
        self.best, self.best_epoch, self.best_stage = None, None, 0
        for record in list(records):
            self._count(record)

    def _put(self, point: Point) -> None:
        self.points.append(point)
        self.verdict = point.verdict
        self._take(point)

    def _take(self, point: Point) -> None:
        value = point.values.get(self.objective, math.nan)
        if not math.isfinite(value):
            return
        sign = 1 if self.goal == "min" else -1
        further = point.stage > self.best_stage
        if self.best is None or further or sign * value < sign * self.best:
            self.best, self.best_epoch, self.best_stage = value, point.epoch, point.stage
            self.improvements.append(point)


def _epoch(record: journal.Record) -> int:
    """The epoch that a record is about; of an end without one, the beginning."""
    return int(record.get("epoch", 0))
