"""`gansweep plan --probe`: a few steps of each arm, and from them the time and disk of a sweep."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gancore.config import RunConfig
from sweeps.forecast import forecast
from sweeps.plan import Plan

if TYPE_CHECKING:
    from gancore.training import Training

_STEPS_BEFORE = 3
_SECONDS_EACH = 1.5
_KEPT = 3
"""Checkpoints that a trial keeps: its best, its newest, and the one before."""


@dataclass(frozen=True)
class Probe:
    """What was measured on this machine, and what it means for the whole sweep.

    Args:
        epoch_seconds: Of each arm's first trial, one at a time.
        at_once: Trials that fit this machine.
        seconds: Of the whole sweep on this machine, early stopping allowed for.
        megabytes: Of checkpoints and sample grids.
        device: Where it was measured.
    """

    epoch_seconds: Mapping[str, float]
    at_once: int
    seconds: float
    megabytes: float
    device: str


def probe(plan: Plan, plugins: Path) -> Probe:
    """Trains a few steps of one trial of each arm and scores each once; keeps nothing of it.

    The data set and its cache are prepared if they are not yet.

    Args:
        plugins: The folder of the user's own modules.
    """
    import torch

    from gancore.systems import grid
    from gancore.training import train
    from sweeps.trial import prepare_process

    prepare_process(plan.plugins, plugins)
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, int(plan.resources.cpu)))
    firsts = {trial.arm: trial for trial in reversed(plan.trials)}
    seconds, state_bytes, grid_bytes, device = {}, 0, 0, ""
    with tempfile.TemporaryDirectory() as folder:
        for arm in plan.arms:
            config = RunConfig.of(firsts[arm.label].config)
            training = train(config, evaluation=Path(folder))
            seconds[arm.label] = _epoch_seconds(training)
            state_bytes = max(state_bytes, _size(training.state_dict()))
            grid_bytes = max(grid_bytes, len(grid.png(training.system.grid(), 2)))
            device = str(training.device)
    torch.set_num_threads(threads)
    expected, trials = forecast(plan)["expected_epochs"], len(plan.trials)
    at_once = min(_at_once(plan), trials)
    mean = sum(seconds[trial.arm] for trial in plan.trials) / trials
    return Probe(
        epoch_seconds=seconds,
        at_once=at_once,
        seconds=expected * mean / at_once,
        megabytes=(trials * _KEPT * state_bytes + expected * grid_bytes) / 1e6,
        device=device,
    )


def _epoch_seconds(training: Training) -> float:
    """Seconds of an epoch: steps by extrapolation, the score in full."""
    pictures, began = 0, time.perf_counter()
    for number, shown in enumerate(training.system.train(1, 0.0), start=1):
        if number == _STEPS_BEFORE:
            training.system.alive()  # waits for the device
            began = time.perf_counter()
        elif number > _STEPS_BEFORE:
            pictures += shown
            if time.perf_counter() - began > _SECONDS_EACH:
                break
    training.system.end_epoch()
    each = (time.perf_counter() - began) / max(1, pictures)
    training_seconds = each * len(training.material.train.images)
    began = time.perf_counter()
    training.system.score()
    return training_seconds + time.perf_counter() - began


def _size(state: Any) -> int:
    """Bytes of all tensors in nested mappings."""
    import torch

    if isinstance(state, torch.Tensor):
        return state.nbytes
    if isinstance(state, dict):
        return sum(map(_size, state.values()))
    return sum(map(_size, state)) if isinstance(state, list | tuple) else 0


def _at_once(plan: Plan) -> int:
    """Trials that this machine runs side by side."""
    import torch

    fit = (os.cpu_count() or 1) / plan.resources.cpu if plan.resources.cpu else len(plan.trials)
    if plan.resources.gpu:
        fit = min(fit, max(1, torch.cuda.device_count()) / plan.resources.gpu)
    return max(1, int(min(fit, plan.resources.concurrent or fit)))
