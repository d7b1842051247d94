"""What every GAN system promises, and the table of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from gancore.metrics import Passport, Scored
from gancore.registry import Registry


@dataclass(frozen=True, kw_only=True)
class Product:
    """What a run is for: the network that one takes away from it.

    Args:
        kind: `generator`, `classifier` or `translator`.
        network: In evaluation mode; every input's first axis is the batch.
        inputs: Examples of its inputs by name, two rows each.
    """

    kind: str
    network: nn.Module
    inputs: Mapping[str, Tensor]


class System(Protocol):
    """The players of one run and what a training step does to them.

    Systems are where the GANs differ; data, scores and the training loop are the same for all.
    A system is built from (config, material) and its options; `FromLatents` in `latent.py` has
    most of what one needs that turns latents into pictures. As class constants (`ClassVar`) it may
    have a `preset`, what it makes of a `RunConfig` where the user says nothing else, and say:

    - `plays`: the kind of model that it needs, `generator` if it does not say;
    - `labelled`: that the pictures must have labels; `domains`: that there must be two kinds;
    - `scores_classes`: that it scores each class by itself;
    - `balanced`: which of its options counts pictures, equally many of each class;
    - `averaging`: which of its options asks for averaged weights.
    """

    def train(self, epoch: int, progress: float, /) -> Iterator[int]:
        """One epoch: a training step an item, which is the number of real pictures it showed.

        Args:
            epoch: From 1; every random stream is derived from it.
            progress: Share of the run that is done before, in [0, 1).
        """
        ...

    def end_epoch(self) -> dict[str, float]:
        """The means of this epoch's statistics; the only point where the device is waited for."""
        ...

    def alive(self) -> bool:
        """Whether every statistic so far is finite. Waits for the device."""
        ...

    def passport(self) -> Passport:
        """The protocol of the objective at the end of the run."""
        ...

    def score(self) -> Scored:
        """The scores of what is evaluated; the same latents every time."""
        ...

    def sample(self, count: int, random: torch.Generator, /) -> Tensor:
        """Pictures of what is evaluated, uint8 [count, C, H, W] on the run's device."""
        ...

    def grid(self) -> Tensor:
        """A picture of the same samples in every epoch, uint8 [1 or 3, H, W]."""
        ...

    def product(self) -> Product: ...

    def state_dict(self) -> dict[str, Any]:
        """All that must be saved to go on as if nothing had happened."""
        ...

    def load_state_dict(self, state: dict[str, Any], /) -> None: ...


@runtime_checkable
class Staged(Protocol):
    """A system whose steps cost more, or less, as a run goes on; the others need say nothing."""

    def stages(self) -> Sequence[int]:
        """The pictures shown before each stretch of the run in which a step costs the same."""
        ...

    def skip_to(self, shown: int, /) -> None:
        """Goes on as if a number of pictures had been shown, so that a step there can be timed."""
        ...


systems: Registry[System] = Registry("system")
