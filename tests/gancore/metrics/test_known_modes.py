"""Feature networks of known modes: they count exactly, and know what belongs to none."""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from gancore.catalogue import Catalogue
from gancore.config import Data, RunConfig
from gancore.data import load
from gancore.metrics import FeatureNetwork, FeatureNetworkUnavailable, FeatureSet, Judge, features


@dataclass
class Pictures:
    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64] | None
    fingerprint: str = "0123456789abcdef"


def at(*places: tuple[int, int]) -> npt.NDArray[np.uint8]:
    return np.array(places, np.uint8)[:, :, None, None]


def plane(pictures: Pictures) -> FeatureNetwork:
    return features.build("plane").load(pictures, pictures, Path(), None)


def crosses(step: int) -> Pictures:
    """Three modes, each of four points `step` from its centre: (60, 60), (200, 60), (60, 200)."""
    sides = [(step, 0), (-step, 0), (0, step), (0, -step)]
    middles = [(60, 60), (200, 60), (60, 200)]
    places = [(x + right, y + up) for x, y in middles for right, up in sides]
    return Pictures(at(*places), np.arange(12) // 4)


def test_a_point_belongs_to_the_nearest_mode_within_three_deviations() -> None:
    # 12 points, 2 coordinates, 3 centres: the deviation is the root of 12 * 6^2 / 18, 4.9 steps.
    network = plane(crosses(step=6))
    assert network.mode_count == 3
    inside, outside = 14, 15  # of 14.7 steps
    for sign in (-1, 1):
        told = at((60 + sign * inside, 60), (200, 60 + sign * inside), (60 + sign * outside, 60))
        told = np.concatenate([told, at((60, 200 + sign * outside), (130, 60), (10, 13))])
        assert network.modes(network(torch.from_numpy(told))).tolist() == [0, 1, -1, -1, -1, -1]
    aslant = at((60 + 10, 200 - 10), (60 + 11, 200 - 11))  # 14.1 and 15.6 steps
    assert network.modes(network(torch.from_numpy(aslant))).tolist() == [2, -1]


def test_features_are_the_points_themselves() -> None:
    network = plane(crosses(step=6))
    told = network(torch.from_numpy(at((0, 255), (255, 0))))
    assert told.tolist() == [[-1, 1], [1, -1]]
    assert network.size == 2
    assert network.logits(told) is None


def test_points_that_are_no_numbers_belong_to_no_mode() -> None:
    assert plane(crosses(step=6)).modes(torch.tensor([[math.nan, 0.0]])).tolist() == [-1]


def test_modes_of_a_single_point_have_that_point() -> None:
    network = plane(Pictures(at((60, 60), (200, 60)), np.array([0, 1])))
    near = torch.from_numpy(at((60, 60), (200, 60), (61, 60)))
    assert network.modes(network(near)).tolist() == [0, 1, -1]


def test_the_digest_follows_the_modes() -> None:
    digests = [plane(crosses(step)).digest for step in (6, 6, 7)]
    moved = crosses(6)
    moved.images[:4] += 1
    assert len({*digests, plane(moved).digest}) == 3
    assert digests[0] == digests[1]


@pytest.mark.parametrize("name", ["ring", "grid"])
def test_as_many_real_points_are_good_as_a_gaussian_has(name: str) -> None:
    pictures = load(Data(name=name), "train")
    network = features.build("plane").load(pictures, pictures, Path(), None)
    told = network.modes(network(torch.tensor(pictures.images)))
    assert told is not None
    good = told >= 0
    assert good.double().mean().item() == pytest.approx(1 - math.exp(-4.5), abs=0.004)
    assert pictures.labels is not None
    assert torch.equal(told[good], torch.from_numpy(pictures.labels)[good])


def test_a_generator_that_draws_three_of_eight_modes_counts_three(tmp_path: Path) -> None:
    config = RunConfig.of(
        {"data": "ring", "model": "mlp", "evaluation": {"features": "plane", "samples": 500}}
    )
    real = load(config.data, "train")
    assert real.labels is not None
    judge = Judge.prepare(
        config, real, load(config.data, "test"), folder=tmp_path, device=torch.device("cpu")
    )
    three = torch.tensor(real.images[np.isin(real.labels, (1, 4, 6))])

    def draw(count: int) -> Tensor:
        return three[torch.arange(count) * 7 % len(three)]

    generated = judge.evaluator().features(draw)
    assert generated.modes is not None
    assert set(generated.modes.tolist()) == {-1, 1, 4, 6}
    assert generated.mode_count == 8
    assert count_of_modes(judge.evaluator().real) == 8


def count_of_modes(found: FeatureSet) -> int:
    assert found.modes is not None
    return len(found.modes[found.modes >= 0].unique())


@pytest.mark.parametrize(
    ("pictures", "words"),
    [
        (Pictures(at((1, 2), (3, 4)), None), "use data `ring` or `grid`"),
        (Pictures(np.zeros((2, 1, 8, 8), np.uint8), np.zeros(2, np.int64)), r"\[2, 1, 8, 8\]"),
        (Pictures(at((1, 2), (3, 4)), np.array([0, 2])), "no real point has the label 1"),
    ],
)
def test_what_has_no_modes_in_the_plane_is_refused(pictures: Pictures, words: str) -> None:
    with pytest.raises(FeatureNetworkUnavailable, match=words):
        plane(pictures)


def stacks(count: int, first: int, last: int, seed: int) -> Pictures:
    """Stacks of the digits of 8x8 pixels from `first` to `last`."""
    digits = load(Data(name="digits"), "train")
    assert digits.labels is not None
    rows = np.random.RandomState(seed).randint(first, last, size=(count, 3))
    labels = digits.labels[rows] @ np.array([100, 10, 1])
    fingerprint = hashlib.sha256(f"{count} {seed}".encode()).hexdigest()
    return Pictures(digits.images[:, 0][rows], labels, fingerprint)


@pytest.fixture(scope="module")
def small() -> tuple[Pictures, Pictures]:
    return stacks(3000, 0, 1200, seed=0), stacks(600, 1200, 1500, seed=1)


@pytest.fixture(scope="module")
def folder(small: tuple[Pictures, Pictures], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stacked")
    features.build("stacked").load(*small, folder, None)
    return folder


def test_the_mode_of_a_stack_is_the_three_digits_it_shows(
    small: tuple[Pictures, Pictures], folder: Path
) -> None:
    network = features.build("stacked").load(*small, folder, None)
    held_out = small[1]
    rows = network(torch.tensor(held_out.images))
    assert rows.shape == (600, network.size) == (600, 192)
    told = network.modes(rows)
    assert told is not None
    assert held_out.labels is not None
    wanted = torch.from_numpy(held_out.labels)
    assert network.accuracy is not None
    assert network.accuracy > 0.94
    for place in (100, 10, 1):
        right = (told // place % 10 == wanted // place % 10).double().mean().item()
        assert right > 0.94
        if place == 100:
            assert right == network.accuracy
    assert (told == wanted).double().mean().item() > 0.94**3
    assert network.mode_count == 1000
    assert network.logits(rows) is None


def test_each_channel_has_its_own_features(small: tuple[Pictures, Pictures], folder: Path) -> None:
    network = features.build("stacked").load(*small, folder, None)
    images = torch.tensor(small[1].images[:20])
    turned = network(images[:, [1, 2, 0]]).unflatten(1, (3, 64))
    torch.testing.assert_close(turned, network(images).unflatten(1, (3, 64))[:, [1, 2, 0]])


def test_it_is_trained_once_and_mended_where_its_file_is_damaged(
    small: tuple[Pictures, Pictures],
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    first = features.build("stacked").load(*small, tmp_path, None).digest
    (weights,) = tmp_path.glob("*.pt")
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 0xFF
    weights.write_bytes(content)
    assert features.build("stacked").load(*small, tmp_path, None).digest == first

    def refuse(*_: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr("gancore.metrics.known_modes.train_classifier", refuse)
    assert features.build("stacked").load(*small, tmp_path, None).digest == first
    with pytest.raises(AssertionError, match="trained again"):
        features.build("stacked").load(stacks(100, 0, 1200, seed=2), small[1], tmp_path, None)


def test_what_are_no_stacks_is_refused(tmp_path: Path) -> None:
    for bare in (
        Pictures(np.zeros((4, 3, 8, 8), np.uint8), None),
        Pictures(np.zeros((4, 1, 8, 8), np.uint8), np.zeros(4, np.int64)),
    ):
        with pytest.raises(FeatureNetworkUnavailable, match="use data `stacked_mnist`"):
            features.build("stacked").load(bare, bare, tmp_path, None)


@pytest.mark.slow
def test_the_digits_of_stacked_mnist_are_told_apart(tmp_path: Path) -> None:
    real, held_out = (load(Data(name="stacked_mnist"), split) for split in ("train", "test"))
    network = features.build("stacked").load(real, held_out, tmp_path, None)
    assert network.accuracy is not None
    assert network.accuracy >= 0.97
    told = network.modes(network(torch.tensor(held_out.images)))
    assert held_out.labels is not None
    assert told is not None
    assert (told == torch.from_numpy(held_out.labels)).double().mean().item() > 0.92


def test_the_catalogue_says_what_each_network_gives(
    small: tuple[Pictures, Pictures], folder: Path
) -> None:
    entries = Catalogue.read_source()["features"]
    assert entries["plane"].facts == {"gives": ("modes",), "named": True}
    assert entries["stacked"].facts == {"gives": ("modes",), "named": True}
    assert entries["classifier"].facts == {"gives": ("logits", "modes")}
    digits = load(Data(name="digits"), "train")
    one = Pictures(digits.images[:200], digits.labels[:200] if digits.labels is not None else None)
    made = {
        "plane": plane(crosses(step=6)),
        "stacked": features.build("stacked").load(*small, folder, None),
        "classifier": features.build("classifier").load(one, one, folder, None),
    }
    for name, network in made.items():
        rows = torch.zeros(2, network.size)
        gives = {"logits": network.logits(rows), "modes": network.modes(rows)}
        assert (
            tuple(key for key, told in gives.items() if told is not None)
            == (entries[name].facts["gives"])
        )
    assert made["classifier"].mode_count == 10
