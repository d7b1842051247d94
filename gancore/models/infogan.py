"""InfoGAN's players: two convolutions and a wide hidden layer, as large studies used them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import nn

from gancore.models.blocks import (
    Discriminator,
    EdgeConv2d,
    EdgeConvTranspose2d,
    Flat,
    map_norm,
    with_spectral_norm,
)
from gancore.models.registry import ImageShape, models
from gancore.schema import Count, Share


@models.register("infogan")
@dataclass(frozen=True, kw_only=True)
class InfoGAN:
    """The networks of "Are GANs Created Equal?" (Lucic et al. 2018, arXiv:1711.10337).

    Those of InfoGAN for MNIST (Chen et al. 2016, arXiv:1606.03657, appendix) without its codes:
    two fully connected and two transposed convolutional layers against the mirror image. As in the
    study's code (compare_gan, branch v1, `abstract_gan.py`): weights from N(0, 0.02), those of the
    discriminator's convolutions cut off at two deviations; batch norm with epsilon 0.001. Two
    things differ from there: the sigmoid at the generator's end is tanh here, since pictures lie in
    [-1, 1], and the running moments of batch norm have a decay of 0.9 instead of 0.999, since a
    score comes after every epoch here, not after five.

    Args:
        width: Channels of the layers beside the pictures; the next have twice as many.
        hidden: Units of the fully connected layer.
        leak: Slope below 0 of the generator's rectifiers; 0.2 in the study, 0 in InfoGAN.
        norm: Of the discriminator: `spectral` of all its layers, the others of all but the first
            and last. InfoGAN's is `batch`; the study tried that and `none`, which is sound with
            every loss and penalty.
    """

    smallest: ClassVar[int] = 8
    power_of_two: ClassVar[bool] = False
    multiple: ClassVar[int] = 4

    width: Count = 64
    hidden: Count = 1024
    leak: Share = 0.2
    norm: Literal["none", "batch", "layer", "spectral"] = "none"

    def generator(self, latent: int, shape: ImageShape) -> nn.Module:
        """[N, latent] -> [N, C, H, W] in [-1, 1]."""
        deep, quarter = 2 * self.width, shape.resolution // 4
        units = deep * quarter**2
        network = nn.Sequential(
            # No bias where batch norm subtracts it again.
            nn.Linear(latent, self.hidden, bias=False),
            nn.BatchNorm1d(self.hidden, eps=1e-3),
            nn.LeakyReLU(self.leak, inplace=True),
            nn.Linear(self.hidden, units, bias=False),
            nn.BatchNorm1d(units, eps=1e-3),
            nn.LeakyReLU(self.leak, inplace=True),
            nn.Unflatten(1, (deep, quarter, quarter)),
            nn.ConvTranspose2d(deep, self.width, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(self.width, eps=1e-3),
            nn.LeakyReLU(self.leak, inplace=True),
            EdgeConvTranspose2d(self.width, shape.channels, 4, stride=2, padding=1),
            nn.Tanh(),
        )
        _initialise(network)
        return network

    def discriminator(self, shape: ImageShape) -> Discriminator:
        """[N, C, H, W] -> [N]."""
        deep, bias = 2 * self.width, self.norm != "batch"
        body = nn.Sequential(
            EdgeConv2d(shape.channels, self.width, 4, stride=2, padding=1),
            # Not in place: the edge layer's output is a view, and writing to one costs a copy.
            nn.LeakyReLU(0.2),
            nn.Conv2d(self.width, deep, 4, stride=2, padding=1, bias=bias),
            self._norm(deep, of_maps=True),
            nn.LeakyReLU(0.2, inplace=True),
            Flat(),
            nn.Linear(deep * (shape.resolution // 4) ** 2, self.hidden, bias=bias),
            self._norm(self.hidden, of_maps=False),
            nn.LeakyReLU(0.2, inplace=True),
        )
        network = Discriminator(body, self.hidden, self.norm)
        _initialise(network)
        return with_spectral_norm(network, self.norm)

    def _norm(self, channels: int, *, of_maps: bool) -> nn.Module:
        if self.norm != "batch":
            return map_norm(self.norm, channels)  # Layer norm takes vectors as well as maps.
        return (nn.BatchNorm2d if of_maps else nn.BatchNorm1d)(channels, eps=1e-3)


def _initialise(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            end = 0.04 if isinstance(module, nn.Conv2d) else math.inf
            nn.init.trunc_normal_(module.weight, std=0.02, a=-end, b=end)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
