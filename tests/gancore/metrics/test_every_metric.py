"""What every metric must do: new ones are found by their registration."""

from typing import Any

import pytest
import torch
from torch import Tensor

from gancore.catalogue import Catalogue
from gancore.metrics import FeatureMetric, FeatureSet, metrics
from gancore.schema import Option, Refused

NAMES = [name for name in metrics.names() if isinstance(metrics.build(name), FeatureMetric)]
OPTIONS = [(name, option) for name in NAMES for option in metrics.options(name)]
CLASSES = 4


def features(rows: Tensor) -> FeatureSet:
    """Four clusters on the axes; what is far from all of them is of no mode."""
    logits = 3 * rows[:, :CLASSES]
    near = (rows.norm(dim=1) < 20) & (rows.norm(dim=1) > 2)
    return FeatureSet.of(rows, logits, logits.argmax(1).where(near, -1), CLASSES)


def clusters(count: int, seed: int) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    centres = 6 * torch.eye(8)[torch.arange(count) % CLASSES]
    return centres + torch.randn(count, 8, generator=random)


@pytest.mark.parametrize("name", metrics.names())
def test_its_constants_are_known_words(name: str) -> None:
    facts = metrics.facts(name)
    assert facts["goal"] in ("min", "max")
    assert facts.get("needs", "features") in ("features", "logits", "modes")
    assert ("system" in facts) != isinstance(metrics.build(name), FeatureMetric)


@pytest.mark.parametrize("name", metrics.names())
def test_the_source_says_what_the_class_says(name: str) -> None:
    entry = Catalogue.read_source()["metrics"][name]
    assert entry.facts == {k: v for k, v in metrics.facts(name).items() if k in entry.facts}
    assert entry.facts["goal"] == metrics.facts(name)["goal"]
    assert set(entry.options) == set(metrics.options(name))
    assert all(option.help for option in entry.options.values())
    assert entry.summary


@pytest.mark.parametrize("name", NAMES)
def test_its_goal_prefers_real_pictures_to_noise_or_to_a_single_one(name: str) -> None:
    metric = metrics.build(name)
    real, good = features(clusters(400, 0)), features(clusters(200, 1))
    noise = features(30 + 5 * torch.randn(200, 8, generator=torch.Generator().manual_seed(2)))
    single = features(real.rows[:1].repeat(200, 1))
    sign = 1 if metrics.facts(name)["goal"] == "max" else -1
    score, *bad = (sign * metric.score(real, generated) for generated in (good, noise, single))
    assert any(score > other for other in bad)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_pictures_in_another_place_score_the_same(name: str) -> None:
    """Real ones in another order; and twice, whatever is kept from the first time."""
    metric, rows = metrics.build(name, **({"splits": 1} if name == "is" else {})), clusters(400, 0)
    real, generated = features(rows), features(clusters(150, 1))
    score = metric.score(real, generated)
    assert metric.score(real, generated) == score
    assert metric.score(features(rows.flip(0)), generated) == pytest.approx(score, rel=0.05)


def _others(option: Option) -> list[Any]:
    """Values that the option may also take, which the default is not."""
    values: list[Any] = [*option.choices, True, False, 3, 4, 0.5, 0.25]
    taken = []
    for value in values:
        try:
            taken.append(option.parse(value))
        except Refused:
            continue
    return [value for value in taken if value != option.default]


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_every_option_acts(name: str, option: str) -> None:
    real, generated = features(clusters(400, 0)), features(clusters(150, 1))
    before = metrics.build(name).score(real, generated)
    others = _others(metrics.options(name)[option])
    assert any(metrics.build(name, **{option: o}).score(real, generated) != before for o in others)
