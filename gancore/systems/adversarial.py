"""One generator against one discriminator: every loss, penalty and model of gancore."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from gancore import seeds
from gancore.config import RunConfig
from gancore.data.batches import Batch, Batches
from gancore.models import models
from gancore.systems.ema import averaged
from gancore.systems.latent import FromLatents
from gancore.systems.material import Material
from gancore.systems.players import Player, autocast, game, learning_rate_factor, made
from gancore.systems.registry import systems
from gancore.systems.statistics import Means, told_apart


@systems.register("adversarial")
class Adversarial(FromLatents):
    """Two players in turn (Goodfellow et al. 2014, arXiv:1406.2661, algorithm 1).

    Each step is one discriminator step on one batch; after `discriminator.steps` of them the
    generator makes its own on the fake pictures of the last. The discriminator's weights are
    frozen meanwhile, so no gradient is computed that nobody uses.

    What both players are told beside latents and pictures (`conditions`) is nothing here; a
    system in which they are told something overrides `networks` and `conditions`.
    """

    def __init__(self, config: RunConfig, material: Material) -> None:
        self.config = config
        self.material = material
        self.device = material.device
        self.loss, self.penalties = game(config)
        generator, discriminator = self.networks()
        self.generator = Player(generator, config.generator, self.device)
        self.discriminator = Player(discriminator, config.discriminator, self.device)
        self.average = averaged(generator, config)
        self.steps = 0
        self.shown = 0
        self.means = Means(self.device)

    def networks(self) -> list[nn.Module]:
        """A fresh generator and discriminator."""
        config, shape = self.config, self.material.shape
        family = models.build(config.model.name, **config.model.options)
        return made(
            config.seed,
            lambda: family.generator(config.latent, shape),
            lambda: family.discriminator(shape),
        )

    def conditions(self, batch: Batch, /) -> tuple[Tensor, ...]:  # noqa: ARG002
        """What both players are told about a batch, beside latents and pictures."""
        return ()

    @cached_property
    def batches(self) -> Batches:
        return Batches(self.material.train, self.config.batch, self.device)

    def train(self, epoch: int, progress: float) -> Iterator[int]:
        self.begin_epoch(epoch, progress)
        for batch in self.batches.epoch(seeds.stream(self.config.seed, "order", epoch)):
            self.step(batch.unit, self.conditions(batch))
            yield len(batch.images)

    def begin_epoch(self, epoch: int, progress: float) -> None:
        """Sets the random streams and learning rates of an epoch."""
        seed = self.config.seed
        self._latents = seeds.stream(seed, "latents", epoch, device=self.device)
        self._penalty_draws = seeds.stream(seed, "penalty", epoch, device=self.device)
        noise = seeds.stream(seed, "noise", epoch, device=self.device)
        self.generator.draw_from(noise)
        self.discriminator.draw_from(noise)
        self.means.reset()
        factor = learning_rate_factor(self.config, progress)
        self.generator.set_rate(factor)
        self.discriminator.set_rate(factor)

    def step(self, real: Tensor, told: tuple[Tensor, ...] = ()) -> None:
        """Learns from one batch.

        Args:
            real: [N, C, H, W] in [-1, 1].
            told: What `conditions` says of it.
        """
        self.steps += 1
        self.shown += len(real)
        generators_turn = self.steps % self.config.discriminator.steps == 0
        latents = torch.randn(
            len(real), self.config.latent, generator=self._latents, device=self.device
        )
        with autocast(self.config, self.device):
            with torch.set_grad_enabled(generators_turn):
                fake = self.generate(latents, told)
            self._discriminator_step(real, fake.detach(), told)
            if generators_turn:
                self._generator_step(real, fake, told)
        if generators_turn and self.average is not None:
            since = len(real) * self.config.discriminator.steps
            self.average.update(self.looks_back(), since)

    def looks_back(self) -> float:
        """Pictures that the average of the generator's weights may rest on."""
        return self.shown

    def end_epoch(self) -> dict[str, float]:
        return self.means.read()

    def alive(self) -> bool:
        return self.means.finite()

    def evaluated(self) -> nn.Module:
        return self.average.network if self.average is not None else self.generator.network

    def state_dict(self) -> dict[str, Any]:
        return {
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "average": self.average.state_dict() if self.average else None,
            "steps": self.steps,
            "shown": self.shown,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.generator.load_state_dict(state["generator"])
        self.discriminator.load_state_dict(state["discriminator"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.steps, self.shown = state["steps"], state["shown"]

    def generate(self, latents: Tensor, told: tuple[Tensor, ...], /) -> Tensor:
        """Pictures [N, C, H, W] in float32."""
        return self.generator(latents, *told).float()

    def judge(self, pictures: Tensor, told: tuple[Tensor, ...], /) -> Tensor:
        """Logits [N]; losses are computed in float32 whatever the networks' precision."""
        return self.discriminator(pictures, *told).float()

    def discriminator_loss(self, real: Tensor, fake: Tensor, told: tuple[Tensor, ...]) -> Tensor:
        """What the discriminator minimises on one batch, penalties included; a scalar."""
        real_logits, fake_logits = self.judge(real, told), self.judge(fake, told)
        loss = self.loss.discriminator(real_logits, fake_logits).mean()
        self.means.add(loss_discriminator=loss)
        self.means.add(**told_apart(self.loss, real_logits.detach(), fake_logits.detach()))
        for penalty in self.penalties:
            if (self.steps - 1) % penalty.interval == 0:
                extra = penalty(
                    lambda pictures: self.judge(pictures, told), real, fake, self._penalty_draws
                ).mean()
                self.means.add(penalty=extra)
                loss = loss + extra
        return loss

    def generator_loss(self, real: Tensor, fake: Tensor, told: tuple[Tensor, ...]) -> Tensor:
        """What the generator minimises on one batch; a scalar."""
        fake_logits = self.judge(fake, told)
        # Only a relativistic loss looks at the real side here; for others any logits will do.
        with torch.no_grad():
            relativistic = getattr(self.loss, "relativistic", False)
            real_logits = self.judge(real, told) if relativistic else fake_logits.detach()
        loss = self.loss.generator(real_logits, fake_logits).mean()
        self.means.add(loss_generator=loss)
        return loss

    def _discriminator_step(self, real: Tensor, fake: Tensor, told: tuple[Tensor, ...]) -> None:
        loss = self.discriminator_loss(real, fake, told)
        self.means.add(gradient_norm_discriminator=self.discriminator.descend(loss))
        if clip := getattr(self.loss, "clip", None):
            self.discriminator.clip(clip)

    def _generator_step(self, real: Tensor, fake: Tensor, told: tuple[Tensor, ...]) -> None:
        self.discriminator.network.requires_grad_(False)
        loss = self.generator_loss(real, fake, told)
        self.means.add(gradient_norm_generator=self.generator.descend(loss))
        self.discriminator.network.requires_grad_(True)
