"""CycleGAN: the authors' step, both directions' scores, and what is shown."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from gancore.config import ConfigError, RunConfig, objective_name
from gancore.data import DataUnavailable
from gancore.systems import Material, systems
from gancore.systems.cycle import Cycle

SMALL: dict[str, Any] = {
    "system": "cycle",
    "data": {"name": "styles", "resolution": 8},
    "model": {"width": 4, "blocks": 1, "layers": 1},
    "batch": 250,
    "epochs": 3,
    "seed": 3,
    "evaluation": {"samples": 40},
}


def run_config(**changed: Any) -> RunConfig:
    return RunConfig.of({**SMALL, **changed})


def system(cache: Path, **changed: Any) -> Cycle:
    config = run_config(**changed)
    material = Material(config, torch.device("cpu"), cache=cache)
    built = systems.build("cycle", config, material, **config.system.options)
    assert isinstance(built, Cycle)
    return built


def batch(seed: int, count: int = 3) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    a, b = (torch.rand(count, 3, 8, 8, generator=random) * 2 - 1 for _ in range(2))
    return a, b


def authors_step(
    nets: dict[str, nn.Module], optimizers: list[torch.optim.Optimizer], reals: tuple[Tensor, ...]
) -> None:
    """`optimize_parameters` of the authors' PyTorch code, without buffer."""
    (real_a, real_b), mse, l1 = reals, F.mse_loss, F.l1_loss
    fake_b, fake_a = nets["ab"](real_a), nets["ba"](real_b)
    said_b, said_a = nets["d_b"](fake_b), nets["d_a"](fake_a)
    loss = mse(said_b, torch.ones_like(said_b)) + mse(said_a, torch.ones_like(said_a))
    loss = loss + 10 * l1(nets["ba"](fake_b), real_a) + 10 * l1(nets["ab"](fake_a), real_b)
    loss = loss + 5 * l1(nets["ab"](real_b), real_b) + 5 * l1(nets["ba"](real_a), real_a)
    optimizers[0].zero_grad()
    loss.backward()
    optimizers[0].step()
    optimizers[1].zero_grad()
    for judge, real, fake in ((nets["d_a"], real_a, fake_a), (nets["d_b"], real_b, fake_b)):
        said_real, said_fake = judge(real), judge(fake.detach())
        ones, zeros = torch.ones_like(said_real), torch.zeros_like(said_fake)
        (0.5 * (mse(said_real, ones) + mse(said_fake, zeros))).backward()
    optimizers[1].step()


def test_its_steps_are_those_of_the_authors(cache: Path) -> None:
    """By plain descent: Adam would hide a loss that is too large by a factor."""
    sgd = {"optimizer": "sgd", "lr": 0.02, "beta1": 0.0}
    cycle = system(cache, system={"name": "cycle", "buffer": 0}, generator=sgd, discriminator=sgd)
    translators: Any = copy.deepcopy(cycle.generator.network)
    judges: Any = copy.deepcopy(cycle.discriminator.network)
    nets = {"ba": translators[0], "ab": translators[1], "d_a": judges[0], "d_b": judges[1]}
    optimizers = [torch.optim.SGD(n.parameters(), lr=0.02) for n in (translators, judges)]
    cycle.begin_epoch(1, 0.0)
    for seed in range(3):
        authors_step(nets, optimizers, batch(seed))
        cycle.step(batch(seed))
    for ours, theirs in ((cycle.generator, translators), (cycle.discriminator, judges)):
        torch.testing.assert_close(ours.network.state_dict(), theirs.state_dict())
    assert set(cycle.end_epoch()) == {
        "loss_generator",
        "loss_discriminator",
        "loss_cycle",
        "loss_identity",
        "accuracy_real",
        "accuracy_fake",
        "gradient_norm_generator",
        "gradient_norm_discriminator",
    }


def test_statistics_are_means_over_both_directions(cache: Path) -> None:
    cycle = system(cache)
    reals = batch(0)
    fakes = cycle.translate(reals[1], into=0), cycle.translate(reals[0], into=1)
    backs = cycle.translate(fakes[1], into=0), cycle.translate(fakes[0], into=1)
    game = [((cycle.judge(fakes[which], which) - 1) ** 2 / 2).mean() for which in (0, 1)]
    away = [(backs[which] - reals[which]).abs().mean() for which in (0, 1)]
    same = [
        (cycle.translate(reals[which], into=which) - reals[which]).abs().mean() for which in (0, 1)
    ]
    said = [torch.stack([cycle.judge(p[which], which) for p in (reals, fakes)]) for which in (0, 1)]
    cycle.begin_epoch(1, 0.0)
    cycle.generator_loss(reals, fakes)
    cycle.discriminator_loss(reals, fakes)
    told = cycle.end_epoch()
    assert told["loss_generator"] == pytest.approx(sum(game).item() / 2)  # type: ignore[union-attr]
    assert told["loss_cycle"] == pytest.approx(sum(away).item() / 2)  # type: ignore[union-attr]
    assert told["loss_identity"] == pytest.approx(sum(same).item() / 2)  # type: ignore[union-attr]
    for number, name in enumerate(("accuracy_real", "accuracy_fake")):
        logits = torch.stack([s[number] for s in said])
        right = logits > 0.5 if number == 0 else logits < 0.5
        assert told[name] == pytest.approx(right.float().mean().item())


def test_without_weight_nothing_is_asked_to_stay_as_it_is(cache: Path) -> None:
    cycle = system(cache, system={"name": "cycle", "identity_weight": 0})
    cycle.begin_epoch(1, 0.0)
    cycle.step(batch(0))
    assert "loss_identity" not in cycle.end_epoch()


@pytest.mark.parametrize(
    "option", ["cycle_weight", "identity_weight", "adversarial_weight", "buffer"]
)
def test_every_option_changes_what_is_learnt(option: str, cache: Path) -> None:
    def learnt(**options: Any) -> list[Tensor]:
        cycle = system(cache, system={"name": "cycle", **options})
        cycle.begin_epoch(1, 0.0)
        for seed in range(3):
            cycle.step(batch(seed))
        networks = cycle.generator.network, cycle.discriminator.network
        return [p.detach() for network in networks for p in network.parameters()]

    value = {"buffer": 2}.get(option, 3.0)
    pairs = zip(learnt(), learnt(**{option: value}), strict=True)
    assert any(not torch.equal(a, b) for a, b in pairs)


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, str]:
    """Nine pictures to learn from in A and four in B, told apart by their shade; two to test on."""
    for name, first, count in (("a", 0, 9), ("b", 100, 4)):
        for split, number in (("train", count), ("test", 2)):
            for shade in range(first, first + number):
                path = tmp_path / name / split / f"{shade}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("L", (8, 8), shade).save(path)
    return {"path_a": str(tmp_path / "a"), "path_b": str(tmp_path / "b")}


def test_an_epoch_lasts_as_long_as_the_larger_domain(
    folders: dict[str, str], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = {"name": "two_folders", "resolution": 8, **folders}
    cycle = system(cache, data=data, batch=2, evaluation={"samples": 2})
    seen: list[tuple[list[int], ...]] = []

    def step(reals: tuple[Tensor, Tensor]) -> None:
        shades = [((real[:, 0, 0, 0] + 1) * 127.5).round().int().tolist() for real in reals]
        seen.append(tuple(shades))

    monkeypatch.setattr(cycle, "step", step)
    assert list(cycle.train(1, 0.0)) == [4] * 4  # of nine pictures four batches of two; both count
    a, b = ([shade for pair in seen for shade in pair[which]] for which in (0, 1))
    assert len(set(a)) == 8
    assert set(a) <= set(range(9))
    assert set(b[:4]) == set(b[4:]) == {100, 101, 102, 103}
    first = list(seen)
    orders = [b[:4], b[4:]]
    for epoch in (2, 3):
        seen.clear()
        list(cycle.train(epoch, 0.0))
        b = [shade for pair in seen for shade in pair[1]]
        orders += [b[:4], b[4:]]
    assert len({tuple(order) for order in orders}) > 3  # of 24, six are drawn
    seen.clear()
    list(cycle.train(1, 0.0))
    assert seen == first


def test_penalties_and_clipping_reach_both_discriminators(cache: Path) -> None:
    cycle = system(
        cache,
        penalty={"name": "r1", "weight": 1.0, "interval": 2},
        loss={"name": "wasserstein", "clip": 0.01},
    )
    cycle.begin_epoch(1, 0.0)
    cycle.step(batch(0))
    told = cycle.end_epoch()
    assert told["penalty"] > 0
    assert "wasserstein_estimate" in told
    for parameters in cycle.discriminator.network.parameters():
        assert parameters.abs().max() <= 0.01
    cycle.begin_epoch(1, 0.0)
    cycle.step(batch(0))
    assert "penalty" not in cycle.end_epoch()


def test_r1_is_the_slope_of_the_mean_patch(cache: Path) -> None:
    """R1 of the paper: weight / 2 times the squared slope at real pictures."""
    cycle = system(cache, penalty={"name": "r1", "weight": 3.0})
    reals, fakes = batch(0), batch(1)
    cycle.begin_epoch(1, 0.0)
    cycle.steps = 1
    cycle.discriminator_loss(reals, fakes)
    slopes = []
    for which, real in enumerate(reals):
        at = real.clone().requires_grad_()
        (slope,) = torch.autograd.grad(cycle.judge(at, which).mean((1, 2)).sum(), at)
        slopes.append(1.5 * slope.square().sum((1, 2, 3)).mean().item())
    assert cycle.end_epoch()["penalty"] == pytest.approx(sum(slopes) / 2, rel=1e-4)


def test_translators_may_learn_at_every_second_step_only(cache: Path) -> None:
    cycle = system(cache, discriminator={"steps": 2})
    cycle.begin_epoch(1, 0.0)

    def weights(player: Any) -> Tensor:
        return torch.cat([p.detach().flatten() for p in player.network.parameters()])

    beginnings = [weights(player) for player in (cycle.generator, cycle.discriminator)]
    cycle.step(batch(0))
    assert torch.equal(weights(cycle.generator), beginnings[0])
    assert not torch.equal(weights(cycle.discriminator), beginnings[1])
    cycle.step(batch(1))
    assert not torch.equal(weights(cycle.generator), beginnings[0])


class _Painter(nn.Module):
    """The true translator of `styles` from plain to ink, or back."""

    paper = torch.tensor([250, 240, 215]).reshape(3, 1, 1) / 127.5 - 1
    ink = torch.tensor([20, 30, 120]).reshape(3, 1, 1) / 127.5 - 1

    def __init__(self, into: int) -> None:
        super().__init__()
        self.into = into

    def forward(self, pictures: Tensor) -> Tensor:
        if self.into == 1:
            return self.paper + (pictures + 1) / 2 * (self.ink - self.paper)
        shade = (self.paper - pictures) / (self.paper - self.ink)
        return 2 * shade.mean(1, keepdim=True).expand_as(pictures) - 1


class _OnePicture(nn.Module):
    """Draws the same picture, whatever it is given."""

    def __init__(self, picture: Tensor) -> None:
        super().__init__()
        self.picture = picture

    def forward(self, pictures: Tensor) -> Tensor:
        return self.picture.expand_as(pictures)


@pytest.fixture(scope="module")
def judged(cache: Path) -> Cycle:
    return system(cache, data={"name": "styles", "resolution": 16}, evaluation={"samples": 400})


def scored(cycle: Cycle, into_a: nn.Module, into_b: nn.Module) -> dict[str, float]:
    cycle.generator.network = nn.ModuleList([into_a, into_b])
    found = cycle.score()
    assert found.passport == cycle.passport()
    assert found.passport.metric == objective_name(cycle.config) == next(iter(found.scores))
    return {**found.scores, **found.statistics}


def test_a_true_translator_scores_well_and_one_that_does_nothing_as_the_domains_do(
    judged: Cycle,
) -> None:
    true = scored(judged, _Painter(0), _Painter(1))
    idle = scored(judged, nn.Identity(), nn.Identity())
    between = true["fid_between"]
    for way in ("fid_ab400", "fid_ba400"):
        assert true[way] < 0.1 * between
        assert idle[way] == pytest.approx(between, rel=0.2)
    assert true["fid400"] == (true["fid_ab400"] + true["fid_ba400"]) / 2
    assert true["cycle_error"] < 0.01
    assert idle["cycle_error"] == 0
    accuracy = judged.passport().accuracy
    assert accuracy is not None
    assert true["content_kept"] > accuracy - 0.05


def test_a_translator_to_one_picture_is_found_out(judged: Cycle) -> None:
    picture = torch.from_numpy(np.array(judged.real[1].images[0])) / 127.5 - 1
    poor = scored(judged, _Painter(0), _OnePicture(picture))
    assert poor["fid_ab400"] > 0.5 * poor["fid_between"]
    assert judged.score().signals["coverage"] < 0.1
    assert poor["content_kept"] < 0.65  # one direction is true, the other right one time in ten
    # By hand: every A comes back as the shade of that picture.
    back = _Painter(0)(picture[None])
    original = torch.from_numpy(np.array(judged.sources[0].images)) / 127.5 - 1
    error = (back - original).abs().mean().item() / 2  # the other direction comes back as that
    real_b = torch.from_numpy(np.array(judged.sources[1].images)) / 127.5 - 1
    assert poor["cycle_error"] == pytest.approx(
        error + (picture - real_b).abs().mean().item() / 2, rel=1e-4
    )


def test_test_pictures_are_scored_before_training_pictures_and_none_twice(cache: Path) -> None:
    few = system(cache, evaluation={"samples": 300}).sources
    many = system(cache, evaluation={"samples": 700}).sources
    cycle = system(cache)
    for which in (0, 1):
        test, real = cycle.held_out[which].images, cycle.real[which].images
        assert np.array_equal(few[which].images, test[:300])
        assert np.array_equal(many[which].images, np.concatenate([test, real[:200]]))
        labels = many[which].labels
        assert labels is not None
        assert len(labels) == 700
    with pytest.raises(DataUnavailable, match="domain A has 500 test and 2000 training pictures"):
        system(cache, evaluation={"samples": 2501}).passport()


def test_the_grid_shows_pictures_their_translations_and_the_way_back(cache: Path) -> None:
    cycle = system(cache)
    cycle.generator.network = nn.ModuleList([_Painter(0), _Painter(1)])
    grid = cycle.grid()
    assert grid.shape == (3, 6 * 8, 10 * 8)
    rows = grid.reshape(3, 6, 8, 80).float()
    for original, there, back in ((0, 1, 2), (3, 4, 5)):
        assert (rows[:, original] - rows[:, back]).abs().max() <= 2
        assert (rows[:, original] - rows[:, there]).abs().mean() > 50
    assert rows[:, 0].mean() < 100 < rows[:, 3].mean()  # A is white on black, B ink on paper
    assert torch.equal(grid, cycle.grid())


def test_samples_are_translations_into_b(cache: Path) -> None:
    cycle = system(cache)
    cycle.generator.network = nn.ModuleList([nn.Identity(), _OnePicture(torch.zeros(3, 8, 8))])
    random = torch.Generator().manual_seed(0)
    pictures = cycle.sample(700, random)  # more than there are to test on
    assert pictures.shape == (700, 3, 8, 8)
    assert set(pictures.unique().tolist()) == {128}
    cycle.generator.network = nn.ModuleList([nn.Identity(), nn.Identity()])
    one, same = (cycle.sample(20, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(one, same)
    known = {image.tobytes() for image in cycle.held_out[0].images}
    assert {image.numpy().tobytes() for image in one} <= known


def test_a_run_by_its_name_alone_is_that_of_the_paper() -> None:
    run = RunConfig.of({"system": "cycle"})
    assert (run.loss.name, run.model.name, run.data.name) == ("least_squares", "cycle", "styles")
    assert (run.generator.lr, run.generator.beta1, run.batch) == (2e-4, 0.5, 1)
    assert (run.lr_decay, run.lr_decay_start, run.ema_kimg) == ("linear", 0.5, 0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"data": "mnist5k"}, r"data\.name: system 'cycle' needs pictures of two domains: use sty"),
        ({"model": "dcgan"}, r"model\.name: system 'cycle' needs a translator.*: use cycle"),
        ({"system": "adversarial"}, r"model\.name: system 'adversarial' needs a generator"),
        ({"data": {"name": "styles", "resolution": 30}}, "needs a multiple of 4 from 8, got 30"),
        ({"system": {"name": "cycle", "buffer": -1}}, r"system\.buffer: expected a whole number"),
    ],
)
def test_what_cannot_be_translated_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RunConfig.of({"system": "cycle", "model": "cycle", **changed})
