"""Penalties on the discriminator's gradient with respect to its input.

"Slope" is the length of that gradient at a picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gancore.losses.registry import penalties
from gancore.schema import Count, NonNegative

Network = Callable[[Tensor], Tensor]


@penalties.register("none")
@dataclass(frozen=True, kw_only=True)
class NoPenalty:
    """No penalty: training skips it."""

    active: ClassVar[bool] = False
    interval: ClassVar[int] = 1

    def __call__(
        self, _discriminator: Network, real: Tensor, _fake: Tensor, _random: torch.Generator
    ) -> Tensor:
        return real.new_zeros(len(real))


@penalties.register("wgan_gp")
@dataclass(frozen=True, kw_only=True)
class GradientPenalty:
    """Slope 1 between real and fake (Gulrajani et al. 2017, arXiv:1704.00028, equation 3).

    Each picture lies at a uniformly drawn place on the line between a real and a fake one.

    Args:
        weight: Lambda.
        target: The slope that costs nothing; the paper's is 1.
        interval: Applied on every n-th discriminator step, n times as strong.
    """

    active: ClassVar[bool] = True

    weight: NonNegative = 10.0
    target: NonNegative = 1.0
    interval: Count = 1

    def __call__(
        self, discriminator: Network, real: Tensor, fake: Tensor, random: torch.Generator
    ) -> Tensor:
        between = real + _one_each(real, random) * (fake - real)
        slope = input_gradient(discriminator, between).norm(dim=1)
        return self.interval * self.weight * (slope - self.target).square()


@penalties.register("r1")
@dataclass(frozen=True, kw_only=True)
class R1:
    """Slope 0 at real pictures (Mescheder et al. 2018, arXiv:1801.04406, equation 9).

    Args:
        weight: Gamma; the penalty is gamma / 2 times the squared slope.
        interval: Applied on every n-th discriminator step, n times as strong.
    """

    active: ClassVar[bool] = True

    weight: NonNegative = 10.0
    interval: Count = 1

    def __call__(
        self, discriminator: Network, real: Tensor, _fake: Tensor, _random: torch.Generator
    ) -> Tensor:
        return self.interval * self.weight / 2 * squared_slope(discriminator, real)


@penalties.register("r2")
@dataclass(frozen=True, kw_only=True)
class R2:
    """Slope 0 at generated pictures (Mescheder et al. 2018, arXiv:1801.04406, section 4.1).

    Args:
        weight: Gamma; the penalty is gamma / 2 times the squared slope.
        interval: Applied on every n-th discriminator step, n times as strong.
    """

    active: ClassVar[bool] = True

    weight: NonNegative = 10.0
    interval: Count = 1

    def __call__(
        self, discriminator: Network, _real: Tensor, fake: Tensor, _random: torch.Generator
    ) -> Tensor:
        return self.interval * self.weight / 2 * squared_slope(discriminator, fake)


@penalties.register("r1_r2")
@dataclass(frozen=True, kw_only=True)
class R1R2:
    """R1 and R2 together, as in R3GAN (Huang et al. 2024, arXiv:2501.05441).

    Args:
        weight: Gamma of both.
        interval: Applied on every n-th discriminator step, n times as strong.
    """

    active: ClassVar[bool] = True

    weight: NonNegative = 10.0
    interval: Count = 1

    def __call__(
        self, discriminator: Network, real: Tensor, fake: Tensor, _random: torch.Generator
    ) -> Tensor:
        both = squared_slope(discriminator, real) + squared_slope(discriminator, fake)
        return self.interval * self.weight / 2 * both


@penalties.register("dragan")
@dataclass(frozen=True, kw_only=True)
class Dragan:
    """Slope 1 around real pictures (Kodali et al. 2017, arXiv:1705.07215).

    A real picture x is moved a random part of the way towards x + spread * std * u, where std is
    the standard deviation of the batch and u uniform in [0, 1) for each pixel, as in the authors'
    code; the paper's text has Gaussian noise instead.

    Args:
        weight: Lambda.
        spread: Size of the perturbation, in standard deviations of the batch.
        interval: Applied on every n-th discriminator step, n times as strong.
    """

    active: ClassVar[bool] = True

    weight: NonNegative = 10.0
    spread: NonNegative = 0.5
    interval: Count = 1

    def __call__(
        self, discriminator: Network, real: Tensor, _fake: Tensor, random: torch.Generator
    ) -> Tensor:
        noise = torch.rand(real.shape, generator=random, device=real.device)
        shift = self.spread * real.std() * noise
        slope = input_gradient(discriminator, real + _one_each(real, random) * shift).norm(dim=1)
        return self.interval * self.weight * (slope - 1).square()


def input_gradient(discriminator: Network, samples: Tensor) -> Tensor:
    """The gradient of each logit with respect to its picture.

    Args:
        discriminator: [N, C, H, W] -> [N]. With batch norm the logit of one picture depends on
            the others, and the gradient is that of the sum of all logits.
        samples: [N, C, H, W].

    Returns:
        [N, CHW] in float32, differentiable with respect to the discriminator's weights.
    """
    samples = samples.detach().float().requires_grad_()
    logits = discriminator(samples)
    (gradient,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
    return gradient.float().flatten(1)


def squared_slope(discriminator: Network, samples: Tensor) -> Tensor:
    """The squared length of each picture's gradient, [N, C, H, W] -> [N]."""
    return input_gradient(discriminator, samples).square().sum(1)


def _one_each(pictures: Tensor, random: torch.Generator) -> Tensor:
    """One uniform number in [0, 1) for each picture, [N, 1, 1, 1]."""
    return torch.rand((len(pictures), 1, 1, 1), generator=random, device=pictures.device)
