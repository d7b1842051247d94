"""Progressive growing: phases, fades, batches, optimisers and averages, step by step."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gancore.config import ConfigError, RunConfig
from gancore.errors import Unfit
from gancore.growth import Growth, Phase
from gancore.models import ImageShape, models
from gancore.systems import Material, Staged, systems
from gancore.systems.progressive import faded
from gancore.training import train

TINY = {"name": "progan", "capacity": 64, "max_width": 8}
TIMES = {"first": 4, "fade_kimg": 1.5, "stable_kimg": 0.75, "batches": {8: 50}}
"""At 8 pixels from picture 750 on, faded in at 2,250."""


def config(options: dict[str, Any] | None = None, **changes: Any) -> RunConfig:
    system = {"name": "progressive", **(TIMES if options is None else options)}
    small = {"data": "digits", "model": TINY, "latent": 8, "batch": 150, "epochs": 2}
    return RunConfig.of({**small, "system": system, "evaluation": {"samples": 60}, **changes})


def built(run: RunConfig) -> Any:
    material = Material(run, torch.device("cpu"))
    return systems.build("progressive", run, material, **run.system.options)


def built_plain() -> Any:
    run = RunConfig.of({"data": "digits", "model": "mlp", "latent": 8})
    return systems.build("adversarial", run, Material(run, torch.device("cpu")))


def steps(system: Any) -> Iterator[tuple[int, int, float]]:
    """What two epochs do, a training step an item: pictures, their resolution, and alpha."""
    seen: list[tuple[int, int, float]] = []
    step = system.step

    def noting(real: Tensor) -> None:
        seen.append((len(real), real.shape[2], system.generator.network.alpha))
        step(real)

    system.step = noting
    for epoch in (1, 2):
        for _ in system.train(epoch, (epoch - 1) / 2):
            yield seen[-1]


def growth(**changes: Any) -> Growth:
    asked = {"first": 4, "last": 32, "fade_kimg": 20, "stable_kimg": 10, "lengths": None}
    return Growth.of(**{**asked, "batch": 16, "batches": None, **changes})


def test_each_resolution_is_faded_in_and_then_stable() -> None:
    """The papers' timeline: 4 pixels alone, then fade and stable phase of every doubling."""
    assert list(growth()) == [
        Phase(4, 0, 0, 16),
        Phase(8, 10_000, 20_000, 16),
        Phase(16, 40_000, 20_000, 16),
        Phase(32, 70_000, 20_000, 16),
    ]
    assert growth().grown == 90_000
    assert list(growth(first=32)) == [Phase(32, 0, 0, 16)]
    assert growth(first=32).grown == 0


def test_single_resolutions_may_have_lengths_and_batches_of_their_own() -> None:
    own = growth(last=16, lengths={4: 1, 8: 2}, batches={4: 64, 16: 4})
    assert list(own) == [Phase(4, 0, 0, 64), Phase(8, 1000, 2000, 16), Phase(16, 5000, 20_000, 4)]
    assert own.largest_batch == 64


def test_each_resolution_is_a_stage_that_can_be_skipped_to() -> None:
    system = built(config())
    assert isinstance(system, Staged)
    assert system.stages() == [0, 750]
    for shown, resolution in ((750, 8), (0, 4)):
        system.skip_to(shown)
        next(system.train(1, 0.0))
        assert system.resolution == resolution
    assert not isinstance(built_plain(), Staged)


def test_the_papers_schedule_reaches_1024_pixels_after_its_pictures() -> None:
    """Appendix A.1: 800k pictures at 4 pixels, then 800k of fade and 800k stable at each."""
    paper = growth(last=1024, fade_kimg=800, stable_kimg=800)
    assert [phase.begins for phase in paper][:3] == [0, 800_000, 2_400_000]
    assert paper.grown == 800_000 * (1 + 2 * 7 + 1)


@pytest.mark.parametrize(
    ("shown", "resolution", "alpha"),
    [
        (0, 4, 1.0),
        (9_999, 4, 1.0),
        (10_000, 8, 0.0),
        (15_000, 8, 0.25),
        (30_000, 8, 1.0),
        (39_999, 8, 1.0),
        (40_000, 16, 0.0),
        (90_000, 32, 1.0),
        (10**9, 32, 1.0),
    ],
)
def test_where_a_run_is(shown: int, resolution: int, alpha: float) -> None:
    phase = growth().at(shown)
    assert (phase.resolution, phase.alpha(shown)) == (resolution, alpha)


def test_real_pictures_fade_as_generated_ones_do() -> None:
    """Within each 2x2 block the new detail grows with alpha, while the block's mean stays."""
    pictures = torch.randn(5, 3, 32, 32)
    at16 = F.avg_pool2d(pictures, 2)
    blocks = F.avg_pool2d(at16, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)
    generator = models.build("progan", capacity=64, max_width=8).generator(8, ImageShape(3, 32))
    latents = torch.randn(5, 8)
    generator.grow(16, 0.0)
    coarse = generator(latents)
    generator.grow(16, 1.0)
    fine = generator(latents)
    for alpha in (0.0, 0.3, 1.0):
        seen = faded(pictures, 16, alpha)
        torch.testing.assert_close(seen, blocks + alpha * (at16 - blocks))
        generator.grow(16, alpha)
        torch.testing.assert_close(generator(latents), coarse + alpha * (fine - coarse))
    assert torch.equal(faded(pictures, 32, 1.0), pictures)


def test_at_alpha_0_the_discriminator_sees_what_it_saw_before() -> None:
    discriminator = models.build("progan", capacity=64, max_width=8).discriminator(
        ImageShape(3, 32)
    )
    pictures = torch.randn(4, 3, 32, 32)
    for before, after in [(4, 8), (16, 32)]:
        logits = []
        for resolution, alpha in [(before, 1.0), (after, 0.0)]:
            discriminator.grow(resolution, alpha)
            logits.append(discriminator(faded(pictures, resolution, alpha)))
        torch.testing.assert_close(*logits)


def test_each_step_has_the_batch_the_resolution_and_the_alpha_of_its_phase() -> None:
    run = list(steps(built(config())))
    four, eight = [s for s in run if s[1] == 4], [s for s in run if s[1] == 8]
    assert run == four + eight
    assert four == [(150, 4, 1.0)] * 5  # 750 pictures
    assert {pictures for pictures, _, _ in eight} == {50}
    shown = 750 + 50 * np.arange(len(eight))
    assert [alpha for *_, alpha in eight] == pytest.approx(np.minimum(1, (shown - 750) / 1500))
    assert 5 * 150 + 50 * len(eight) == 3000


def test_the_optimisers_start_afresh_where_a_fade_begins_and_ends_and_nowhere_else() -> None:
    system = built(config())
    ages = []
    for _ in steps(system):
        players = (system.generator, system.discriminator)
        states = [list(player.optimizer.state.values()) for player in players]
        ages.append([max(int(s["step"]) for s in state) for state in states])
    assert all(g == d for g, d in ages)
    # Steps since: 5 at 4 pixels; 30 while 8 are faded in; the rest.
    expected = [*range(1, 6), *range(1, 31), *range(1, len(ages) - 34)]
    assert [g for g, _ in ages] == expected


def test_restarting_keeps_the_learning_rate() -> None:
    system = built(config(lr_decay="linear"))
    list(steps(system))
    for player in (system.generator, system.discriminator):
        assert [group["lr"] for group in player.optimizer.param_groups] == [5e-4]


def test_the_average_grows_too() -> None:
    system = built(config())
    fresh = {k: v.clone() for k, v in system.average.state_dict().items()}
    new = [k for k in fresh if k.startswith(("stages.1", "to_pictures.1"))]
    networks = (system.generator.network, system.discriminator.network, system.average.network)
    for pictures, resolution, alpha in steps(system):
        assert pictures
        assert {(n.resolution, n.alpha) for n in networks} == {(resolution, alpha)}
        if resolution == 4:
            assert all(torch.equal(system.average.state_dict()[k], fresh[k]) for k in new)
    assert not any(torch.equal(system.average.state_dict()[k], fresh[k]) for k in new)
    learnt = system.generator.network.state_dict()
    assert not all(torch.equal(system.average.state_dict()[k], learnt[k]) for k in new)


def test_new_layers_are_averaged_from_their_own_beginning() -> None:
    """An average over the whole run would show them as random as they began, all through a fade."""
    system = built(config(ema_kimg=100, ema_rampup=0.05))
    for _, resolution, alpha in steps(system):
        if resolution == 8 and alpha >= 0.1:
            break
    ours = system.average.network.stages[1].state_dict()
    theirs = system.generator.network.stages[1].state_dict()
    # A few steps into the fade, half-lives are a step long: what is averaged is what is learnt.
    for name, weights in theirs.items():
        assert (ours[name] - weights).abs().max() < 1e-3, name


def test_reports_say_where_the_run_is_and_at_what_the_score_looked() -> None:
    options = {"first": 4, "fade_kimg": 2.25, "stable_kimg": 1.5}
    training = train(config(options, epochs=3), device="cpu")
    last = training.system.passport()
    assert (last.resolution, last.shown_at) == (8, 8)
    reports = list(training)
    told = [(r.stage, r.values()["resolution"], r.values()["alpha"]) for r in reports]
    # The first epoch ends where 8 pixels begin.
    assert told == [(8, 8, 0), (8, 8, pytest.approx(1500 / 2250)), (8, 8, 1)]
    assert reports[-1].passport == last

    longer = train(config({**options, "stable_kimg": 2}, epochs=3), device="cpu")
    report = next(longer)
    assert (report.stage, report.values()["resolution"], report.values()["alpha"]) == (4, 4, 1)
    assert (report.passport.resolution, report.passport.shown_at) == (4, 8)
    assert report.passport.digest != last.digest
    assert report.grid.shape == (1, 32, 32)
    assert all(math.isfinite(score) for score in report.scores.values())


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "hinge"},
        {"loss": "relativistic_pairing", "penalty": {"name": "r1_r2", "weight": 1.0}},
        {"loss": "wasserstein", "discriminator": {"steps": 3}},
    ],
)
def test_any_other_loss_grows_as_well(changes: dict[str, Any]) -> None:
    reports = list(train(config(**changes), device="cpu"))
    assert [report.stage for report in reports] == [8, 8]
    assert not reports[-1].diverged
    values = reports[-1].values()
    assert ("wasserstein_estimate" in values) == (changes["loss"] == "wasserstein")


def test_what_is_exported_is_the_generator_at_its_resolution() -> None:
    system = built(config())
    assert system.product().network(torch.zeros(2, 8)).shape == (2, 1, 4, 4)
    list(steps(system))
    network = system.product().network
    assert network(torch.zeros(2, 8)).shape == (2, 1, 8, 8)
    latents = torch.randn(3, 8)
    torch.testing.assert_close(network(latents), system.average.network(latents))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"options": {"fade_kimg": 2, "stable_kimg": 2}},
            "epochs: 2 x 1,500 pictures end before 8 pixels are faded in, after 4,000: train "
            "longer, or give system.fade_kimg, stable_kimg or lengths",
        ),
        (
            {"options": {"first": 16}},
            "system.first: the run begins at 16 pixels, but ends at 8",
        ),
        (
            {"options": {**TIMES, "lengths": {16: 2}}},
            "system.lengths: 16 is none of the run's resolutions, 4, 8",
        ),
        (
            {"options": {**TIMES, "batches": {4: 1501}}},
            "system.batches: digits has 1500 pictures, fewer than a batch of 1501",
        ),
        (
            {"model": "dcgan"},
            "model.name: system 'progressive' needs a growing generator, which 'dcgan' is not: "
            "use progan",
        ),
    ],
)
def test_growth_that_cannot_be_is_refused_before_anything_is_read(
    changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError) as error:
        config(**changes)
    assert str(error.value) == words


def test_pictures_that_are_too_few_are_refused_where_only_the_data_tell() -> None:
    run = config()
    material = Material(run, torch.device("cpu"))
    whole = material.train
    for count, words in [(1000, "2 x 1,000 pictures end before 8 pixels"), (1200, "")]:
        material.train = whole.chosen(np.arange(count), "few")  # type: ignore[misc]
        system: Any = systems.build("progressive", run, material, **run.system.options)
        if not words:
            assert next(system.train(1, 0.0)) == 150
            continue
        with pytest.raises(Unfit, match=words):
            next(system.train(1, 0.0))
    options = {**TIMES, "batches": {8: 1400}}
    system = systems.build("progressive", run, material, **options)
    with pytest.raises(Unfit, match="fewer than one batch of 1400"):
        next(system.train(1, 0.0))
