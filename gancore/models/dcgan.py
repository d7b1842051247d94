"""DCGAN: strided convolutions and nothing else, at any power-of-two resolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import nn

from gancore.models.blocks import (
    EdgeConv2d,
    EdgeConvTranspose2d,
    FromLatent,
    ToLogit,
    initialise,
    normalised,
    spectral_only,
)
from gancore.models.registry import ImageShape, models
from gancore.schema import Count


@models.register("dcgan")
@dataclass(frozen=True, kw_only=True)
class DCGAN:
    """DCGAN (Radford et al. 2016, arXiv:1511.06434, figure 1 and section 3).

    Args:
        width: Channels beside the pictures; doubled with every halving of the resolution.
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
        layers: list[nn.Module] = [FromLatent(latent, widths[0]), nn.BatchNorm2d(widths[0])]
        layers.append(nn.ReLU(inplace=True))
        for before, after in zip(widths, widths[1:], strict=False):
            layers.append(nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False))
            layers += [nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
        layers.append(EdgeConvTranspose2d(widths[-1], shape.channels, 4, stride=2, padding=1))
        network = nn.Sequential(*layers, nn.Tanh())
        initialise(network, 0.02)
        return network

    def discriminator(self, shape: ImageShape) -> nn.Module:
        """[N, C, H, W] -> [N]."""
        widths = self._widths(shape)
        first = EdgeConv2d(shape.channels, widths[0], 4, stride=2, padding=1)
        layers: list[nn.Module] = [first, nn.LeakyReLU(0.2, inplace=True)]
        for before, after in zip(widths, widths[1:], strict=False):
            layers.append(nn.Conv2d(before, after, 4, stride=2, padding=1))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
        layers.append(ToLogit(widths[-1]))
        initialise(nn.Sequential(*layers), 0.02)
        layers[0], layers[-1] = (spectral_only(layers[i], self.norm) for i in (0, -1))
        for number, width in enumerate(widths[1:], start=1):
            layers[2 * number] = normalised(layers[2 * number], self.norm, width)
        return nn.Sequential(*layers)

    def _widths(self, shape: ImageShape) -> list[int]:
        """Channels at half the resolution, a quarter, ... down to 4x4."""
        halvings = shape.resolution.bit_length() - 3
        return [min(self.max_width, self.width * 2**n) for n in range(halvings)]
