"""Every score of odd pictures is right and finite, or refused in one line; new ones are tested too.

Pictures enter where a run's do: through the evaluator.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from gancore.config import RunConfig
from gancore.metrics import Evaluator, FeatureMetric, FeatureNetwork, Judge, metrics
from gancore.metrics.moments import NoScore

CONFIG = RunConfig.of({"data": "digits"})
NAMES = [name for name in metrics.names() if isinstance(metrics.build(name), FeatureMetric)]


@dataclass
class Pictures:
    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64] | None = None
    fingerprint: str = "0123456789abcdef"


class Network(FeatureNetwork):
    """Four features, the first three of which are the scores of three classes."""

    def __init__(self, feature: float = 0.0) -> None:
        super().__init__()
        self.size, self.digest, self.mode_count = 4, "0123456789abcdef", 3
        self.feature = feature

    def forward(self, images: Tensor) -> Tensor:
        features = images.flatten(1).float().div(255).unfold(1, 16, 16).mean(2)
        return features + self.feature

    def logits(self, features: Tensor) -> Tensor:
        return 20 * features[:, :3]


def drawn(count: int, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 1, 8, 8), generator=random, dtype=torch.uint8)


def evaluator(folder: Path, name: str, real: Tensor, count: int) -> Evaluator:
    evaluation = replace(CONFIG.evaluation, metric=name, samples=count)
    pictures = Pictures(real.numpy())
    config = replace(CONFIG, evaluation=evaluation)
    judge = Judge(config, Network(), folder, pictures, pictures, torch.device("cpu"))
    return judge.evaluator()


def outcome(evaluator: Evaluator, generated: Tensor) -> float | str:
    """The score, or the line that refuses."""
    left = generated.clone()

    def draw(count: int) -> Tensor:
        nonlocal left
        top, left = left[:count], left[count:]
        return top

    try:
        (score,) = evaluator.score(draw).scores.values()
    except NoScore as refused:
        return str(refused)
    return score


def check(told: float | str) -> None:
    if isinstance(told, str):
        assert "\n" not in told
        assert "pictures" in told
        assert 20 < len(told) < 120
    else:
        assert math.isfinite(told)


ONE = drawn(1)
SETS = {
    "usual": drawn(90),
    "two": drawn(2),
    "constant": ONE.repeat(90, 1, 1, 1),
    "duplicates": drawn(9).repeat(10, 1, 1, 1),
    "black": torch.zeros(90, 1, 8, 8, dtype=torch.uint8),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("generated", SETS)
@pytest.mark.parametrize("real", SETS)
def test_odd_sets(name: str, real: str, generated: str, tmp_path: Path) -> None:
    pictures = SETS[generated]
    told = outcome(evaluator(tmp_path, name, SETS[real], len(pictures)), pictures)
    check(told)
    if real == generated == "usual":
        assert isinstance(told, float)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [0, 1])
def test_less_than_two_pictures_are_refused(name: str, count: int, tmp_path: Path) -> None:
    told = outcome(evaluator(tmp_path, name, SETS["usual"], count), drawn(count))
    assert told == f"a covariance needs at least 2 pictures, got {count}"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("feature", [math.nan, math.inf])
def test_features_that_are_not_finite_give_nan(name: str, feature: float, tmp_path: Path) -> None:
    odd = evaluator(tmp_path, name, SETS["usual"], 90)
    odd.judge.network = Network(feature)
    told = outcome(odd, SETS["usual"])
    assert isinstance(told, float)
    assert math.isnan(told)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (torch.zeros(90, 1, 8, 8), "got float32"),
        (torch.rand(90, 1, 8, 8).double() * 255, "got float64"),
        (torch.full((90, 1, 8, 8), 300), "got int64"),
        (torch.zeros(90, 1, 8, 8, dtype=torch.int8), "got int8"),
        (torch.zeros(90, 3, 8, 8, dtype=torch.uint8), r"got uint8 \[90, 3, 8, 8\]"),
        (torch.zeros(90, 1, 16, 16, dtype=torch.uint8), r"got uint8 \[90, 1, 16, 16\]"),
        (torch.zeros(90, 8, 8, dtype=torch.uint8), r"got uint8 \[90, 8, 8\]"),
        (torch.zeros(0, 1, 8, 8, dtype=torch.uint8), r"got uint8 \[0, 1, 8, 8\]"),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_what_are_no_pictures_is_refused(
    name: str, images: Tensor, words: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"expected uint8 pictures \[N, 1, 8, 8\], " + words):
        outcome(evaluator(tmp_path, name, SETS["usual"], 90), images)
