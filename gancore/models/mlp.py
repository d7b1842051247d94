"""Fully connected players, for small pictures and first runs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

from torch import nn

from gancore.models.blocks import Discriminator, with_spectral_norm
from gancore.models.registry import ImageShape, models
from gancore.schema import Count


@models.register("mlp")
@dataclass(frozen=True, kw_only=True)
class MLP:
    """Multilayer perceptrons, as in the first GAN (Goodfellow et al. 2014, arXiv:1406.2661).

    With the generator's batch norm and both players' activations taken from DCGAN instead of
    the sigmoid, maxout and dropout of that time.

    Args:
        width: Of each hidden layer.
        depth: Hidden layers of each player.
        norm: Of the discriminator's hidden layers; `spectral` of all its layers.
    """

    smallest: ClassVar[int] = 1
    power_of_two: ClassVar[bool] = False

    width: Count = 256
    depth: Count = 2
    norm: Literal["none", "batch", "layer", "spectral"] = "none"

    def generator(self, latent: int, shape: ImageShape) -> nn.Module:
        """[N, latent] -> [N, C, H, W] in [-1, 1]."""
        picture = (shape.channels, shape.resolution, shape.resolution)
        layers: list[nn.Module] = []
        for before, after in pairwise([latent, *[self.width] * self.depth]):
            layers.append(nn.Linear(before, after, bias=False))  # Batch norm has one.
            layers += [nn.BatchNorm1d(after), nn.ReLU(inplace=True)]
        layers += [nn.Linear(self.width, math.prod(picture)), nn.Tanh(), nn.Unflatten(1, picture)]
        return nn.Sequential(*layers)

    def discriminator(self, shape: ImageShape) -> Discriminator:
        """[N, C, H, W] -> [N]."""
        pixels = shape.channels * shape.resolution**2
        layers: list[nn.Module] = [nn.Flatten()]
        for before, after in pairwise([pixels, *[self.width] * self.depth]):
            layers.append(nn.Linear(before, after, bias=self.norm != "batch"))
            if self.norm == "batch":
                layers.append(nn.BatchNorm1d(after))
            elif self.norm == "layer":
                layers.append(nn.LayerNorm(after))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
        network = Discriminator(nn.Sequential(*layers), self.width, self.norm)
        return with_spectral_norm(network, self.norm)
