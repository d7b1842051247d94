"""Means over an epoch that stay on the device until the epoch ends."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class Means:
    """Sums of scalar tensors by name; reading them is the only wait for the device."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def reset(self) -> None:
        self._sums.clear()
        self._counts.clear()

    def add(self, **values: Tensor) -> None:
        """Adds one scalar a name; nothing is copied to the host."""
        for name, value in values.items():
            value = value.detach().float()
            known = self._sums.get(name)
            self._sums[name] = value.clone() if known is None else known.add_(value)
            self._counts[name] = self._counts.get(name, 0) + 1

    def read(self) -> dict[str, float]:
        """The mean of each name, in one transfer."""
        if not self._sums:
            return {}
        sums = torch.stack(list(self._sums.values())).tolist()
        return {
            name: total / self._counts[name] for name, total in zip(self._sums, sums, strict=True)
        }

    def finite(self) -> bool:
        """Whether no NaN or infinity has come in; sums keep one for ever."""
        return all(math.isfinite(mean) for mean in self.read().values())
