"""ProGAN: both players grow by doubling their resolution, each new layer faded in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gancore.models.blocks import Discriminator
from gancore.models.registry import ImageShape, models
from gancore.schema import Count, Whole

_SLOPE = 0.2


@models.register("progan")
@dataclass(frozen=True, kw_only=True)
class ProGAN:
    """Progressively growing networks (Karras et al. 2018, arXiv:1710.10196, table 2).

    All layers exist from the start; `grow` says which of them are in use. A layer at R pixels has
    `capacity` / R channels, at most `max_width`: the paper's 16,384 and 512 give 512 channels up to
    32 pixels and 16 at 1,024. The generator's output is linear, as there.

    Args:
        capacity: Channels times resolution.
        max_width: Channels at most.
        group: Pictures over which the minibatch standard deviation is taken; 0 leaves it out.
        pixel_norm: Whether the generator normalises each pixel's features (section 4.2).
    """

    kind: ClassVar[str] = "growing generator"
    smallest: ClassVar[int] = 4
    power_of_two: ClassVar[bool] = True

    capacity: Count = 16384
    max_width: Count = 512
    group: Whole = 4
    pixel_norm: bool = True

    def generator(self, latent: int, shape: ImageShape) -> GrowingGenerator:
        """[N, latent] -> [N, C, R, R], where R is the resolution it has grown to."""
        return GrowingGenerator(latent, shape, self._widths(shape), self.pixel_norm)

    def discriminator(self, shape: ImageShape) -> GrowingDiscriminator:
        """[N, C, R, R] -> [N]."""
        return GrowingDiscriminator(shape, self._widths(shape), self.group)

    def _widths(self, shape: ImageShape) -> list[int]:
        """Channels at 4 pixels, 8, ... up to the last resolution."""
        sizes = [2**n for n in range(2, shape.resolution.bit_length())]
        return [min(self.max_width, max(1, self.capacity // size)) for size in sizes]


class EqualConv2d(nn.Conv2d):
    """A convolution whose weights are N(0, 1) and scaled when used (section 4.1).

    With He's constant at run time every weight has the same learning speed, whatever its layer.

    Args:
        gain: sqrt(2) before a leaky ReLU, 1 where the output is linear.
    """

    def __init__(
        self,
        before: int,
        after: int,
        kernel_size: int,
        *,
        padding: int = 0,
        gain: float = math.sqrt(2),
    ) -> None:
        super().__init__(before, after, kernel_size, padding=padding)
        nn.init.normal_(self.weight)
        assert self.bias is not None
        nn.init.zeros_(self.bias)
        self.scale = gain / math.sqrt(before * kernel_size**2)

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.weight * self.scale, self.bias)


class EqualLinear(nn.Linear):
    """A linear layer of the same kind."""

    def __init__(
        self, before: int, after: int, *, gain: float = math.sqrt(2), bias: bool = True
    ) -> None:
        super().__init__(before, after, bias=bias)
        nn.init.normal_(self.weight)
        if bias:
            nn.init.zeros_(self.bias)
        self.scale = gain / math.sqrt(before)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.scale, self.bias)


class PixelNorm(nn.Module):
    """Each pixel's feature vector at unit mean square (section 4.2); of vectors alike."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8)


class MinibatchDeviation(nn.Module):
    """The standard deviation over pictures as one more channel (section 3).

    Of each feature at each place over a group of pictures, averaged to one number a group.

    [N, C, H, W] -> [N, C + 1, H, W]

    Args:
        group: Pictures in a group; where they do not divide N, the largest number below that does.
    """

    def __init__(self, group: int) -> None:
        super().__init__()
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        count, channels, height, width = x.shape
        group = next(g for g in range(min(self.group, count), 0, -1) if count % g == 0)
        groups = x.reshape(group, count // group, channels, height, width)
        deviation = (groups.var(0, correction=0) + 1e-8).sqrt().mean((1, 2, 3))  # [N / group]
        told = deviation.repeat(group)[:, None, None, None].expand(-1, 1, height, width)
        return torch.cat([x, told], 1)


class _Growing(nn.Module):
    """What both players know of where they are; the state of a run has it, not their weights.

    Attributes:
        resolution: Of the pictures now.
        alpha: How far the layers of this resolution are in, from 0 to 1.
    """

    def __init__(self, shape: ImageShape) -> None:
        super().__init__()
        self.resolution, self.alpha = shape.resolution, 1.0

    def grow(self, resolution: int, alpha: float) -> None:
        """Sets resolution and alpha."""
        self.resolution, self.alpha = resolution, alpha

    @property
    def stage(self) -> int:
        """How often the first resolution has been doubled."""
        return self.resolution.bit_length() - 3

    @property
    def fading(self) -> bool:
        return self.stage > 0 and self.alpha < 1


class GrowingGenerator(_Growing):
    """Table 2, left: 4x4 from the latent, then upsampling and two convolutions a stage.

    [N, latent] -> [N, C, R, R]
    """

    def __init__(self, latent: int, shape: ImageShape, widths: list[int], pixel_norm: bool) -> None:
        super().__init__(shape)
        self.latent_norm = PixelNorm() if pixel_norm else nn.Identity()
        # A convolution of one pixel by 4x4 is a product; the authors divide its gain by 4.
        self.first = EqualLinear(latent, 16 * widths[0], gain=math.sqrt(2) / 4, bias=False)
        self.first_bias = nn.Parameter(torch.zeros(widths[0]))
        norm = PixelNorm if pixel_norm else nn.Identity

        def convolution(before: int, after: int) -> list[nn.Module]:
            conv = EqualConv2d(before, after, 3, padding=1)
            return [conv, nn.LeakyReLU(_SLOPE, inplace=True), norm()]

        start = [nn.LeakyReLU(_SLOPE), norm(), *convolution(widths[0], widths[0])]
        self.stages = nn.ModuleList([nn.Sequential(*start)])
        for before, after in pairwise(widths):
            layers = [*convolution(before, after), *convolution(after, after)]
            self.stages.append(nn.Sequential(*layers))
        self.to_pictures = nn.ModuleList(
            EqualConv2d(width, shape.channels, 1, gain=1.0) for width in widths
        )

    def forward(self, latents: Tensor) -> Tensor:
        x = self.first(self.latent_norm(latents)).view(latents.shape[0], 4, 4, -1) + self.first_bias
        x = self.stages[0](x.permute(0, 3, 1, 2))
        before = x
        for stage in self.stages[1 : self.stage + 1]:
            before = _doubled(x)
            x = stage(before)
        pictures: Tensor = self.to_pictures[self.stage](x)
        if not self.fading:
            return pictures
        # 1x1 convolutions and nearest upsampling commute: this is the picture of the stage before.
        return self.to_pictures[self.stage - 1](before).lerp(pictures, self.alpha)


class GrowingDiscriminator(_Growing, Discriminator):
    """Table 2, right: two convolutions and a halving a stage, then 4x4 to one logit.

    [N, C, R, R] -> [N]
    """

    def __init__(self, shape: ImageShape, widths: list[int], group: int) -> None:
        nn.Module.__init__(self)
        self.resolution, self.alpha = shape.resolution, 1.0
        self.width, self.norm = widths[0], "none"
        self.from_pictures = nn.ModuleList(
            nn.Sequential(EqualConv2d(shape.channels, width, 1), nn.LeakyReLU(_SLOPE))
            for width in widths
        )
        deviation: list[nn.Module] = [MinibatchDeviation(group)] if group else []
        last = EqualConv2d(widths[0] + len(deviation), widths[0], 3, padding=1)
        self.stages = nn.ModuleList([nn.Sequential(*deviation, last, nn.LeakyReLU(_SLOPE))])
        for after, before in pairwise(widths):
            self.stages.append(
                nn.Sequential(
                    EqualConv2d(before, before, 3, padding=1),
                    nn.LeakyReLU(_SLOPE),
                    EqualConv2d(before, after, 3, padding=1),
                    nn.LeakyReLU(_SLOPE),
                    nn.AvgPool2d(2),
                )
            )
        self.all_places = EqualConv2d(widths[0], widths[0], 4)
        self.head = EqualLinear(widths[0], 1, gain=1.0)

    def features(self, pictures: Tensor) -> Tensor:
        x = self.from_pictures[self.stage](pictures)
        if self.fading:
            coarse = self.from_pictures[self.stage - 1](F.avg_pool2d(pictures, 2))
            x = coarse.lerp(self.stages[self.stage](x), self.alpha)
        first = self.stage - 1 if self.fading else self.stage
        for number in range(first, -1, -1):
            x = self.stages[number](x)
        return F.leaky_relu(self.all_places(x), _SLOPE).flatten(1)


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")
