"""What every GAN system promises, and the table of them."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor, nn

from gancore.registry import Registry


class System(Protocol):
    """The players of one run and what one training step does to them.

    Systems are where the GANs differ; data, scores and the training loop are the same for all.
    A system is built from (config, shape, device).
    """

    def begin_epoch(self, epoch: int, progress: float, /) -> None:
        """Sets this epoch's random streams and learning rates.

        Args:
            epoch: From 1.
            progress: Share of the run that is done, in [0, 1).
        """
        ...

    def step(self, real: Tensor, /) -> None:
        """Learns from one batch of real pictures, [N, C, H, W] in [-1, 1]."""
        ...

    def end_epoch(self) -> dict[str, float]:
        """The means of this epoch's statistics; the only point where the device is waited for."""
        ...

    def alive(self) -> bool:
        """Whether every statistic so far is finite. Waits for the device."""
        ...

    def evaluated(self) -> nn.Module:
        """The generator that is scored, in evaluation mode: [N, latent] -> [N, C, H, W]."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """All that must be saved to go on as if nothing had happened."""
        ...

    def load_state_dict(self, state: dict[str, Any], /) -> None: ...


systems: Registry[System] = Registry("system")
