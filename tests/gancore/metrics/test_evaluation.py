"""The evaluator: one protocol, kept once, the same for every batch size, and never silent."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from gancore.config import RunConfig
from gancore.data import load
from gancore.metrics import Evaluator, Judge, evaluation

CONFIG = RunConfig.of({"data": "digits", "evaluation": {"samples": 600}})
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evaluation")


def prepare(folder: Path, config: RunConfig = CONFIG) -> Evaluator:
    real, held_out = load(config.data, "train"), load(config.data, "test")
    judge = Judge.prepare(config, real, held_out, folder=folder, device=CPU)
    return judge.evaluator()


class Deck:
    """Draws the given pictures from the top."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __call__(self, count: int) -> Tensor:
        top, self.images = self.images[:count], self.images[count:]
        return top


def real(count: int) -> Tensor:
    return torch.from_numpy(np.array(load(CONFIG.data, "train").images[:count]))


def test_real_pictures_are_near_and_noise_is_far(folder: Path) -> None:
    evaluator = prepare(folder)
    (near,) = evaluator.score(Deck(real(600))).scores.values()
    noise = torch.randint(0, 256, (600, 1, 8, 8), dtype=torch.uint8)
    (far,) = evaluator.score(Deck(noise)).scores.values()
    assert near < far / 20


def test_all_real_pictures_are_at_no_distance(folder: Path) -> None:
    everything = load(CONFIG.data, "train").images
    config = replace(CONFIG, evaluation=replace(CONFIG.evaluation, samples=len(everything)))
    (told,) = (
        prepare(folder, config).score(Deck(torch.from_numpy(np.array(everything)))).scores.values()
    )
    assert told < 1e-4


def test_the_score_says_its_count(folder: Path) -> None:
    assert prepare(folder).names == ["fid600"]
    assert list(prepare(folder).score(Deck(real(600))).scores) == ["fid600"]


def test_the_batch_size_does_not_matter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    for batch in (600, 250, 7):
        monkeypatch.setattr(evaluation, "_BATCH", batch)
        (score,) = prepare(folder).score(Deck(real(600))).scores.values()
        told.append(score)
    assert told == pytest.approx([told[0]] * 3, rel=1e-4)


def test_the_reference_is_kept_and_read_back_exactly(folder: Path) -> None:
    first = prepare(folder)
    again = prepare(folder)
    assert torch.equal(first.real.reference.root, again.real.reference.root)
    assert first.passport == again.passport
    (kept,) = folder.glob("real-*.npz")
    content = kept.read_bytes()
    kept.write_bytes(content[: len(content) // 2])
    mended = prepare(folder)
    assert torch.equal(first.real.reference.root, mended.real.reference.root)
    assert kept.read_bytes() == content


def test_the_passport_tells_protocols_apart(folder: Path) -> None:
    passport = prepare(folder).passport
    assert passport.metric == "fid600"
    assert passport.real == len(load(CONFIG.data, "train").images)
    assert passport.generated == 600
    assert (passport.resolution, passport.channels) == (8, 1)
    raw = prepare(folder, replace(CONFIG, ema_kimg=0)).passport
    assert (passport.weights, raw.weights) == ("ema", "raw")
    more = replace(CONFIG, evaluation=replace(CONFIG.evaluation, samples=700))
    digests = {p.digest for p in (passport, raw, prepare(folder, more).passport)}
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (torch.zeros(600, 1, 8, 8), "got float32"),
        (torch.zeros(600, 3, 8, 8, dtype=torch.uint8), r"got uint8 \[250, 3, 8, 8\]"),
        (torch.zeros(600, 1, 9, 8, dtype=torch.uint8), r"expected uint8 pictures \[N, 1, 8, 8\]"),
        (torch.zeros(0, 1, 8, 8, dtype=torch.uint8), r"got uint8 \[0, 1, 8, 8\]"),
    ],
)
def test_what_are_not_such_pictures_is_refused(folder: Path, images: Tensor, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        prepare(folder).score(Deck(images))


def test_features_that_are_not_finite_are_nan(folder: Path) -> None:
    evaluator = prepare(folder)
    evaluator.judge.network.forward = lambda images: torch.full((len(images), 64), math.nan)
    (told,) = evaluator.score(Deck(real(600))).scores.values()
    assert math.isnan(told)
