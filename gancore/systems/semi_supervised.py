"""A discriminator that learns classes from few labels and from what the generator draws."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gancore import seeds
from gancore.config import RunConfig
from gancore.data import DataUnavailable, Pictures
from gancore.data.batches import Batch, Batches, to_unit
from gancore.metrics import Scored
from gancore.models import Discriminator, models
from gancore.models.blocks import fit_to_data
from gancore.schema import Count, NonNegative, Whole
from gancore.systems.adversarial import Adversarial
from gancore.systems.ema import averaged
from gancore.systems.latent import CHUNK
from gancore.systems.material import Material
from gancore.systems.players import Player, autocast, learning_rate_factor, made
from gancore.systems.registry import Product, systems

FITTED = 500
"""Pictures by which the scale of layers that ask for it is set, as in the authors' code."""


class Classes(nn.Module):
    """A discriminator with a logit for each of K classes; "generated" is the class with logit 0.

    So D(x) = Z / (Z + 1) with Z = sum_k exp(l_k): the logit of "real" is log Z (Salimans et al.
    2016, arXiv:1606.03498, section 5).

    [N, C, H, W] -> [N], the logit of "real"
    """

    def __init__(self, network: Discriminator, classes: int) -> None:
        super().__init__()
        self.body = network.body
        self.head = network.new_head(classes)

    def features(self, pictures: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, width]."""
        features: Tensor = self.body(pictures)
        return features

    def classes(self, pictures: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, K]."""
        logits: Tensor = self.head(self.features(pictures))
        return logits.float()

    def forward(self, pictures: Tensor) -> Tensor:
        return self.classes(pictures).logsumexp(1)


@systems.register("semi_supervised")
class SemiSupervised(Adversarial):
    """SGAN (Salimans et al. 2016, arXiv:1606.03498, section 5): K classes, and "generated".

    The discriminator sees pictures with labels, pictures without, and generated ones. Beside it the
    same network learns from the same labels alone, step by step, so that every report has what the
    unlabelled pictures are worth: `test_accuracy` and `supervised_accuracy`, of the whole test
    split. The objective is `test_error`; what is exported is the classifier.

    The labelled pictures are a subset of the training split with equally many of each class, drawn
    by the run's seed.

    Args:
        labels: Pictures with a label, over all classes.
        labelled_batch: Of them in a step.
        matching: What the generator is after: `features` brings the mean of the discriminator's
            features to that of real pictures (section 3.1), `loss` plays the game of `loss`.
        adversarial_weight: Of the game's loss beside the classes' cross-entropy; the authors' 0.5.
        consistency: Weight of the squared distance between the class probabilities of an unlabelled
            picture and those that the averaged network gives it (mean teacher, Tarvainen and
            Valpola 2017, arXiv:1703.01780; with a GAN Wei et al. 2018, arXiv:1803.01541).
        shift: Pixels by which labelled pictures are moved at random, each way at most; with
            `consistency` unlabelled ones too.
    """

    labelled: ClassVar[bool] = True
    also: ClassVar[tuple[str, ...]] = ("sgan",)
    balanced: ClassVar[str] = "labels"
    averaging: ClassVar[str] = "consistency"
    preset: ClassVar[dict[str, Any]] = {
        "loss": "nonsaturating",
        "model": "noisy_mlp",
        "generator": {"lr": 3e-3, "beta1": 0.5},
        "discriminator": {"lr": 3e-3, "beta1": 0.5},
        "latent": 100,
        "batch": 100,
        "lr_decay": "linear",
    }

    def __init__(  # noqa: PLR0913 (options, each by its name)
        self,
        config: RunConfig,
        material: Material,
        *,
        labels: Count = 100,
        labelled_batch: Count = 50,
        matching: Literal["features", "loss"] = "features",
        adversarial_weight: NonNegative = 0.5,
        consistency: NonNegative = 0.0,
        shift: Whole = 0,
    ) -> None:
        self.labels = labels
        self.labelled_batch = labelled_batch
        self.matching = matching
        self.adversarial_weight = adversarial_weight
        self.consistency = consistency
        self.shift = shift
        self.classes = material.classes
        super().__init__(config, material)
        # Two networks of one beginning: what they differ in at the end, the data have taught them.
        self.supervised = Player(self._classifier(), config.discriminator, self.device)
        networks = (self.discriminator.network, self.supervised.network)
        averages = [averaged(network, config) for network in networks]
        self.averages = [average for average in averages if average is not None]

    def networks(self) -> list[nn.Module]:
        config, shape = self.config, self.material.shape
        family = models.build(config.model.name, **config.model.options)
        (generator,) = made(config.seed, lambda: family.generator(config.latent, shape))
        return [generator, self._classifier()]

    def _classifier(self) -> nn.Module:
        config, shape = self.config, self.material.shape
        family = models.build(config.model.name, **config.model.options)
        (network,) = made(config.seed, lambda: Classes(family.discriminator(shape), self.classes))
        return network

    def train(self, epoch: int, progress: float) -> Iterator[int]:
        if not self.steps:
            self._fit_to_data()
        yield from super().train(epoch, progress)

    def _fit_to_data(self) -> None:
        """Scales layers that ask for it by real pictures, the twin's by labelled ones alone."""
        seed = self.config.seed
        order = seeds.stream(seed, "first order")
        rows = torch.randperm(len(self.material.train.images), generator=order)[:FITTED]
        order = seeds.stream(seed, "first labelled order")
        # Few labelled pictures are shown again and again, each time with other noise.
        again = torch.arange(FITTED) % self.labels
        labelled = torch.randperm(self.labels, generator=order)[again]
        for player, shown, whose in (
            (self.discriminator, self.batches.take(rows), "first pictures"),
            (self.supervised, self._labelled.take(labelled), "first labelled pictures"),
        ):
            player.draw_from(seeds.stream(seed, whose, device=self.device))
            fit_to_data(player.network, shown.unit)
        learners = (self.discriminator, self.supervised)[: len(self.averages)]
        for average, player in zip(self.averages, learners, strict=True):
            average.network.load_state_dict(player.network.state_dict())

    def begin_epoch(self, epoch: int, progress: float) -> None:
        super().begin_epoch(epoch, progress)
        seed = self.config.seed
        self._order = seeds.stream(seed, "labelled order", epoch)
        self._waiting: list[Tensor] = []
        self.supervised.draw_from(seeds.stream(seed, "twin", epoch, device=self.device))
        self._shifts = seeds.stream(seed, "shifts", epoch)
        self.supervised.set_rate(learning_rate_factor(self.config, progress))

    def conditions(self, _batch: Batch, /) -> tuple[Tensor, ...]:
        """A batch of labelled pictures goes with every batch of unlabelled ones."""
        if not self._waiting:
            rows = torch.randperm(self.labels, generator=self._order)
            self._waiting = list(rows.split(self.labelled_batch))
        labelled = self._labelled.take(self._waiting.pop())
        assert labelled.labels is not None
        return self._moved(labelled.unit), labelled.labels

    def generate(self, latents: Tensor, _told: tuple[Tensor, ...], /) -> Tensor:
        return self.generator(latents).float()

    def judge(self, pictures: Tensor, _told: tuple[Tensor, ...], /) -> Tensor:
        return self.discriminator(pictures)

    def discriminator_loss(self, real: Tensor, fake: Tensor, told: tuple[Tensor, ...]) -> Tensor:
        game = super().discriminator_loss(real, fake, told)
        loss = self.adversarial_weight * game + self._classes_loss(self.discriminator, told, "")
        if not self.consistency:
            return loss
        gap = self._inconsistency(real)
        self.means.add(inconsistency=gap)
        return loss + self.consistency * gap

    def _inconsistency(self, real: Tensor) -> Tensor:
        network: Any = self.discriminator.network
        teacher: Any = self.averages[0].network
        with torch.no_grad():
            wanted = teacher.classes(self._moved(real)).softmax(1)
        told = network.classes(self._moved(real)).softmax(1)
        return (told - wanted).square().sum(1).mean()

    def _moved(self, pictures: Tensor) -> Tensor:
        """Each picture moved by up to `shift` pixels each way; its edge goes on outwards."""
        if not self.shift:
            return pictures
        count, _, height, width = pictures.shape
        moves = torch.randint(0, 2 * self.shift + 1, (2, count), generator=self._shifts)
        down, right = moves.to(pictures.device)
        wide = F.pad(pictures, (self.shift,) * 4, mode="replicate")
        rows = down[:, None] + torch.arange(height, device=pictures.device)
        columns = right[:, None] + torch.arange(width, device=pictures.device)
        which = torch.arange(count, device=pictures.device)[:, None, None]
        picked = wide.permute(0, 2, 3, 1)[which, rows[:, :, None], columns[:, None, :]]
        return picked.permute(0, 3, 1, 2)

    def generator_loss(self, real: Tensor, fake: Tensor, told: tuple[Tensor, ...]) -> Tensor:
        if self.matching == "loss":
            return super().generator_loss(real, fake, told)
        network: Any = self.discriminator.network
        with torch.no_grad():
            wanted = network.features(real).float().mean(0)
        loss = (network.features(fake).float().mean(0) - wanted).square().mean()
        self.means.add(loss_generator=loss)
        return loss

    def step(self, real: Tensor, told: tuple[Tensor, ...] = ()) -> None:
        super().step(real, told)
        with autocast(self.config, self.device):
            loss = self._classes_loss(self.supervised, told, "_supervised")
        self.supervised.descend(loss)
        for average in self.averages:
            average.update(self.shown, len(real))

    def _classes_loss(self, player: Player, told: tuple[Tensor, ...], whose: str) -> Tensor:
        network: Any = player.network
        loss = F.cross_entropy(network.classes(told[0]), told[1])
        self.means.add(**{f"loss_classes{whose}": loss})
        return loss

    @cached_property
    def _labelled(self) -> Batches:
        subset = balanced(self.material.train, self.labels, self.classes, self.config.seed)
        return Batches(subset, 1, self.device)

    def classifiers(self) -> list[nn.Module]:
        """What is tested: the discriminator and its supervised twin, averaged where they are."""
        if self.averages:
            return [average.network for average in self.averages]
        return [self.discriminator.network, self.supervised.network]

    def score(self) -> Scored:
        scored = super().score()
        accuracy, alone = (self._accuracy(network) for network in self.classifiers())
        return replace(
            scored,
            scores={**scored.scores, "test_error": 1 - accuracy},
            statistics={
                **scored.statistics,
                "test_accuracy": accuracy,
                "supervised_accuracy": alone,
            },
            # The classifier is the product: a generator that serves it may draw poorly (Dai et al.
            # 2017, arXiv:1705.09783), so its pictures tell nothing of the run's health.
            signals={},
            signals_of_real={},
        )

    @torch.inference_mode()
    def _accuracy(self, network: Any) -> float:
        test, right = self.material.test, 0
        assert test.labels is not None
        was_training = network.training
        network.eval()
        for first in range(0, len(test.images), 4 * CHUNK):
            rows = slice(first, first + 4 * CHUNK)
            images = torch.from_numpy(np.array(test.images[rows])).to(self.device)
            told = network.classes(to_unit(images)).argmax(1).cpu()
            right += int((told == torch.from_numpy(test.labels[rows])).sum())
        network.train(was_training)
        return right / len(test.images)

    def product(self) -> Product:
        network = _Classifier(copy.deepcopy(self.classifiers()[0]))
        pictures = torch.zeros(2, self.material.shape.channels, *(2 * self.material.shape[1:]))
        return Product(kind="classifier", network=network, inputs={"pictures": pictures})

    def state_dict(self) -> dict[str, Any]:
        averages = [average.state_dict() for average in self.averages]
        own = {"supervised": self.supervised.state_dict(), "averages": averages}
        return {**super().state_dict(), **own}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.supervised.load_state_dict(state["supervised"])
        for average, kept in zip(self.averages, state["averages"], strict=True):
            average.load_state_dict(kept)


class _Classifier(nn.Module):
    """[N, C, H, W] in [-1, 1] -> class logits [N, K]."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)

    def forward(self, pictures: Tensor) -> Tensor:
        logits: Tensor = self.network.classes(pictures)
        return logits


def balanced(pictures: Pictures, count: int, classes: int, seed: int) -> Pictures:
    """A subset of labelled pictures with equally many of each class, drawn by a seed.

    Raises:
        DataUnavailable: `count` is no multiple of the classes, or a class has too few pictures.
    """
    assert pictures.labels is not None
    each, left = divmod(count, classes)
    if left or not each:
        raise DataUnavailable(f"system.labels: {count} is not a multiple of {classes} classes")
    rows = []
    for label in range(classes):
        own = np.flatnonzero(pictures.labels == label)
        if len(own) < each:
            raise DataUnavailable(f"system.labels: class {label} has {len(own)}, not {each}")
        order = torch.randperm(len(own), generator=seeds.stream(seed, "labels", label))
        rows.append(own[order[:each].numpy()])
    return pictures.chosen(np.concatenate(rows), f"{count} labels of seed {seed}")
