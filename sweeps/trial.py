"""One trial: a planned point in, journalled epochs out; the same with Ray and without."""

from __future__ import annotations

import importlib
import math
import os
import platform
import socket
import sys
import traceback
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gancore.config import RunConfig
from gancore.errors import Unavailable
from gancore.files import write_atomically, write_json
from sweeps import journal
from sweeps.failures import reason_of
from sweeps.journal import Journal
from sweeps.plan import Plan, Trial
from sweeps.results import TrialResult
from sweeps.version import code_version

if TYPE_CHECKING:
    import torch

    from gancore.training import EpochReport, Training

GRID_SCALE = 2
"""Sample grids are enlarged, since 32 pixels a picture are too small to judge by eye."""


@dataclass(frozen=True)
class Progress:
    """What the scheduler hears of a trial: always after the journal.

    Args:
        stage: Scores of unlike stages are never compared.
        ended: By itself: diverged, failed, or stopped by its verdict.
        unable: What is missing that every trial of the sweep needs, in one line.
    """

    uid: str
    epoch: int
    score: float
    stage: int = 0
    ended: bool = False
    unable: str = ""


def trial_folder(sweep: Path, uid: str) -> Path:
    """Where a trial keeps its checkpoints and samples."""
    return sweep / "trials" / uid


def run_trial(
    sweep: Path, plan: Plan, uid: str, *, device: str | None = None, ray_node: str | None = None
) -> Iterator[Progress]:
    """Trains one trial of a sweep to its end, going on from where an earlier attempt left off.

    Each epoch is first on disk (sample grid, journal, checkpoint) and then yielded; the caller
    may stop at any yield. An error ends the trial, not the sweep: it is journalled with its
    reason, the traceback stands in `trials/UID/error.txt`, and the iterator ends. Where pictures
    or weights are missing that all trials need, it says so and leaves no trace.
    """
    trial = plan.trial(uid)
    folder = trial_folder(sweep, uid)
    earlier = TrialResult(trial, plan.objective, plan.goal)
    for record in journal.read(sweep, uid):
        earlier.add(record)
    with Journal(sweep, uid) as log:
        try:
            training, passport = _begin(sweep, trial, earlier, device)
            log.append("start", **passport, ray_node=ray_node)
            yield from _epochs(sweep, plan, training, earlier, log)
        except Unavailable as error:
            # No other trial could run either: this one does not count as tried.
            yield Progress(uid, earlier.epoch, math.inf, ended=True, unable=str(error))
        except Exception as error:
            write_atomically(folder / "error.txt", traceback.format_exc().encode())
            log.append(
                "end",
                trial=uid,
                epoch=earlier.epoch,
                state="failed",
                verdict="failed",
                reason=reason_of(error, trial.config.get("batch")),
            )
            yield Progress(uid, earlier.epoch, math.inf, ended=True)


def _begin(
    sweep: Path, trial: Trial, earlier: TrialResult, device: str | None
) -> tuple[Training, dict[str, Any]]:
    """The run at the newest state that verifies, and what the journal says of this attempt."""
    from gancore.training import checkpoint

    own = trial_folder(sweep, trial.uid) / "checkpoints"
    found, troubles = checkpoint.newest(own, at_most=earlier.epoch)
    if found is None and trial.source is not None:
        there = trial_folder(sweep, trial.source) / "checkpoints"
        found = checkpoint.load(checkpoint.path_of(there, trial.begins))
    training = _train(sweep, trial, found.state if found else None, device)
    passport = training.system.passport()
    return training, {
        "trial": trial.uid,
        "attempt": len(earlier.starts) + 1,
        "from_epoch": training.epoch,
        "troubles": troubles,
        "node": socket.gethostname(),
        "pid": os.getpid(),
        "device": str(training.device),
        "code_version": code_version(),
        "versions": versions(),
        "passport": passport.as_mapping(),
        "passport_digest": passport.digest,
    }


def _train(
    sweep: Path, trial: Trial, state: dict[str, Any] | None, device: str | torch.device | None
) -> Training:
    """The run as it is to go on from a state."""
    from gancore.training import train

    _, config = trial.stretch(state["epoch"] if state else 0)
    evaluation = sweep / "evaluation"
    return train(RunConfig.of(config), state=state, device=device, evaluation=evaluation)


def _reports(
    sweep: Path, trial: Trial, training: Training
) -> Iterator[tuple[Training, EpochReport]]:
    """A trial's epochs; where its values change on the way, a new run takes the state over."""
    until, _ = trial.stretch(training.epoch)
    for report in training:
        yield training, report
        if report.epoch == until < trial.epochs:
            changed = _train(sweep, trial, training.state_dict(), training.device)
            yield from _reports(sweep, trial, changed)
            return


def _epochs(
    sweep: Path, plan: Plan, training: Training, result: TrialResult, log: Journal
) -> Iterator[Progress]:
    from gancore.systems import grid

    trial, uid = result.trial, result.trial.uid
    folder = trial_folder(sweep, uid)
    # A confirmation is trained whole, whatever ails it.
    stop_on = plan.stop_on if trial.phase == "explore" else ()
    if training.epoch == 0:
        _keep_grid(folder, 0, grid.png(training.system.grid(), GRID_SCALE))
    for run, report in _reports(sweep, trial, training):
        _keep(folder, run, report, result, log, plan.keeps(report.epoch))
        if end := _end(report, trial.epochs, stop_on):
            log.append("end", trial=uid, epoch=report.epoch, **end)
        yield Progress(
            uid,
            report.epoch,
            report.scores[result.objective],
            report.stage,
            ended=bool(end) and report.epoch < trial.epochs,
        )


def _end(report: EpochReport, epochs: int, stop_on: Collection[str]) -> dict[str, str]:
    """How a trial ends with this report; empty where it goes on."""
    if report.diverged:
        return {"state": "diverged", "verdict": report.verdict, "reason": report.evidence}
    if report.epoch == epochs:
        return {"state": "completed", "verdict": report.verdict, "reason": "all epochs trained"}
    if report.verdict in stop_on:
        reason = f"{report.verdict}: {report.evidence}"
        return {"state": "stopped", "verdict": report.verdict, "reason": reason}
    return {}


def _keep(
    folder: Path,
    training: Training,
    report: EpochReport,
    result: TrialResult,
    log: Journal,
    kept: int,
) -> None:
    """Makes an epoch durable: grid, journal, checkpoint, in the order in which each is read.

    Args:
        kept: An epoch whose checkpoint must stay, beside the best and the newest.
    """
    from gancore.systems import grid
    from gancore.training import checkpoint

    _keep_grid(folder, report.epoch, grid.png(report.grid, GRID_SCALE))
    if report.epoch > result.epoch:
        # An epoch done again after a crash is bit-equal, and its record stands already.
        uid, attempt = result.trial.uid, len(result.starts) + 1
        result.add(
            log.append(
                "epoch",
                trial=uid,
                attempt=attempt,
                epoch=report.epoch,
                values=report.values(),
                verdict=report.verdict,
                evidence=report.evidence,
                **_stage(report),
            )
        )
    if report.diverged:
        return
    checkpoints = folder / "checkpoints"
    path = checkpoint.save(checkpoints, training.checkpoint())
    if result.best_epoch == report.epoch:
        write_json(folder / "best.json", {"epoch": report.epoch, "checkpoint": path.name})
    # The one before the newest stays too: should the newest prove damaged, there is a way back.
    keep = {report.epoch, report.epoch - 1, result.best_epoch or report.epoch, kept}
    checkpoint.prune(checkpoints, keep)


def _stage(report: EpochReport) -> dict[str, Any]:
    """What a run of several stages adds to an epoch: which one, and the protocol of its scores."""
    if not report.stage:
        return {}
    return {"stage": report.stage, "passport": report.passport.as_mapping()}


def _keep_grid(folder: Path, epoch: int, png: bytes) -> None:
    write_atomically(folder / "samples" / f"epoch-{epoch:04d}.png", png)


def prepare_process(plugins: Sequence[str], folder: Path) -> None:
    """Imports the user's modules, so that what they register is known in this process.

    Args:
        folder: Where they lie: the sweep's own copy, or beside the sweep file.
    """
    if plugins and str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    for name in plugins:
        importlib.import_module(name)


def versions() -> dict[str, Any]:
    """What numbers depend on beside the code."""
    import torch

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }
