"""One generator against one discriminator: every loss, penalty and model of gancore."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.memory_format import convert_conv2d_weight_memory_format

from gancore import seeds
from gancore.config import RunConfig
from gancore.losses import Penalty, losses, penalties
from gancore.models import ImageShape, models
from gancore.systems.ema import Average
from gancore.systems.registry import systems
from gancore.systems.statistics import Means


@systems.register("adversarial")
class Adversarial:
    """Two players in turn (Goodfellow et al. 2014, arXiv:1406.2661, algorithm 1).

    Each step is one discriminator step on one batch; after `discriminator.steps` of them the
    generator makes its own on the fake pictures of the last. The discriminator's weights are
    frozen meanwhile, so no gradient is computed that nobody uses.
    """

    def __init__(self, config: RunConfig, shape: ImageShape, device: torch.device) -> None:
        self.config = config
        self.device = device
        self.loss = losses.build(config.loss.name, **config.loss.options)
        own = getattr(self.loss, "own_penalty", None)
        chosen = penalties.build(config.penalty.name, **config.penalty.options)
        self.penalties: list[Penalty] = [p for p in (own, chosen) if p is not None and p.active]
        family = models.build(config.model.name, **config.model.options)
        # Networks are made on the CPU, so that one seed gives one beginning on every device.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seeds.derive(config.seed, "networks"))
            generator = family.generator(config.latent, shape)
            discriminator = family.discriminator(shape)
        self.generator = _placed(generator, device)
        self.discriminator = _placed(discriminator, device)
        self.adam_generator = _adam(self.generator, config.generator)
        self.adam_discriminator = _adam(self.discriminator, config.discriminator)
        self.average: Average | None = None
        if config.ema_kimg:
            self.average = Average(self.generator, 1000 * config.ema_kimg, config.ema_rampup)
        self.steps = 0
        self.means = Means(device)
        self.begin_epoch(1, 0.0)

    def begin_epoch(self, epoch: int, progress: float) -> None:
        seed = self.config.seed
        self._latents = seeds.stream(seed, "latents", epoch, device=self.device)
        self._penalty_draws = seeds.stream(seed, "penalty", epoch, device=self.device)
        self.means.reset()
        factor = learning_rate_factor(self.config, progress)
        self.adam_generator.param_groups[0]["lr"] = factor * self.config.generator.lr
        self.adam_discriminator.param_groups[0]["lr"] = factor * self.config.discriminator.lr

    def step(self, real: Tensor) -> None:
        self.steps += 1
        generators_turn = self.steps % self.config.discriminator.steps == 0
        latents = torch.randn(
            len(real), self.config.latent, generator=self._latents, device=self.device
        )
        with self._autocast():
            with torch.set_grad_enabled(generators_turn):
                fake = self.generator(latents).float()
            self._discriminator_step(real, fake.detach())
            if generators_turn:
                self._generator_step(real, fake)
        if generators_turn and self.average is not None:
            shown = len(real) * self.config.discriminator.steps
            self.average.update(len(real) * self.steps, shown)

    def end_epoch(self) -> dict[str, float]:
        return self.means.read()

    def alive(self) -> bool:
        return self.means.finite()

    def evaluated(self) -> nn.Module:
        return self.average.network if self.average is not None else self.generator

    def state_dict(self) -> dict[str, Any]:
        return {
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "adam_generator": self.adam_generator.state_dict(),
            "adam_discriminator": self.adam_discriminator.state_dict(),
            "average": self.average.state_dict() if self.average else None,
            "steps": self.steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.generator.load_state_dict(state["generator"])
        self.discriminator.load_state_dict(state["discriminator"])
        self.adam_generator.load_state_dict(state["adam_generator"])
        self.adam_discriminator.load_state_dict(state["adam_discriminator"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.steps = state["steps"]

    def _discriminator_step(self, real: Tensor, fake: Tensor) -> None:
        real_logits, fake_logits = self._judge(real), self._judge(fake)
        loss = self.loss.discriminator(real_logits, fake_logits).mean()
        self.means.add(loss_discriminator=loss)
        for penalty in self.penalties:
            if (self.steps - 1) % penalty.interval == 0:
                extra = penalty(self.discriminator, real, fake, self._penalty_draws).mean()
                self.means.add(penalty=extra)
                loss = loss + extra
        self._descend(loss, self.adam_discriminator, "gradient_norm_discriminator")
        if clip := getattr(self.loss, "clip", None):
            with torch.no_grad():
                torch._foreach_clamp_min_(list(self.discriminator.parameters()), -clip)
                torch._foreach_clamp_max_(list(self.discriminator.parameters()), clip)
        self._note_logits(real_logits.detach(), fake_logits.detach())

    def _generator_step(self, real: Tensor, fake: Tensor) -> None:
        self.discriminator.requires_grad_(False)
        fake_logits = self._judge(fake)
        # Only a relativistic loss looks at the real side here; for others any logits will do.
        with torch.no_grad():
            relativistic = getattr(self.loss, "relativistic", False)
            real_logits = self._judge(real) if relativistic else fake_logits.detach()
        loss = self.loss.generator(real_logits, fake_logits).mean()
        self.means.add(loss_generator=loss)
        self._descend(loss, self.adam_generator, "gradient_norm_generator")
        self.discriminator.requires_grad_(True)

    def _judge(self, pictures: Tensor) -> Tensor:
        """Logits [N]; losses are computed in float32 whatever the networks' precision."""
        logits: Tensor = self.discriminator(pictures)
        return logits.float()

    def _descend(self, loss: Tensor, optimiser: torch.optim.Optimizer, norm: str) -> None:
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        gradients = [
            p.grad
            for group in optimiser.param_groups
            for p in group["params"]
            if p.grad is not None
        ]
        self.means.add(**{norm: torch.nn.utils.get_total_norm(gradients)})
        optimiser.step()

    def _note_logits(self, real: Tensor, fake: Tensor) -> None:
        if getattr(self.loss, "estimates_wasserstein", False):
            self.means.add(wasserstein_estimate=real.mean() - fake.mean())
            return
        boundary = getattr(self.loss, "boundary", 0.0)
        if getattr(self.loss, "relativistic", False):
            # Only differences of logits are trained, so their common level means nothing.
            boundary = (real.mean() + fake.mean()) / 2
        self.means.add(
            accuracy_real=(real > boundary).float().mean(),
            accuracy_fake=(fake < boundary).float().mean(),
        )

    def _autocast(self) -> torch.autocast:
        enabled = self.config.precision == "bfloat16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)


def learning_rate_factor(config: RunConfig, progress: float) -> float:
    """What both learning rates are multiplied by when a share `progress` of the run is done."""
    if config.lr_decay == "none" or progress <= config.lr_decay_start:
        return 1.0
    fallen = (progress - config.lr_decay_start) / (1 - config.lr_decay_start)
    return 1 - fallen if config.lr_decay == "linear" else (1 + math.cos(math.pi * fallen)) / 2


def _placed(network: nn.Module, device: torch.device) -> nn.Module:
    """A network on its device, convolutions in the memory format that is fast on all."""
    convert_conv2d_weight_memory_format(network, torch.channels_last)
    return network.to(device).train()


def _adam(network: nn.Module, player: Any) -> torch.optim.Adam:
    betas = (player.beta1, player.beta2)
    return torch.optim.Adam(network.parameters(), lr=player.lr, betas=betas, fused=True)
