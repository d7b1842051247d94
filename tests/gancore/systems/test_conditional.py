"""Conditional GANs: the label reaches both players, and what the reports say of it is true."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gancore import seeds
from gancore.config import ConfigError, RunConfig
from gancore.data.batches import to_unit
from gancore.metrics import feature_set
from gancore.models import ConcatDiscriminator, ConditionalGenerator, Discriminator
from gancore.systems import Material, systems
from gancore.systems.program import program
from gancore.training import train

CONDITIONINGS = ("concat", "projection", "auxiliary")


def config(conditioning: str = "projection", samples: int = 200, **changes: Any) -> RunConfig:
    small = {"data": "digits", "model": {"name": "mlp", "width": 16}, "latent": 8, "batch": 50}
    system = {"name": "conditional", "conditioning": conditioning, **changes.pop("options", {})}
    evaluation = {"samples": samples, **changes.pop("evaluation", {})}
    return RunConfig.of({**small, "system": system, "evaluation": evaluation, **changes})


def built(run: RunConfig) -> Any:
    material = Material(run, torch.device("cpu"))
    system: Any = systems.build("conditional", run, material, **run.system.options)
    system.begin_epoch(1, 0.0)
    return system


def batch(system: Any) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    real = system.batches.take(torch.arange(50))
    latents = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    told = system.conditions(real)
    return real.unit, system.generate(latents, told), told


@pytest.mark.parametrize("conditioning", CONDITIONINGS)
def test_the_label_reaches_both_players(conditioning: str) -> None:
    system = built(config(conditioning))
    real, fake, (labels,) = batch(system)
    others = (labels + 1) % 10
    latents = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    same = torch.isclose(system.generate(latents, (others,)), fake)
    assert not same.flatten(1).all(1).any()
    losses = [system.discriminator_loss(real, fake, (told,)).item() for told in (labels, others)]
    assert losses[0] != losses[1]
    logits = [system.judge(real, (told,)) for told in (labels, others)]
    # An auxiliary classifier is not told the class: it tells it.
    assert torch.equal(*logits) == (conditioning == "auxiliary")


@pytest.mark.parametrize("conditioning", CONDITIONINGS)
def test_the_generator_learns_from_what_the_discriminator_says_of_the_label(
    conditioning: str,
) -> None:
    """With a picture that is the same for every label, its gradient still is not."""
    system = built(config(conditioning))
    real, fake, (labels,) = batch(system)
    gradients = []
    for told in (labels, (labels + 1) % 10):
        pictures = fake.detach().requires_grad_()
        loss = system.generator_loss(real, pictures, (told,))
        gradients.append(torch.autograd.grad(loss, pictures)[0])
    assert not torch.allclose(*gradients, rtol=1e-3, atol=1e-9)


def test_the_generators_one_hot_is_as_long_as_latents_of_its_size() -> None:
    seen: list[Tensor] = []

    class Noting(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            seen.append(inputs)
            return inputs

    ConditionalGenerator(Noting(), 4)(torch.full((2, 3), 7.0), torch.tensor([2, 0]))
    assert seen[0].tolist() == [[7, 7, 7, 0, 0, 2, 0], [7, 7, 7, 2, 0, 0, 0]]  # sqrt(4) is 2.


def test_concat_shows_the_class_as_a_channel_that_is_all_one() -> None:
    seen: list[Tensor] = []

    class Noting(nn.Module):
        def forward(self, pictures: Tensor) -> Tensor:
            seen.append(pictures)
            return pictures.flatten(1).sum(1)

    pictures = torch.randn(2, 1, 3, 3)
    network = Noting()
    ConcatDiscriminator(network, 3)(pictures, torch.tensor([2, 0]))  # type: ignore[arg-type]
    assert torch.equal(seen[0][:, :1], pictures)
    assert seen[0][:, 1:, 1, 2].tolist() == [[0, 0, 1], [1, 0, 0]]
    assert torch.equal(seen[0][:, 1:].std((2, 3)), torch.zeros(2, 3))


def test_projection_is_the_papers_formula() -> None:
    """Equation 4 of arXiv:1802.05637: <embed(y), phi(x)> + psi(phi(x)), with linear psi."""
    system = built(config("projection"))
    real, _, (labels,) = batch(system)
    network = system.discriminator.network
    features = network.network.body(real)
    psi, embedding = network.network.head, network.embed.weight  # [10, width]
    expected = (features * (psi.weight + embedding[labels])).sum(1) + psi.bias
    torch.testing.assert_close(system.judge(real, (labels,)), expected)


@pytest.mark.parametrize("weight", [1.0, 2.5])
def test_auxiliary_classes_are_a_cross_entropy_beside_the_game(weight: float) -> None:
    """L_C of arXiv:1610.09585 of real and generated pictures, each with its label."""
    system = built(config("auxiliary", options={"class_weight": weight}))
    real, fake, told = batch(system)
    network = system.discriminator.network

    def of_classes(pictures: Tensor) -> Tensor:
        logits = network.classify(network.network.body(pictures)).double()
        return -logits.log_softmax(1)[torch.arange(50), told[0]].mean()

    game = (
        F.softplus(-system.judge(real, told)).mean() + F.softplus(system.judge(fake, told)).mean()
    )
    loss = system.discriminator_loss(real, fake, told)
    expected = game + weight * (of_classes(real) + of_classes(fake))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss = system.generator_loss(real, fake, told)
    expected = F.softplus(-system.judge(fake, told)).mean() + weight * of_classes(fake)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_gradient_penalty_is_told_the_labels_too() -> None:
    """R1 of a discriminator whose slope is the class: half of its mean square."""

    class Slope(Discriminator):
        def __init__(self) -> None:
            super().__init__(nn.Identity(), 1)

        def forward(self, pictures: Tensor, labels: Tensor) -> Tensor:  # type: ignore[override]
            return pictures[:, 0, 0, 0] * labels

    system = built(config(penalty={"name": "r1", "weight": 1.0}))
    real, fake, told = batch(system)
    system.discriminator.network = Slope()
    system.steps = 1
    with_penalty = system.discriminator_loss(real, fake, told)
    system.penalties = []
    extra = (with_penalty - system.discriminator_loss(real, fake, told)).item()
    assert extra == pytest.approx(told[0].float().square().mean().item() / 2, rel=1e-4)


class Planted(nn.Module):
    """A generator that copies real digits: of the class `answer(labels, which call)` says."""

    def __init__(self, system: Any, answer: Callable[[Tensor], Tensor], *, each: int = 50) -> None:
        super().__init__()
        train = system.material.train
        images, labels = to_unit(torch.tensor(train.images)), torch.tensor(train.labels)
        self.pools = [images[labels == label][:each] for label in range(10)]
        self.answer = answer
        self.drawn = 0

    def forward(self, _latents: Tensor, labels: Tensor) -> Tensor:
        pictures = []
        for label in self.answer(labels).tolist():
            pool = self.pools[label]
            pictures.append(pool[self.drawn // 10 % len(pool)])
            self.drawn += 1
        return torch.stack(pictures)


def scores(
    answer: Callable[[Tensor], Tensor], samples: int = 200, **kinds: int
) -> dict[str, float]:
    system = built(config(samples=samples))
    system.average.network = Planted(system, answer, **kinds)
    found: dict[str, float] = system.score().scores
    return found


def test_label_accuracy_is_the_share_that_one_counts_by_hand() -> None:
    """A third of the pictures is of the next class; of the others the classifier sees most."""

    def answer(labels: Tensor) -> Tensor:
        return torch.where(torch.arange(len(labels)) % 3 == 0, (labels + 1) % 10, labels)

    system = built(config(samples=240))
    labels = torch.arange(240) % 10
    pictures = Planted(system, answer)(torch.zeros(240, 8), labels)
    network = system.material.judge.network
    told = network.logits(network((pictures * 127.5 + 127.5).round().byte())).argmax(1)
    right = int((told == labels).sum())
    assert 0.55 < right / 240 < 0.7
    assert scores(answer, samples=240)["label_accuracy"] == pytest.approx(right / 240)


def test_labels_that_are_not_heeded_show_in_everything_but_the_fid() -> None:
    """The same pictures, each asked for by the number of another class."""
    heeded, mixed = scores(lambda labels: labels), scores(lambda labels: (labels + 1) % 10)
    assert heeded["fid200"] == pytest.approx(mixed["fid200"], rel=1e-3)
    assert heeded["label_accuracy"] > 0.95
    assert mixed["label_accuracy"] < 0.05
    assert mixed["intra_fid200"] > 10 * heeded["intra_fid200"]


def test_one_picture_for_each_class_is_seen_by_intra_fid_alone() -> None:
    """FID between N(m, C) and a single point x is |m - x|^2 + tr C; here the mean over classes."""
    one = scores(lambda labels: labels, each=1)
    assert one["label_accuracy"] == 1
    system = built(config())
    network, train = system.material.judge.network, system.material.train
    expected = []
    for label in range(10):
        rows = network(torch.tensor(train.images[train.labels == label])).detach().double()
        gap = (rows.mean(0) - rows[0]).square().sum()
        expected.append((gap + rows.T.cov().trace()).item())
    assert one["intra_fid200"] == pytest.approx(float(np.mean(expected)), rel=1e-3)
    assert one["intra_fid200"] > 4 * scores(lambda labels: labels)["intra_fid200"]


def test_intra_fid_says_of_how_many_pictures_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more pictures than rows are kept of, it is that of the kept ones."""
    from gancore.metrics import evaluation

    for module in (feature_set, evaluation):
        monkeypatch.setattr(module, "KEPT", 100)
    found = scores(lambda labels: labels, samples=200)
    assert {"fid200", "intra_fid100", "label_accuracy"} == found.keys()


def test_the_grid_has_a_row_of_each_class_with_the_same_latents() -> None:
    class Telling(nn.Module):
        def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
            shades = (labels + latents[:, 0].clamp(-2, 2) / 8) / 10
            return shades[:, None, None, None].expand(-1, 1, 8, 8)

    system = built(config())
    system.average.network = Telling()
    grid = system.grid()
    assert grid.shape == (1, 80, 80)
    latents = torch.randn(10, 8, generator=seeds.stream(0, "grid"))[:, 0].clamp(-2, 2)
    shades = (torch.arange(10)[:, None] + latents / 8) / 10
    expected = (shades * 127.5 + 127.5).round()
    torch.testing.assert_close(grid[0, ::8, ::8].float(), expected, atol=1, rtol=0)


def test_samples_are_equally_many_of_each_class() -> None:
    system = built(config())
    system.average.network = Planted(system, lambda labels: labels, each=1)
    pictures = system.sample(30, torch.Generator())
    assert torch.equal(pictures[:10], pictures[10:20])
    assert len(pictures.unique(dim=0)) == 10


def test_what_is_exported_takes_latents_and_labels() -> None:
    system = built(config())
    product = system.product()
    assert list(product.inputs) == ["latents", "labels"]
    latents = torch.randn(7, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([9, 0, 3, 3, 5, 1, 2])
    told = program(product).module()(latents, labels)
    torch.testing.assert_close(told, system.average.network(latents, labels))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"samples": 19},
            "evaluation.samples: system 'conditional' scores each of 10 classes, which needs 20 "
            "pictures, got 19",
        ),
        (
            {"evaluation": {"metric": "label_accuracy", "features": "inception"}},
            "evaluation.metric: 'label_accuracy' needs modes, which feature network 'inception' "
            "lacks: use ",
        ),
    ],
)
def test_scores_that_cannot_be_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as error:
        config(**changes)
    assert str(error.value).startswith(words)


def test_two_pictures_of_a_class_are_enough() -> None:
    report = next(train(config(samples=20, epochs=1), device="cpu"))
    assert not report.diverged
    assert math.isfinite(report.scores["intra_fid20"])


@pytest.mark.parametrize("conditioning", CONDITIONINGS)
def test_it_draws_what_it_is_asked_for(conditioning: str) -> None:
    rates = {"generator": {"lr": 2e-3}, "discriminator": {"lr": 2e-3}, "ema_kimg": 0.5}
    model, evaluation = {"name": "dcgan", "width": 16}, {"metric": "label_accuracy"}
    run = config(conditioning, model=model, epochs=6, evaluation=evaluation, **rates)
    first, *_, last = [report.scores["label_accuracy"] for report in train(run, device="cpu")]
    assert first < last
    assert last > 0.4
