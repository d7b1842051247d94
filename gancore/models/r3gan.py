"""R3GAN's players: residual networks without any normalisation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gancore.models.blocks import Discriminator, EdgeConv2d
from gancore.models.registry import ImageShape, models
from gancore.schema import Count

_SLOPE = 0.2
_GAIN = math.sqrt(2 / (1 + _SLOPE**2))
"""What keeps the size of numbers that pass a leaky ReLU (He et al. 2015, arXiv:1502.01852)."""


@models.register("r3gan")
@dataclass(frozen=True, kw_only=True)
class R3GAN:
    """A modernised residual GAN (Huang et al. 2024, arXiv:2501.05441, section 4 and figure 3).

    Both players mirror each other: at each resolution residual blocks of 1x1, grouped 3x3 and 1x1
    convolutions with leaky ReLUs between, no normalisation, weights scaled by the depth in the way
    of Fixup (Zhang et al. 2019, arXiv:1901.09321); maps are enlarged bilinearly and averaged down;
    a learnt 4x4 map, scaled by the latents, begins the generator, a 4x4 convolution of each channel
    ends the discriminator. Sizes are for one small GPU; the authors' networks for CIFAR-10 have 768
    channels throughout.

    Args:
        width: Channels of the residual stream at the full resolution; doubled at each halving.
        max_width: Channels at most.
        blocks: Residual blocks at each resolution.
        expansion: Channels between the 1x1 convolutions, relative to the stream's.
        group: Channels of a group of the 3x3 convolution.
    """

    smallest: ClassVar[int] = 4
    power_of_two: ClassVar[bool] = True

    width: Count = 64
    max_width: Count = 256
    blocks: Count = 2
    expansion: Count = 2
    group: Count = 16

    def generator(self, latent: int, shape: ImageShape) -> nn.Module:
        """[N, latent] -> [N, C, H, W], linear at the end as in the paper."""
        widths = self._widths(shape)[::-1]
        layers: list[nn.Module] = [Basis(latent, widths[0]), *self._blocks(widths[0], widths)]
        for before, after in pairwise(widths):
            layers.append(_convolution(before, after, 1) if before != after else nn.Identity())
            layers += [Resample(2.0), *self._blocks(after, widths)]
        layers.append(_convolution(widths[-1], shape.channels, 1, bias=True))
        return nn.Sequential(*layers)

    def discriminator(self, shape: ImageShape) -> Discriminator:
        """[N, C, H, W] -> [N]."""
        widths = self._widths(shape)
        layers: list[nn.Module] = [EdgeConv2d(shape.channels, widths[0], 1)]
        layers += self._blocks(widths[0], widths)
        for before, after in pairwise(widths):
            layers.append(Resample(0.5))
            layers.append(_convolution(before, after, 1) if before != after else nn.Identity())
            layers += self._blocks(after, widths)
        last = nn.Conv2d(widths[-1], widths[-1], 4, groups=widths[-1], bias=False)
        nn.init.normal_(last.weight, std=1 / 4)
        return Discriminator(nn.Sequential(*layers, last, nn.Flatten()), widths[-1])

    def _widths(self, shape: ImageShape) -> list[int]:
        """Channels at the full resolution, at half of it, ... down to 4x4."""
        halvings = shape.resolution.bit_length() - 3
        return [min(self.max_width, self.width * 2**n) for n in range(halvings + 1)]

    def _blocks(self, width: int, widths: list[int]) -> list[nn.Module]:
        depth = self.blocks * len(widths)
        return [Block(width, self.expansion, self.group, depth) for _ in range(self.blocks)]


class Basis(nn.Module):
    """A learnt 4x4 map, scaled channel by channel by the latents: [N, latent] -> [N, C, 4, 4]."""

    def __init__(self, latent: int, channels: int) -> None:
        super().__init__()
        self.basis = nn.Parameter(torch.randn(channels, 4, 4))
        self.linear = nn.Linear(latent, channels, bias=False)
        nn.init.normal_(self.linear.weight, std=1 / math.sqrt(latent))

    def forward(self, latents: Tensor) -> Tensor:
        scale: Tensor = self.linear(latents)
        return self.basis * scale[:, :, None, None]


class Block(nn.Module):
    """A bottleneck turned round: 1x1, 3x3 in groups, 1x1; the identity at first.

    [N, channels, H, W] -> [N, channels, H, W]

    Args:
        depth: Residual blocks of the whole player, L in Fixup: weights begin L^(-1/4) smaller, so
            that an update moves the player's output by as much at any depth.
    """

    def __init__(self, channels: int, expansion: int, group: int, depth: int) -> None:
        super().__init__()
        inner = expansion * channels
        groups = max(1, inner // group) if inner % group == 0 else 1
        scale = depth**-0.25
        self.enter = _convolution(channels, inner, 1, gain=_GAIN * scale)
        self.bias1 = nn.Parameter(torch.zeros(inner, 1, 1))
        self.mix = _convolution(inner, inner, 3, groups=groups, gain=_GAIN * scale)
        self.bias2 = nn.Parameter(torch.zeros(inner, 1, 1))
        self.leave = _convolution(inner, channels, 1, gain=0.0)

    def forward(self, x: Tensor) -> Tensor:
        residual = F.leaky_relu(self.enter(x) + self.bias1, _SLOPE)
        residual = F.leaky_relu(self.mix(residual) + self.bias2, _SLOPE)
        changed: Tensor = self.leave(residual)
        return x + changed


class Resample(nn.Module):
    """Bilinear enlargement by 2, or the mean of 2x2 places."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        if self.factor < 1:
            return F.avg_pool2d(x, 2)
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _convolution(
    before: int, after: int, size: int, *, groups: int = 1, gain: float = 1.0, bias: bool = False
) -> nn.Conv2d:
    """A convolution that keeps the size, with weights of variance gain^2 / fan-in."""
    layer = nn.Conv2d(before, after, size, padding=size // 2, groups=groups, bias=bias)
    if gain:
        nn.init.normal_(layer.weight, std=gain / math.sqrt(before // groups * size**2))
    else:
        nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
