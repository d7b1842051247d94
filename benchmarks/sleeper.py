"""A system that sleeps instead of training: what is left of a trial's time is the sweep's own."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor, nn

from gancore.config import RunConfig
from gancore.models import ImageShape
from gancore.schema import NonNegative
from gancore.systems import systems


@systems.register("sleeper")
class Sleeper:
    """Sleeps through each batch.

    Args:
        seconds: A batch.
    """

    def __init__(
        self,
        config: RunConfig,
        shape: ImageShape,
        device: torch.device,
        *,
        seconds: NonNegative = 1.0,
    ) -> None:
        self.seconds = seconds
        pixels = shape.channels * shape.resolution**2
        self.generator = nn.Sequential(
            nn.Linear(config.latent, pixels),
            nn.Unflatten(1, (shape.channels, shape.resolution, shape.resolution)),
            nn.Tanh(),
        ).to(device)

    def begin_epoch(self, _epoch: int, _progress: float) -> None:
        return None

    def step(self, _real: Tensor) -> None:
        time.sleep(self.seconds)

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
