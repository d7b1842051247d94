"""Batches for training: shuffled, uint8, and without workers or copies of the data set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gancore.data.registry import Pictures
from gancore.errors import Unfit

RESIDENT_BYTES = 2 * 2**30
"""A data set of at most this size is kept on the GPU as a whole."""


class Batch(NamedTuple):
    """Some pictures and what they show.

    Args:
        images: uint8 [N, C, H, W], on the device.
        labels: int64 [N] on the device, or None where the data have none.
    """

    images: Tensor
    labels: Tensor | None

    @property
    def unit(self) -> Tensor:
        """The pictures as float32 in [-1, 1]."""
        return to_unit(self.images)


class Batches:
    """The batches of each epoch of a training split.

    Every batch is full: the pictures left over at the end of an epoch are others in each, since
    each has its own order, so over a run all are shown. On a CPU a batch is gathered from the
    memory map; on a GPU from a copy in its memory, or where the data exceed `resident_bytes`,
    from the memory map through pinned memory.

    Args:
        batch: Pictures in a batch.

    Raises:
        Unfit: There are fewer pictures than a batch has.
    """

    def __init__(
        self,
        pictures: Pictures,
        batch: int,
        device: torch.device | str = "cpu",
        *,
        resident_bytes: int = RESIDENT_BYTES,
    ) -> None:
        if len(pictures.images) < batch:
            raise Unfit(
                f"the training split has {len(pictures.images)} pictures, fewer than one batch "
                f"of {batch}"
            )
        self.batch = batch
        self.device = torch.device(device)
        self._images = np.asarray(pictures.images)  # Still mapped, but a plain array: faster.
        self._labels = None if pictures.labels is None else torch.tensor(pictures.labels)
        self._resident: Tensor | None = None
        if self.device.type != "cpu" and self._images.nbytes <= resident_bytes:
            self._resident = torch.tensor(self._images, device=self.device)
            self._labels = None if self._labels is None else self._labels.to(self.device)

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self._images) // self.batch

    def epoch(self, random: torch.Generator) -> Iterator[Batch]:
        """The batches of one epoch.

        Args:
            random: Decides the order; on the CPU, so that the order is the same on any device.
        """
        order = torch.randperm(len(self._images), generator=random)
        if self._resident is not None:
            order = order.to(self.device)  # One transfer an epoch.
        for rows in order[: len(self) * self.batch].reshape(-1, self.batch):
            yield self.take(rows)

    def take(self, rows: Tensor) -> Batch:
        """The pictures of some rows, int64 [N], of any number."""
        if self._resident is not None:
            rows = rows.to(self.device)
            return Batch(self._resident[rows], None if self._labels is None else self._labels[rows])
        labels = None if self._labels is None else self._labels[rows]
        images = torch.from_numpy(self._images[rows.numpy()])
        return Batch(self._moved(images), None if labels is None else self._moved(labels))

    def _moved(self, tensor: Tensor) -> Tensor:
        if self.device.type == "cpu":
            return tensor
        return tensor.pin_memory().to(self.device, non_blocking=True)


def to_unit(images: Tensor, memory_format: torch.memory_format = torch.contiguous_format) -> Tensor:
    """uint8 [N, C, H, W] as float32 in [-1, 1]; `to_uint8` takes it back exactly."""
    return images.to(torch.float32, memory_format=memory_format).div_(127.5).sub_(1)


def to_uint8(images: Tensor) -> Tensor:
    """Floats, of which [-1, 1] is meant, as uint8 of the same shape: rounded, not truncated."""
    return images.float().add(1).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)
