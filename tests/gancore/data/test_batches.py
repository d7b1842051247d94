"""Batches show every picture, always full, and in the same order for the same stream."""

import numpy as np
import pytest
import torch

from gancore.data import DataUnavailable, Pictures
from gancore.data.batches import Batches, to_uint8, to_unit
from gancore.errors import Unfit
from gancore.seeds import stream


def numbered(count: int) -> Pictures:
    """Pictures whose every pixel is their number."""
    images = np.empty((count, 1, 2, 2), np.uint8)
    images[:] = np.arange(count, dtype=np.uint8)[:, None, None, None]
    images.setflags(write=False)
    return Pictures(images, None)


def shown(batches: Batches, epoch: int) -> list[int]:
    return [
        int(n)
        for batch in batches.epoch(stream(0, "order", epoch))
        for n in batch.images[:, 0, 0, 0]
    ]


def test_every_batch_is_full_and_shows_a_picture_once_an_epoch() -> None:
    batches = Batches(numbered(23), 5)
    sizes = [tuple(batch.images.shape) for batch in batches.epoch(stream(0))]
    assert sizes == [(5, 1, 2, 2)] * len(batches) == [(5, 1, 2, 2)] * 4
    numbers = shown(batches, epoch=1)
    assert len(set(numbers)) == len(numbers) == 20


def test_pictures_left_over_in_one_epoch_are_shown_in_others() -> None:
    batches = Batches(numbered(23), 5)
    assert {n for epoch in range(10) for n in shown(batches, epoch)} == set(range(23))


def test_the_order_is_that_of_the_stream() -> None:
    batches = Batches(numbered(20), 5)
    assert shown(batches, epoch=1) == shown(Batches(numbered(20), 5), epoch=1)
    assert shown(batches, epoch=1) != shown(batches, epoch=2)


def test_a_batch_may_be_changed_without_changing_the_data() -> None:
    batches = Batches(numbered(4), 4)
    before = shown(batches, epoch=1)
    for batch in batches.epoch(stream(0)):
        batch.images.zero_()
    assert shown(batches, epoch=1) == before


def test_fewer_pictures_than_a_batch_are_refused() -> None:
    with pytest.raises(Unfit, match="has 1 pictures, fewer than one batch of 64"):
        Batches(numbered(1), 64)


def test_labels_go_with_their_pictures() -> None:
    pictures = numbered(23)
    labelled = Pictures(pictures.images, np.arange(23, dtype=np.int64) * 2)
    for images, labels in Batches(labelled, 5).epoch(stream(0)):
        assert labels is not None
        assert labels.tolist() == [2 * n for n in images[:, 0, 0, 0].tolist()]
    assert next(Batches(pictures, 5).epoch(stream(0))).labels is None


def test_the_pictures_of_a_class_are_told_apart_from_all_others() -> None:
    labelled = Pictures(numbered(6).images, np.array([0, 1, 0, 1, 1, 0]), "all")
    ones = labelled.of_class(1)
    assert ones.images[:, 0, 0, 0].tolist() == [1, 3, 4]
    assert len({labelled.fingerprint, ones.fingerprint, labelled.of_class(0).fingerprint}) == 3
    with pytest.raises(DataUnavailable, match="none of class 7"):
        labelled.of_class(7)
    with pytest.raises(DataUnavailable, match="no labels"):
        numbered(6).of_class(0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("resident_bytes", [0, 2**20])
def test_a_gpu_sees_the_same_batches(resident_bytes: int) -> None:
    on_gpu = Batches(numbered(23), 5, "cuda", resident_bytes=resident_bytes)
    assert shown(on_gpu, epoch=1) == shown(Batches(numbered(23), 5), epoch=1)
    assert all(batch.images.is_cuda for batch in on_gpu.epoch(stream(0)))


ALL_BYTES = torch.arange(256, dtype=torch.uint8).reshape(1, 4, 8, 8)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_bytes_come_back_exactly(memory_format: torch.memory_format) -> None:
    unit = to_unit(ALL_BYTES, memory_format)
    assert (unit.min().item(), unit.max().item()) == (-1, 1)
    assert unit.is_contiguous(memory_format=memory_format)
    assert torch.equal(to_uint8(unit), ALL_BYTES)


def test_floats_are_rounded_and_clamped_and_left_as_they_were() -> None:
    unit = torch.tensor([-3.0, -1.0, 0.9 / 127.5 - 1, 0.4 / 127.5 - 1, 1.0, 3.0])
    before = unit.clone()
    assert to_uint8(unit).tolist() == [0, 0, 1, 0, 255, 255]
    assert torch.equal(unit, before)
