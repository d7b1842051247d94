"""What a run tells of an epoch: means that stay on the device until the epoch ends."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gancore.losses import Loss


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


def told_apart(loss: Loss, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """How well a discriminator tells real from fake, from its detached logits of any shape.

    Returns:
        Its accuracy on either side, or for a critic its estimate of the Wasserstein distance.
    """
    if getattr(loss, "estimates_wasserstein", False):
        return {"wasserstein_estimate": real.mean() - fake.mean()}
    boundary = getattr(loss, "boundary", 0.0)
    if getattr(loss, "relativistic", False):
        # Only differences of logits are trained, so their common level means nothing.
        boundary = (real.mean() + fake.mean()) / 2
    return {
        "accuracy_real": (real > boundary).float().mean(),
        "accuracy_fake": (fake < boundary).float().mean(),
    }
