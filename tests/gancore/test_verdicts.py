"""Every failure planted in three degrees is named; what is healthy is left alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from gancore import seeds
from gancore.config import RunConfig
from gancore.data import load
from gancore.metrics import Evaluator, Judge
from gancore.verdicts import AILMENTS, PLATEAU, WINDOW, Observation, verdict

CONFIG = RunConfig.of({"data": "mnist5k", "evaluation": {"samples": 1000}})


@pytest.fixture(scope="module")
def evaluator(tmp_path_factory: pytest.TempPathFactory) -> Evaluator:
    train, test = load(CONFIG.data, "train"), load(CONFIG.data, "test")
    folder = tmp_path_factory.mktemp("evaluation")
    return Judge.prepare(CONFIG, train, test, folder=folder, device=torch.device("cpu")).evaluator()


def pictures(split: str) -> Tensor:
    images = np.array(load(CONFIG.data, split).images)  # type: ignore[arg-type]
    random = seeds.stream(1, "planted", split)
    return torch.from_numpy(images)[torch.randperm(len(images), generator=random)]


def distinct(count: int) -> Tensor:
    """A generator that knows a few pictures only."""
    return pictures("test")[:count].repeat(1000 // count, 1, 1, 1)


def classes(count: int) -> Tensor:
    """A generator that draws the first digits only, each well."""
    test = load(CONFIG.data, "test")
    assert test.labels is not None
    own = torch.from_numpy(np.array(test.images)[test.labels < count])
    return own.repeat(1000 // len(own) + 1, 1, 1, 1)[:1000]


def copies(share: float) -> Tensor:
    """A generator that repeats training pictures, and draws new ones for the rest."""
    count = round(1000 * share)
    return torch.cat([pictures("train")[:count], pictures("test")[count:]])


def blended(share: float) -> Tensor:
    """A generator that lays two digits over each other, and draws proper ones for the rest."""
    count = round(1000 * share)
    a, b = pictures("train")[:count], pictures("train")[1000 : 1000 + count]
    return torch.cat([torch.maximum(a, b), pictures("test")[count:]])


def noisy(share: float) -> Tensor:
    """A generator that draws noise, and proper pictures for the rest."""
    count = round(1000 * share)
    random = seeds.stream(0, "noise")
    noise = torch.randint(0, 256, (count, 1, 32, 32), generator=random, dtype=torch.uint8)
    return torch.cat([noise, pictures("test")[count:]])


DRAWN: list[tuple[str, Callable[[float], Tensor], float]] = [
    ("collapsed", distinct, 1),
    ("collapsed", distinct, 10),
    ("collapsed", distinct, 40),
    ("collapsed", classes, 1),
    ("collapsed", classes, 2),
    ("collapsed", classes, 3),
    ("memorising", copies, 0.25),
    ("memorising", copies, 0.5),
    ("memorising", copies, 1.0),
    ("over_generalising", blended, 0.8),
    ("over_generalising", blended, 0.85),
    ("over_generalising", blended, 0.9),
    ("over_generalising", noisy, 0.5),
    ("over_generalising", noisy, 0.6),
    ("over_generalising", noisy, 0.7),
    ("healthy", copies, 0.0),
    ("healthy", blended, 0.1),
    ("healthy", noisy, 0.1),
]


@pytest.mark.parametrize(
    ("name", "planted", "degree"), DRAWN, ids=[f"{n}-{p.__name__}-{d}" for n, p, d in DRAWN]
)
def test_pictures_with_a_planted_failure(
    evaluator: Evaluator, name: str, planted: Callable[..., Tensor], degree: float
) -> None:
    drawn = planted(degree)[torch.randperm(1000, generator=seeds.stream(2, "order"))]
    parts = iter(drawn.split(250))
    scored = evaluator.score(lambda _count: next(parts))
    # No better than before, but not at rest for long enough to be called slow or converged.
    seen = [Observation(objective=1.0, signals=scored.signals) for _ in range(WINDOW + 1)]
    told = verdict(seen, scored.signals_of_real)
    assert told.name == name, (told, scored.signals)
    assert bool(told.evidence) == (name != "healthy")
    # One report alone condemns nobody: any single epoch of a GAN may be poor.
    assert verdict(seen[: WINDOW - 1], scored.signals_of_real).name == "healthy"


REAL = {"precision": 0.95, "recall": 0.95, "density": 1.0, "coverage": 0.95, "copies": 0.0}
REAL["diversity"] = 6.3
NEAR = {**REAL, "coverage": 0.8}
FAR = {**REAL, "coverage": 0.2, "recall": 0.5, "precision": 0.4}


def told(scores: list[float], signals: dict[str, float], **statistics: list[float]) -> str:
    """The verdict after reports with these scores and statistics."""
    seen = [
        Observation(
            objective=score,
            signals=signals,
            statistics={key: values[i] for key, values in statistics.items()},
        )
        for i, score in enumerate(scores)
    ]
    return verdict(seen, REAL).name


FALLING = [10.0, 7, 5, 4, 3, 2.5, 2, 1.7]


@pytest.mark.parametrize("bad", [math.nan, math.inf, 2e4])
def test_diverged(bad: float) -> None:
    assert told(FALLING, NEAR, loss_generator=[1.0] * 7 + [bad]) == "diverged"


@pytest.mark.parametrize("slope", [0.04, 0.01, 1e-6])
def test_the_discriminator_won(slope: float) -> None:
    sure = [0.8, 0.9, 0.95, 0.99, 0.99, 1.0, 1.0, 1.0]
    slopes = [1.0, 1, 0.9, 0.5, 0.2, slope, slope, slope]
    played = {"accuracy_real": sure, "accuracy_fake": sure}
    assert told(FALLING, FAR, **played, gradient_norm_generator=slopes) == "discriminator_won"
    # Sure of itself, but the generator still learns, as the non-saturating loss lets it.
    assert told(FALLING, FAR, **played, gradient_norm_generator=[1.0] * 8) == "healthy"
    # A slope as small against a discriminator that is often wrong is the end of a good run.
    unsure = {"accuracy_real": [0.7] * 8, "accuracy_fake": [0.7] * 8}
    assert told(FALLING, NEAR, **unsure, gradient_norm_generator=slopes) == "healthy"


@pytest.mark.parametrize("left", [0.0, 0.002, 0.019])
def test_a_plateau_is_slow_far_from_the_data_and_converged_near_them(left: float) -> None:
    scores = [9.0, 5.0, 4.0, *[4.0 * (1 - left * i / PLATEAU) for i in range(1, PLATEAU + 1)]]
    assert told(scores, FAR) == "slow"
    assert told(scores, NEAR) == "converged"
    assert told(scores[:-1], NEAR) == "healthy"


def test_progress_is_neither_slow_nor_converged() -> None:
    for signals in (NEAR, FAR, {}):
        assert told(FALLING, signals) == "healthy"


@pytest.mark.parametrize("wobble", [0.0, 0.03, 0.09])
def test_a_critic_has_converged_when_its_estimate_is_flat(wobble: float) -> None:
    scores = [9.0, 5, 4, 4, 4, 4, 4, 4]
    flat = [10.0, 6, 4, 4 + 10 * wobble, 4, 4, 4, 4]
    assert told(scores, NEAR, wasserstein_estimate=flat) == "converged"
    # The score rests, but the critic still finds something to learn.
    falling = [10.0, 9, 8, 7, 6, 5, 4, 3]
    assert told(scores, NEAR, wasserstein_estimate=falling) == "healthy"


def test_what_is_on_its_way_up_is_let_be() -> None:
    rising: Iterator[float] = iter([0.01, 0.01, 0.05, 0.12])
    seen = [
        Observation(objective=5.0, signals={**FAR, "recall": 0.0, "coverage": next(rising)})
        for _ in range(WINDOW + 1)
    ]
    assert verdict(seen, REAL).name == "healthy"


def test_only_reports_of_the_present_stage_count() -> None:
    old = [Observation(objective=1.0, signals=NEAR, stage=8) for _ in range(9)]
    new = [Observation(objective=3.0, signals=NEAR, stage=16)]
    assert verdict(old, REAL).name == "converged"
    assert verdict(old + new, REAL).name == "healthy"


def test_the_gravest_is_told_first() -> None:
    assert AILMENTS[0] == "diverged"
    few = {**REAL, "coverage": 0.01, "recall": 0.0, "copies": 1.0}
    assert told([5.0] * 4, few) == "collapsed"


def test_a_run_that_still_learns_fast_has_not_collapsed() -> None:
    """The first epochs of a small network: few, lifelike pictures, and a score that falls."""
    few = {**REAL, "coverage": 0.15, "recall": 0.0}
    assert told([54.0, 47.0, 44.0, 42.0], few) == "healthy"
    assert told([54.0, 53.0, 52.0, 51.0], few) == "collapsed"


def test_alike_is_collapsed_where_a_generator_had_learnt_and_slow_where_it_never_did() -> None:
    grey = {**REAL, "precision": 0.0, "recall": 0.0, "coverage": 0.0, "diversity": 0.4}
    assert told([400.0, 90.0, 80.0, 80.0, 80.0, 80.0, 80.0], grey) == "collapsed"
    assert told([400.0, 399.0, 398.0, 398.0, 397.0, 397.0, 396.0], grey) == "slow"
