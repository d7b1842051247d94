"""Two translators between two domains, taught without a single pair of pictures."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from gancore import seeds
from gancore.config import RunConfig
from gancore.data.batches import Batch, Batches
from gancore.models import models
from gancore.schema import NonNegative, Positive, Whole
from gancore.systems.ema import averaged
from gancore.systems.history import History
from gancore.systems.material import Material
from gancore.systems.players import Player, autocast, game, learning_rate_factor, made
from gancore.systems.registry import systems
from gancore.systems.statistics import Means, told_apart
from gancore.systems.translation import DOMAINS, Translating

Pair = tuple[Tensor, Tensor]
"""Pictures of domain A and of domain B, or of what is to be taken for them: [N, C, H, W] each."""


@systems.register("cycle")
class Cycle(Translating):
    """CycleGAN (Zhu et al. 2017, arXiv:1703.10593): A to B and B to A without pairs.

    Each step first teaches both translators, by one optimiser: each plays the game of `loss`
    against the discriminator of the domain that it paints, what goes there and back should be
    what it was (equation 2), and a picture that is of that domain already should stay as it is
    (section 5.2). Then both discriminators learn, by an optimiser of their own, from real pictures
    and from translations of this step or an earlier one (section 4). Networks, weights and rates
    are the authors'; their random crops and flips are not made.

    A step shows a batch of either domain, and both count. An epoch is as long as the larger domain
    lasts; the smaller one goes round again, in another order.

    Scores (see `Translating`): the objective `fid500` is the mean of `fid_ab500` and `fid_ba500`;
    `cycle_error` is the mean absolute error of pictures that went there and back, in units of
    [-1, 1]. `fid_between` is the FID of the real domains: a translator that changes nothing is
    as far off as that. Where labels say what a picture shows, `content_kept` is the share in whose
    translation the feature network still finds it.

    Args:
        cycle_weight: Of the cycles' mean absolute error; lambda of equation 3.
        identity_weight: Of the error of what should stay as it is; the authors' is half of lambda.
        adversarial_weight: Of the translators' loss in the game; the discriminators' gets half as
            much (appendix 7.1). The authors' 1 is 2 here with `least_squares`, which has a half
            that they leave out.
        buffer: Earlier translations into each domain that its discriminator may be shown.
    """

    plays: ClassVar[str] = "translator"
    domains: ClassVar[bool] = True
    also: ClassVar[tuple[str, ...]] = ("cyclegan",)
    preset: ClassVar[dict[str, Any]] = {
        "data": "styles",
        "loss": "least_squares",
        "model": "cycle",
        "generator": {"lr": 2e-4, "beta1": 0.5},
        "discriminator": {"lr": 2e-4, "beta1": 0.5},
        "batch": 1,
        "lr_decay": "linear",
        "lr_decay_start": 0.5,
        "ema_kimg": 0,
        "evaluation": {"samples": 500},
    }

    def __init__(
        self,
        config: RunConfig,
        material: Material,
        *,
        cycle_weight: NonNegative = 10.0,
        identity_weight: NonNegative = 5.0,
        adversarial_weight: Positive = 2.0,
        buffer: Whole = 50,
    ) -> None:
        self.config = config
        self.material = material
        self.device = material.device
        self.cycle_weight = cycle_weight
        self.identity_weight = identity_weight
        self.adversarial_weight = adversarial_weight
        self.loss, self.penalties = game(config)
        translators, judges = self.networks()
        self.generator = Player(translators, config.generator, self.device)
        self.discriminator = Player(judges, config.discriminator, self.device)
        self.average = averaged(translators, config)
        self.histories = [History(buffer, self.device) for _ in DOMAINS]
        self.steps = 0
        self.shown = 0
        self.means = Means(self.device)

    def networks(self) -> tuple[nn.ModuleList, nn.ModuleList]:
        """Fresh translators and discriminators, each pair by the domain painted or judged."""
        config, shape = self.config, self.material.shape
        family = models.build(config.model.name, **config.model.options)

        def translator() -> nn.Module:
            return family.generator(config.latent, shape)

        def judge() -> nn.Module:
            return family.discriminator(shape)

        made_of = made(config.seed, translator, translator, judge, judge)
        return nn.ModuleList(made_of[:2]), nn.ModuleList(made_of[2:])

    @cached_property
    def batches(self) -> list[Batches]:
        return [Batches(pictures, self.config.batch, self.device) for pictures in self.real]

    def train(self, epoch: int, progress: float) -> Iterator[int]:
        self.begin_epoch(epoch, progress)
        a, b = (self._endless(which, epoch) for which in DOMAINS)
        for _ in range(max(map(len, self.batches))):
            reals = next(a).unit, next(b).unit
            self.step(reals)
            yield sum(map(len, reals))

    def _endless(self, which: int, epoch: int) -> Iterator[Batch]:
        """A domain's batches in an order of this epoch, and then in others."""
        for lap in itertools.count():
            order = seeds.stream(self.config.seed, "order", "AB"[which], epoch, lap)
            yield from self.batches[which].epoch(order)

    def begin_epoch(self, epoch: int, progress: float) -> None:
        """Sets the random streams and learning rates of an epoch."""
        seed = self.config.seed
        self._history_draws = seeds.stream(seed, "history", epoch)
        self._penalty_draws = seeds.stream(seed, "penalty", epoch, device=self.device)
        noise = seeds.stream(seed, "noise", epoch, device=self.device)
        factor = learning_rate_factor(self.config, progress)
        for player in (self.generator, self.discriminator):
            player.draw_from(noise)
            player.set_rate(factor)
        self.means.reset()

    def step(self, reals: Pair) -> None:
        """Learns from a batch of either domain, in [-1, 1]."""
        self.steps += 1
        self.shown += sum(map(len, reals))
        translators_turn = self.steps % self.config.discriminator.steps == 0
        with autocast(self.config, self.device):
            with torch.set_grad_enabled(translators_turn):
                fakes = self._translated(reals)
            if translators_turn:
                self._generator_step(reals, fakes)
            self._discriminator_step(reals, fakes)
        if translators_turn and self.average is not None:
            since = sum(map(len, reals)) * self.config.discriminator.steps
            self.average.update(self.shown, since)

    def end_epoch(self) -> dict[str, float]:
        return self.means.read()

    def alive(self) -> bool:
        return self.means.finite()

    def evaluated(self) -> nn.ModuleList:
        network = self.average.network if self.average is not None else self.generator.network
        assert isinstance(network, nn.ModuleList)
        return network

    def translate(self, pictures: Tensor, into: int) -> Tensor:
        """[N, C, H, W] of one domain in the other, in float32."""
        network: Any = self.generator.network
        translated: Tensor = network[into](pictures).float()
        return translated

    def judge(self, pictures: Tensor, which: int) -> Tensor:
        """Logits [N, H', W'] for patches; losses are computed in float32."""
        network: Any = self.discriminator.network
        logits: Tensor = network[which](pictures).float()
        return logits

    def _translated(self, pictures: Pair) -> Pair:
        a, b = pictures
        return self.translate(b, into=0), self.translate(a, into=1)

    def generator_loss(self, reals: Pair, fakes: Pair) -> Tensor:
        """What both translators minimise on one batch of either domain; a scalar."""
        backs = self._translated(fakes)
        loss = torch.zeros((), device=self.device)
        for which, real, fake, back in zip(DOMAINS, reals, fakes, backs, strict=True):
            game, cycle = self._game(which, real, fake), (back - real).abs().mean()
            self.means.add(loss_generator=game, loss_cycle=cycle)
            loss = loss + self.adversarial_weight * game + self.cycle_weight * cycle
            if self.identity_weight:
                identity = (self.translate(real, into=which) - real).abs().mean()
                self.means.add(loss_identity=identity)
                loss = loss + self.identity_weight * identity
        return loss

    def _game(self, which: int, real: Tensor, fake: Tensor) -> Tensor:
        fake_logits = self.judge(fake, which)
        # Only a relativistic loss looks at the real side here; for others any logits will do.
        with torch.no_grad():
            relativistic = getattr(self.loss, "relativistic", False)
            real_logits = self.judge(real, which) if relativistic else fake_logits.detach()
        return self.loss.generator(real_logits, fake_logits).mean()

    def discriminator_loss(self, reals: Pair, fakes: Pair) -> Tensor:
        """What both discriminators minimise, penalties included; a scalar."""
        loss = torch.zeros((), device=self.device)
        for which, real, fake in zip(DOMAINS, reals, fakes, strict=True):
            real_logits, fake_logits = self.judge(real, which), self.judge(fake, which)
            game = self.loss.discriminator(real_logits, fake_logits).mean()
            self.means.add(loss_discriminator=game)
            self.means.add(**told_apart(self.loss, real_logits.detach(), fake_logits.detach()))
            loss = loss + game + self._penalised(which, real, fake)
        return self.adversarial_weight / 2 * loss

    def _penalised(self, which: int, real: Tensor, fake: Tensor) -> Tensor:
        """The penalties of one discriminator, each on the mean logit of a picture's patches."""
        total = torch.zeros((), device=self.device)
        for penalty in self.penalties:
            if (self.steps - 1) % penalty.interval == 0:
                extra = penalty(
                    lambda pictures: self.judge(pictures, which).mean((1, 2)),
                    real,
                    fake,
                    self._penalty_draws,
                ).mean()
                self.means.add(penalty=extra)
                total = total + extra
        return total

    def _generator_step(self, reals: Pair, fakes: Pair) -> None:
        self.discriminator.network.requires_grad_(False)
        loss = self.generator_loss(reals, fakes)
        self.means.add(gradient_norm_generator=self.generator.descend(loss))
        self.discriminator.network.requires_grad_(True)

    def _discriminator_step(self, reals: Pair, fakes: Pair) -> None:
        a, b = (
            history.exchanged(fake.detach(), self._history_draws)
            for history, fake in zip(self.histories, fakes, strict=True)
        )
        loss = self.discriminator_loss(reals, (a, b))
        self.means.add(gradient_norm_discriminator=self.discriminator.descend(loss))
        if clip := getattr(self.loss, "clip", None):
            self.discriminator.clip(clip)

    def state_dict(self) -> dict[str, Any]:
        return {
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "average": self.average.state_dict() if self.average else None,
            "histories": [history.state_dict() for history in self.histories],
            "steps": self.steps,
            "shown": self.shown,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.generator.load_state_dict(state["generator"])
        self.discriminator.load_state_dict(state["discriminator"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        for history, kept in zip(self.histories, state["histories"], strict=True):
            history.load_state_dict(kept)
        self.steps, self.shown = state["steps"], state["shown"]
