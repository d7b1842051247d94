"""One trial: a planned point in, journalled epochs out; the same with Ray and without."""

from __future__ import annotations

import math
import os
import platform
import socket
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gancore.config import RunConfig
from gancore.errors import Unavailable
from sweeps import bucket, pinned, storage
from sweeps.errors import Superseded, Unwritable
from sweeps.failures import reason_of
from sweeps.folder import GRID_SCALE
from sweeps.journal import Journal
from sweeps.keeper import Keeper
from sweeps.plan import Plan, Trial
from sweeps.provenance import differences, made_with
from sweeps.results import TrialResult
from sweeps.version import code_version

if TYPE_CHECKING:
    import torch

    from gancore.training import EpochReport, Training


@dataclass(frozen=True)
class Progress:
    """What the scheduler hears of a trial: always after the journal.

    Args:
        stage: Scores of unlike stages are never compared.
        ended: By itself: diverged, failed, or stopped by its verdict.
        unable: What is missing, or wrong with the storage, that concerns all trials, in one line.
        refused: It is there, but not to be used unless the user says so.
    """

    uid: str
    epoch: int
    score: float
    stage: int = 0
    ended: bool = False
    unable: str = ""
    refused: bool = False


def run_trial(
    sweep: Path, plan: Plan, uid: str, *, device: str | None = None, ray_node: str | None = None
) -> Iterator[Progress]:
    """Trains one trial of a sweep to its end, going on from where an earlier attempt left off.

    Each epoch is first on disk (sample grid, journal, checkpoint) and then yielded; the caller
    may stop at any yield. An error ends the trial, not the sweep: it is journalled with its
    reason, the traceback stands in `trials/UID/error.txt`, and the iterator ends. Where pictures
    or weights are missing that all trials need, or the storage takes no more, it says so and the
    trial has not ended: it goes on when there is what was missing.
    """
    epoch = plan.trial(uid).begins
    try:
        with storage.named(sweep), Journal(sweep, uid) as log:
            keeper = Keeper(sweep, plan, plan.trial(uid), log)
            epoch = keeper.result.epoch
            yield from _attempt(sweep, keeper, device, ray_node)
            bucket.of(sweep).drop(keeper.folder)
    except Superseded:
        return  # A later attempt goes on; this one was thought dead.
    except (Unavailable, Unwritable) as error:
        # No other trial could run either: this one does not count as tried.
        refused = isinstance(error, pinned.DataChanged)
        yield Progress(uid, epoch, math.inf, ended=True, unable=str(error), refused=refused)


def _attempt(
    sweep: Path, keeper: Keeper, device: str | None, ray_node: str | None
) -> Iterator[Progress]:
    result = keeper.result
    uid = result.trial.uid
    # Its own journal does not say that it has been extended since.
    longer = result.state == "completed" and result.epoch < result.trial.epochs
    if result.ended and result.state != "failed" and not longer:
        yield _last(result)  # The attempt before died after its last word.
        return
    try:
        found, troubles = keeper.newest()
        if end := keeper.unsaid(found):
            keeper.end(result.epoch, end)
            keeper.clear()
            keeper.prune(result.epoch)
            yield _last(result)
            return
        training = _train(sweep, result.trial, found.state if found else None, device)
        passport = training.system.passport()
        made = made_with(result.trial, training.device, versions())
        check_pictures(sweep, result.trial, training.config, passport.data)
        keeper.begin(
            {
                "from_epoch": training.epoch,
                "troubles": troubles,
                "node": socket.gethostname(),
                "pid": os.getpid(),
                "device": str(training.device),
                "code_version": code_version(),
                **made,
                "differs": differences(result.starts, made),
                "passport": passport.as_mapping(),
                "passport_digest": passport.digest,
                "ray_node": ray_node,
            }
        )
        yield from _epochs(sweep, training, keeper)
    except (Unavailable, Superseded, Unwritable):
        raise
    except Exception as error:
        if storage.fault_of(error):
            raise
        reason = reason_of(error, result.trial.config.get("batch"))
        end = {"state": "failed", "verdict": "failed", "reason": reason}
        keeper.end(result.epoch, end)
        keeper.keep_error(traceback.format_exc())
        yield Progress(uid, result.epoch, math.inf, ended=True)


def check_pictures(sweep: Path, trial: Trial, run: RunConfig, scored: str) -> None:
    """Holds what a run learns from, and what it is scored against, to the sweep's first trial.

    Raises:
        sweeps.pinned.DataChanged: They are other pictures than those of the trials before.
    """
    from gancore.data import cache_root, load

    train = load(run.data, "train", cache_root()).fingerprint
    pinned.check(sweep, trial.config["data"], {"train": train, "scored": scored})


def _last(result: TrialResult) -> Progress:
    """What a trial that has ended would have reported last."""
    point = result.points[-1]
    score = point.values[result.objective]
    early = point.epoch < result.trial.epochs
    return Progress(result.trial.uid, point.epoch, score, point.stage, ended=early)


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


def _epochs(sweep: Path, training: Training, keeper: Keeper) -> Iterator[Progress]:
    from gancore.systems import grid

    trial = keeper.result.trial
    if training.epoch == 0:
        keeper.keep_grid(0, grid.png(training.system.grid(), GRID_SCALE))
    for run, report in _reports(sweep, trial, training):
        end = keeper.keep(run, report)
        yield Progress(
            trial.uid,
            report.epoch,
            report.scores[keeper.result.objective],
            report.stage,
            ended=bool(end) and report.epoch < trial.epochs,
        )
        if end:
            return


def versions() -> dict[str, Any]:
    """What numbers depend on beside the code."""
    import torch

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }
