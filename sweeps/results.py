"""What the journal says of a sweep: each trial's curve, state and best, and the leaderboard."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGINT
from typing import Literal

from gancore.files import write_atomically
from sweeps import journal
from sweeps.plan import Plan, Trial

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
        best: Best finite objective so far in its last stage, or None; `best_epoch` is where.
        improvements: The points at which `best` changed.
    """

    trial: Trial
    objective: str
    goal: str
    points: list[Point] = field(default_factory=list)
    starts: list[journal.Record] = field(default_factory=list)
    state: State = "waiting"
    verdict: str = ""
    reason: str = ""
    retried: bool = False
    best: float | None = None
    best_epoch: int | None = None
    best_stage: int = 0
    improvements: list[Point] = field(default_factory=list)

    @property
    def epoch(self) -> int:
        """The last epoch reported; before the first, the one that it goes on from."""
        return self.points[-1].epoch if self.points else self.trial.begins

    @property
    def attempt(self) -> int:
        """The number of its newest attempt; 0 before the first."""
        return max((int(start["attempt"]) for start in self.starts), default=0)

    @property
    def trained(self) -> int:
        """How many epochs it has trained itself."""
        return self.epoch - self.trial.begins

    def at(self, epoch: int) -> float | None:
        """The objective at an epoch, or None where it has not reported that."""
        return next((p.values.get(self.objective) for p in self.points if p.epoch == epoch), None)

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
            case "epoch" if record["epoch"] > self.epoch:
                # An epoch done again after a crash is the same epoch: the first record stands.
                point = Point(
                    record["epoch"],
                    record["time_ms"],
                    record["values"],
                    record.get("stage", 0),
                    record.get("verdict", "healthy"),
                    record.get("evidence", ""),
                )
                self.points.append(point)
                self.verdict = point.verdict
                self._take(point)
            case "end":
                self.state, self.verdict = record["state"], record["verdict"]
                self.reason = record["reason"]
            case "retry":
                self.retried = True
                self.state, self.verdict, self.reason = "waiting", "", record["reason"]
            case "stop":
                self.state, self.reason = "stopped", record["reason"]
            # Of one that has gone on since, its own word counts.
            case "pause" if record["epoch"] >= self.epoch and not self.ended:
                self.state, self.reason = "paused", record["reason"]
            case "promote" if self.state == "paused":
                self.state, self.reason = "waiting", record["reason"]

    def _take(self, point: Point) -> None:
        value = point.values.get(self.objective, math.nan)
        if not math.isfinite(value):
            return
        sign = 1 if self.goal == "min" else -1
        further = point.stage > self.best_stage
        if self.best is None or further or sign * value < sign * self.best:
            self.best, self.best_epoch, self.best_stage = value, point.epoch, point.stage
            self.improvements.append(point)


@dataclass
class Results:
    """All trials of a sweep, in the order planned.

    Args:
        state: `planned`, `running`, `finished`, `interrupted` or `failed`.
        began_ms: When the sweep first ran, in milliseconds since 1970.
        signal: What interrupted it: the number of a signal.
    """

    folder: Path
    plan: Plan
    trials: dict[str, TrialResult]
    state: str = "planned"
    began_ms: int | None = None
    signal: int = SIGINT
    _offsets: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Results:
        """The state of a sweep, from its plan and its journal alone."""
        plan = Plan.read(folder)
        trials = {t.uid: TrialResult(t, plan.objective, plan.goal) for t in plan.trials}
        results = cls(folder, plan, trials)
        results.refresh()
        return results

    def refresh(self) -> None:
        """Takes in what has been journalled since the last look; cheap when nothing has."""
        # Read first, since a trial must have joined to be known; applied last, since a driver's
        # word on a trial comes after the trial's own.
        driver = self._new(journal.DRIVER)
        for record in driver:
            if record["kind"] == "join":
                self.join(Trial(**record["trial"]))
        for writer in journal.writers(self.folder):
            if writer in self.trials:
                for record in self._new(writer):
                    self.trials[writer].add(record)
        for record in driver:
            self._hear(record)
        if self.state != "running":
            for result in self.trials.values():
                if result.state == "running":
                    result.state = "interrupted"

    def _hear(self, record: journal.Record) -> None:
        """What the driver says of the sweep, or of a trial."""
        if record["kind"] == "sweep":
            self.state = record["state"]
            self.signal = record.get("signal", SIGINT)
            self.began_ms = self.began_ms or record["time_ms"]
        elif record["kind"] != "join" and record["trial"] in self.trials:
            result = self.trials[record["trial"]]
            # Drivers that wrote so in their own file knew of no second try.
            if record["kind"] != "end" or not result.retried:
                result.add(record)

    def _new(self, writer: str) -> list[journal.Record]:
        path = journal.journal_folder(self.folder) / f"{writer}.jsonl"
        records, self._offsets[writer] = journal.read_from(path, self._offsets.get(writer, 0))
        return records

    def join(self, trial: Trial) -> None:
        """A trial has been added to the plan; again, it changes nothing."""
        if trial.uid not in self.trials:
            self.plan = self.plan.joined([trial])
            self.trials[trial.uid] = TrialResult(trial, self.plan.objective, self.plan.goal)

    @property
    def exit_code(self) -> int:
        """0 where all trials ended well, 4 where some failed; where trials are left, what shells
        give to what a signal ended: 130 after Ctrl-C, 143 after SIGTERM.
        """
        if any(not r.ended for r in self.trials.values()):
            return 128 + self.signal
        return 4 if any(r.state == "failed" for r in self.trials.values()) else 0

    def of_phase(self, phase: str) -> dict[str, list[TrialResult]]:
        """The trials of one phase by arm, in the plan's order; arms without any are left out."""
        arms: dict[str, list[TrialResult]] = {}
        for result in self.trials.values():
            if result.trial.phase == phase:
                arms.setdefault(result.trial.arm, []).append(result)
        return arms

    @property
    def leaderboard(self) -> list[tuple[str, list[TrialResult]]]:
        """Arms with the trials of their search, best first; arms by their best trial."""
        arms = self.of_phase("explore").items()
        ranked = [(arm, sorted(rs, key=lambda r: r.rank_key)) for arm, rs in arms]
        return sorted(ranked, key=lambda pair: pair[1][0].rank_key)

    @property
    def best(self) -> TrialResult | None:
        """The best trial of the search, or None where nothing has a score."""
        searched = (r for r in self.trials.values() if r.trial.phase == "explore")
        first = min(searched, key=lambda r: r.rank_key)
        return None if first.best is None else first

    @property
    def epochs_done(self) -> int:
        return sum(r.trained for r in self.trials.values())

    @property
    def epochs_planned(self) -> int:
        """What a run without early stopping would train, confirmations included."""
        planned = (r.trial.epochs for r in self.trials.values() if r.trial.source is None)
        return sum(planned) + self.to_join * self.plan.epochs

    @property
    def to_join(self) -> int:
        """How many trials are still to be planned: of a search that learns, and confirmations."""
        if self.state == "finished" or any(r.trial.repeats for r in self.trials.values()):
            return 0
        search = sum(r.trial.source is None for r in self.trials.values())
        return sum(self.plan.searched.values()) - search + self.plan.confirmations

    @property
    def epochs_saved(self) -> int:
        """Epochs of the search that trials which ended did not train."""
        search = (r for r in self.trials.values() if r.trial.phase == "explore")
        return sum(self.spared(r) for r in search if r.ended)

    def spared(self, result: TrialResult) -> int:
        """Epochs that a trial which ended did not train, and none in its place either."""
        until = result.trial.epochs
        if self.plan.search.method == "pbt":
            place = result.trial.arm, result.trial.draw
            heirs = (t.begins for t in self.plan.trials if t.source and (t.arm, t.draw) == place)
            until = min((begins for begins in heirs if begins >= result.epoch), default=until)
        return until - result.epoch

    @property
    def confirmed(self) -> dict[str, list[float]]:
        """The best scores of each arm's confirmations that have ended; NaN where there is none."""
        return {
            arm: [math.nan if r.best is None else r.best for r in trials if r.ended]
            for arm, trials in self.of_phase("confirm").items()
        }

    def write_csv(self) -> Path:
        """Writes `results.csv`, a row a trial, beside the journal."""
        keys = sorted({k for r in self.trials.values() for k in r.trial.varied})
        rows: list[list[object]] = [
            [
                "trial",
                "arm",
                "draw",
                "phase",
                "repeats",
                "source",
                "begins",
                "seed",
                *keys,
                "state",
                "verdict",
                "epochs",
                f"best_{self.plan.objective}",
                "best_epoch",
                "reason",
            ]
        ]
        for r in self.trials.values():
            t = r.trial
            varied = [t.varied.get(k, "") for k in keys]
            rows.append(
                [
                    t.uid,
                    t.arm,
                    t.draw,
                    t.phase,
                    t.repeats or "",
                    t.source or "",
                    t.begins,
                    t.seed,
                    *varied,
                    r.state,
                    r.verdict,
                    r.epoch,
                    "" if r.best is None else r.best,
                    r.best_epoch or "",
                    r.reason,
                ]
            )
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([safe_cell(c) for c in row] for row in rows)
        path = self.folder / "results.csv"
        write_atomically(path, text.getvalue().encode())
        return path


def safe_cell(cell: object) -> object:
    """A text that a spreadsheet would run as a formula, quoted."""
    if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + cell
    return cell
