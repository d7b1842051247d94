"""The players of CycleGAN: translators of pictures, and discriminators of patches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from gancore.models.blocks import EdgeConv2d, normal_weights
from gancore.models.registry import ImageShape, models
from gancore.schema import Count


@models.register("cycle")
@dataclass(frozen=True, kw_only=True)
class Cycle:
    """CycleGAN's networks (Zhu et al. 2017, arXiv:1703.10593, appendix 7.2).

    The translator is c7s1-64, d128, d256, a row of R256, u128, u64, c7s1-3 with reflection padding
    and instance norm; the discriminator C64-C128-C256-C512, each logit of which sees a patch of
    70x70 pixels.

    Args:
        width: Channels of the layers beside the pictures.
        blocks: Residual blocks; None takes the paper's 6 below 256 pixels and 9 from there.
        layers: Halvings of the discriminator; the paper's 3 see patches of 70 pixels, 2 of 34 and
            1 of 16, which suit small pictures.
    """

    kind: ClassVar[str] = "translator"
    smallest: ClassVar[int] = 8
    power_of_two: ClassVar[bool] = False
    multiple: ClassVar[int] = 4

    width: Count = 64
    blocks: Count | None = None
    layers: Count = 3

    def generator(self, _latent: int, shape: ImageShape) -> nn.Module:
        """[N, C, H, W] -> [N, C, H, W], both in [-1, 1]; it has no latents."""
        width, blocks = self.width, self.blocks or (9 if shape.resolution >= 256 else 6)
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), EdgeConv2d(shape.channels, width, 7)]
        layers += [nn.InstanceNorm2d(width), nn.ReLU()]
        for before in (width, 2 * width):
            layers.append(nn.Conv2d(before, 2 * before, 3, stride=2, padding=1))
            layers += [nn.InstanceNorm2d(2 * before), nn.ReLU(inplace=True)]
        layers += [Block(4 * width) for _ in range(blocks)]
        for before in (4 * width, 2 * width):
            layers.append(
                nn.ConvTranspose2d(before, before // 2, 3, stride=2, padding=1, output_padding=1)
            )
            layers += [nn.InstanceNorm2d(before // 2), nn.ReLU(inplace=True)]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, shape.channels, 7), nn.Tanh()]
        return normal_weights(nn.Sequential(*layers))

    def discriminator(self, shape: ImageShape) -> nn.Module:
        """[N, C, H, W] -> a logit for each patch, [N, H', W']."""
        layers: list[nn.Module] = [
            EdgeConv2d(shape.channels, self.width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
        ]
        before = self.width
        for number in range(1, self.layers + 1):
            after = self.width * min(2**number, 8)
            # The last of them does not halve: it only widens what each logit sees.
            stride = 2 if number < self.layers else 1
            layers.append(nn.Conv2d(before, after, 4, stride=stride, padding=1))
            layers += [nn.InstanceNorm2d(after), nn.LeakyReLU(0.2, inplace=True)]
            before = after
        layers += [nn.Conv2d(before, 1, 4, padding=1), nn.Flatten(1, 2)]
        return normal_weights(nn.Sequential(*layers))


class Block(nn.Module):
    """Residual block of two convolutions, R256 in the paper.

    [N, channels, H, W] -> [N, channels, H, W]
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = self.layers(x)
        return x + changed
