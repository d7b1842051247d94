"""The feature network that is trained on the spot: good, deterministic, cached, and mended."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from gancore.config import Data
from gancore.data import load
from gancore.metrics import features
from gancore.metrics.classifier import Layers, train_classifier, weights_digest
from gancore.metrics.registry import FeatureNetworkUnavailable


@dataclass
class Pictures:
    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64] | None
    fingerprint: str = "0123456789abcdef"


@pytest.fixture(scope="module")
def digits() -> tuple[Pictures, Pictures]:
    return tuple(  # type: ignore[return-value]
        Pictures(np.array(p.images), p.labels, p.fingerprint)
        for p in (load(Data(name="digits"), split) for split in ("train", "test"))
    )


@pytest.fixture(scope="module")
def folder(digits: tuple[Pictures, Pictures], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classifier")
    features.build("classifier").load(*digits, folder, None)
    return folder


def test_it_learns_what_the_labels_say(digits: tuple[Pictures, Pictures], folder: Path) -> None:
    network = features.build("classifier").load(*digits, folder, None)
    assert network.accuracy is not None
    assert network.accuracy > 0.9  # of 10 kinds of 8x8 digits
    assert network.size == network(torch.from_numpy(digits[0].images[:3])).shape[1]


def test_the_same_pictures_give_the_same_weights(digits: tuple[Pictures, Pictures]) -> None:
    small = Pictures(digits[0].images[:256], digits[0].labels[:256])  # type: ignore[index]
    torch.manual_seed(1)
    one, accuracy = train_classifier(small, digits[1])
    torch.manual_seed(2)
    other, again = train_classifier(small, digits[1])
    assert weights_digest(one.state_dict()) == weights_digest(other.state_dict())
    assert accuracy == again


def test_training_leaves_the_callers_random_numbers_alone(
    digits: tuple[Pictures, Pictures],
) -> None:
    small = Pictures(digits[0].images[:64], digits[0].labels[:64])  # type: ignore[index]
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    train_classifier(small, digits[1])
    assert torch.rand(1) == expected


def test_it_is_trained_once(
    digits: tuple[Pictures, Pictures], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr("gancore.metrics.classifier.train_classifier", refuse)
    features.build("classifier").load(*digits, folder, None)


@pytest.mark.parametrize(
    "damage", ["truncated", "flipped", "no facts", "facts cut", "other weights"]
)
def test_a_damaged_cache_is_made_again(
    digits: tuple[Pictures, Pictures], folder: Path, tmp_path: Path, damage: str
) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (weights,) = tmp_path.glob("*.pt")
    facts = weights.with_suffix(".json")
    if damage == "truncated":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif damage == "flipped":
        content = bytearray(weights.read_bytes())
        content[len(content) // 2] ^= 0xFF
        weights.write_bytes(content)
    elif damage == "no facts":
        facts.unlink()
    elif damage == "facts cut":
        facts.write_text(facts.read_text()[:20])
    else:
        torch.save(Layers(1, 10).state_dict(), weights)
    mended = features.build("classifier").load(*digits, tmp_path, None)
    whole = json.loads((folder / facts.name).read_text())
    assert mended.digest == whole["digest"]
    assert json.loads(facts.read_text()) == whole


def test_folding_batch_norm_into_the_convolutions_changes_nothing(
    digits: tuple[Pictures, Pictures],
) -> None:
    torch.manual_seed(0)
    network = Layers(1, 10)
    images = torch.from_numpy(digits[0].images[:64])
    for _ in range(3):
        network(images)  # moves the running statistics
    before = network.eval()(images)
    torch.testing.assert_close(network.folded()(images), before, rtol=1e-4, atol=1e-5)


def test_pictures_without_labels_are_refused_with_the_remedy(tmp_path: Path) -> None:
    bare = Pictures(np.zeros((4, 1, 8, 8), np.uint8), None)
    with pytest.raises(FeatureNetworkUnavailable, match="use `features: inception`"):
        features.build("classifier").load(bare, bare, tmp_path, None)
