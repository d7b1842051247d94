"""Data of known modes: every label is right, no mode is missing, and all is drawn once for ever."""

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from gancore.catalogue import Catalogue
from gancore.config import ConfigError, Data, RunConfig
from gancore.data import (
    DataUnavailable,
    Grid,
    Mnist5k,
    Pictures,
    Ring,
    Split,
    StackedMnist,
    load,
    synthetic,
)
from gancore.data.batches import to_unit

SPLITS: tuple[Split, Split] = ("train", "test")
PLANES = [Ring(), Ring(modes=3, radius=0.5, deviation=0.05), Grid(), Grid(side=2), Ring(modes=1)]


def points(pictures: Pictures) -> npt.NDArray[np.float64]:
    """[N, 2, 1, 1] -> [N, 2] in [-1, 1]."""
    return to_unit(torch.from_numpy(pictures.images)).flatten(1).double().numpy()


def centres(source: Ring | Grid) -> list[tuple[float, float]]:
    """As the docstrings say."""
    if isinstance(source, Ring):
        angles = [2 * math.pi * k / source.modes for k in range(source.modes)]
        return [(source.radius * math.cos(a), source.radius * math.sin(a)) for a in angles]
    places = [-0.75 + 1.5 * k / (source.side - 1) for k in range(source.side)]
    return [(x, y) for y in places for x in places]


@pytest.mark.parametrize("source", PLANES, ids=repr)
@pytest.mark.parametrize("split", SPLITS)
def test_points_lie_around_the_mode_that_their_label_says(
    source: Ring | Grid, split: Split
) -> None:
    pictures, modes = source.read(split, 1), np.array(centres(source))
    assert pictures.images.shape == (10_000 if split == "train" else 2_000, 2, 1, 1)
    assert pictures.labels is not None
    counts = np.bincount(pictures.labels)
    assert len(counts) == len(modes)
    assert counts.max() - counts.min() <= 1
    off = (points(pictures) - modes[pictures.labels]) / source.deviation
    # Of 4,000 normal numbers or more; rounding to 8 bits adds less than 1%.
    assert abs(off.mean(0)).max() < 0.08
    assert off.std(0) == pytest.approx([1, 1], abs=0.05)
    assert abs(np.corrcoef(off.T)[0, 1]) < 0.08
    # exp(-r^2 / 2) is the share beyond r deviations.
    within = (off**2).sum(1) <= 9
    assert within.mean() == pytest.approx(1 - math.exp(-4.5), abs=0.008)


@pytest.mark.parametrize("source", [Ring(), Grid(), StackedMnist()], ids=repr)
def test_what_is_drawn_is_always_the_same_and_unlike_in_the_splits(
    source: Ring | Grid | StackedMnist,
) -> None:
    first, again = source.read("train", 8), source.read("train", 8)
    assert np.array_equal(first.images, again.images)
    count = len(source.read("test", 8).images)
    assert not np.array_equal(first.images[:count], source.read("test", 8).images)


def test_the_stream_of_points_is_fixed_for_ever() -> None:
    # RandomState(0) begins with 1.764, 0.400, 0.979, 2.241, 1.868, -0.977.
    assert Ring().read("train", 1).images[:3].reshape(3, 2).tolist() == [
        [228, 129],
        [198, 201],
        [132, 221],
    ]
    assert Grid().read("train", 1).images[:3].reshape(3, 2).tolist() == [
        [36, 33],
        [82, 38],
        [132, 29],
    ]


def test_a_stack_shows_the_digits_that_its_label_spells() -> None:
    digits = Mnist5k().read("train", 28)
    assert digits.labels is not None
    known = dict(zip((d.tobytes() for d in digits.images), digits.labels.tolist(), strict=True))
    stacks = StackedMnist().read("train", 28)
    assert stacks.images.shape == (25_600, 3, 28, 28)
    assert stacks.labels is not None
    for stack, label in zip(stacks.images[:500], stacks.labels[:500].tolist(), strict=True):
        a, b, c = (known[channel.tobytes()] for channel in stack)
        assert label == 100 * a + 10 * b + c


def test_stacks_have_all_modes_and_are_of_independent_digits() -> None:
    labels = StackedMnist().read("train", 28).labels
    assert labels is not None
    assert len(np.unique(labels)) == 1000
    for place in (1, 10, 100):
        assert np.bincount(labels // place % 10) == pytest.approx(2560, rel=0.1)
    same = labels // 100 == labels // 10 % 10
    assert same.mean() == pytest.approx(0.1, abs=0.01)


def test_no_digit_is_in_stacks_of_both_splits() -> None:
    train, test = (
        {digit.tobytes() for digit in StackedMnist().read(split, 28).images.reshape(-1, 28, 28)}
        for split in SPLITS
    )
    assert len(train) == 4000
    assert not train & test


def test_stacks_may_be_of_the_public_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    class Public(Mnist5k):
        def read(self, split: Split, resolution: int, /) -> Pictures:
            seven = Pictures(np.full((4, 1, resolution, resolution), 9, np.uint8), np.full(4, 7))
            return seven if split == "train" else super().read(split, resolution)

    asked: list[str | None] = []

    def public(root: str | None) -> Public:
        asked.append(root)
        return Public()

    monkeypatch.setattr(synthetic, "MNIST", public)
    stacks = StackedMnist(source="mnist", root="/digits").read("train", 16)
    assert asked == ["/digits"]
    assert stacks.labels is not None
    assert set(stacks.labels.tolist()) == {777}
    assert stacks.images.shape[1:] == (3, 16, 16)
    assert (stacks.images == 9).all()


def test_a_folder_for_digits_that_need_none_is_refused() -> None:
    with pytest.raises(DataUnavailable, match="source: mnist"):
        StackedMnist(root="/digits").identity()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (Ring(deviation=0.005), "below a step of 8 bits"),
        (Ring(modes=60), "overlap"),
        (Ring(radius=0.01), "overlap"),
        (Grid(side=20), "overlap"),
        (Ring(radius=0.97), "leave the square"),
        (Grid(side=1, deviation=0.1), "leave the square"),
    ],
    ids=repr,
)
def test_modes_that_cannot_be_told_apart_are_refused(source: Ring | Grid, words: str) -> None:
    with pytest.raises(DataUnavailable, match=words):
        source.read("train", 1)


def test_every_option_acts_and_tells_sources_apart() -> None:
    plain = [Ring(), Grid(), StackedMnist()]
    other = [Ring(modes=7), Ring(radius=0.7), Ring(deviation=0.03), Grid(side=4)]
    other += [Grid(deviation=0.03), StackedMnist(source="mnist")]
    assert len({source.identity() for source in (*plain, *other)}) == 9
    for source in other[:5]:
        default = type(source)().read("train", 1)
        assert not np.array_equal(source.read("train", 1).images, default.images)


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("ring", {"size": 1, "channels": 2, "pictures": 10_000, "features": "plane"}),
        ("grid", {"size": 1, "channels": 2, "pictures": 10_000, "features": "plane"}),
        (
            "stacked_mnist",
            {
                "size": 28,
                "channels": 3,
                "pictures": 25_600,
                "classes": 1000,
                "features": "stacked",
            },
        ),
    ],
)
def test_loaded_pictures_are_what_the_catalogue_says(
    name: str, facts: dict[str, object], tmp_path: Path
) -> None:
    assert Catalogue.read_source()["datasets"][name].facts == facts
    side = {1: 1, 28: 32}[facts["size"]]  # type: ignore[index]
    pictures = load(Data(name=name), "train", tmp_path)
    assert pictures.images.shape == (facts["pictures"], facts["channels"], side, side)


PLANE = {"data": "ring", "model": "mlp", "evaluation": {"features": "plane"}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "dcgan"}, r"model.name: .* at least 8 pixels, those of 'ring' have 1: .*mlp"),
        ({"evaluation": {}}, "evaluation.features: .*use 'plane'"),
        ({"evaluation": {"features": "inception"}}, "evaluation.features: .*not 2 channels"),
        ({"data": "mnist5k"}, "evaluation.features: 'plane' only knows pictures of grid or ring"),
        ({"data": "stacked_mnist"}, "evaluation.features: 'plane' only knows"),
    ],
)
def test_runs_that_cannot_be_are_refused(changes: dict[str, object], message: str) -> None:
    assert RunConfig.of(PLANE).data.name == "ring"
    with pytest.raises(ConfigError, match=message) as refused:
        RunConfig.of({**PLANE, **changes})
    assert len(refused.value.problems) == 1
