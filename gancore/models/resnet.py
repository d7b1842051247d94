"""Residual players, as in WGAN-GP and SN-GAN, at any power-of-two resolution."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gancore.models.blocks import EdgeConv2d, FromLatent, Norm, spectral_only
from gancore.models.registry import ImageShape, models
from gancore.schema import Count


@models.register("resnet")
@dataclass(frozen=True, kw_only=True)
class ResNet:
    """Residual GAN (Gulrajani et al. 2017, arXiv:1704.00028; Miyato et al. 2018, arXiv:1802.05957).

    Up to 32 pixels all layers have `width` channels, as in both papers' CIFAR-10 networks;
    beyond, channels double with every further halving of the resolution, as in their larger ones.

    Args:
        width: Channels beside the pictures.
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
        return nn.Sequential(
            FromLatent(latent, widths[0]),
            *(UpBlock(before, after) for before, after in pairwise(widths)),
            nn.BatchNorm2d(widths[-1]),
            nn.ReLU(inplace=True),
            EdgeConv2d(widths[-1], shape.channels, 3, padding=1),
            nn.Tanh(),
        )

    def discriminator(self, shape: ImageShape) -> nn.Module:
        """[N, C, H, W] -> [N]."""
        widths = self._widths(shape)
        return nn.Sequential(
            FirstDownBlock(shape.channels, widths[1], self.norm),
            *(DownBlock(before, after, self.norm) for before, after in pairwise(widths[1:])),
            DownBlock(widths[-1], widths[-1], self.norm, down=False),
            nn.ReLU(),
            SumPool(),
            spectral_only(nn.Linear(widths[-1], 1), self.norm),
            nn.Flatten(0),
        )

    def _widths(self, shape: ImageShape) -> list[int]:
        """Channels at the full resolution, at half of it, ... down to 4x4."""
        halvings = shape.resolution.bit_length() - 3
        grows = max(0, halvings - 3)
        factors = [2 ** min(n, grows) for n in range(halvings + 1)]
        return [min(self.max_width, self.width * factor) for factor in factors]


class UpBlock(nn.Module):
    """Residual block that doubles the resolution.

    [N, in_channels, H, W] -> [N, out_channels, 2H, 2W]
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.skip = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        residual = self.conv1(_double(F.relu(self.norm1(x))))  # [N, out_channels, 2H, 2W]
        residual = self.conv2(F.relu(self.norm2(residual)))
        # The skip is 1x1: convolved before it is enlarged, it costs a quarter and is the same.
        return residual + _double(self.skip(x))


class DownBlock(nn.Module):
    """Residual block that halves the resolution, or keeps it.

    [N, in_channels, H, W] -> [N, out_channels, H/2, W/2]
    """

    def __init__(self, in_channels: int, out_channels: int, norm: Norm, *, down: bool = True) -> None:
        super().__init__()
        self.before1 = _activation_norm(norm, in_channels)
        self.conv1 = spectral_only(nn.Conv2d(in_channels, out_channels, 3, padding=1), norm)
        self.before2 = _activation_norm(norm, out_channels)
        self.conv2 = spectral_only(nn.Conv2d(out_channels, out_channels, 3, padding=1), norm)
        self.skip = spectral_only(nn.Conv2d(in_channels, out_channels, 1), norm)
        self.down = down

    def forward(self, x: Tensor) -> Tensor:
        residual = self.conv1(F.relu(self.before1(x)))
        residual = self.conv2(F.relu(self.before2(residual)))
        if not self.down:
            return residual + self.skip(x)
        return F.avg_pool2d(residual, 2) + self.skip(F.avg_pool2d(x, 2))


class FirstDownBlock(nn.Module):
    """Residual block on pictures: no activation before them, and no norm of raw pixels.

    [N, in_channels, H, W] -> [N, out_channels, H/2, W/2]
    """

    def __init__(self, in_channels: int, out_channels: int, norm: Norm) -> None:
        super().__init__()
        self.conv1 = spectral_only(EdgeConv2d(in_channels, out_channels, 3, padding=1), norm)
        self.conv2 = spectral_only(nn.Conv2d(out_channels, out_channels, 3, padding=1), norm)
        self.skip = spectral_only(EdgeConv2d(in_channels, out_channels, 1), norm)

    def forward(self, x: Tensor) -> Tensor:
        residual = self.conv2(F.relu(self.conv1(x)))
        return F.avg_pool2d(residual, 2) + self.skip(F.avg_pool2d(x, 2))


class SumPool(nn.Module):
    """[N, C, H, W] -> [N, C], the sum over all places."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sum(x, (2, 3))


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")


def _activation_norm(norm: Norm, channels: int) -> nn.Module:
    match norm:
        case "batch":
            return nn.BatchNorm2d(channels)
        case "layer":
            return nn.GroupNorm(1, channels)
        case "none" | "spectral":
            return nn.Identity()
