"""Mean and covariance of features, from a stream of batches, in float64."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


class NoScore(ValueError):
    """What there is has no such score; the message says why, in one line."""


class TooFew(NoScore):
    """There are fewer pictures than a score needs."""


@dataclass(frozen=True)
class Sample:
    """The first two moments of a set of features.

    Args:
        count: Pictures.
        mean: float64 [D].
        scatter: Sum of outer products of the centred features, float64 [D, D]; None where
            there are fewer pictures than dimensions.
        centred: The centred features themselves, float64 [count, D], where there are.
    """

    count: int
    mean: Tensor
    scatter: Tensor | None = None
    centred: Tensor | None = None

    @cached_property
    def covariance(self) -> Tensor:
        """Unbiased, [D, D]."""
        scatter = self.scatter
        if scatter is None:
            assert self.centred is not None
            scatter = self.centred.T @ self.centred
        return scatter / (self.count - 1)

    @property
    def variance(self) -> Tensor:
        """The trace of the covariance, without making it where it is not made."""
        if self.scatter is not None:
            return self.scatter.trace() / (self.count - 1)
        assert self.centred is not None
        return self.centred.square().sum() / (self.count - 1)


class Moments:
    """Takes features in batch by batch (Chan et al. 1983: pairwise update of the moments).

    Up to as many pictures as dimensions the features themselves are kept, which makes a distance
    between few pictures in many dimensions cheap; beyond, their scatter matrix.
    """

    def __init__(self) -> None:
        self._count = 0
        self._mean: Tensor | None = None
        self._scatter: Tensor | None = None
        self._kept: list[Tensor] = []

    def add(self, features: Tensor) -> None:
        """Takes in a batch, [N, D]."""
        self._kept.append(features.double())
        if sum(map(len, self._kept)) >= features.shape[1]:
            self._merge(torch.cat(self._kept))
            self._kept = []

    def sample(self) -> Sample:
        """The moments of all that came.

        Raises:
            TooFew: Fewer than two pictures came.
        """
        count = self._count + sum(map(len, self._kept))
        if count < 2:
            raise TooFew(f"a covariance needs at least 2 pictures, got {count}")
        if self._scatter is None:
            rows = torch.cat(self._kept)
            mean = rows.mean(0)
            return Sample(count, mean, centred=rows - mean)
        if self._kept:
            self._merge(torch.cat(self._kept))
            self._kept = []
        assert self._mean is not None
        return Sample(count, self._mean, scatter=self._scatter)

    def _merge(self, rows: Tensor) -> None:
        mean = rows.mean(0)
        centred = rows - mean
        scatter = centred.T @ centred
        if self._mean is None or self._scatter is None:
            self._count, self._mean, self._scatter = len(rows), mean, scatter
            return
        total = self._count + len(rows)
        gap = mean - self._mean
        weight = self._count * len(rows) / total
        self._scatter = self._scatter + scatter + weight * torch.outer(gap, gap)
        self._mean = self._mean + gap * (len(rows) / total)
        self._count = total


@dataclass(frozen=True)
class Reference:
    """The real side of a comparison, computed once for all trials.

    Args:
        count: Real pictures.
        mean: float64 [D].
        root: The symmetric square root of their covariance, float64 [D, D].
    """

    count: int
    mean: Tensor
    root: Tensor

    @classmethod
    def of(cls, real: Sample) -> Reference:
        """The reference of real features; their covariance may be singular."""
        values, vectors = torch.linalg.eigh(real.covariance)
        root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
        return cls(real.count, real.mean, root)

    @cached_property
    def variance(self) -> Tensor:
        """The trace of the covariance."""
        return self.root.square().sum()

    def sample(self) -> Sample:
        """The moments again."""
        scatter = self.root @ self.root * (self.count - 1)
        return Sample(self.count, self.mean, scatter=scatter)

    def to(self, device: torch.device | str) -> Reference:
        return Reference(self.count, self.mean.to(device), self.root.to(device))
