"""The networks of the semi-supervised GAN: noise while they learn, and weight norm."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from gancore.models.blocks import Discriminator, Dropout, FittedToData, FromLatent, Noise
from gancore.models.registry import ImageShape, models
from gancore.schema import Count, NonNegative, Positive, Share


@models.register("noisy_mlp")
@dataclass(frozen=True, kw_only=True)
class NoisyMLP:
    """The players of Salimans et al. 2016 (arXiv:1606.03498) on MNIST, as in the authors' code.

    A discriminator of 1000, 500, 250, 250 and 250 units, with Gaussian noise on pictures and on
    every layer while it learns and with weight norm; a generator of 500 and 500 softplus units with
    batch norm.

    Args:
        width: Units relative to the paper's.
        input_noise: Standard deviation of the noise on pictures in [0, 1], as theirs are.
        hidden_noise: Standard deviation of the noise on each layer's output.
    """

    smallest: ClassVar[int] = 1
    power_of_two: ClassVar[bool] = False

    width: Positive = 1.0
    input_noise: NonNegative = 0.3
    hidden_noise: NonNegative = 0.5

    def generator(self, latent: int, shape: ImageShape) -> nn.Module:
        """[N, latent] -> [N, C, H, W] in [-1, 1]."""
        picture = (shape.channels, shape.resolution, shape.resolution)
        layers: list[nn.Module] = []
        for before, after in pairwise([latent, *self._widths(500, 500)]):
            layers += [nn.Linear(before, after, bias=False), nn.BatchNorm1d(after), nn.Softplus()]
        last = weight_norm(nn.Linear(after, math.prod(picture)))
        return nn.Sequential(*layers, last, nn.Tanh(), nn.Unflatten(1, picture))

    def discriminator(self, shape: ImageShape) -> Discriminator:
        """[N, C, H, W] -> [N]."""
        pixels = shape.channels * shape.resolution**2
        layers: list[nn.Module] = [Ink(), Noise(self.input_noise)]
        for before, after in pairwise([pixels, *self._widths(1000, 500, 250, 250, 250)]):
            layers += [UnitLinear(before, after), nn.ReLU(), Noise(self.hidden_noise)]
        layers.pop()  # Features are matched without noise of their own; heads have it.
        return NoisyDiscriminator(nn.Sequential(*layers), after, self.hidden_noise)

    def _widths(self, *units: int) -> list[int]:
        return [max(1, round(self.width * n)) for n in units]


@models.register("noisy_cnn")
@dataclass(frozen=True, kw_only=True)
class NoisyCNN:
    """The players of Salimans et al. 2016 (arXiv:1606.03498) on CIFAR-10, as in the authors' code.

    A discriminator of nine convolutions with weight norm and dropout, whose features are the mean
    over all places; a generator of transposed convolutions by 5x5 with batch norm. Pictures of 32
    pixels are halved twice as there, others once less or more for every power of two.

    Args:
        width: Channels of the discriminator's first layers; the paper's are 96.
        generator_width: Channels of the generator's last layer but one; the paper's are 128.
        input_dropout: Share of all pixels left out while it learns.
        dropout: Share of all features left out after each halving.
        hidden_noise: Standard deviation of the noise that the heads hear.
    """

    smallest: ClassVar[int] = 8
    power_of_two: ClassVar[bool] = True

    width: Count = 96
    generator_width: Count = 128
    input_dropout: Share = 0.2
    dropout: Share = 0.5
    hidden_noise: NonNegative = 0.0

    def generator(self, latent: int, shape: ImageShape) -> nn.Module:
        """[N, latent] -> [N, C, H, W] in [-1, 1]."""
        doublings = shape.resolution.bit_length() - 3
        widths = [min(4, 2**n) * self.generator_width for n in range(doublings)][::-1]
        layers: list[nn.Module] = [FromLatent(latent, widths[0])]
        layers += [nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True)]
        for before, after in pairwise(widths):
            layers.append(_doubling(before, after, bias=False))
            layers += [nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
        last = weight_norm(_doubling(widths[-1], shape.channels, bias=True))
        return nn.Sequential(*layers, last, nn.Tanh())

    def discriminator(self, shape: ImageShape) -> Discriminator:
        """[N, C, H, W] -> [N]."""
        halvings = max(1, shape.resolution.bit_length() - 4)
        layers: list[nn.Module] = [Dropout(self.input_dropout)]
        before = shape.channels
        for number in range(halvings):
            width = self.width if number == 0 else 2 * self.width
            layers += _unit(before, width) + _unit(width, width) + _unit(width, width, stride=2)
            layers.append(Dropout(self.dropout))
            before = width
        width = 2 * self.width
        layers += _unit(before, width, padding=0)
        layers += _unit(width, width, size=1) + _unit(width, width, size=1)
        layers.append(MeanPool())
        return NoisyDiscriminator(nn.Sequential(*layers), width, self.hidden_noise)


def _unit(
    before: int, after: int, *, size: int = 3, stride: int = 1, padding: int | None = None
) -> list[nn.Module]:
    padding = size // 2 if padding is None else padding
    return [UnitConv2d(before, after, size, stride=stride, padding=padding), nn.LeakyReLU(0.2)]


def _doubling(before: int, after: int, *, bias: bool) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(before, after, 5, 2, 2, output_padding=1, bias=bias)


class MeanPool(nn.Module):
    """[N, C, H, W] -> [N, C], the mean over all places."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


class NoisyDiscriminator(Discriminator):
    """A discriminator whose heads hear noise too, and have rows of a learnt length."""

    def __init__(self, body: nn.Module, width: int, noise: float) -> None:
        super().__init__(body, width)
        self.noise = noise
        self.head = self.new_head(1)

    def new_head(self, outputs: int, *, bias: bool = True) -> nn.Module:
        layer = UnitLinear(self.width, outputs, bias=bias, learns_length=True)
        return nn.Sequential(Noise(self.noise), layer)


class Ink(nn.Module):
    """Pictures in [-1, 1] as vectors in [0, 1]: black ground, as most of digits is, counts nothing.

    [N, C, H, W] -> [N, CHW]
    """

    def forward(self, x: Tensor) -> Tensor:
        return (x.flatten(1) + 1) / 2


class Fitted(FittedToData):
    """Weight norm (Salimans and Kingma 2016, arXiv:1602.07868): rows of a length of their own.

    Length and bias are fitted to data (section 3 there): what comes out of each unit has mean 0 and
    variance 1 at first. The length then stays, unless `learns_length`, so that the discriminator
    cannot win by making its features ever larger.
    """

    weight: Tensor
    length: Tensor

    def begin(self, learns_length: bool) -> None:
        """Sets the first weights, of a layer that the library has made."""
        nn.init.normal_(self.weight, std=0.1)
        if self.added is not None:
            nn.init.zeros_(self.added)
        length = torch.ones(len(self.weight))
        if learns_length:
            self.length = nn.Parameter(length)
        else:
            self.register_buffer("length", length)

    @property
    def added(self) -> Tensor | None:
        """The bias, where there is one."""
        return getattr(self, "bias", None)

    def rows(self) -> Tensor:
        """The weights as they are used."""
        lengths = self.length.view(-1, *[1] * (self.weight.dim() - 1))
        directions = F.normalize(self.weight.flatten(1), dim=1).view_as(self.weight)
        return directions * lengths

    def fitted(self, outputs: Tensor) -> Tensor:
        """Outputs [N, units, ...]; while `fitting`, sets what makes the wanted ones of them."""
        if not self.fitting:
            return outputs
        deviation, mean = torch.std_mean(outputs.transpose(0, 1).flatten(1), 1)
        deviation = deviation.clamp(min=1e-6)
        self.length.div_(deviation)
        if self.added is not None:
            self.added.sub_(mean).div_(deviation)
        shape = (-1, *[1] * (outputs.dim() - 2))
        return (outputs - mean.view(shape)) / deviation.view(shape)


class UnitLinear(Fitted, nn.Linear):
    """[N, before] -> [N, after]."""

    def __init__(
        self, before: int, after: int, *, bias: bool = True, learns_length: bool = False
    ) -> None:
        super().__init__(before, after, bias=bias)
        self.begin(learns_length)

    def forward(self, x: Tensor) -> Tensor:
        return self.fitted(F.linear(x, self.rows(), self.bias))


class UnitConv2d(Fitted, nn.Conv2d):
    """[N, before, H, W] -> [N, after, H', W']."""

    def __init__(
        self, before: int, after: int, kernel_size: int, *, stride: int = 1, padding: int = 0
    ) -> None:
        super().__init__(before, after, kernel_size, stride, padding)
        self.begin(learns_length=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.fitted(self._conv_forward(x, self.rows(), self.bias))
