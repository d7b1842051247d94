"""The only training loop; it yields a report an epoch and lets its caller decide what to do."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from gancore.catalogue import Catalogue
from gancore.config import ConfigError, RunConfig, objective_name
from gancore.contradictions import contradictions
from gancore.determinism import repeatable
from gancore.metrics import Scored
from gancore.systems import Material, systems
from gancore.training.checkpoint import Checkpoint
from gancore.training.report import EpochReport
from gancore.verdicts import SIGNAL, Observation, Verdict, divergence, verdict

_LOOK_EVERY = 50
"""Steps between two looks for a NaN: a dead run ends within an epoch, a sound one rarely waits."""


def train(
    config: RunConfig,
    *,
    state: dict[str, Any] | None = None,
    device: torch.device | str | None = None,
    cache: Path | None = None,
    evaluation: Path | None = None,
) -> Training:
    """Trains a GAN; iterate over what it returns.

    ```python
    for report in train(RunConfig.of({"loss": "hinge", "epochs": 3})):
        print(report.epoch, report.scores)
    ```

    Args:
        config: The run.
        state: Of an earlier `Training.state_dict`, to go on from; the result is bit-equal to a run
            that was never interrupted, on CPU always, on CUDA where `config.deterministic` is set.
        device: None takes a GPU where there is one.
        cache: Folder for prepared data; None takes the user's cache folder.
        evaluation: Folder for the feature network and the real statistics; None takes `cache`.
            Runs whose scores are to be compared share it.

    Raises:
        ConfigError: The run contradicts itself.
        gancore.data.DataUnavailable: The pictures are not here and cannot be had.
        gancore.metrics.FeatureNetworkUnavailable: The same of the feature network's weights.
    """
    if problems := contradictions(config, Catalogue.read()):
        raise ConfigError(problems)
    with repeatable(config.deterministic):
        material = Material(config, _device(device), cache=cache, evaluation=evaluation)
        training = Training(config, material)
        if state is not None:
            training.load_state_dict(state)
    return training


class Training(Iterator[EpochReport]):
    """A run in progress. It ends after its last epoch, or after the first that diverged."""

    def __init__(self, config: RunConfig, material: Material) -> None:
        self.config = config
        self.material = material
        self.system = systems.build(config.system.name, config, material, **config.system.options)
        self.epoch = 0
        self.seen = 0
        self.diverged = False
        self.observations: list[Observation] = []
        catalogue = Catalogue.read()
        metric = catalogue["metrics"][config.evaluation.metric]
        self._objective = objective_name(config, catalogue)
        self._sign = -1.0 if metric.facts.get("goal") == "max" else 1.0

    @property
    def device(self) -> torch.device:
        return self.material.device

    def __next__(self) -> EpochReport:
        if self.diverged or self.epoch >= self.config.epochs:
            raise StopIteration
        with repeatable(self.config.deterministic):
            return self._next_epoch()

    def _next_epoch(self) -> EpochReport:
        self.epoch += 1
        began = time.perf_counter()
        shown = self._train_epoch()
        statistics = self.system.end_epoch()  # Waits for the device: the clock is honest.
        trained = time.perf_counter()
        scored = self._unscored() if divergence(statistics, {}) else self.system.score()
        found = self._verdict(statistics, scored)
        self.diverged = found.name == "diverged"
        signals = {f"{SIGNAL}/{name}": value for name, value in scored.signals.items()}
        return EpochReport(
            epoch=self.epoch,
            kimg=self.seen / 1000,
            scores=scored.scores,
            passport=scored.passport,
            stage=scored.stage,
            statistics={**statistics, **scored.statistics, **signals},
            seconds_training=trained - began,
            seconds_evaluation=time.perf_counter() - trained,
            pictures=shown,
            grid=self.system.grid(),
            verdict=found.name,
            evidence=found.evidence,
        )

    def _verdict(self, statistics: dict[str, float], scored: Scored) -> Verdict:
        if evidence := divergence(statistics, scored.scores):
            return Verdict("diverged", evidence)
        self.observations.append(
            Observation(
                objective=self._sign * scored.scores[self._objective],
                statistics=statistics,
                signals=scored.signals,
                stage=scored.stage,
            )
        )
        return verdict(self.observations, scored.signals_of_real)

    def _unscored(self) -> Scored:
        passport = self.system.passport()
        names = {self._objective, passport.metric}
        return Scored(scores=dict.fromkeys(names, math.nan), passport=passport)

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain numbers; together with the configuration, all of the run.

        There is no random state in it: every stream is derived from (seed, purpose, epoch).
        """
        return {
            "epoch": self.epoch,
            "seen": self.seen,
            "diverged": self.diverged,
            "observations": [observation.as_mapping() for observation in self.observations],
            "system": self.system.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch, self.seen, self.diverged = state["epoch"], state["seen"], state["diverged"]
        self.observations = [Observation(**kept) for kept in state["observations"]]
        self.system.load_state_dict(state["system"])

    def checkpoint(self) -> Checkpoint:
        """The state with what is needed to read it without this run."""
        state, config = self.state_dict(), self.config.as_mapping()
        return Checkpoint(self.epoch, state, config, self.material.shape)

    def _train_epoch(self) -> int:
        shown = 0
        steps = self.system.train(self.epoch, (self.epoch - 1) / self.config.epochs)
        for number, pictures in enumerate(steps, start=1):
            shown += pictures
            if number % _LOOK_EVERY == 0 and not self.system.alive():
                break
        self.seen += shown
        return shown


def _device(device: torch.device | str | None) -> torch.device:
    return torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
