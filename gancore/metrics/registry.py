"""What every metric and every feature network promises, and the tables of both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.utils.memory_format import convert_conv2d_weight_memory_format

from gancore.errors import Unavailable
from gancore.metrics.feature_set import FeatureSet
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
        mode_count: How many modes it tells apart; 0 where it knows none.
    """

    size: int
    digest: str
    accuracy: float | None = None
    mode_count: int = 0

    forward: Callable[[Tensor], Tensor]

    def logits(self, features: Tensor) -> Tensor | None:  # noqa: ARG002
        """Class scores [N, K] from features [N, size]; None where it has no classes."""
        return None

    def modes(self, features: Tensor) -> Tensor | None:
        """The mode of each picture, int64 [N], -1 for none; None where it knows no modes."""
        logits = self.logits(features)
        return None if logits is None else logits.argmax(1)


class Features(Protocol):
    """A way to come by a feature network.

    A frozen dataclass; `load` may train the network or fetch its weights, once, and keeps what
    it made in a folder under a name that tells unlike ones apart. As class constants (`ClassVar`)
    it says what its network `gives` beyond features, for metrics that ask for it: `("logits",
    "modes")`, either of them, or without the constant neither; and by `named = True` that it only
    serves data sets that name it as their `features`.
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
    """A score.

    A frozen dataclass. As class constants (`ClassVar`) it says: `goal`, whether it is to be `min`
    or `max`; `needs`, what it asks of the feature network: `features` (if it does not say),
    `logits` or `modes`; and where it is no score of features but a number that a GAN system has of
    itself, `system`, the systems that have it.
    """

    goal: ClassVar[str]


@runtime_checkable
class FeatureMetric(Protocol):
    """A score of generated pictures against real ones, a function of their features."""

    goal: ClassVar[str]

    def score(self, real: FeatureSet, generated: FeatureSet, /) -> float:
        """The score; NaN where generated features are not finite.

        Raises:
            gancore.metrics.moments.NoScore: There are fewer pictures than it needs (`TooFew`), or
                features of another kind.
        """
        ...


metrics: Registry[Metric] = Registry("metric")
features: Registry[Features] = Registry("feature network")


def frozen(network: FeatureNetwork, device: torch.device) -> FeatureNetwork:
    """A network as it is used for scores: fixed, in evaluation mode, in the fast memory format."""
    network.eval().requires_grad_(False)
    convert_conv2d_weight_memory_format(network, torch.channels_last)
    return network.to(device)
