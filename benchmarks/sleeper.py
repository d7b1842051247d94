"""A system that sleeps instead of training: what is left of a trial's time is the sweep's own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from torch import nn

from gancore.config import RunConfig
from gancore.schema import NonNegative
from gancore.systems import FromLatents, Material, systems


@systems.register("sleeper")
class Sleeper(FromLatents):
    """Sleeps through each batch.

    Args:
        seconds: A batch.
    """

    def __init__(
        self, config: RunConfig, material: Material, *, seconds: NonNegative = 1.0
    ) -> None:
        self.config, self.material, self.seconds = config, material, seconds
        shape = material.shape
        pixels = shape.channels * shape.resolution**2
        self.generator = nn.Sequential(
            nn.Linear(config.latent, pixels),
            nn.Unflatten(1, (shape.channels, shape.resolution, shape.resolution)),
            nn.Tanh(),
        ).to(material.device)

    def train(self, _epoch: int, _progress: float) -> Iterator[int]:
        for _ in range(len(self.material.train.images) // self.config.batch):
            time.sleep(self.seconds)
            yield self.config.batch

    def end_epoch(self) -> dict[str, float]:
        return {}

    def alive(self) -> bool:
        return True

    def evaluated(self) -> nn.Module:
        return self.generator

    def state_dict(self) -> dict[str, Any]:
        return {"generator": self.generator.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.generator.load_state_dict(state["generator"])
