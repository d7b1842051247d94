"""Players that are told the class of a picture, made of any family's players."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gancore.models.blocks import Discriminator


class ConditionalGenerator(nn.Module):
    """A generator whose latents are joined by the class as one-hot numbers.

    Mirza and Osindero 2014 (arXiv:1411.1784). The one-hot vector is scaled to the length that a
    Gaussian latent of its size would have, so that the class is heard beside many latents.

    [N, latent], [N] -> [N, C, H, W]

    Args:
        network: A family's generator for `latent + classes` inputs.
    """

    def __init__(self, network: nn.Module, classes: int) -> None:
        super().__init__()
        self.network = network
        self.classes = classes

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        told = F.one_hot(labels, self.classes).to(latents.dtype) * math.sqrt(self.classes)
        pictures: Tensor = self.network(torch.cat([latents, told], 1))
        return pictures


class ConcatDiscriminator(nn.Module):
    """A discriminator that sees the class as further channels, all 0 but one.

    Mirza and Osindero 2014 (arXiv:1411.1784), laid out over the picture as in DCGANs.

    [N, C, H, W], [N] -> [N]

    Args:
        network: A family's discriminator for pictures of `C + classes` channels.
    """

    def __init__(self, network: Discriminator, classes: int) -> None:
        super().__init__()
        self.network = network
        self.classes = classes

    def forward(self, pictures: Tensor, labels: Tensor) -> Tensor:
        told = F.one_hot(labels, self.classes).to(pictures.dtype)[:, :, None, None]
        told = told.expand(-1, -1, *pictures.shape[2:])
        logits: Tensor = self.network(torch.cat([pictures, told], 1))
        return logits


class ProjectionDiscriminator(nn.Module):
    """A discriminator whose logit gains the projection of its features on the class.

    Miyato and Koyama 2018 (arXiv:1802.05637, equation 4): <embed(y), phi(x)> + psi(phi(x)).

    [N, C, H, W], [N] -> [N]
    """

    def __init__(self, network: Discriminator, classes: int) -> None:
        super().__init__()
        self.network = network
        # Columns of a linear layer, so that a spectral norm treats it like any other.
        self.embed = network.new_head(classes, bias=False)

    def forward(self, pictures: Tensor, labels: Tensor) -> Tensor:
        features = self.network.features(pictures)
        projected = self.embed(features).gather(1, labels[:, None])
        logits: Tensor = self.network.head(features) + projected
        return logits.squeeze(1)


class ClassifyingDiscriminator(nn.Module):
    """A discriminator that also tells classes (AC-GAN, Odena et al. 2017, arXiv:1610.09585).

    It is not told the class: the label passes by.

    [N, C, H, W], [N] -> [N]
    """

    def __init__(self, network: Discriminator, classes: int) -> None:
        super().__init__()
        self.network = network
        self.classify = network.new_head(classes)

    def forward(self, pictures: Tensor, _labels: Tensor) -> Tensor:
        return self.both(pictures)[0]

    def both(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Logits real or generated [N], and of the classes [N, K]."""
        features = self.network.features(pictures)
        return self.network.head(features).squeeze(1), self.classify(features)
