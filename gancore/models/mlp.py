"""Fully connected players, for small pictures and first runs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

from torch import nn

from gancore.models.blocks import spectral_only
from gancore.models.registry import ImageShape, models
from gancore.schema import Count


@models.register("mlp")
@dataclass(frozen=True, kw_only=True)
class MLP:
    """Multilayer perceptrons, as in the first GAN (Goodfellow et al. 2014, arXiv:1406.2661).

    Args:
        width: Of each hidden layer.
        depth: Hidden layers of each player.
        norm: Of the discriminator.
    """

    smallest: ClassVar[int] = 1
    power_of_two: ClassVar[bool] = False

    width: Count = 256
    depth: Count = 2
    norm: Literal["none", "layer", "spectral"] = "none"

    def generator(self, latent: int, shape: ImageShape) -> nn.Module:
        """[N, latent] -> [N, C, H, W] in [-1, 1]."""
        layers: list[nn.Module] = []
        for before, after in pairwise([latent, *[self.width] * self.depth]):
            layers += [nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU(inplace=True)]
        layers += [nn.Linear(self.width, _pixels(shape)), nn.Tanh(), nn.Unflatten(1, _sizes(shape))]
        return nn.Sequential(*layers)

    def discriminator(self, shape: ImageShape) -> nn.Module:
        """[N, C, H, W] -> [N]."""
        layers: list[nn.Module] = [nn.Flatten()]
        for before, after in pairwise([_pixels(shape), *[self.width] * self.depth]):
            layers.append(spectral_only(nn.Linear(before, after), self.norm))
            if self.norm == "layer":
                layers.append(nn.LayerNorm(after))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
        return nn.Sequential(*layers, spectral_only(nn.Linear(self.width, 1), self.norm),
                             nn.Flatten(0))


def _sizes(shape: ImageShape) -> tuple[int, int, int]:
    return shape.channels, shape.resolution, shape.resolution


def _pixels(shape: ImageShape) -> int:
    return shape.channels * shape.resolution**2
