"""SNDCGAN: the convolutional players of the paper on spectral normalisation."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

from torch import nn

from gancore.models.blocks import (
    Discriminator,
    EdgeConv2d,
    Flat,
    map_norm,
    normal_weights,
    with_spectral_norm,
)
from gancore.models.registry import ImageShape, models
from gancore.schema import Count


@models.register("sndcgan")
@dataclass(frozen=True, kw_only=True)
class SNDCGAN:
    """SNDCGAN (Miyato et al. 2018, arXiv:1802.05957, table 3).

    A discriminator of seven convolutions with leaky rectifiers of slope 0.1, of which every second
    one halves the resolution, and a generator of three transposed convolutions. As in the code of
    Kurach et al. 2019 (arXiv:1807.04720; compare_gan, branch v2, `dcgan_architecture.py`): weights
    from N(0, 0.02), and batch norm with epsilon 2e-5 and a rectifier after the generator's dense
    layer too, which the table does not have.

    Args:
        width: Channels of the layers beside the pictures; doubled with every halving of the
            resolution.
        norm: Of the discriminator: `spectral` of all its layers, which is the paper's; `batch` and
            `layer` of all but the first and last.
    """

    smallest: ClassVar[int] = 8
    power_of_two: ClassVar[bool] = False
    multiple: ClassVar[int] = 8

    width: Count = 64
    norm: Literal["none", "batch", "layer", "spectral"] = "spectral"

    def generator(self, latent: int, shape: ImageShape) -> nn.Module:
        """[N, latent] -> [N, C, H, W] in [-1, 1]."""
        eighth = shape.resolution // 8
        widths = [8 * self.width, 4 * self.width, 2 * self.width, self.width]
        units = widths[0] * eighth**2
        layers: list[nn.Module] = [
            # No bias where batch norm subtracts it again.
            nn.Linear(latent, units, bias=False),
            nn.BatchNorm1d(units, eps=2e-5),
            nn.ReLU(inplace=True),
            nn.Unflatten(1, (widths[0], eighth, eighth)),
        ]
        for before, after in pairwise(widths):
            layers += [
                nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after, eps=2e-5),
                nn.ReLU(inplace=True),
            ]
        layers += [nn.Conv2d(self.width, shape.channels, 3, padding=1), nn.Tanh()]
        return normal_weights(nn.Sequential(*layers))

    def discriminator(self, shape: ImageShape) -> Discriminator:
        """[N, C, H, W] -> [N]."""
        widths = [self.width * 2**n for n in range(4)]
        # Not in place: the edge layer's output is a view, and writing to one costs a copy.
        layers: list[nn.Module] = [
            EdgeConv2d(shape.channels, widths[0], 3, padding=1),
            nn.LeakyReLU(0.1),
        ]
        for before, after in pairwise(widths):
            layers += self._convolved(before, after, kernel=4, stride=2)
            layers += self._convolved(after, after, kernel=3, stride=1)
        body = nn.Sequential(*layers, Flat())
        network = Discriminator(body, widths[-1] * (shape.resolution // 8) ** 2, self.norm)
        return with_spectral_norm(normal_weights(network), self.norm)

    def _convolved(self, before: int, after: int, *, kernel: int, stride: int) -> list[nn.Module]:
        bias = self.norm != "batch"
        return [
            nn.Conv2d(before, after, kernel, stride=stride, padding=1, bias=bias),
            map_norm(self.norm, after),
            nn.LeakyReLU(0.1, inplace=True),
        ]
