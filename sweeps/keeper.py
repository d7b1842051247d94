"""What an attempt at a trial leaves on disk, and where the next attempt goes on from.

An epoch is first a grid, then a record, then a checkpoint. A crash between any two of them leaves
something that the next attempt completes.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gancore.config import ConfigError, RunConfig, flatten
from gancore.files import clear_temporaries, write_atomically, write_json
from sweeps import bucket, journal
from sweeps.folder import GRID_SCALE, trial_folder
from sweeps.journal import Journal
from sweeps.plan import Plan, Trial
from sweeps.results import Point, TrialResult
from sweeps.secret import scrubbed

if TYPE_CHECKING:
    from gancore.training import Checkpoint, EpochReport, Training

_CLOCKED = ("seconds_training", "seconds_evaluation", "pictures_per_second")
"""Values that no two runs share."""


class Keeper:
    """Keeps what one attempt at a trial reports.

    Args:
        log: The trial's journal, newly opened: what stands in it is where the attempt goes on.
    """

    def __init__(self, sweep: Path, plan: Plan, trial: Trial, log: Journal) -> None:
        self.result = TrialResult(trial, plan.objective, plan.goal)
        for record in log.records():
            self.result.add(record)
        self._copy = bucket.of(sweep)
        self.folder = self._copy.take(trial_folder(sweep, trial.uid))
        self.attempt = self.result.attempt + 1
        self._sweep = sweep
        self._sweep_id = journal.sweep_id(sweep)
        self._plan = plan
        self._log = log
        self._again = False

    @property
    def stop_on(self) -> Collection[str]:
        """Verdicts that end the trial. A confirmation is trained whole, whatever ails it."""
        return self._plan.stop_on if self.result.trial.phase == "explore" else ()

    def newest(self) -> tuple[Checkpoint | None, list[str]]:
        """The newest checkpoint to go on from, the trial's own or that of its source, and what is
        wrong with newer ones.

        Raises:
            DamagedCheckpoint: The source's state does not verify, and there is none of its own.
        """
        from gancore.training import DamagedCheckpoint, checkpoint

        trial = self.result.trial
        own = self.folder / "checkpoints"
        found, troubles = checkpoint.newest(own, self.result.epoch, self._foreign)
        # Those of attempts that the journal has lost are never taken for this one's.
        self.attempt = max(self.attempt, _highest_attempt(own) + 1)
        if found is None and trial.source is not None:
            there = trial_folder(self._sweep, trial.source) / "checkpoints"
            path = self._copy.here(checkpoint.path_of(there, trial.begins))
            self._copy.here(path.with_suffix(".json"))
            found = checkpoint.load(path)
            if why := self._of_another(found, self._plan.trial(trial.source)):
                raise DamagedCheckpoint(f"{path}: {why}")
        return found, troubles

    def unsaid(self, found: Checkpoint | None) -> dict[str, str]:
        """How the trial has ended already, where the last attempt died before it could say so."""
        if not self.result.points:
            return {}
        point = self.result.points[-1]
        # What has diverged leaves no checkpoint; else the last epoch must be done again to have it.
        kept = found is not None and found.epoch == point.epoch
        return self._end(point) if kept or point.verdict == "diverged" else {}

    def begin(self, facts: dict[str, Any]) -> None:
        """Journals that the attempt has begun; no earlier one can write from now on."""
        self.result.add(
            self._log.append(
                "start",
                trial=self.result.trial.uid,
                attempt=self.attempt,
                sweep=self._sweep_id,
                **facts,
            )
        )
        self.clear()
        # The epoch in flight is simply done again; more of them, and this could be another run.
        self._again = self.result.epoch - facts["from_epoch"] > 1

    def clear(self) -> None:
        """Deletes what killed writers have left, and completes what they had to write last."""
        for folder in (self.folder, self.folder / "checkpoints", self.folder / "samples"):
            clear_temporaries(folder)
        self._name_the_best()
        self._copy.mirror(self.folder)

    def keep(self, training: Training, report: EpochReport) -> dict[str, str]:
        """Makes an epoch durable; returns how the trial ends with it, empty where it goes on."""
        from gancore.systems import grid
        from gancore.training import checkpoint

        self._log.check()
        self.keep_grid(report.epoch, grid.png(report.grid, GRID_SCALE))
        self._compare(report)
        if report.epoch > self.result.epoch:
            # An epoch done again after a crash is bit-equal, and its record stands already.
            self._append(
                "epoch",
                epoch=report.epoch,
                values=report.values(),
                verdict=report.verdict,
                evidence=report.evidence,
                **_stage(report),
            )
        if not report.diverged:
            self._log.check()
            owner = {
                "sweep": self._sweep_id,
                "trial": self.result.trial.uid,
                "attempt": self.attempt,
            }
            checkpoints = self.folder / "checkpoints"
            checkpoint.save(checkpoints, replace(training.checkpoint(), owner=owner))
            self._name_the_best()
            self.prune(report.epoch)
        end = self._end(report)
        if end:
            self.end(report.epoch, end)
        return end

    def keep_grid(self, epoch: int, png: bytes) -> None:
        write_atomically(self.folder / "samples" / f"epoch-{epoch:04d}.png", png)
        self._copy.mirror(self.folder)

    def keep_error(self, trace: str) -> None:
        """Keeps what Python says of how the trial failed, for who looks for the reason."""
        write_atomically(self.folder / "error.txt", scrubbed(trace).encode())
        self._copy.mirror(self.folder)

    def prune(self, epoch: int) -> None:
        """Deletes the checkpoints that nobody needs after an epoch."""
        from gancore.training import checkpoint

        # The one before the newest stays too: should the newest prove damaged, there is a way back.
        keep = {epoch, epoch - 1, self.result.best_epoch or epoch, self._plan.keeps(epoch)}
        checkpoint.prune(self.folder / "checkpoints", keep, until=epoch)
        self._copy.mirror(self.folder)

    def end(self, epoch: int, end: dict[str, str]) -> None:
        """Journals that the trial has ended by itself; its attempt is 0 if none could begin."""
        self._append("end", epoch=epoch, **end)

    def _append(self, kind: str, **content: Any) -> None:
        uid, attempt = self.result.trial.uid, self.result.attempt
        self.result.add(self._log.append(kind, trial=uid, attempt=attempt, **content))

    def _compare(self, report: EpochReport) -> None:
        """Epochs done again from further back must be those journalled, or these do not count."""
        before = self.result.point(report.epoch)
        if not self._again or before is None:
            return
        mine, its = _comparable(report.values()), _comparable(before.values)
        differing = sorted(k for k in mine.keys() | its.keys() if mine.get(k) != its.get(k))
        if differing:
            key = differing[0]
            reason = f"{key} is {mine.get(key)} and was {its.get(key)}"
            self._append("void", epoch=report.epoch, reason=reason)

    def _end(self, told: EpochReport | Point) -> dict[str, str]:
        """How a trial ends with an epoch; empty where it goes on."""
        if told.verdict == "diverged":
            return {"state": "diverged", "verdict": told.verdict, "reason": told.evidence}
        if told.epoch == self.result.trial.epochs:
            reason = "all epochs trained"
            return {"state": "completed", "verdict": told.verdict, "reason": reason}
        if told.verdict in self.stop_on:
            reason = f"{told.verdict}: {told.evidence}"
            return {"state": "stopped", "verdict": told.verdict, "reason": reason}
        return {}

    def _name_the_best(self) -> None:
        """`best.json` names the best checkpoint, once that is there."""
        from gancore.training import checkpoint

        epoch = self.result.best_epoch
        file = self.folder / "best.json"
        if epoch is None:
            return
        path = checkpoint.path_of(self.folder / "checkpoints", epoch)
        said = {"epoch": epoch, "checkpoint": path.name}
        if path.with_suffix(".json").is_file() and _read(file) != said:
            write_json(file, said)

    def _foreign(self, found: Checkpoint) -> str:
        """Why one of the trial's own checkpoints is not to go on from."""
        if why := self._of_another(found, self.result.trial):
            return why
        attempt = found.owner.get("attempt")
        if attempt is None:
            return ""  # From before checkpoints had owners.
        if attempt not in [start.get("attempt") for start in self.result.starts]:
            return f"it is of attempt {attempt}, of which the journal knows nothing"
        for void in self.result.voids:
            if attempt < void["attempt"] and found.epoch >= void["epoch"]:
                return f"it is of attempt {attempt}, whose epochs from {void['epoch']} do not count"
        return ""

    def _of_another(self, found: Checkpoint, trial: Trial) -> str:
        """What shows that a checkpoint is not a trial's."""
        for key, ours in (("sweep", self._sweep_id), ("trial", trial.uid)):
            its = found.owner.get(key)
            if its is not None and ours is not None and its != ours:
                return f"it is of {key} {its}, not of {ours}"
        _, planned = trial.stretch(found.epoch - 1)
        try:
            made = dict(flatten(RunConfig.of(found.config).as_mapping()))
        except ConfigError as error:
            return f"its configuration is none here: {error.problems[0]}"
        plan = dict(flatten(RunConfig.of(planned).as_mapping()))
        # How long it trains may have been extended since.
        for key in sorted((made.keys() | plan.keys()) - {"epochs"}):
            if made.get(key) != plan.get(key):
                return f"it is of another run: {key} is {made.get(key)}, not {plan.get(key)}"
        return ""


def _stage(report: EpochReport) -> dict[str, Any]:
    """What a run of several stages adds to an epoch: which one, and the protocol of its scores."""
    if not report.stage:
        return {}
    return {"stage": report.stage, "passport": report.passport.as_mapping()}


def _comparable(values: dict[str, float]) -> dict[str, str]:
    """An epoch's numbers bit for bit, but for the clock's."""
    return {key: repr(value) for key, value in values.items() if key not in _CLOCKED}


def _highest_attempt(checkpoints: Path) -> int:
    """Of all whose checkpoints are there, whatever the journal says."""
    facts = [_read(file) for file in checkpoints.glob("epoch-*.json")]
    owners = [f.get("owner") for f in facts if isinstance(f, dict)]
    attempts = [o.get("attempt") for o in owners if isinstance(o, dict)]
    return max((a for a in attempts if isinstance(a, int)), default=0)


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
