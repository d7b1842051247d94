"""Runs a sweep with scripted trials through the dispatcher, as Ray would, without Ray."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sweeps import SweepSpec, journal, make_plan
from sweeps.dispatch import Dispatcher
from sweeps.folder import trial_folder
from sweeps.journal import Journal
from sweeps.plan import Plan, Trial
from sweeps.results import Results
from sweeps.spending import Spending

SWEEP: dict[str, Any] = {
    "name": "scripted",
    "base": {"data": "digits", "model": "mlp", "epochs": 4, "latent": 16},
    "scientific": {"loss.name": ["hinge", "minimax"]},
    "nuisance": {"generator.lr": {"log_uniform": [1e-5, 1e-4]}},
    "search": {"trials_each": 3},
    "objective": {"samples": 500},
    "schedule": "none",
    "confirm": {"top": 1, "seeds": 2},
}
Score = Callable[[Trial, int], float]


def by_number(trial: Trial, epoch: int) -> float:
    """The later a trial is planned the better it is, and every epoch helps."""
    return 100.0 - int(trial.uid[:3]) - epoch / 10


def place_of(tmp_path: Path, **changes: Any) -> Path:
    place = tmp_path / "scripted"
    place.mkdir(parents=True)
    spec = SweepSpec.of({**SWEEP, **changes})
    make_plan(spec).write(place)
    (place / "sweep.yaml").write_text(spec.text)
    return place


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def play(
    place: Path,
    score: Score = by_number,
    *,
    slots: int = 2,
    epoch_seconds: float = 0.0,
    until: int = 10_000,
    dies: str = "judged",
    speeds: random.Random | None = None,
) -> list[str]:
    """Runs a sweep with scripted trials, `slots` at a time; gives the order in which they began.

    Args:
        until: Reports after which the driver dies without a word.
        dies: How far it came with the last of them: it had `judged` it, had just `heard` it, or
            had not, it being only `journalled`; or the worker `outlived` it by two epochs more.
        speeds: Chooses who of those that train reports next; without, they do so in turn.
    """
    clock = Clock()
    with Journal(place, journal.DRIVER) as log:
        log.append("sweep", state="running", pid=1, code_version="0")
        results = Results.read(place)
        dispatcher = Dispatcher(results, log, Spending(results.plan, results, clock))
        live: dict[str, int] = {}
        began: list[str] = []
        reports = 0
        while True:
            while len(live) < slots and (uid := dispatcher.next()):
                trial = dispatcher.plan.trial(uid)
                dispatcher.began(uid)
                live[uid] = Results.read(place).trials[uid].epoch
                began.append(uid)
                write(place, trial, "start", attempt=1)
            if not live:
                assert dispatcher.over
                return began
            clock.now += epoch_seconds
            for uid in [speeds.choice(list(live))] if speeds else list(live):
                live[uid] += 1
                reports += 1
                if reports == until and dies != "judged":
                    die(place, log, dispatcher.plan.trial(uid), live[uid], score, dies)
                    return began
                if not report(place, dispatcher, uid, live[uid], score):
                    dispatcher.left(uid)
                    del live[uid]
                if reports == until:
                    return began


def report(place: Path, dispatcher: Dispatcher, uid: str, epoch: int, score: Score) -> bool:
    """One epoch of a scripted trial; whether it goes on."""
    trial = dispatcher.plan.trial(uid)
    value, ended = journalled(place, trial, epoch, score)
    decision = dispatcher.judge(uid, epoch, value, 0, ended=ended and epoch < trial.epochs)
    return not (ended or decision.action != "go_on")


def die(place: Path, log: Journal, trial: Trial, epoch: int, score: Score, dies: str) -> None:
    """The driver's last report, which it came to or not."""
    more = 2 if dies == "outlived" else 0
    for later in range(epoch, min(epoch + more, trial.epochs) + 1):
        if journalled(place, trial, later, score)[1]:
            break
    if dies == "heard":
        log.append("heard", trial=trial.uid, epoch=epoch)


def journalled(place: Path, trial: Trial, epoch: int, score: Score) -> tuple[float, bool]:
    """What a scripted trial writes of an epoch; its score, and whether it has ended."""
    value = score(trial, epoch)
    diverged = not math.isfinite(value)
    objective = Plan.read(place).objective
    write(place, trial, "epoch", attempt=1, epoch=epoch, values={objective: value})
    ended = diverged or epoch == trial.epochs
    if ended:
        state = "diverged" if diverged else "completed"
        write(place, trial, "end", epoch=epoch, state=state, verdict="healthy", reason="told")
    return value, ended


def write(place: Path, trial: Trial, kind: str, **content: Any) -> None:
    """Journals for a trial; an epoch has the facts of a checkpoint, as when all of it is done."""
    with Journal(place, trial.uid) as log:
        log.append(kind, trial=trial.uid, **content)
    if kind == "epoch":
        facts = (
            trial_folder(place, trial.uid) / "checkpoints" / f"epoch-{content['epoch']:04d}.json"
        )
        facts.parent.mkdir(parents=True, exist_ok=True)
        facts.write_text("{}")
