"""A run from mappings: what is read, and every problem in one pass."""

from typing import Any

import pytest

from gancore.catalogue import Catalogue
from gancore.config import Component, ConfigError, RunConfig, flatten

CATALOGUE = Catalogue.read()


def problems(mapping: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as error:
        RunConfig.of(mapping, CATALOGUE)
    return [str(p) for p in error.value.problems]


def test_a_component_may_be_its_name_alone() -> None:
    short = RunConfig.of({"loss": "hinge", "data": "digits", "model": "mlp"}, CATALOGUE)
    long = RunConfig.of(
        {"loss": {"name": "hinge"}, "data": {"name": "digits"}, "model": {"name": "mlp"}}, CATALOGUE
    )
    assert short == long
    assert short.loss == Component(name="hinge")


def test_a_run_survives_the_way_to_plain_mappings_and_back() -> None:
    run = RunConfig.of(
        {
            "data": {"name": "mnist5k", "resolution": 16},
            "loss": {"name": "wasserstein", "clip": 0.1},
            "penalty": {"name": "r1", "weight": 2, "interval": 4},
            "generator": {"lr": 1e-3},
            "discriminator": {"steps": 3},
            "epochs": 7,
        },
        CATALOGUE,
    )
    assert RunConfig.of(run.as_mapping(), CATALOGUE) == run
    flat = dict(flatten(run.as_mapping()))
    assert flat["penalty.interval"] == 4
    assert flat["loss.clip"] == 0.1
    assert flat["generator.beta2"] == 0.999


def test_every_problem_is_found_in_one_pass() -> None:
    found = problems(
        {
            "losss": "hinge",
            "loss": {"name": "hing"},
            "generator": {"lr": -1, "betta1": 0.5},
            "batch": 0,
            "data": {"name": "mnist5k", "resolutin": 32},
        }
    )
    assert found == [
        "losss: unknown key 'losss' (did you mean 'loss'?)",
        "loss.name: unknown loss 'hing' (did you mean 'hinge'?)",
        "generator.lr: expected a number > 0, got -1",
        "generator.betta1: unknown key 'betta1' (did you mean 'beta1'?)",
        "batch: expected a whole number >= 1, got 0",
        "data.resolutin: data set 'mnist5k': unknown option 'resolutin' "
        "(did you mean 'resolution'?)",
    ]


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        (
            {"data": {"name": "mnist5k", "resolution": 1024}},
            "data.resolution: mnist5k has pictures of 28 pixels, which cannot show 1024 "
            "(at most 32)",
        ),
        (
            {"data": {"name": "mnist5k", "resolution": 24}},
            "data.resolution: model 'dcgan' needs a power of two from 8, got 24",
        ),
        ({"batch": 5000}, "batch: mnist5k has 4000 pictures, fewer than a batch of 5000"),
        (
            {"evaluation": {"samples": 1}},
            "evaluation.samples: a covariance needs at least 2 pictures, got 1",
        ),
        (
            {"loss": "wasserstein_gp", "penalty": "wgan_gp"},
            "penalty.name: wgan_gp is already a part of loss 'wasserstein_gp'",
        ),
        (
            {"loss": "wasserstein", "model": {"name": "dcgan", "norm": "spectral"}},
            "model.norm: spectral norm undoes the weight clipping of loss 'wasserstein'",
        ),
        ({"data": {"name": "folder"}}, "data: data set 'folder' needs path: a text"),
        ({"loss": 3}, "loss: expected a name or a mapping, got 3"),
        ({"generator": 3}, "generator: expected a mapping, got 3"),
        (
            {"evaluation": {"features": "inceptoin"}},
            "evaluation.features: unknown feature network 'inceptoin' (did you mean 'inception'?)",
        ),
    ],
)
def test_a_contradiction_is_named_with_its_place(mapping: dict[str, Any], words: str) -> None:
    assert problems(mapping) == [words]


@pytest.mark.parametrize(
    ("asked", "called"),
    [
        ("sgan", "semi_supervised"),
        ("cgan", "conditional"),
        ("progan", "progressive"),
        ("cyclegan", "cycle"),
    ],
)
def test_a_system_asked_for_by_its_other_name_is_pointed_to(asked: str, called: str) -> None:
    words = f"unknown system '{asked}' \\(it is called '{called}' here\\)"
    with pytest.raises(ConfigError, match=words):
        RunConfig.of({"system": asked})
