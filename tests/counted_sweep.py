"""A sweep whose trials count instead of training: all else is the product's own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from gancore.config import RunConfig
from gancore.metrics import Passport
from gancore.models import ImageShape
from gancore.training.checkpoint import Checkpoint
from gancore.training.report import EpochReport
from sweeps import SweepSpec, make_plan
from sweeps.plan import Plan
from sweeps.results import Results, TrialResult
from sweeps.trial import Progress, run_trial

EPOCHS = 4
FIRST, SECOND = "000-hinge", "001-hinge"
SWEEP: dict[str, Any] = {
    "name": "counted",
    "base": {"data": "digits", "model": "mlp", "epochs": EPOCHS, "latent": 16},
    "scientific": {"loss.name": ["hinge"]},
    "nuisance": {"generator.lr": {"log_uniform": [1e-5, 1e-4]}},
    "search": {"trials_each": 2},
    "objective": {"samples": 64},
}


class Counting(Iterator[EpochReport]):
    """A run whose score follows from its epochs, its learning rate, and `shift`."""

    shift = 0.0
    diverges_at = 0

    def __init__(self, config: RunConfig, state: dict[str, Any] | None) -> None:
        self.config = config
        self.device = "cpu"
        self.system = self
        self.epoch = int(state["epoch"]) if state else 0

    def passport(self) -> Passport:
        return Passport(
            metric="fid64",
            features="classifier",
            features_digest="counted",
            accuracy=None,
            real=10,
            generated=64,
            data_name="digits",
            data="counted",
            split="train",
            resolution=8,
            shown_at=8,
            channels=1,
            weights="ema",
        )

    def grid(self) -> torch.Tensor:
        return torch.zeros(1, 8, 8, dtype=torch.uint8)

    def __next__(self) -> EpochReport:
        if self.epoch >= self.config.epochs:
            raise StopIteration
        self.epoch += 1
        ill = self.epoch == self.diverges_at
        score = 10 / self.epoch + 1000 * self.config.generator.lr + self.shift
        return EpochReport(
            epoch=self.epoch,
            kimg=float(self.epoch),
            scores={"fid64": math.nan if ill else score},
            passport=self.passport(),
            statistics={},
            seconds_training=0.1,
            seconds_evaluation=0.1,
            pictures=10,
            grid=self.grid(),
            verdict="diverged" if ill else "healthy",
            evidence="as told" if ill else "",
        )

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "weights": torch.arange(8.0)}

    def checkpoint(self) -> Checkpoint:
        plain = self.config.as_mapping()
        return Checkpoint(self.epoch, self.state_dict(), plain, ImageShape(1, 8))


def counted_sweep(tmp_path: Path, **changes: Any) -> Path:
    """The folder of such a sweep, before anything has run."""
    place = tmp_path / "counted"
    place.mkdir(parents=True)
    make_plan(SweepSpec.of({**SWEEP, **changes})).write(place)
    return place


def attempt(place: Path, uid: str = FIRST) -> Iterator[Progress]:
    """One attempt at a trial."""
    # Attempts take turns: what is swapped for one must be back before another's turn.
    reports = run_trial(place, Plan.read(place), uid, device="cpu")

    def count(config: RunConfig, state: Any = None, **_: Any) -> Counting:
        return Counting(config, state)

    with closing(reports):
        while True:
            with patch("gancore.training.train", count):
                said = next(reports, None)
            if said is None:
                return
            yield said


def ran(place: Path, uid: str = FIRST) -> TrialResult:
    """What the journal says of a trial after an attempt at it."""
    for _ in attempt(place, uid):
        pass
    return result_of(place, uid)


def result_of(place: Path, uid: str = FIRST) -> TrialResult:
    return Results.read(place).trials[uid]


def curve(result: TrialResult) -> list[tuple[int, float]]:
    return [(point.epoch, point.values["fid64"]) for point in result.points]
