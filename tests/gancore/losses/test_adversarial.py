"""The adversarial losses against closed forms, finite differences and each other."""

import math
import pickle
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from gancore.losses import Loss, losses
from gancore.schema import Refused

NAMES = losses.names()
LOGITS = torch.linspace(-6, 6, 25, dtype=torch.float64)


def a(name: str, **options: Any) -> Loss:
    return losses.build(name, **options)


def slopes(loss: Loss, player: str, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Derivatives of the mean loss with respect to each real and each fake logit."""
    real, fake = real.clone().requires_grad_(), fake.clone().requires_grad_()
    total = getattr(loss, player)(real, fake).mean() + 0 * (real.sum() + fake.sum())
    total.backward()
    assert real.grad is not None
    assert fake.grad is not None
    return real.grad, fake.grad


def log_d(x: float) -> float:
    return -math.log1p(math.exp(-x))


def log_1_minus_d(x: float) -> float:
    return -math.log1p(math.exp(x))


CLOSED = [
    # name, options, D's loss of (real r, fake f), G's loss of fake f: as the papers write them.
    ("minimax", {}, lambda r, f: -log_d(r) - log_1_minus_d(f), lambda f: log_1_minus_d(f)),
    ("nonsaturating", {}, lambda r, f: -log_d(r) - log_1_minus_d(f), lambda f: -log_d(f)),
    ("wasserstein", {}, lambda r, f: f - r, lambda f: -f),
    ("wasserstein_gp", {}, lambda r, f: f - r, lambda f: -f),
    (
        "least_squares",
        {},
        lambda r, f: 0.5 * (r - 1) ** 2 + 0.5 * f**2,
        lambda f: 0.5 * (f - 1) ** 2,
    ),
    (
        "least_squares",
        {"real_target": 2.0, "fake_target": -1.0},
        lambda r, f: 0.5 * (r - 2) ** 2 + 0.5 * (f + 1) ** 2,
        lambda f: 0.5 * (f - 2) ** 2,
    ),
    ("hinge", {}, lambda r, f: max(0, 1 - r) + max(0, 1 + f), lambda f: -f),
    (
        "hinge",
        {"margin": 0.25},
        lambda r, f: max(0, 0.25 - r) + max(0, 0.25 + f),
        lambda f: -f,
    ),
]


@pytest.mark.parametrize(("name", "options", "discriminator", "generator"), CLOSED)
def test_it_is_what_the_paper_writes(
    name: str, options: dict[str, float], discriminator: Any, generator: Any
) -> None:
    loss = a(name, **options)
    real, fake = LOGITS, LOGITS.flip(0) * 0.7 + 0.1
    pairs = list(zip(real.tolist(), fake.tolist(), strict=True))
    told = loss.discriminator(real, fake)
    torch.testing.assert_close(told, torch.tensor([discriminator(r, f) for r, f in pairs]).double())
    told = loss.generator(real, fake)
    torch.testing.assert_close(told, torch.tensor([generator(f) for _, f in pairs]).double())


def test_the_relativistic_average_is_what_the_paper_writes() -> None:
    real, fake = torch.tensor([2.0, -1.0, 0.5]).double(), torch.tensor([0.0, 1.0, -3.0]).double()
    loss = a("relativistic_average")
    mean_real, mean_fake = real.mean(), fake.mean()
    discriminator = [
        -log_d(float(r - mean_fake)) - log_1_minus_d(float(f - mean_real))
        for r, f in zip(real, fake, strict=True)
    ]
    generator = [
        -log_d(float(f - mean_real)) - log_1_minus_d(float(r - mean_fake))
        for r, f in zip(real, fake, strict=True)
    ]
    torch.testing.assert_close(loss.discriminator(real, fake), torch.tensor(discriminator).double())
    torch.testing.assert_close(loss.generator(real, fake), torch.tensor(generator).double())


def test_relativistic_pairing_is_what_the_paper_writes() -> None:
    real, fake = torch.tensor([2.0, -1.0, 0.5]).double(), torch.tensor([0.0, 1.0, -3.0]).double()
    loss = a("relativistic_pairing")
    pairs = list(zip(real.tolist(), fake.tolist(), strict=True))
    told = loss.discriminator(real, fake)
    torch.testing.assert_close(told, torch.tensor([-log_d(r - f) for r, f in pairs]).double())
    told = loss.generator(real, fake)
    torch.testing.assert_close(told, torch.tensor([-log_d(f - r) for r, f in pairs]).double())


@pytest.mark.parametrize("name", ["relativistic_average", "relativistic_pairing"])
def test_a_relativistic_loss_does_not_see_a_shift_of_all_logits(name: str) -> None:
    real, fake = LOGITS, LOGITS.flip(0) * 0.7
    for player in ("discriminator", "generator"):
        loss = getattr(a(name), player)
        torch.testing.assert_close(loss(real + 5, fake + 5), loss(real, fake))


@pytest.mark.parametrize("name", NAMES)
class TestEvery:
    def test_one_loss_a_sample_for_both_players(self, name: str) -> None:
        real, fake = torch.randn(7), torch.randn(7)
        assert a(name).discriminator(real, fake).shape == (7,)
        assert a(name).generator(real, fake).shape == (7,)

    def test_the_players_pull_the_logits_apart_and_together(self, name: str) -> None:
        """D wants real up and fake down; G wants fake up."""
        real, fake = torch.rand(64).double() * 0.9, torch.rand(64).double() * 0.8 + 0.1
        up, down = slopes(a(name), "discriminator", real, fake)
        assert (up < 0).all()
        assert (down > 0).all()
        _, wanted = slopes(a(name), "generator", real, fake)
        assert (wanted < 0).all()

    @pytest.mark.parametrize("size", [1e4, -1e4])
    @pytest.mark.parametrize("player", ["discriminator", "generator"])
    def test_it_and_its_gradient_are_finite_where_a_sigmoid_is_not(
        self, name: str, size: float, player: str
    ) -> None:
        real, fake = torch.full((4,), -size), torch.full((4,), size)
        assert torch.isfinite(getattr(a(name), player)(real, fake)).all()
        for slope in slopes(a(name), player, real, fake):
            assert torch.isfinite(slope).all()

    def test_its_gradient_is_that_of_finite_differences(self, name: str) -> None:
        """Away from the hinge's corners, where there is none."""
        loss = a(name)
        real = torch.tensor([0.3, -2.2, 1.7]).double().requires_grad_()
        fake = torch.tensor([-0.4, 1.3, 2.1]).double().requires_grad_()
        assert torch.autograd.gradcheck(loss.discriminator, (real, fake))
        assert torch.autograd.gradcheck(loss.generator, (real, fake))

    def test_it_survives_a_journey_to_a_worker(self, name: str) -> None:
        loss = a(name)
        assert pickle.loads(pickle.dumps(loss)) == loss

    def test_only_a_relativistic_generator_looks_at_real_pictures(self, name: str) -> None:
        real, fake = torch.randn(5).double(), torch.randn(5).double()
        slope, _ = slopes(a(name), "generator", real, fake)
        assert bool(slope.any()) == getattr(a(name), "relativistic", False)


@pytest.mark.parametrize(
    ("name", "option"), [(name, key) for name in NAMES for key in losses.options(name)]
)
def test_every_option_acts(name: str, option: str) -> None:
    """Turning a knob changes what either player minimises, or the penalty or clipping asked for."""
    plain = a(name)
    default = losses.options(name)[option].default
    turned = a(name, **{option: default * 3 if default else 0.5 if option == "drift" else -0.5})
    real, fake = torch.linspace(-2, 2, 16), torch.linspace(-1, 3, 16)

    def all_that_acts(loss: Loss) -> list[Any]:
        return [
            loss.discriminator(real, fake).tolist(),
            loss.generator(real, fake).tolist(),
            getattr(loss, "own_penalty", None),
            getattr(loss, "clip", None),
        ]

    assert all_that_acts(plain) != all_that_acts(turned)


def test_minimax_saturates_and_nonsaturating_does_not() -> None:
    """Where D is sure (logit -20), one generator has lost its gradient and the other has it all."""
    sure = torch.full((1,), -20.0).double()
    _, saturated = slopes(a("minimax"), "generator", sure, sure)
    _, strong = slopes(a("nonsaturating"), "generator", sure, sure)
    assert abs(saturated.item()) < 1e-8
    assert strong.item() == pytest.approx(-1)


def test_the_best_discriminator_has_the_jensen_shannon_divergence() -> None:
    """At D* = p / (p + q), -L_D = 2 JSD(p, q) - 2 log 2 (Goodfellow et al. 2014, equation 6)."""
    p, q = torch.tensor([0.7, 0.2, 0.1]).double(), torch.tensor([0.1, 0.3, 0.6]).double()
    best = (p / q).log()
    loss = a("minimax")
    value = -(p * loss.discriminator(best, torch.full_like(best, -torch.inf))).sum()
    value -= (q * loss.discriminator(torch.full_like(best, torch.inf), best)).sum()
    middle = (p + q) / 2
    divergence = ((p * (p / middle).log()).sum() + (q * (q / middle).log()).sum()) / 2
    assert value.item() == pytest.approx(2 * divergence.item() - 2 * math.log(2))


def test_the_boundary_of_least_squares_lies_between_its_answers() -> None:
    assert a("least_squares", real_target=3.0, fake_target=1.0).boundary == 2.0  # type: ignore[attr-defined]


def test_least_squares_refuses_answers_the_wrong_way_round() -> None:
    with pytest.raises(Refused, match="fake_target must be below real_target"):
        a("least_squares", real_target=0.0, fake_target=1.0)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("wasserstein", {"clip": 0}),
        ("hinge", {"margin": -1}),
        ("wasserstein_gp", {"gp_weight": -1}),
    ],
)
def test_impossible_options_are_refused(name: str, options: dict[str, float]) -> None:
    with pytest.raises(Refused, match=next(iter(options))):
        a(name, **options)


def test_the_gradient_penalty_of_wasserstein_gp_follows_its_options() -> None:
    loss: Any = a("wasserstein_gp", gp_weight=3.0, gp_interval=4)
    assert (loss.own_penalty.weight, loss.own_penalty.interval) == (3.0, 4)
    assert replace(loss, gp_weight=5.0).own_penalty.weight == 5.0
