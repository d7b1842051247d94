"""The players of the first GAN: rectifiers against maxout units with dropout."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn

from gancore.models.blocks import Discriminator, Dropout
from gancore.models.registry import ImageShape, models
from gancore.schema import Count, Share


@models.register("maxout")
@dataclass(frozen=True, kw_only=True)
class MaxoutNetworks:
    """The networks of the first GAN on MNIST (Goodfellow et al. 2014, arXiv:1406.2661).

    As in the authors' code: a generator of two layers of 1,200 ReLUs, a discriminator of two layers
    of 240 maxout units of 5 pieces with dropout, weights from U(-0.05, 0.05) in the generator and
    U(-0.005, 0.005) in the discriminator. The sigmoid at the generator's end is tanh here, since
    pictures lie in [-1, 1].

    Args:
        width: Of the generator's hidden layers.
        units: Maxout units in each hidden layer of the discriminator.
        pieces: Linear pieces of a unit.
        input_dropout: Share of pixels left out while the discriminator learns.
        dropout: Share of its units left out meanwhile.
    """

    smallest: ClassVar[int] = 1
    power_of_two: ClassVar[bool] = False

    width: Count = 1200
    units: Count = 240
    pieces: Count = 5
    input_dropout: Share = 0.2
    dropout: Share = 0.5

    def generator(self, latent: int, shape: ImageShape) -> nn.Module:
        """[N, latent] -> [N, C, H, W] in [-1, 1]."""
        picture = (shape.channels, shape.resolution, shape.resolution)
        layers: list[nn.Module] = []
        for before, after in pairwise([latent, self.width, self.width]):
            layers += [_uniform(nn.Linear(before, after), 0.05), nn.ReLU(inplace=True)]
        last = _uniform(nn.Linear(self.width, math.prod(picture)), 0.05)
        return nn.Sequential(*layers, last, nn.Tanh(), nn.Unflatten(1, picture))

    def discriminator(self, shape: ImageShape) -> Discriminator:
        """[N, C, H, W] -> [N]."""
        pixels = shape.channels * shape.resolution**2
        layers: list[nn.Module] = [nn.Flatten(), Dropout(self.input_dropout)]
        for before, after in pairwise([pixels, self.units, self.units]):
            linear = _uniform(nn.Linear(before, after * self.pieces), 0.005)
            layers += [linear, Maxout(self.pieces), Dropout(self.dropout)]
        network = Discriminator(nn.Sequential(*layers), self.units)
        _uniform(network.head, 0.005)
        return network


class Maxout(nn.Module):
    """The largest of `pieces` numbers (Goodfellow et al. 2013, arXiv:1302.4389).

    [N, units * pieces] -> [N, units]
    """

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(1, (-1, self.pieces)).amax(2)


def _uniform(layer: nn.Module, bound: float) -> nn.Module:
    assert isinstance(layer, nn.Linear)
    nn.init.uniform_(layer.weight, -bound, bound)
    nn.init.zeros_(layer.bias)
    return layer
