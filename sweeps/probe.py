"""`gansweep plan --probe`: what an epoch of each arm costs, from a few steps of each."""

from __future__ import annotations

import itertools
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gancore.config import RunConfig
from gancore.errors import Unavailable
from sweeps.errors import EnvironmentTrouble, GansweepError, UserError
from sweeps.estimate import Arm, Room, Stage
from sweeps.failures import reason_of
from sweeps.folder import GRID_SCALE
from sweeps.plan import Plan
from sweeps.plugins import run as run_plugins
from sweeps.signals import terminated_as_interrupted

if TYPE_CHECKING:
    from gancore.training import Training

SECONDS = 60.0
"""For all arms together; what a run needs before its first step is not counted."""

_STEPS_BEFORE = 3
_SECONDS_EACH = (0.2, 1.5)
"""For the steps of a stage, at least and at most."""


@dataclass(frozen=True)
class Probe:
    """What was measured on this machine, one trial at a time.

    Args:
        arms: By label; those that cannot run are not among them.
        troubles: By label, why an arm cannot run, in one line.
        room: What this machine has for trials side by side.
        device: Where those were measured that are given a GPU, if any are.
    """

    arms: Mapping[str, Arm]
    troubles: Mapping[str, GansweepError]
    room: Room
    device: str


def probe(plan: Plan, plugins: Path) -> Probe:
    """Trains a few steps of one trial of each arm, at each stage of its run, and scores it.

    The data set is prepared if it is not yet, as a sweep would do it.

    Args:
        plugins: The folder of the user's own modules.
    """
    import torch

    # Of each arm the first of the longest, so that the epochs of all are covered.
    by_length = sorted(reversed(plan.trials), key=lambda trial: trial.epochs)
    trials = {trial.arm: trial for trial in by_length}
    labels = [arm.label for arm in plan.arms if arm.label in trials]
    devices = set()
    arms: dict[str, Arm] = {}
    troubles: dict[str, GansweepError] = {}
    left = SECONDS
    with _as_a_worker(plan, plugins), _temporary_folder() as folder:
        for number, label in enumerate(labels):
            needs = plan.needs(trials[label])
            # A machine whose GPU a trial does not ask for does not lend it to it either.
            device = "cuda" if needs.gpu and torch.cuda.is_available() else "cpu"
            devices.add(device)
            torch.set_num_threads(max(1, int(needs.cpu)))
            try:
                training = _ready(RunConfig.of(trials[label].config), folder, device)
                began = time.perf_counter()
                share = max(0.0, left) / (len(labels) - number)
                arms[label] = _timed(training, folder, began + share, [*arms.values()])
                left -= time.perf_counter() - began
            except Unavailable as error:
                troubles[label] = EnvironmentTrouble(f"arm {label} cannot run: {error}")
            except Exception as error:
                troubles[label] = UserError(f"arm {label} cannot run: {reason_of(error)}")
    return Probe(arms, troubles, _room(plan), max(devices, default="cpu"))


@contextmanager
def _as_a_worker(plan: Plan, plugins: Path) -> Iterator[None]:
    """This process as one of Ray's would be; its number of threads is as before afterwards."""
    import torch

    threads, without_bytecode = torch.get_num_threads(), sys.dont_write_bytecode
    try:
        sys.dont_write_bytecode = True  # Nothing is left beside the user's modules.
        run_plugins(plan.plugins, plugins)
        sys.dont_write_bytecode = without_bytecode
        yield
    finally:
        sys.dont_write_bytecode = without_bytecode
        torch.set_num_threads(threads)


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """A folder that is gone afterwards, also where the process is told to end."""
    with terminated_as_interrupted(), tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _ready(config: RunConfig, folder: Path, device: str) -> Training:
    """A run before its first step, with all that the trials of a sweep prepare but once."""
    from gancore.training import train

    training = train(config, device=device, evaluation=folder)
    training.system.passport()
    return training


def _timed(training: Training, folder: Path, until: float, earlier: list[Arm]) -> Arm:
    """What the epochs of a run cost.

    Args:
        until: When it should be done. The steps of each stage are timed anyway; scores that
            there is no time for are taken to cost as much as those of a later stage, or of
            another arm.
    """
    from gancore.systems import Staged

    system, pictures = training.system, len(training.material.train.images)
    begins, end = [0], training.config.epochs * pictures
    if isinstance(system, Staged):
        begins = [begin for begin in system.stages() if begin < end]
    stages: list[Stage] = []
    known = max((stage.score for arm in earlier for stage in arm.stages), default=None)
    keeping, checkpoint_bytes, grid_bytes = 0.0, 0, 0
    # The last comes first: it is the longest, and has the largest state.
    for number, (begin, next_one) in enumerate(reversed([*itertools.pairwise([*begins, end])])):
        if isinstance(system, Staged):
            system.skip_to(begin)
        share = max(0.0, until - time.perf_counter()) / (len(begins) - number)
        seconds = min(max(share / 2, _SECONDS_EACH[0]), _SECONDS_EACH[1])
        picture = picture_seconds(training, seconds, next_one - begin)
        if known is None or time.perf_counter() < until:
            known = _score_seconds(training, share / 4)
        stages.append(Stage(begin, picture, known))
        if number == 0:
            keeping, checkpoint_bytes, grid_bytes = _kept(training, folder)
    return Arm(tuple(reversed(stages)), pictures, keeping, checkpoint_bytes, grid_bytes)


def picture_seconds(training: Training, seconds: float, at_most: int) -> float:
    """Seconds of training a picture, measured for some seconds or pictures."""
    system = training.system
    shown, seen, began = 0, 0, time.perf_counter()
    # Epochs without end: a small data set has fewer steps than are to be timed.
    steps = itertools.chain.from_iterable(system.train(epoch, 0.0) for epoch in itertools.count(1))
    for number, pictures in enumerate(steps, start=1):
        seen += pictures
        if number == _STEPS_BEFORE:
            system.alive()  # Waits for the device.
            began = time.perf_counter()
        elif number > _STEPS_BEFORE:
            shown += pictures
            if seen >= at_most or time.perf_counter() - began > seconds:
                break
    system.end_epoch()
    return (time.perf_counter() - began) / shown


def _score_seconds(training: Training, again: float) -> float:
    """Seconds of a score.

    The first at a resolution makes features of the real pictures, which a sweep does but once: one
    that is shorter than `again` is therefore timed a second time.
    """
    began = time.perf_counter()
    training.system.score()
    first = time.perf_counter()
    if first - began > again:
        return first - began
    training.system.score()
    return min(first - began, time.perf_counter() - first)


def _kept(training: Training, folder: Path) -> tuple[float, int, int]:
    """Seconds of writing what an epoch leaves, and the bytes of its checkpoint and its grid."""
    from gancore.systems import grid
    from gancore.training import checkpoint

    began = time.perf_counter()
    png = grid.png(training.system.grid(), GRID_SCALE)
    path = checkpoint.save(folder, training.checkpoint())
    seconds = time.perf_counter() - began
    size = path.stat().st_size + path.with_suffix(".json").stat().st_size
    checkpoint.prune(folder, keep=set())
    return seconds, size, len(png)


def _room(plan: Plan) -> Room:
    """What this machine has for trials side by side."""
    import torch

    gpus = max(1, torch.cuda.device_count())
    return Room(os.cpu_count() or 1, gpus, plan.resources.concurrent or math.inf)
