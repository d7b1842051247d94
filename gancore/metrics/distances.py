"""Distances between features: to the nearest others of a set, and between two sets."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from gancore.metrics.feature_set import FeatureSet
from gancore.metrics.moments import TooFew

_AT_ONCE = 2**22
"""Distances that are in memory at a time: 10,000 x 10,000 of them would fill 800 MB."""

_ROUND_OFF = 1e-13
"""Relative to |x|^2 + |y|^2: a smaller |x - y|^2 is what rounding leaves of zero."""

_USUAL = 5
"""Nearest others that are found at once, as most scores ask for no more."""


def parts(rows: Tensor, columns: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Euclidean distances, some rows at a time: which, and float32 [n, M].

    By |x|^2 + |y|^2 - 2 x y in float64: what is lost to cancellation is less than what float32 has
    rounded of features. Equal ones are at a distance of exactly 0, and two ways to one distance
    give one number.

    Args:
        rows, columns: Finite features, [N, D] and [M, D].
    """
    x, y = rows.double(), columns.double()
    x_squares, y_squares = x.square().sum(1), y.square().sum(1)
    size = max(1, _AT_ONCE // len(y))
    for first in range(0, len(x), size):
        part = slice(first, min(first + size, len(x)))
        squares = (x_squares[part, None] + y_squares).addmm_(x[part], y.T, alpha=-2)
        near = squares.amin(1) <= _ROUND_OFF * (x_squares[part] + y_squares.max())
        if near.any():
            scale = x_squares[part][near, None] + y_squares
            found = squares[near]
            squares[near] = found.where(found > _ROUND_OFF * scale, 0.0)
        yield part, squares.sqrt_().float()


def to_others(features: FeatureSet, nearest: int) -> Tensor:
    """The distance of each picture to its `nearest`-th nearest other one, float32 [N].

    Raises:
        TooFew: There are not so many others.
    """
    rows = features.rows
    if len(rows) <= nearest:
        message = f"the distance to the nearest {nearest} others needs at least {nearest + 1}"
        raise TooFew(f"{message} pictures, got {len(rows)}")
    most = max(nearest, min(_USUAL, len(rows) - 1))
    found = features.once(("to others", most), lambda: nearest_others(rows, most)[1])
    return found[:, nearest - 1]


def to_nearest(features: FeatureSet, others: FeatureSet, *, among_them: bool = False) -> Tensor:
    """The distance of each picture to the nearest one of another set, float32 [N].

    Args:
        among_them: The pictures are of that set themselves: each is at distance 0 of itself, and
            the next one counts.
    """
    rank = 2 if among_them else 1
    found = (distances for _, distances in parts(features.rows, others.rows))
    return torch.cat([d.topk(rank, largest=False).values[:, -1] for d in found])


def nearest_others(rows: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The nearest others of each row, ascending: which, int64, and how far, float32 [N, most]."""
    found = []
    for part, distances in parts(rows, rows):
        own = torch.arange(part.start, part.stop, device=rows.device)
        distances[own - part.start, own] = torch.inf
        found.append(distances.topk(most, largest=False))
    return torch.cat([f.indices for f in found]), torch.cat([f.values for f in found])
