"""What a run works on: its pictures, its device and its judge, each made when first asked for."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import torch

from gancore.catalogue import Catalogue
from gancore.config import RunConfig
from gancore.data import DataUnavailable, Pictures, cache_root, load
from gancore.metrics import Judge
from gancore.models import ImageShape


class Material:
    """Pictures and scores of one run; a system that only draws from its latents needs neither.

    Args:
        cache: Folder for prepared data; None takes the user's cache folder.
        evaluation: Folder for the feature network and real features; None takes `cache`.
        shape: Of the pictures, where it is known without reading them (from a checkpoint).
    """

    def __init__(
        self,
        config: RunConfig,
        device: torch.device,
        *,
        cache: Path | None = None,
        evaluation: Path | None = None,
        shape: ImageShape | None = None,
    ) -> None:
        self.config = config
        self.device = device
        self._cache = cache or cache_root()
        self._evaluation = evaluation or self._cache
        self._shape = shape
        self._classes = Catalogue.read()["datasets"][config.data.name].facts.get("classes", 0)

    @property
    def shape(self) -> ImageShape:
        """Of the pictures as the data have them."""
        return self._shape or ImageShape(*self.train.images.shape[1:3])

    @cached_property
    def train(self) -> Pictures:
        """The training split."""
        return load(self.config.data, "train", self._cache)

    @cached_property
    def test(self) -> Pictures:
        """The test split."""
        return load(self.config.data, "test", self._cache)

    @cached_property
    def classes(self) -> int:
        """How many classes the labels tell apart.

        Raises:
            DataUnavailable: The pictures have no labels.
        """
        if self._classes:
            return self._classes
        if self.train.labels is None:
            raise DataUnavailable(f"the pictures of {self.config.data.name!r} have no labels")
        return int(self.train.labels.max()) + 1

    @cached_property
    def judge(self) -> Judge:
        """What scores the run's pictures."""
        return Judge.prepare(
            self.config, self.train, self.test, folder=self._evaluation, device=self.device
        )
