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

Chances = Callable[[int, str], float]
"""(draw, path) -> where in [0, 1) the draw lies on the dimension of that path."""


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


@dataclass(frozen=True)
class Tie:
    """A hyper-parameter that follows a dimension, and so is none itself.

    Args:
        path: Its dotted path in `RunConfig`.
        to: The path of the dimension.
        times: What the dimension's value is multiplied by; None takes it as it is.
        when: It exists only where each of these paths has one of these values.
        where: Its place in the sweep file.
    """

    path: str
    to: str
    times: float | None = None
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    where: Where = ()

    def of(self, value: Any) -> Any:
        """Its value beside one of the dimension's."""
        return value if self.times is None else value * self.times


def listed(dimension: Dimension | Tie) -> tuple[Any, ...] | None:
    """The values of a list, which stand in the file one by one; None of anything else."""
    if isinstance(dimension, Dimension) and isinstance(dimension.values, Choice):
        return dimension.values.values
    return None


@dataclass(frozen=True, kw_only=True)
class Search:
    """How points of the nuisance space are chosen for each arm.

    Args:
        method: `random` draws; `sobol` and `halton` draw so that the points keep their distance;
            `tpe` draws first and then learns from the trials that ended; `grid` tries them all;
            `pbt` draws a population, in which every `schedule.grace` epochs the worst 1/eta take
            over the state of the best and change its values (population-based training).
        trials_each: Points per arm, of any search but a grid.
        seed: Of the draws; equal seeds give equal sweeps.
    """

    method: Literal["random", "grid", "sobol", "halton", "tpe", "pbt"] = "random"
    trials_each: Count = 8
    seed: Whole = 0

    @property
    def warm_up(self) -> int:
        """How many draws of an arm come before any is chosen by what was learnt.

        A third of the trials, but not more than the ten of Bergstra's and of Optuna's default:
        a search for a GAN seldom has the hundreds of trials that ten are few of.
        """
        if self.method == "tpe":
            return min(10, -(-self.trials_each // 3))
        return self.trials_each


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
        ties: What follows a dimension; where a tie exists, its dimension does.
    """

    scientific: tuple[Dimension, ...]
    nuisance: tuple[Dimension, ...]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    ties: tuple[Tie, ...] = ()

    def arms(self) -> Iterator[dict[str, Any]]:
        """Every combination of scientific values."""
        return self._combinations(self.scientific, {})

    def points(self, search: Search) -> Iterator[Point]:
        """The points of a search: the first of each arm, then the second of each, and so on.

        All arms have the same draws of the dimensions that they share, so that they differ by what
        they are, not by their luck (common random numbers). Of a search that learns, these are the
        draws that it starts from: it takes `search.warm_up` of each arm or a few more.
        """
        # One more than is allowed, so that a caller sees that there are too many.
        arms = list(islice(self.arms(), MAX_TRIALS + 1))
        if search.method != "grid":
            chances = self.chances(search)
            for draw in range(_drawable(search)):
                for arm in arms:
                    yield Point(arm, draw, self.drawn(arm, draw, chances))
            return
        grids = {i: self._combinations(self.nuisance, arm) for i, arm in enumerate(arms)}
        draw = 0
        while grids:
            for i in list(grids):
                varied = next(grids[i], None)
                if varied is None:
                    del grids[i]
                else:
                    yield Point(arms[i], draw, self.tied(varied))
            draw += 1

    def ends(self, arm: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Two points of an arm: all dimensions at their first corners, and all at their last."""
        for end in (0, -1):
            varied = dict(arm)
            for dimension in self.nuisance:
                if self.exists(dimension, varied):
                    varied[dimension.path] = dimension.values.corners[end]
            yield self.tied(varied)

    def tied(self, varied: Mapping[str, Any]) -> dict[str, Any]:
        """The values of all dimensions that exist, and after them of all that follows them."""
        following = {t.path: t.of(varied[t.to]) for t in self.ties if self.exists(t, varied)}
        return {**varied, **following}

    def exists(self, dimension: Dimension | Tie, varied: Mapping[str, Any]) -> bool:
        """Whether a dimension means something beside the values chosen before it."""
        return all(
            (varied[path] if path in varied else self.fixed.get(path)) in values
            for path, values in dimension.when.items()
        )

    def size(self, search: Search) -> int:
        """How many points a search has, if every dimension existed everywhere: its upper bound."""
        arms = math.prod(len(d.values.grid) for d in self.scientific)
        if search.method != "grid":
            return arms * search.trials_each
        return arms * math.prod(len(d.values.grid) for d in self.nuisance)

    def chances(self, search: Search) -> Chances:
        """Where the draws of a search lie, for `drawn`.

        Each nuisance dimension has a coordinate of its own, in every arm the same one; where the
        dimension does not exist, its coordinate is left unused.
        """
        if search.method in ("sobol", "halton"):
            # By name: the order in which a file lists its dimensions means nothing.
            paths = sorted(dimension.path for dimension in self.nuisance)
            rows = _quasi_random(search, len(paths))
            column = {path: i for i, path in enumerate(paths)}
            return lambda draw, path: rows[draw][column[path]]
        return lambda draw, path: chance(search.seed, draw, path)

    def drawn(self, arm: Mapping[str, Any], draw: int, chances: Chances) -> dict[str, Any]:
        """A draw's point of an arm: the arm's values, and those of all that exists beside them."""
        varied = dict(arm)
        for dimension in self.nuisance:
            if self.exists(dimension, varied):
                varied[dimension.path] = dimension.values.draw(chances(draw, dimension.path))
        return self.tied(varied)

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


def _drawable(search: Search) -> int:
    """Draws of an arm, cut off where a caller has seen that there are too many."""
    return min(search.trials_each, MAX_TRIALS + 1)


def _quasi_random(search: Search, dimensions: int) -> list[list[float]]:
    """A row for each draw: points of low discrepancy, scrambled (Sobol's by Matousek 1998, On the
    L2-discrepancy for anchored boxes; Halton's by Owen 2017, arXiv:1706.02808).

    More draws begin with the same ones. Only sets of a power of two are balanced in Sobol's
    sequence; of any other number the first ones of the next such set are taken, which lie nearly
    as evenly.
    """
    from scipy.stats import qmc

    count = _drawable(search)
    if search.method == "sobol":
        sobol = qmc.Sobol(dimensions, scramble=True, rng=search.seed)
        drawn = sobol.random_base2((count - 1).bit_length())[:count]
    else:
        drawn = qmc.Halton(dimensions, scramble=True, rng=search.seed).random(count)
    # A scrambled Halton point may round to 1, which is not a place in [0, 1).
    return drawn.clip(0, math.nextafter(1, 0)).tolist()


def chance(seed: int, draw: int, path: str) -> float:
    """A number in [0, 1) that depends on nothing but its arguments."""
    return (_hash(seed, draw, path) >> 11) / 2**53


def seed_of(seed: int, draw: int) -> int:
    """The seed of a draw's runs, the same for every arm."""
    return _hash(seed, draw, "seed") >> 33


def _hash(seed: int, draw: int, path: str) -> int:
    digest = hashlib.sha256(f"{seed}/{draw}/{path}".encode()).digest()
    return int.from_bytes(digest[:8], "big")
