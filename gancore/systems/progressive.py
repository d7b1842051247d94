"""Both players grow: from a few pixels to many, each new layer faded in."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from gancore import seeds
from gancore.config import RunConfig
from gancore.data.batches import Batches
from gancore.errors import Unfit
from gancore.growth import Growth, Phase
from gancore.metrics import Evaluator, Passport, Scored
from gancore.schema import Counts, Lengths, Positive, Resolution
from gancore.systems.adversarial import Adversarial
from gancore.systems.material import Material
from gancore.systems.registry import systems


@systems.register("progressive")
class Progressive(Adversarial):
    """ProGAN (Karras et al. 2018, arXiv:1710.10196): one run that grows from phase to phase.

    Real pictures are averaged down to the resolution of the phase and faded in step with the
    networks (section 2 and figure 2). The optimisers start afresh where a fade begins and where it
    ends, as in the authors' code. The loss is WGAN-GP with drift unless another is asked for
    (appendix A.1). Scores are those of pictures at the present resolution, and `stage` says which.

    Args:
        first: The resolution that the run begins with.
        fade_kimg: Thousands of pictures over which a new resolution is faded in.
        stable_kimg: Thousands of pictures for which each resolution goes on after that; the last
            one takes what is left of the run.
        lengths: Of both phases at single resolutions, such as `{8: 20, 16: 40}`.
        batches: Pictures a step at single resolutions; the others have `batch`.
    """

    plays: ClassVar[str] = "growing generator"
    also: ClassVar[tuple[str, ...]] = ("progan", "pggan")
    preset: ClassVar[dict[str, Any]] = {
        "loss": {"name": "wasserstein_gp", "drift": 0.001},
        "model": "progan",
        "generator": {"lr": 1e-3, "beta1": 0.0, "beta2": 0.99},
        "discriminator": {"lr": 1e-3, "beta1": 0.0, "beta2": 0.99},
        "latent": 512,
        "batch": 16,
        "ema_kimg": 10,
    }

    def __init__(
        self,
        config: RunConfig,
        material: Material,
        *,
        first: Resolution = 4,
        fade_kimg: Positive = 800.0,
        stable_kimg: Positive = 800.0,
        lengths: Lengths | None = None,
        batches: Counts | None = None,
    ) -> None:
        self.growth = Growth.of(
            first=first,
            last=material.shape.resolution,
            fade_kimg=fade_kimg,
            stable_kimg=stable_kimg,
            lengths=lengths,
            batch=config.batch,
            batches=batches,
        )
        super().__init__(config, material)
        self._grow()

    @property
    def phase(self) -> Phase:
        """Where the run is."""
        return self.growth.at(self.shown)

    @property
    def resolution(self) -> int:
        """Of the pictures that the networks make now."""
        network: Any = self.generator.network
        return int(network.resolution)

    @cached_property
    def batches(self) -> Batches:
        """The training split.

        Raises:
            Unfit: It has fewer pictures than one batch at some resolution, or so few that
                the run ends before the last resolution is faded in.
        """
        pictures = self.material.train
        if why := self.growth.unreached(self.config.epochs, len(pictures.images)):
            raise Unfit(why)
        return Batches(pictures, self.growth.largest_batch, self.device)

    def train(self, epoch: int, progress: float) -> Iterator[int]:
        self.begin_epoch(epoch, progress)
        random = seeds.stream(self.config.seed, "order", epoch)
        order = torch.randperm(len(self.material.train.images), generator=random)
        place = 0
        while place + self.phase.batch <= len(order):
            rows = order[place : place + self.phase.batch]
            place += len(rows)
            self._grow()
            batch = self.batches.take(rows)
            self.step(faded(batch.unit, self.resolution, self.phase.alpha(self.shown)))
            yield len(rows)
        self._grow()  # What is scored is as far as the pictures that have been shown.

    def looks_back(self) -> float:
        # New layers are random at first: an average over a run's beginning would keep them so
        # for as long as a fade lasts.
        return self.shown - self.phase.begins

    def end_epoch(self) -> dict[str, float]:
        resolution, alpha = float(self.resolution), self.phase.alpha(self.shown)
        return {**super().end_epoch(), "resolution": resolution, "alpha": alpha}

    def evaluator(self) -> Evaluator:
        return self.material.judge.evaluator(resolution=self.resolution)

    def passport(self) -> Passport:
        return self.material.judge.evaluator().passport

    def score(self) -> Scored:
        return replace(super().score(), stage=self.resolution)

    def stages(self) -> list[int]:
        return [math.ceil(phase.begins) for phase in self.growth]

    def skip_to(self, shown: int) -> None:
        self.shown = shown
        self._grow()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._grow(restart=False)

    def _grow(self, *, restart: bool = True) -> None:
        """Brings the networks to where the run is."""
        phase, generator = self.phase, next(self._networks())
        alpha = phase.alpha(self.shown)
        edge = (generator.resolution, generator.fading) != (phase.resolution, alpha < 1)
        if edge and self.shown and restart:
            self.generator.forget()
            self.discriminator.forget()
        for network in self._networks():
            network.grow(phase.resolution, alpha)

    def _networks(self) -> Iterator[Any]:
        yield self.generator.network
        yield self.discriminator.network
        if self.average is not None:
            yield self.average.network


def faded(real: Tensor, resolution: int, alpha: float) -> Tensor:
    """Real pictures as a network at a resolution should see them.

    [N, C, H, W] -> [N, C, resolution, resolution]: averaged down, and while the newest layers are
    faded in, mixed with themselves at half the resolution.
    """
    real = F.avg_pool2d(real, real.shape[2] // resolution)
    if alpha >= 1 or resolution < 2:
        return real
    coarse = F.interpolate(F.avg_pool2d(real, 2), scale_factor=2, mode="nearest")
    return coarse.lerp(real, alpha)
