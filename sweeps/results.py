"""What the journal says of a sweep: each trial's curve, state and best, and the leaderboard."""

from __future__ import annotations

import csv
import io
import math
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGINT

from gancore.files import write_atomically
from sweeps import bucket, journal
from sweeps.errors import EnvironmentTrouble
from sweeps.outcome import ENDED, Point, State, TrialResult
from sweeps.plan import Plan, Trial

FORMULA = re.compile(r"\s*[=+@\uff0b\uff1d\uff20\uff0d-]")
"""How a text begins that a spreadsheet may run, wide letters of East Asia included."""

__all__ = ["ENDED", "Point", "Results", "State", "TrialResult", "safe_cell"]


@dataclass
class Results:
    """All trials of a sweep, in the order planned.

    Args:
        state: `planned`, `running`, `finished`, `interrupted` or `failed`.
        began_ms: When the sweep first ran, in milliseconds since 1970.
        format: Of the driver's journal; 0 where it is older than formats.
        heard: The reports that the driver took in, each a trial and its epoch, in that order.
        undecided: The last of them, where the journal may lack what was decided.
        signal: What interrupted it: the number of a signal.
    """

    folder: Path
    plan: Plan
    trials: dict[str, TrialResult]
    state: str = "planned"
    began_ms: int | None = None
    format: int = 0
    heard: list[tuple[str, int]] = field(default_factory=list)
    undecided: tuple[str, int] | None = None
    signal: int = SIGINT
    _marks: dict[str, journal.Mark] = field(default_factory=dict)
    _lost: dict[str, list[int]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Results:
        """The state of a sweep, from its plan and its journal alone."""
        plan = Plan.read(folder)
        trials = {t.uid: TrialResult(t, plan.objective, plan.goal) for t in plan.trials}
        results = cls(folder, plan, trials)
        results.refresh()
        return results

    def refresh(self, only: str | None = None) -> None:
        """Takes in what has been journalled since the last look; cheap when nothing has.

        Args:
            only: The one trial that is looked at: then the cost does not grow with the sweep.

        Raises:
            EnvironmentTrouble: The bucket in which the sweep lies does not answer; nothing has
                been taken in.
        """
        # Read first, since a trial must have joined to be known; applied last, since a driver's
        # word on a trial comes after the trial's own.
        mark = self._marks.get(journal.DRIVER, journal.Mark())
        driver = self._new(journal.DRIVER)
        try:
            bucket.of(self.folder).pull_journals(only)
        except EnvironmentTrouble:
            self._marks[journal.DRIVER] = mark
            raise
        self._plan_anew(driver)
        for writer in journal.writers(self.folder) if only is None else [only]:
            if writer in self.trials and not self._has_settled(writer):
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
        self.format = record.get("format", self.format)
        if record["kind"] == "sweep":
            self.state = record["state"]
            self.signal = record.get("signal", SIGINT)
            self.began_ms = self.began_ms or record["time_ms"]
        elif record["kind"] == "heard":
            self.undecided = record["trial"], record["epoch"]
            self.heard.append(self.undecided)
        elif record["kind"] not in ("join", "amend") and record["trial"] in self.trials:
            result = self.trials[record["trial"]]
            # Drivers that wrote how a trial ended in their own file knew of no second try.
            if record["kind"] != "end" or not result.retried:
                result.add(record)
            if self.undecided == (record["trial"], record.get("epoch")):
                self.undecided = None

    def _has_settled(self, writer: str) -> bool:
        """Whether a trial has ended and its file has not grown since: most of a long sweep's."""
        if not self.trials[writer].ended:
            return False
        path = journal.journal_folder(self.folder) / f"{writer}.jsonl"
        with suppress(OSError):
            return path.stat().st_size == self._marks.get(writer, journal.Mark()).offset
        return False

    def _new(self, writer: str) -> list[journal.Record]:
        path = journal.journal_folder(self.folder) / f"{writer}.jsonl"
        read = journal.read_from(path, self._marks.get(writer, journal.Mark()))
        self._marks[writer] = read.mark
        if read.lost:
            self._lost.setdefault(writer, []).extend(read.lost)
        return read.records

    @property
    def lost(self) -> dict[str, list[int]]:
        """The numbers of records that are damaged or missing, by the file's name."""
        return {f"{writer}.jsonl": numbers for writer, numbers in self._lost.items()}

    def join(self, trial: Trial) -> None:
        """A trial has been added to the plan; again, it changes nothing."""
        if trial.uid not in self.trials:
            self.plan = self.plan.joined([trial])
            self.trials[trial.uid] = TrialResult(trial, self.plan.objective, self.plan.goal)

    def _plan_anew(self, records: list[journal.Record]) -> None:
        """What the driver says of the plan; again, it changes nothing."""
        plan = self.plan.after(*records)
        if plan is self.plan:
            return
        self.plan = plan
        for trial in plan.trials:
            known = self.trials.setdefault(trial.uid, TrialResult(trial, plan.objective, plan.goal))
            known.trial = trial

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
        search = [r for r in self.trials.values() if r.trial.phase == "explore"]
        joined = sum(r.trial.phase == "confirm" for r in self.trials.values())
        if self.state == "finished" or (joined and all(r.ended for r in search)):
            return 0
        planned = sum(r.trial.source is None for r in search)
        to_search = sum(self.plan.searched.values()) - planned
        return to_search + max(0, self.plan.confirmations - joined)

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
    if isinstance(cell, str) and (cell[:1] in ("\t", "\r", "\n") or FORMULA.match(cell)):
        return "'" + cell
    return cell
