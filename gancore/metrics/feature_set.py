"""The features of a set of pictures: computed once, shared by every score."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor

from gancore.metrics.moments import Moments, Reference, Sample

T = TypeVar("T")

KEPT = 10_000
"""Rows that are kept of larger sets; their moments still rest on all pictures."""


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """What a feature network says of some pictures; equal to no other but itself.

    Args:
        moments: Mean and covariance of the features of all pictures.
        rows: Features of the first `KEPT` pictures, float32 [N, D].
        logits: Class scores of the same pictures, [N, K]; None where the network has no classes.
        modes: The mode that each of them belongs to, int64 [N], -1 for none; None where the
            network knows no modes.
        mode_count: How many modes there are.
        known: The moments as a `Reference`, where they were kept as one.
    """

    moments: Sample
    rows: Tensor
    logits: Tensor | None = None
    modes: Tensor | None = None
    mode_count: int = 0
    known: Reference | None = None

    @classmethod
    def of(
        cls,
        rows: Tensor,
        logits: Tensor | None = None,
        modes: Tensor | None = None,
        mode_count: int = 0,
    ) -> FeatureSet:
        """From features [N, D] that are all at hand.

        Raises:
            gancore.metrics.moments.TooFew: N < 2.
        """
        moments = Moments()
        moments.add(rows)
        kept = slice(0, KEPT)
        return cls(
            moments.sample(),
            rows[kept].float(),
            None if logits is None else logits[kept],
            None if modes is None else modes[kept],
            mode_count,
        )

    @cached_property
    def reference(self) -> Reference:
        """The moments as the real side of a Frechet distance."""
        return self.known or Reference.of(self.moments)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives, made at the first call: scores share what they rest on.

        Args:
            key: What it is; with all that it depends on beside these pictures.
        """
        if key not in self._made:
            self._made[key] = make()
        made: T = self._made[key]
        return made

    @cached_property
    def _made(self) -> dict[Hashable, Any]:
        return {}

    @property
    def finite(self) -> bool:
        """Whether every feature is a number."""
        return bool(torch.isfinite(self.rows).all() & torch.isfinite(self.moments.mean).all())
