"""Both players are told the class: one generator for every label."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gancore import seeds
from gancore.config import RunConfig, score_name
from gancore.data.batches import Batch, to_uint8
from gancore.metrics import FeatureSet, Scored
from gancore.metrics.frechet import frechet_distance
from gancore.metrics.moments import Reference
from gancore.models import (
    ClassifyingDiscriminator,
    ConcatDiscriminator,
    ConditionalGenerator,
    ImageShape,
    ProjectionDiscriminator,
    models,
)
from gancore.schema import NonNegative
from gancore.systems.adversarial import Adversarial
from gancore.systems.grid import tile
from gancore.systems.latent import CHUNK
from gancore.systems.material import Material
from gancore.systems.players import made
from gancore.systems.registry import Product, systems

GRID_EACH = 10
"""Pictures of each class in the grid."""

GRID_CLASSES = 20
"""Classes in the grid at most."""


@systems.register("conditional")
class Conditional(Adversarial):
    """CGAN (Mirza and Osindero 2014, arXiv:1411.1784).

    The generator's latents are joined by the class. What the discriminator makes of it is
    `conditioning`. Beside the score of all pictures a report has `label_accuracy`, the share of
    generated pictures that the feature network gives the class that was asked for (where it knows
    the classes), and `intra_fid`, the mean over classes of the FID within the class, which sees a
    generator that draws one picture per class (Miyato and Koyama 2018, arXiv:1802.05637).

    Args:
        conditioning: `concat` shows the class as further channels, as in the first CGANs;
            `projection` adds the projection of the features on the class (arXiv:1802.05637);
            `auxiliary` lets the discriminator tell classes instead (arXiv:1610.09585).
        class_weight: With `auxiliary`, the weight of the classes' cross-entropy.
    """

    labelled: ClassVar[bool] = True
    also: ClassVar[tuple[str, ...]] = ("cgan",)
    scores_classes: ClassVar[bool] = True

    def __init__(
        self,
        config: RunConfig,
        material: Material,
        *,
        conditioning: Literal["concat", "projection", "auxiliary"] = "projection",
        class_weight: NonNegative = 1.0,
    ) -> None:
        self.conditioning = conditioning
        self.class_weight = class_weight
        self.classes = material.classes
        super().__init__(config, material)

    def networks(self) -> list[nn.Module]:
        config, shape, classes = self.config, self.material.shape, self.classes
        family = models.build(config.model.name, **config.model.options)

        def generator() -> nn.Module:
            return ConditionalGenerator(family.generator(config.latent + classes, shape), classes)

        def discriminator() -> nn.Module:
            if self.conditioning == "concat":
                told = ImageShape(shape.channels + classes, shape.resolution)
                return ConcatDiscriminator(family.discriminator(told), classes)
            wrapper = {"projection": ProjectionDiscriminator, "auxiliary": ClassifyingDiscriminator}
            return wrapper[self.conditioning](family.discriminator(shape), classes)

        return made(config.seed, generator, discriminator)

    def conditions(self, batch: Batch, /) -> tuple[Tensor, ...]:
        assert batch.labels is not None
        return (batch.labels,)

    def discriminator_loss(self, real: Tensor, fake: Tensor, told: tuple[Tensor, ...]) -> Tensor:
        loss = super().discriminator_loss(real, fake, told)
        if self.conditioning != "auxiliary":
            return loss
        return loss + self._classes_loss(real, told) + self._classes_loss(fake, told)

    def generator_loss(self, real: Tensor, fake: Tensor, told: tuple[Tensor, ...]) -> Tensor:
        loss = super().generator_loss(real, fake, told)
        return loss + self._classes_loss(fake, told) if self.conditioning == "auxiliary" else loss

    def _classes_loss(self, pictures: Tensor, told: tuple[Tensor, ...]) -> Tensor:
        network: Any = self.discriminator.network
        _, classes = network.both(pictures)
        loss = self.class_weight * F.cross_entropy(classes.float(), told[0])
        self.means.add(loss_classes=loss)
        return loss

    def score(self) -> Scored:
        random = seeds.stream(self.config.seed, "evaluation")
        evaluator = self.evaluator()
        count = evaluator.passport.generated
        waiting = self.spread(count)

        def draw(size: int) -> Tensor:
            nonlocal waiting
            labels, waiting = waiting[:size], waiting[size:]
            return self.of_classes(labels, random)

        generated = evaluator.features(draw)
        scored = evaluator.scored(generated)
        told = self.spread(count)[: len(generated.rows)].to(generated.rows.device)
        own = {score_name("intra_fid", len(told)): self._intra(generated, told)}
        if generated.modes is not None and generated.mode_count == self.classes:
            own["label_accuracy"] = (generated.modes == told).float().mean().item()
        return replace(scored, scores={**scored.scores, **own})

    def _intra(self, generated: FeatureSet, told: Tensor) -> float:
        distances = [
            frechet_distance(real, FeatureSet.of(generated.rows[told == label]).moments)
            for label, real in enumerate(self._references)
        ]
        return sum(distances) / len(distances)

    @cached_property
    def _references(self) -> list[Reference]:
        """The real pictures of each class, as a distance asks for them."""
        material = self.material
        classes = (material.train.of_class(label) for label in range(self.classes))
        return [material.judge.real(own, material.shape.resolution).reference for own in classes]

    def spread(self, count: int) -> Tensor:
        """Labels that ask for every class equally often, int64 [count]."""
        return torch.arange(count) % self.classes

    def sample(self, count: int, random: torch.Generator) -> Tensor:
        return self.of_classes(self.spread(count), random)

    @torch.inference_mode()
    def of_classes(self, labels: Tensor, random: torch.Generator) -> Tensor:
        """A picture of each label, int64 [N] -> uint8 [N, C, H, W] on the run's device."""
        device, network = self.material.device, self.evaluated()
        was_training = network.training
        network.eval()
        parts = []
        for part in labels.split(CHUNK):
            latents = torch.randn(len(part), self.config.latent, generator=random)
            parts.append(to_uint8(network(latents.to(device), part.to(device))))
        network.train(was_training)
        return torch.cat(parts)

    def grid(self) -> Tensor:
        """A row of each class, with the same latents in every row."""
        rows = [
            self.of_classes(torch.full((GRID_EACH,), label), seeds.stream(0, "grid"))
            for label in range(min(self.classes, GRID_CLASSES))
        ]
        return tile(torch.cat(rows), columns=GRID_EACH)

    def product(self) -> Product:
        product = super().product()
        labels = torch.zeros(2, dtype=torch.int64)
        return replace(product, inputs={**product.inputs, "labels": labels})
