"""The adversarial losses: what the discriminator and the generator each minimise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from gancore.losses.penalties import GradientPenalty
from gancore.losses.registry import losses
from gancore.schema import Count, NonNegative, Positive, Refused

# Everything is a function of logits: softplus(x) = log(1 + e^x) = -log(1 - sigmoid(x)) is exact
# where the logarithm of a probability has long become -inf, and so is its gradient.


@losses.register("minimax")
@dataclass(frozen=True, kw_only=True)
class Minimax:
    """The saturating game as first written (Goodfellow et al. 2014, arXiv:1406.2661, equation 1).

    The generator minimises log(1 - D(G(z))), whose gradient vanishes where the discriminator is
    sure: the reason why `nonsaturating` is used in its place.
    """

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(-real) + F.softplus(fake)

    def generator(self, _real: Tensor, fake: Tensor) -> Tensor:
        return -F.softplus(fake)


@losses.register("nonsaturating")
@dataclass(frozen=True, kw_only=True)
class NonSaturating:
    """The generator minimises -log D(G(z)) (Goodfellow et al. 2014, arXiv:1406.2661, section 3).

    Its gradient is strongest where the discriminator is sure.
    """

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(-real) + F.softplus(fake)

    def generator(self, _real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(-fake)


@losses.register("wasserstein")
@dataclass(frozen=True, kw_only=True)
class Wasserstein:
    """Wasserstein distance with weight clipping (Arjovsky et al. 2017, arXiv:1701.07875).

    The discriminator is a critic: its logits have no meaning as a probability, and real minus
    fake estimates the distance, up to the factor by which clipping bounds its slope.

    Args:
        clip: The critic's weights are kept in [-clip, clip] (algorithm 1; there 0.01).
    """

    estimates_wasserstein: ClassVar[bool] = True

    clip: Positive = 0.01

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return fake - real

    def generator(self, _real: Tensor, fake: Tensor) -> Tensor:
        return -fake


@losses.register("wasserstein_gp")
@dataclass(frozen=True, kw_only=True)
class WassersteinGP:
    """Wasserstein distance with gradient penalty (Gulrajani et al. 2017, arXiv:1704.00028).

    Args:
        gp_weight: Lambda of equation 3.
        gp_interval: The penalty is applied on every n-th critic step, n times as strong.
        drift: Weight of the squared logits of real pictures, which keeps the critic near 0
            (Karras et al. 2018, arXiv:1710.10196, appendix A.1; there 0.001).
    """

    estimates_wasserstein: ClassVar[bool] = True
    penalty: ClassVar[str] = "wgan_gp"

    gp_weight: NonNegative = 10.0
    gp_interval: Count = 1
    drift: NonNegative = 0.0

    @property
    def own_penalty(self) -> GradientPenalty:
        """The penalty that is a part of this loss."""
        return GradientPenalty(weight=self.gp_weight, interval=self.gp_interval)

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return fake - real + self.drift * real.square()

    def generator(self, _real: Tensor, fake: Tensor) -> Tensor:
        return -fake


@losses.register("least_squares")
@dataclass(frozen=True, kw_only=True)
class LeastSquares:
    """Least squares (Mao et al. 2017, arXiv:1611.04076, equation 9: targets 1, 0 and 1).

    Args:
        real_target: What the discriminator should say of real pictures, and the generator wants
            it to say of its own.
        fake_target: What the discriminator should say of generated pictures; below `real_target`.
    """

    real_target: float = 1.0
    fake_target: float = 0.0

    def __post_init__(self) -> None:
        if self.fake_target >= self.real_target:
            raise Refused(
                f"fake_target must be below real_target: {self.fake_target}, {self.real_target}"
            )

    @property
    def boundary(self) -> float:
        """The logit between the two answers."""
        return (self.real_target + self.fake_target) / 2

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return ((real - self.real_target).square() + (fake - self.fake_target).square()) / 2

    def generator(self, _real: Tensor, fake: Tensor) -> Tensor:
        return (fake - self.real_target).square() / 2


@losses.register("hinge")
@dataclass(frozen=True, kw_only=True)
class Hinge:
    """Hinge loss (Lim and Ye 2017, arXiv:1705.02894; Miyato et al. 2018, arXiv:1802.05957).

    The discriminator stops learning from a picture once its logit is past the margin on the
    right side; the generator is never clipped.

    Args:
        margin: Logit beyond which the discriminator is satisfied.
    """

    margin: Positive = 1.0

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.relu(self.margin - real) + F.relu(self.margin + fake)

    def generator(self, _real: Tensor, fake: Tensor) -> Tensor:
        return -fake


@losses.register("relativistic_average")
@dataclass(frozen=True, kw_only=True)
class RelativisticAverage:
    """Relativistic average loss (Jolicoeur-Martineau 2018, arXiv:1807.00734).

    Real should look more real than the average generated picture, and generated less real than
    the average real one; the generator wants both the other way round, so it looks at real
    pictures too.
    """

    relativistic: ClassVar[bool] = True

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(fake.mean() - real) + F.softplus(fake - real.mean())

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(real.mean() - fake) + F.softplus(real - fake.mean())


@losses.register("relativistic_pairing")
@dataclass(frozen=True, kw_only=True)
class RelativisticPairing:
    """Relativistic pairing loss (Jolicoeur-Martineau 2018, arXiv:1807.00734).

    The discriminator says of each pair which picture is the real one. Since every generated
    picture is held against a real one, no single place in the landscape lets the generator drop
    modes (Sun et al. 2020, arXiv:2011.04926). With penalty `r1_r2` it is the objective of R3GAN
    (Huang et al. 2024, arXiv:2501.05441, section 2); without one it need not converge.
    """

    relativistic: ClassVar[bool] = True

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(fake - real)

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(real - fake)
