"""Residual players, as in WGAN-GP and SN-GAN, at any power-of-two resolution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from gancore.models.blocks import (
    Discriminator,
    EdgeConv2d,
    FromLatent,
    Network,
    Norm,
    map_norm,
    with_spectral_norm,
)
from gancore.models.registry import ImageShape, models
from gancore.schema import Count


@models.register("resnet")
@dataclass(frozen=True, kw_only=True)
class ResNet:
    """Residual GAN (Gulrajani et al. 2017, arXiv:1704.00028; Miyato et al. 2018, arXiv:1802.05957).

    Up to 32 pixels all layers have `width` channels, as in both papers' CIFAR-10 networks;
    beyond, channels double with every further halving of the resolution, as in their larger
    ones. The discriminator halves down to 4x4, where a last block keeps the size.

    Args:
        width: Channels of the layers beside the pictures.
        max_width: Channels at most.
        norm: Of the discriminator. SN-GAN's is `spectral`, WGAN-GP's `layer` or `none`.
    """

    smallest: ClassVar[int] = 8
    power_of_two: ClassVar[bool] = True

    width: Count = 128
    max_width: Count = 1024
    norm: Literal["none", "batch", "layer", "spectral"] = "none"

    def generator(self, latent: int, shape: ImageShape) -> nn.Module:
        """[N, latent] -> [N, C, H, W] in [-1, 1]."""
        widths = self._widths(shape)[::-1]
        network = nn.Sequential(
            FromLatent(latent, widths[0]),
            *(UpBlock(before, after) for before, after in pairwise(widths)),
            nn.BatchNorm2d(widths[-1]),
            nn.ReLU(inplace=True),
            # At stride 1 a transposed convolution is a convolution with its kernel turned round,
            # and on a CPU nearly twice as fast as one when few channels come out.
            nn.ConvTranspose2d(widths[-1], shape.channels, 3, padding=1),
            nn.Tanh(),
        )
        return _initialised(network)

    def discriminator(self, shape: ImageShape) -> Discriminator:
        """[N, C, H, W] -> [N]."""
        widths = self._widths(shape)[1:]
        body = nn.Sequential(
            FirstDownBlock(shape.channels, widths[0]),
            *(DownBlock(before, after, self.norm) for before, after in pairwise(widths)),
            DownBlock(widths[-1], widths[-1], self.norm, halve=False),
            nn.ReLU(),
            SumPool(),
        )
        network = Discriminator(body, widths[-1], self.norm)
        return with_spectral_norm(_initialised(network), self.norm)

    def _widths(self, shape: ImageShape) -> list[int]:
        """Channels at the full resolution, at half of it, ... down to 4x4."""
        halvings = shape.resolution.bit_length() - 3
        doublings = max(0, halvings - 3)
        factors = (2 ** min(n, doublings) for n in range(halvings + 1))
        return [min(self.max_width, self.width * factor) for factor in factors]


class UpBlock(nn.Module):
    """Residual block that doubles the resolution.

    [N, in_channels, H, W] -> [N, out_channels, 2H, 2W]
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_channels)
        # No bias where batch norm subtracts it again.
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.skip = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        residual = self.conv1(_doubled(F.relu(self.norm1(x))))  # [N, out_channels, 2H, 2W]
        residual = self.conv2(F.relu(self.norm2(residual)))
        # The skip is 1x1: convolved before it is enlarged, it is the same at a quarter of the cost.
        return residual + _doubled(self.skip(x))


class DownBlock(nn.Module):
    """Residual block that halves the resolution, or keeps it.

    [N, in_channels, H, W] -> [N, out_channels, H/2, W/2]
    """

    def __init__(
        self, in_channels: int, out_channels: int, norm: Norm, *, halve: bool = True
    ) -> None:
        super().__init__()
        self.norm1 = map_norm(norm, in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=norm != "batch")
        self.norm2 = map_norm(norm, out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.skip = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.scale = 2 if halve else 1

    def forward(self, x: Tensor) -> Tensor:
        residual = self.conv1(F.relu(self.norm1(x)))
        residual = self.conv2(F.relu(self.norm2(residual)))
        return F.avg_pool2d(residual, self.scale) + self.skip(F.avg_pool2d(x, self.scale))


class FirstDownBlock(nn.Module):
    """Residual block on pictures: no activation before them, and no norm of raw pixels.

    [N, in_channels, H, W] -> [N, out_channels, H/2, W/2]
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = EdgeConv2d(in_channels, out_channels, 3, padding=1)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.skip = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        residual = self.conv2(F.relu(self.conv1(x)))
        return F.avg_pool2d(residual, 2) + self.skip(F.avg_pool2d(x, 2))


class SumPool(nn.Module):
    """[N, C, H, W] -> [N, C], the sum over all places."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sum((2, 3))


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")


def _initialised(network: Network) -> Network:
    """Glorot's uniform weights, those before or after a ReLU with gain sqrt(2); biases 0."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            residual = ".conv" in name
            nn.init.xavier_uniform_(module.weight, gain=math.sqrt(2) if residual else 1.0)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network
