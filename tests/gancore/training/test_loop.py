"""The training loop: it learns, it repeats itself, and it knows when it has diverged."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from gancore import Catalogue, seeds
from gancore.config import ConfigError, Data, RunConfig
from gancore.data.batches import to_uint8
from gancore.systems.grid import png, tile
from gancore.systems.players import learning_rate_factor
from gancore.training import load_system, train
from gancore.training.checkpoint import save
from gancore.verdicts import EXPLODED, divergence


def small(**changes: Any) -> RunConfig:
    return RunConfig.of(
        {
            "data": "digits",
            "model": {"name": "mlp", "width": 32},
            "latent": 8,
            "batch": 64,
            "epochs": 2,
            "evaluation": {"samples": 200},
            **changes,
        }
    )


def test_a_short_run_learns() -> None:
    config = small(
        model={"name": "dcgan", "width": 16},
        epochs=6,
        ema_kimg=0.5,
        generator={"lr": 2e-3},
        discriminator={"lr": 2e-3},
    )
    scores = [report.scores["fid200"] for report in train(config)]
    assert scores[-1] < 0.6 * scores[0]


def test_the_same_seed_gives_the_same_run_and_another_does_not() -> None:
    def scores(seed: int) -> list[float]:
        return [r.scores["fid200"] for r in train(small(seed=seed), device="cpu")]

    assert scores(0) == scores(0)
    assert scores(0) != scores(1)


@pytest.mark.parametrize("loss", ["relativistic_average", "relativistic_pairing"])
def test_the_level_of_all_logits_does_not_count_as_accuracy(loss: str) -> None:
    training = train(small(loss=loss))
    with torch.no_grad():
        training.system.discriminator.network.head.bias += 100  # type: ignore[attr-defined]
    values = next(training).values()
    assert values["accuracy_real"] < 1
    assert values["accuracy_fake"] > 0


@pytest.mark.parametrize("loss", Catalogue.read()["losses"])
def test_every_loss_trains_and_says_what_it_should(loss: str) -> None:
    report = next(train(small(loss=loss, epochs=1)))
    assert not report.diverged
    values = report.values()
    assert all(math.isfinite(v) for v in values.values())
    assert {
        "fid200",
        "loss_generator",
        "loss_discriminator",
        "kimg",
        "pictures_per_second",
        "gradient_norm_generator",
        "gradient_norm_discriminator",
    } <= values.keys()
    critic = loss in ("wasserstein", "wasserstein_gp")
    assert ("wasserstein_estimate" in values) == critic
    assert ("accuracy_real" in values) == (not critic)
    assert ("penalty" in values) == (loss == "wasserstein_gp")
    assert report.passport.as_mapping()["generated"] == 200


def test_a_huge_learning_rate_is_called_diverged_at_its_first_evaluation() -> None:
    config = small(
        model={"name": "dcgan", "width": 8},
        generator={"lr": 10},
        discriminator={"lr": 10},
        epochs=5,
    )
    reports = list(train(config))
    assert reports[-1].diverged
    assert len(reports) == 1
    assert reports[0].evidence


@pytest.mark.parametrize("seed", [0, 7])
def test_the_grid_shows_the_same_latents_in_every_run_and_epoch(seed: int) -> None:
    latents = torch.randn(64, 8, generator=seeds.stream(0, "grid"))
    training = train(small(seed=seed))
    for report in training:
        assert torch.equal(report.grid, tile(training.system.pictures(latents)))
        assert report.grid.shape == (1, 64, 64)


def test_weights_are_clipped_after_each_step() -> None:
    training = train(small(loss={"name": "wasserstein", "clip": 0.02}, epochs=1))
    next(training)
    weights = training.system.state_dict()["discriminator"]["network"].values()
    assert max(w.abs().max().item() for w in weights) <= 0.02


def test_more_critic_steps_mean_fewer_generator_steps() -> None:
    def moved(steps: int) -> float:
        training = train(small(discriminator={"steps": steps}, epochs=1))

        def state() -> Any:
            return training.system.state_dict()["generator"]["optimizer"]["state"]

        assert not state()
        next(training)
        return float(state()[0]["step"])

    assert moved(1) == 3 * moved(3) + moved(1) % 3


def test_a_checkpoint_gives_the_generator_that_was_scored(tmp_path: Any) -> None:
    training = train(small())
    next(training)
    latents = torch.randn(5, 8)
    path = save(tmp_path, training.checkpoint())
    product = load_system(path).product()
    assert product.inputs["latents"].shape == (2, 8)
    pictures = training.system.pictures(latents)  # type: ignore[attr-defined]
    assert torch.equal(to_uint8(product.network(latents)), pictures)


def test_a_run_built_by_hand_is_checked_too() -> None:
    config = replace(small(), data=Data(name="digits", resolution=64))
    with pytest.raises(ConfigError, match="cannot show 64"):
        train(config)


def test_learning_rates_fall_as_asked() -> None:
    linear = small(lr_decay="linear", lr_decay_start=0.5)
    assert [learning_rate_factor(linear, p) for p in (0.0, 0.5, 0.75)] == [1.0, 1.0, 0.5]
    cosine = small(lr_decay="cosine")
    assert learning_rate_factor(cosine, 0.5) == pytest.approx(0.5)
    assert learning_rate_factor(small(), 0.9) == 1.0


@pytest.mark.parametrize(
    ("statistics", "scores", "words"),
    [
        ({"loss_generator": 1.0}, {"fid5k": 10.0}, ""),
        ({"loss_generator": math.nan}, {}, "loss_generator is nan"),
        ({}, {"fid5k": math.inf}, "fid5k is inf"),
        ({"loss_discriminator": -2 * EXPLODED}, {}, "loss_discriminator is -2e+04, beyond 10000"),
    ],
)
def test_a_verdict_names_its_evidence(
    statistics: dict[str, float], scores: dict[str, float], words: str
) -> None:
    assert divergence(statistics, scores) == words


def test_pictures_are_tiled_row_by_row() -> None:
    pictures = torch.arange(5, dtype=torch.uint8).reshape(5, 1, 1, 1).expand(5, 1, 2, 2)
    tiled = tile(pictures, columns=3)
    assert tiled.shape == (1, 4, 6)
    assert tiled[0, 0].tolist() == [0, 0, 1, 1, 2, 2]
    assert tiled[0, 2].tolist() == [3, 3, 4, 4, 0, 0]


def test_a_png_holds_the_pixels_enlarged() -> None:
    import io

    import numpy as np
    from PIL import Image

    picture = torch.tensor([[[0, 255]], [[9, 8]], [[7, 6]]], dtype=torch.uint8)
    read = np.asarray(Image.open(io.BytesIO(png(picture, scale=2))))
    assert read.shape == (2, 4, 3)
    assert read[1, 3].tolist() == [255, 8, 6]
