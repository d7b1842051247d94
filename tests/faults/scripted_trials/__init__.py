"""A plug-in that swaps training for a script: a trial is then a sleep and a number.

It is copied beside a sweep file with its script, and imported by every process of that sweep; so
it knows nothing of the tests. All but training is the product's own: checkpoints, journal, grids.
Which sweep and which trial it is asked for it sees from `train`'s arguments, so that one process
may play several.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib
import json
import math
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

import gancore.training
from gancore.config import RunConfig
from gancore.metrics import Passport
from gancore.models import ImageShape
from gancore.training.checkpoint import Checkpoint
from gancore.training.report import EpochReport

SCRIPT = "script.json"
SIDE = 8
_held: list[bytearray] = []


class ScriptedSystem:
    """What `run_trial` asks of a system: the protocol of its scores, and a grid."""

    def __init__(self, config: RunConfig, objective: str) -> None:
        self._objective = objective
        self._generated = config.evaluation.samples

    def passport(self) -> Passport:
        return Passport(
            metric=self._objective,
            features="classifier",
            features_digest="scripted",
            accuracy=None,
            real=10,
            generated=self._generated,
            data_name="digits",
            data="scripted",
            split="train",
            resolution=SIDE,
            shown_at=SIDE,
            channels=1,
            weights="ema",
        )

    def grid(self) -> torch.Tensor:
        return torch.zeros(1, 2 * SIDE, 2 * SIDE, dtype=torch.uint8)


class ScriptedTraining(Iterator[EpochReport]):
    """A run whose every number follows from its seed, its arm and all epochs before.

    Each epoch hashes the one before, so a state of another epoch or of another trial shows.
    """

    def __init__(self, config: RunConfig, sweep: Path, state: dict[str, Any] | None) -> None:
        self.config = config
        self.device = torch.device("cpu")
        self.epoch = int(state["epoch"]) if state else 0
        self.chain = str(state["chain"]) if state else ""
        self._sweep = sweep
        self._uid, self._number, self._objective = _trial_of(sweep, config)
        self._script = json.loads((_own(sweep) / SCRIPT).read_text())
        self.system = ScriptedSystem(config, self._objective)
        self._diverged = False

    def __next__(self) -> EpochReport:
        if self._diverged or self.epoch >= self.config.epochs:
            raise StopIteration
        self.epoch += 1
        text = f"{self.chain} {self.config.seed} {self.config.loss.name} {self.epoch}"
        self.chain = hashlib.sha256(text.encode()).hexdigest()
        score = (10 + int(self.chain[:8], 16) / 2**32) / self.epoch + self._bias()
        for action in self._asked():
            if action["do"] == "report":
                score = math.nan if action["score"] is None else float(action["score"])
            else:
                _act(action)
        self._diverged = not math.isfinite(score)
        return EpochReport(
            epoch=self.epoch,
            kimg=self.epoch / 100,
            scores={self._objective: score},
            passport=self.system.passport(),
            statistics={"loss/generator": score / 3},
            seconds_training=0.1,
            seconds_evaluation=0.1,
            pictures=10,
            grid=self.system.grid(),
            verdict="diverged" if self._diverged else "healthy",
            evidence="the script says so" if self._diverged else "",
        )

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "chain": self.chain, "weights": torch.arange(64.0)}

    def checkpoint(self) -> Checkpoint:
        plain = self.config.as_mapping()
        return Checkpoint(self.epoch, self.state_dict(), plain, ImageShape(1, SIDE))

    def _bias(self) -> float:
        """What tells trials apart for good: a trial that is better stays so."""
        text = f"{self.config.seed} {self.config.loss.name}"
        return hashlib.sha256(text.encode()).digest()[0] / 16

    def _asked(self) -> Iterator[dict[str, Any]]:
        """The actions of this trial and epoch that have not been done often enough."""
        for number, action in enumerate(self._script):
            trial, epoch = action["trial"], action["epoch"]
            if trial in ("*", self._uid, self._number) and epoch in ("*", self.epoch):
                once = f"{number}-{self._uid}-{self.epoch}"
                if action["times"] is None or _count(self._sweep, once, action["times"]):
                    yield action


def train(
    config: RunConfig,
    *,
    state: dict[str, Any] | None = None,
    evaluation: Path | None = None,
    **_other: Any,
) -> ScriptedTraining:
    """Stands where `gancore.training.train` stood."""
    assert evaluation is not None, "a scripted trial belongs to a sweep"
    return ScriptedTraining(config, evaluation.parent, state)


def _act(action: dict[str, Any]) -> None:
    match action["do"]:
        case "sleep":
            time.sleep(action["seconds"])
        case "fail":
            raise _error(action["error"])(*action["arguments"])
        case "leave":
            os._exit(action["code"])
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hog":
            _held.append(bytearray(b"\1") * (action["megabytes"] << 20))
        case "say":
            for _ in range(action["megabytes"]):
                text = os.urandom(1 << 19).hex() if not action["junk"] else None
                sys.stdout.buffer.write(text.encode() if text else os.urandom(1 << 20))
            sys.stdout.flush()
        case unknown:
            raise ValueError(f"no action {unknown!r}")


def _error(name: str) -> type[BaseException]:
    module, _, last = name.rpartition(".")
    found = getattr(importlib.import_module(module) if module else builtins, last)
    assert issubclass(found, BaseException)
    return found


def _trial_of(sweep: Path, config: RunConfig) -> tuple[str, int, str]:
    """Uid and number of the trial with this configuration, and what it is ranked by."""
    from sweeps.plan import Plan

    plan, asked = Plan.read(sweep), config.as_mapping()
    for number, trial in enumerate(plan.trials):
        for run in (trial.config, *(run for _, run in trial.before)):
            # To compare whole configurations of a thousand trials takes seconds.
            if run["seed"] == config.seed and RunConfig.of(run).as_mapping() == asked:
                return trial.uid, number, plan.objective
    raise ValueError(f"no trial of {sweep} has this configuration")


def _own(sweep: Path) -> Path:
    return sweep / "plugins" / __name__.rpartition(".")[2]


def _count(sweep: Path, what: str, times: int) -> bool:
    """Whether something has been done fewer times; if so, it counts as done once more."""
    folder = sweep / "done"  # Not among the plug-ins: those that change are no longer trusted.
    folder.mkdir(exist_ok=True)
    for turn in range(times):
        try:
            os.close(os.open(folder / f"{what}-{turn}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            continue
        return True
    return False


if __name__.rpartition(".")[0] == "":  # As a sweep's plug-in; tests swap `train` for a while only.
    gancore.training.train = train
