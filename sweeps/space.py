"""The search space: what each dimension may be, and the points that a search makes of it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal, NamedTuple

from gancore.schema import Count, Whole
from sweeps.yamlfile import Where

MAX_TRIALS = 10_000


def _uniform(low: float, high: float, u: float) -> float:
    return low * (1 - u) + high * u


def _log_uniform(low: float, high: float, u: float) -> float:
    return math.exp(_uniform(math.log(low), math.log(high), u))


def _int_uniform(low: float, high: float, u: float) -> int:
    return int(low) + int(u * (int(high) - int(low) + 1))


SCALES: dict[str, Callable[[float, float, float], float]] = {
    "uniform": _uniform,
    "log_uniform": _log_uniform,
    "int_uniform": _int_uniform,
}
"""Inverse distribution functions of the ranges, by the name that a sweep file gives them."""


@dataclass(frozen=True)
class Choice:
    """A list of values, each as likely as the next."""

    values: tuple[Any, ...]

    def draw(self, u: float) -> Any:
        """The value at `u` in [0, 1)."""
        return self.values[int(u * len(self.values))]

    @property
    def corners(self) -> tuple[Any, ...]:
        """Values that stand for all: where these can run, so can the rest."""
        return self.values

    @property
    def grid(self) -> tuple[Any, ...]:
        """The values of a grid search."""
        return self.values


@dataclass(frozen=True)
class Range:
    """Numbers between two ends, both included.

    Args:
        scale: One of `SCALES`.
        points: How many a grid search takes; None where there is none.
    """

    scale: str
    low: float
    high: float
    points: int | None = None

    def draw(self, u: float) -> float:
        """The value at `u` in [0, 1): equal steps of `u` are equally likely."""
        # Rounding may step over an end by one unit in the last place.
        return min(max(SCALES[self.scale](self.low, self.high, u), self.low), self.high)

    @property
    def corners(self) -> tuple[Any, ...]:
        return (self.low, self.high)

    @property
    def grid(self) -> tuple[Any, ...]:
        """`points` values from low to high, evenly spaced on the scale."""
        steps = (self.points or 2) - 1
        return (self.low, *(self.draw(i / steps) for i in range(1, steps)), self.high)


@dataclass(frozen=True)
class Dimension:
    """One hyper-parameter that a sweep varies.

    Args:
        path: Its dotted path in `RunConfig`.
        when: It exists only where each of these paths has one of these values.
        where: The place of its values in the sweep file.
    """

    path: str
    values: Choice | Range
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    where: Where = ()


@dataclass(frozen=True, kw_only=True)
class Search:
    """How points of the nuisance space are chosen for each arm.

    Args:
        trials_each: Points per arm of a random search.
        seed: Of the draws; equal seeds give equal sweeps.
    """

    method: Literal["random", "grid"] = "random"
    trials_each: Count = 8
    seed: Whole = 0


class Point(NamedTuple):
    """One point of the space.

    Args:
        arm: Its scientific part.
        draw: Which of the arm's points it is, from 0.
        varied: Value by dotted path, scientific and nuisance.
    """

    arm: Mapping[str, Any]
    draw: int
    varied: Mapping[str, Any]


@dataclass(frozen=True)
class Space:
    """Everything that a sweep varies.

    Args:
        scientific, nuisance: Each dimension after those that its `when` names.
        fixed: Values of paths that do not vary, for `when`.
    """

    scientific: tuple[Dimension, ...]
    nuisance: tuple[Dimension, ...]
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def arms(self) -> Iterator[dict[str, Any]]:
        """Every combination of scientific values."""
        return self._combinations(self.scientific, {})

    def points(self, search: Search) -> Iterator[Point]:
        """The points of a search: the first of each arm, then the second of each, and so on.

        A random search gives all arms the same draws of the dimensions that they share, so that
        they differ by what they are, not by their luck (common random numbers).
        """
        # One more than is allowed, so that a caller sees that there are too many.
        arms = list(islice(self.arms(), MAX_TRIALS + 1))
        if search.method == "random":
            for draw in range(search.trials_each):
                for arm in arms:
                    yield Point(arm, draw, self._drawn(arm, search.seed, draw))
            return
        grids = {i: self._combinations(self.nuisance, arm) for i, arm in enumerate(arms)}
        draw = 0
        while grids:
            for i in list(grids):
                varied = next(grids[i], None)
                if varied is None:
                    del grids[i]
                else:
                    yield Point(arms[i], draw, varied)
            draw += 1

    def ends(self, arm: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Two points of an arm: all dimensions at their first corners, and all at their last."""
        for end in (0, -1):
            varied = dict(arm)
            for dimension in self.nuisance:
                if self.exists(dimension, varied):
                    varied[dimension.path] = dimension.values.corners[end]
            yield varied

    def exists(self, dimension: Dimension, varied: Mapping[str, Any]) -> bool:
        """Whether a dimension means something beside the values chosen before it."""
        return all(
            (varied[path] if path in varied else self.fixed.get(path)) in values
            for path, values in dimension.when.items()
        )

    def size(self, search: Search) -> int:
        """How many points a search has, if every dimension existed everywhere: its upper bound."""
        arms = math.prod(len(d.values.grid) for d in self.scientific)
        if search.method == "random":
            return arms * search.trials_each
        return arms * math.prod(len(d.values.grid) for d in self.nuisance)

    def _drawn(self, arm: Mapping[str, Any], seed: int, draw: int) -> dict[str, Any]:
        varied = dict(arm)
        for dimension in self.nuisance:
            if self.exists(dimension, varied):
                varied[dimension.path] = dimension.values.draw(chance(seed, draw, dimension.path))
        return varied

    def _combinations(
        self, dimensions: Sequence[Dimension], varied: dict[str, Any]
    ) -> Iterator[dict[str, Any]]:
        if not dimensions:
            yield varied
            return
        first, rest = dimensions[0], dimensions[1:]
        if not self.exists(first, varied):
            yield from self._combinations(rest, varied)
            return
        for value in first.values.grid:
            yield from self._combinations(rest, {**varied, first.path: value})


def chance(seed: int, draw: int, path: str) -> float:
    """A number in [0, 1) that depends on nothing but its arguments."""
    return (_hash(seed, draw, path) >> 11) / 2**53


def seed_of(seed: int, draw: int) -> int:
    """The seed of a draw's runs, the same for every arm."""
    return _hash(seed, draw, "seed") >> 33


def _hash(seed: int, draw: int, path: str) -> int:
    digest = hashlib.sha256(f"{seed}/{draw}/{path}".encode()).digest()
    return int.from_bytes(digest[:8], "big")
