"""DCGAN: strided convolutions and nothing else, at any power-of-two resolution."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

from torch import nn

from gancore.models.blocks import (
    Discriminator,
    EdgeConv2d,
    EdgeConvTranspose2d,
    Flat,
    FromLatent,
    map_norm,
    normal_weights,
    with_spectral_norm,
)
from gancore.models.registry import ImageShape, models
from gancore.schema import Count


@models.register("dcgan")
@dataclass(frozen=True, kw_only=True)
class DCGAN:
    """DCGAN (Radford et al. 2016, arXiv:1511.06434, figure 1 and section 3).

    The paper's architecture for 64 pixels, longer or shorter by as many layers as the resolution
    asks for. As there, the discriminator's first and last layer have no batch norm.

    Args:
        width: Channels of the layers beside the pictures; doubled with every halving of the
            resolution.
        max_width: Channels at most.
        norm: Of the discriminator. The paper's is `batch`; `none` is sound with every loss and
            penalty, which is why a comparison starts from it.
    """

    smallest: ClassVar[int] = 8
    power_of_two: ClassVar[bool] = True

    width: Count = 64
    max_width: Count = 512
    norm: Literal["none", "batch", "layer", "spectral"] = "none"

    def generator(self, latent: int, shape: ImageShape) -> nn.Module:
        """[N, latent] -> [N, C, H, W] in [-1, 1]."""
        widths = self._widths(shape)[::-1]
        layers: list[nn.Module] = [FromLatent(latent, widths[0])]
        for before, after in pairwise(widths):
            layers += [nn.BatchNorm2d(before), nn.ReLU(inplace=True)]
            # No bias where batch norm subtracts it again.
            layers.append(nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False))
        layers += [nn.BatchNorm2d(widths[-1]), nn.ReLU(inplace=True)]
        layers.append(EdgeConvTranspose2d(widths[-1], shape.channels, 4, stride=2, padding=1))
        return normal_weights(nn.Sequential(*layers, nn.Tanh()))

    def discriminator(self, shape: ImageShape) -> Discriminator:
        """[N, C, H, W] -> [N]."""
        widths = self._widths(shape)
        first = EdgeConv2d(shape.channels, widths[0], 4, stride=2, padding=1)
        # Not in place: the edge layer's output is a view, and writing to one costs a copy.
        layers: list[nn.Module] = [first, nn.LeakyReLU(0.2)]
        for before, after in pairwise(widths):
            bias = self.norm != "batch"
            layers.append(nn.Conv2d(before, after, 4, stride=2, padding=1, bias=bias))
            layers += [map_norm(self.norm, after), nn.LeakyReLU(0.2, inplace=True)]
        body = nn.Sequential(*layers, Flat())
        network = normal_weights(Discriminator(body, 16 * widths[-1], self.norm))
        return with_spectral_norm(network, self.norm)

    def _widths(self, shape: ImageShape) -> list[int]:
        """Channels at half the resolution, a quarter, ... down to 4x4."""
        halvings = shape.resolution.bit_length() - 3
        return [min(self.max_width, self.width * 2**n) for n in range(halvings)]
