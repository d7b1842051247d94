"""What systems share whose generator turns latents into pictures."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from gancore import seeds
from gancore.config import RunConfig
from gancore.data.batches import to_uint8
from gancore.metrics import Evaluator, Passport, Scored
from gancore.systems.grid import sheet
from gancore.systems.material import Material
from gancore.systems.registry import Product

GRID_SAMPLES = 64
GRID_POINTS = 2000
"""Samples in the grid where pictures are points in the plane."""

CHUNK = 250
"""Pictures generated at once: large enough to be fast, small enough for any GPU."""


class FromLatents(ABC):
    """Samples, grid, score and product of a generator: [N, latent] -> [N, C, H, W] in [-1, 1]."""

    config: RunConfig
    material: Material

    @abstractmethod
    def evaluated(self) -> nn.Module:
        """The generator that is scored."""

    def evaluator(self) -> Evaluator:
        """The protocol by which it is scored now."""
        return self.material.judge.evaluator()

    def passport(self) -> Passport:
        return self.material.judge.evaluator().passport

    def score(self) -> Scored:
        random = seeds.stream(self.config.seed, "evaluation")
        return self.evaluator().score(lambda count: self.sample(count, random))

    def sample(self, count: int, random: torch.Generator) -> Tensor:
        return self.pictures(torch.randn(count, self.config.latent, generator=random))

    @torch.inference_mode()
    def pictures(self, latents: Tensor) -> Tensor:
        """Latents [N, latent] as pictures, uint8 [N, C, H, W] on the run's device."""
        network = self.evaluated()
        was_training = network.training
        network.eval()
        parts = [to_uint8(network(part)) for part in latents.to(self.material.device).split(CHUNK)]
        network.train(was_training)
        return torch.cat(parts)

    def grid(self) -> Tensor:
        # The same for every run, so that grids of unlike trials show the same latents.
        count = GRID_POINTS if self.material.shape == (2, 1) else GRID_SAMPLES
        return sheet(self.sample(count, seeds.stream(0, "grid")))

    def product(self) -> Product:
        network = copy.deepcopy(self.evaluated()).eval().requires_grad_(False)
        latents = torch.zeros(2, self.config.latent)
        return Product(kind="generator", network=network, inputs={"latents": latents})
