"""What every model family promises, and the table of them."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from torch import nn

from gancore.models.blocks import Discriminator
from gancore.registry import Registry


class ImageShape(NamedTuple):
    """Channels, and height = width in pixels."""

    channels: int
    resolution: int


class ModelFamily(Protocol):
    """A generator and the discriminator that goes with it.

    A family is a frozen dataclass whose fields are its hyper-parameters; as class constants
    (`ClassVar`) it says `smallest`, its least resolution, and `power_of_two`, whether it only
    has resolutions that are one, or else `multiple`, of which each is a multiple. The generators
    of a family turn latents into pictures; a family of another kind says which by `kind`:
    `translator` (pictures to pictures, see `cycle.py`) or `growing generator` (see `progan.py`).
    """

    def generator(self, latent: int, shape: ImageShape, /) -> nn.Module:
        """[N, latent] -> [N, C, H, W] in [-1, 1]."""
        ...

    def discriminator(self, shape: ImageShape, /) -> Discriminator:
        """[N, C, H, W] in [-1, 1] -> logits [N], higher for real."""
        ...


models: Registry[ModelFamily] = Registry("model")
