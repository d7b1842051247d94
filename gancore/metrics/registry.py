"""What every metric and every feature network promises, and the tables of both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.utils.memory_format import convert_conv2d_weight_memory_format

from gancore.errors import Unavailable
from gancore.metrics.moments import Reference, Sample
from gancore.registry import Registry


class Labelled(Protocol):
    """Pictures of a split: uint8 [N, C, H, W], labels [N] or None, and their fingerprint."""

    @property
    def images(self) -> npt.NDArray[np.uint8]: ...

    @property
    def labels(self) -> npt.NDArray[np.int64] | None: ...

    @property
    def fingerprint(self) -> str: ...


class FeatureNetworkUnavailable(Unavailable):
    """A feature network's weights cannot be had, or are not the right ones."""


class FeatureNetwork(nn.Module):
    """A frozen network: uint8 [N, C, H, W] -> float32 [N, size].

    Args:
        digest: sha256 of its weights; features of unlike digests are never compared.
        accuracy: On the test split, for one that was trained on labels.
    """

    size: int
    digest: str
    accuracy: float | None = None

    forward: Callable[[Tensor], Tensor]


class Features(Protocol):
    """A way to come by a feature network.

    A frozen dataclass; `load` may train the network or fetch its weights, once, and keeps what
    it made in a folder under a name that tells unlike ones apart.
    """

    def load(
        self, real: Labelled, held_out: Labelled, folder: Path, weights: str | None, /
    ) -> FeatureNetwork:
        """The network, on the CPU.

        Raises:
            FeatureNetworkUnavailable: Saying what is missing and how to get it.
        """
        ...


class Metric(Protocol):
    """A score of generated pictures against real ones, a function of their features.

    A frozen dataclass; `goal` says whether it is to be `min` or `max`.
    """

    goal: ClassVar[str]

    def score(self, reference: Reference, generated: Sample, /) -> float: ...


metrics: Registry[Metric] = Registry("metric")
features: Registry[Features] = Registry("feature network")


def frozen(network: FeatureNetwork, device: torch.device) -> FeatureNetwork:
    """A network as it is used for scores: fixed, in evaluation mode, in the fast memory format."""
    network.eval().requires_grad_(False)
    convert_conv2d_weight_memory_format(network, torch.channels_last)
    return network.to(device)
