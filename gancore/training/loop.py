"""The only training loop; it yields a report an epoch and lets its caller decide what to do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gancore import seeds
from gancore.catalogue import Catalogue
from gancore.config import ConfigError, RunConfig, contradictions
from gancore.data import Batches, cache_root, load, to_uint8, to_unit
from gancore.metrics import Evaluator
from gancore.models import ImageShape
from gancore.systems import systems
from gancore.training.checkpoint import Checkpoint
from gancore.training.grid import tile
from gancore.training.report import EpochReport
from gancore.training.verdicts import divergence

GRID_SAMPLES = 64
_CHUNK = 250
"""Pictures generated at once for a score: large enough to be fast, small enough for any GPU."""

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
        state: Of an earlier `Training.state_dict`, to go on from; the result is bit-equal on CPU
            to a run that was never interrupted.
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
    training = Training(config, _device(device), cache or cache_root(), evaluation)
    if state is not None:
        training.load_state_dict(state)
    return training


class Training(Iterator[EpochReport]):
    """A run in progress. It ends after its last epoch, or after the first that diverged."""

    def __init__(
        self, config: RunConfig, device: torch.device, cache: Path, evaluation: Path | None
    ) -> None:
        self.config = config
        self.device = device
        pictures = load(config.data, "train", cache)
        held_out = load(config.data, "test", cache)
        self.shape = ImageShape(pictures.images.shape[1], pictures.images.shape[2])
        self.batches = Batches(pictures, config.batch, device)
        self.evaluator = Evaluator.prepare(
            config, pictures, held_out, folder=evaluation or cache, device=device
        )
        self.system = systems.build(
            config.system.name, config, self.shape, device, **config.system.options
        )
        self.epoch = 0
        self.seen = 0
        self.diverged = False
        # The same for every run, so that grids of unlike trials show the same latents.
        draws = seeds.stream(0, "grid")
        self._grid_latents = torch.randn(GRID_SAMPLES, config.latent, generator=draws)

    def __next__(self) -> EpochReport:
        if self.diverged or self.epoch >= self.config.epochs:
            raise StopIteration
        self.epoch += 1
        began = time.perf_counter()
        shown = self._train_epoch()
        statistics = self.system.end_epoch()  # Waits for the device: the clock is honest.
        trained = time.perf_counter()
        evidence = divergence(statistics, {})
        names = self.evaluator.names
        scores = dict.fromkeys(names, float("nan")) if evidence else self.score()
        evidence = evidence or divergence({}, scores)
        self.diverged = bool(evidence)
        return EpochReport(
            epoch=self.epoch,
            kimg=self.seen / 1000,
            scores=scores,
            passport=self.evaluator.passport,
            statistics=statistics,
            seconds_training=trained - began,
            seconds_evaluation=time.perf_counter() - trained,
            pictures=shown,
            grid=self.grid(),
            verdict="diverged" if self.diverged else "healthy",
            evidence=evidence,
        )

    def grid(self) -> Tensor:
        """Samples of the same latents in every epoch of every run, uint8 [C, H, W]."""
        return tile(self.sample(self._grid_latents))

    @torch.inference_mode()
    def sample(self, latents: Tensor) -> Tensor:
        """Pictures from the generator that is evaluated.

        Args:
            latents: [N, latent].

        Returns:
            uint8 [N, C, H, W], on the run's device.
        """
        network = self.system.evaluated()
        was_training = network.training
        network.eval()
        parts = [to_uint8(network(part)) for part in latents.to(self.device).split(_CHUNK)]
        network.train(was_training)
        return torch.cat(parts)

    def score(self) -> dict[str, float]:
        """The scores of the generator as it is, by name; the same latents every time."""
        draws = seeds.stream(self.config.seed, "evaluation")

        def draw(count: int) -> Tensor:
            return self.sample(torch.randn(count, self.config.latent, generator=draws))

        return self.evaluator.score(draw)

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain numbers; together with the configuration, all of the run.

        There is no random state in it: every stream is derived from (seed, purpose, epoch).
        """
        return {
            "epoch": self.epoch,
            "seen": self.seen,
            "diverged": self.diverged,
            "system": self.system.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch, self.seen, self.diverged = state["epoch"], state["seen"], state["diverged"]
        self.system.load_state_dict(state["system"])

    def checkpoint(self) -> Checkpoint:
        """The state with what is needed to read it without this run."""
        return Checkpoint(self.epoch, self.state_dict(), self.config.as_mapping(), self.shape)

    def _train_epoch(self) -> int:
        shown = 0
        order = seeds.stream(self.config.seed, "order", self.epoch)
        self.system.begin_epoch(self.epoch, (self.epoch - 1) / self.config.epochs)
        for number, real in enumerate(self.batches.epoch(order), start=1):
            self.system.step(to_unit(real))
            shown += len(real)
            if number % _LOOK_EVERY == 0 and not self.system.alive():
                break
        self.seen += shown
        return shown


def _device(device: torch.device | str | None) -> torch.device:
    return torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
