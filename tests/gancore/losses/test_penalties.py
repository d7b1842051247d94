"""The penalties against closed forms, and what they are for: the Dirac-GAN."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gancore.losses import Penalty, input_gradient, losses, penalties

NAMES = [name for name in penalties.names() if name != "none"]
SHAPE = (6, 2, 4, 4)


def a(name: str, **options: Any) -> Penalty:
    return penalties.build(name, **options)


def linear(slope: float) -> tuple[Any, Tensor]:
    """A discriminator whose gradient has the length `slope` everywhere, and its weights."""
    weights = torch.randn(math.prod(SHAPE[1:]), generator=torch.manual_seed(0))
    weights = (slope * weights / weights.norm()).requires_grad_()
    return (lambda x: x.flatten(1) @ weights), weights


def pictures() -> tuple[Tensor, Tensor, torch.Generator]:
    random = torch.manual_seed(1)
    return torch.randn(SHAPE, generator=random), torch.randn(SHAPE, generator=random), random


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("wgan_gp", {}, 10 * (3 - 1) ** 2),
        ("wgan_gp", {"weight": 2.0, "target": 5.0}, 2 * (3 - 5) ** 2),
        ("r1", {}, 10 / 2 * 9),
        ("r1", {"weight": 0.4}, 0.2 * 9),
        ("r2", {"weight": 0.4}, 0.2 * 9),
        ("r1_r2", {"weight": 0.4}, 0.2 * 9 + 0.2 * 9),
        ("dragan", {"weight": 7.0}, 7 * (3 - 1) ** 2),
    ],
)
def test_of_a_linear_discriminator(name: str, options: dict[str, float], expected: float) -> None:
    """Its slope is known everywhere, so the penalty is known whatever picture it is taken at."""
    discriminator, _ = linear(3.0)
    told = a(name, **options)(discriminator, *pictures())
    torch.testing.assert_close(told, torch.full((6,), float(expected)))


@pytest.mark.parametrize("name", NAMES)
def test_lazy_it_is_as_much_stronger_as_it_is_rarer(name: str) -> None:
    discriminator, _ = linear(2.5)
    every, eighth = a(name, interval=1), a(name, interval=8)
    torch.testing.assert_close(
        8 * every(discriminator, *pictures()), eighth(discriminator, *pictures())
    )


@pytest.mark.parametrize(
    ("name", "at"),
    [("r1", "real"), ("r2", "fake"), ("r1_r2", "both"), ("wgan_gp", "between"), ("dragan", "near")],
)
def test_where_the_gradient_is_taken(name: str, at: str) -> None:
    """D(x) = |x|^2 / 2 has the gradient x, which tells the place."""
    real, fake, random = pictures()
    seen: list[Tensor] = []

    def discriminator(x: Tensor) -> Tensor:
        seen.append(x.detach())
        return x.square().flatten(1).sum(1) / 2

    told = a(name, weight=2.0)(discriminator, real, fake, random)
    square = {"real": real, "fake": fake, "both": None}
    if at in ("real", "fake"):
        place = square[at]
        assert place is not None
        torch.testing.assert_close(told, place.square().flatten(1).sum(1))
    elif at == "both":
        both = (real.square() + fake.square()).flatten(1).sum(1)
        torch.testing.assert_close(told, both)
    elif at == "between":
        # On the segment: the distances to its ends add up to its length; one place a picture.
        (place,) = seen
        ends = (place - real).flatten(1).norm(dim=1) + (place - fake).flatten(1).norm(dim=1)
        torch.testing.assert_close(ends, (fake - real).flatten(1).norm(dim=1))
        share = (place - real).flatten(1).norm(dim=1) / (fake - real).flatten(1).norm(dim=1)
        assert len(share.unique()) == len(share)
    else:
        (place,) = seen
        moved = (place - real) / real.std()
        assert moved.min() >= 0
        assert moved.max() < 0.5
        assert moved.max() > 0.2


@pytest.mark.parametrize("name", NAMES)
def test_it_trains_the_discriminator(name: str) -> None:
    discriminator, weights = linear(3.0)
    a(name)(discriminator, *pictures()).mean().backward()
    assert weights.grad is not None
    # Downhill is a flatter discriminator: along the weights, the gradient is positive.
    assert (weights.grad * weights).sum() > 0


@pytest.mark.parametrize("name", NAMES)
def test_every_option_acts(name: str) -> None:
    def discriminator(x: Tensor) -> Tensor:
        return x.square().flatten(1).sum(1) + x.flatten(1).sum(1)

    plain = a(name)(discriminator, *pictures())
    for key, option in penalties.options(name).items():
        turned = a(name, **{key: option.default * 2})(discriminator, *pictures())
        assert not torch.allclose(plain, turned), key


def test_gradients_do_not_leak_into_the_pictures() -> None:
    real, fake, random = pictures()
    real.requires_grad_()
    discriminator, _ = linear(1.0)
    a("r1")(discriminator, real, fake, random).mean().backward()
    assert real.grad is None


def test_none_is_nothing_and_is_skipped() -> None:
    none = a("none")
    assert not none.active
    assert not none(nn.Identity(), *pictures()).any()


def test_the_input_gradient_of_each_picture_is_its_own() -> None:
    def discriminator(x: Tensor) -> Tensor:
        return x.flatten(1).pow(3).sum(1)

    real, _, _ = pictures()
    torch.testing.assert_close(input_gradient(discriminator, real), 3 * real.square().flatten(1))


class TestDiracGan:
    """The simplest GAN of all (Mescheder et al. 2018, arXiv:1801.04406, section 2).

    The data are all at 0, the generator puts all at theta, and D(x) = psi x. The equilibrium is
    (0, 0); unregularised training circles it or flies off, R1 brings it in.
    """

    def trajectory(self, loss_name: str, penalty: Penalty, steps: int = 800) -> list[float]:
        loss = losses.build(loss_name)
        theta = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
        psi = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
        radii = []
        for _ in range(steps):
            real, fake = torch.zeros(1, 1, 1, 1).double(), theta.view(1, 1, 1, 1)

            def discriminator(x: Tensor, psi: Tensor = psi) -> Tensor:
                return psi * x.double().flatten()

            judged = loss.discriminator(discriminator(real), discriminator(fake.detach())).mean()
            if penalty.active:
                random = torch.manual_seed(0)
                judged = judged + penalty(discriminator, real, fake.detach(), random).mean()
            fooled = loss.generator(discriminator(real), discriminator(fake)).mean()
            (of_psi,) = torch.autograd.grad(judged, psi)
            (of_theta,) = torch.autograd.grad(fooled, theta)
            with torch.no_grad():
                psi -= 0.1 * of_psi
                theta -= 0.1 * of_theta
            radii.append(math.hypot(theta.item(), psi.item()))
        return radii

    @pytest.mark.parametrize("loss", ["nonsaturating", "minimax", "wasserstein"])
    def test_without_a_penalty_it_does_not_converge(self, loss: str) -> None:
        assert min(self.trajectory(loss, a("none"))[-200:]) > 0.3

    @pytest.mark.parametrize("loss", ["nonsaturating", "minimax", "wasserstein"])
    @pytest.mark.parametrize("penalty", ["r1", "r2"])
    def test_r1_and_r2_bring_it_home(self, loss: str, penalty: str) -> None:
        assert max(self.trajectory(loss, a(penalty, weight=1.0))[-10:]) < 1e-3

    def test_the_wgan_penalty_does_not(self) -> None:
        """Slope 1 is not slope 0: it keeps circling (the paper's section 3.2)."""
        assert min(self.trajectory("wasserstein", a("wgan_gp"))[-200:]) > 0.1
