"""Where in its space a sweep went well: the axes, a row a trial, and a map of the verdicts."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from sweeps import spec
from sweeps.compare.budget import draws_of
from sweeps.errors import GansweepError
from sweeps.results import Results
from sweeps.space import Choice, Dimension

FILE = "sweep.yaml"
NEAR_LIST = 2
"""A number that comes so often within an arm was not drawn from a range."""


@dataclass(frozen=True)
class Axis:
    """One hyper-parameter that the sweep varied, and how to draw it.

    Args:
        scientific: Whether it tells the arms apart.
        values: Of a list, in the file's order; a range has none.
        low, high: The ends of a range; a list has none.
        whole: Whether a range has whole numbers only.
        guessed: The sweep file could not be read, and this is what the trials look like.
    """

    path: str
    scale: Literal["linear", "log", "categorical"]
    scientific: bool = False
    values: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    whole: bool = False
    guessed: bool = False

    @property
    def constant(self) -> bool:
        """Whether all trials that have it have the same."""
        return len(self.values) == 1 if self.scale == "categorical" else self.low == self.high

    def position(self, value: float) -> float:
        """Where a number stands between the ends of a range: 0 at the low one, 1 at the high."""
        assert self.low is not None
        assert self.high is not None
        if self.constant:
            return 0.5
        if self.scale == "log":
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class Row:
    """A trial as a line through the axes (parallel coordinates).

    Args:
        values: By path; an axis that does not exist for this trial is missing.
        best: None where it brought no score.
    """

    uid: str
    arm: str
    values: Mapping[str, Any]
    best: float | None
    state: str
    verdict: str


@dataclass(frozen=True)
class Cell:
    """A part of the map: how many trials fell into it, by verdict, and the best score of them."""

    column: int
    row: int
    counts: Mapping[str, int]
    best: float | None


@dataclass(frozen=True)
class VerdictMap:
    """Verdicts over two dimensions.

    Args:
        x_edges, y_edges: Ends of the columns and of the rows, evenly spaced on the axis' scale.
        cells: Those with a trial in them.
        by_importance: False where nothing is known of importance, and the two axes are those that
            most trials have.
    """

    x: Axis
    y: Axis
    x_edges: tuple[float, ...]
    y_edges: tuple[float, ...]
    cells: tuple[Cell, ...]
    by_importance: bool


def axes_of(results: Results) -> list[Axis]:
    """What the sweep varied, scientific first, as its file says or else as its trials look."""
    explored = [r.trial for rs in results.of_phase("explore").values() for r in rs]
    declared = _declared(results)
    # The file's order where there is a file; a path that it does not have comes last.
    paths = [*results.plan.scientific, *declared, *(p for t in explored for p in t.varied)]
    axes = []
    for path in dict.fromkeys(paths):
        arms: dict[str, list[Any]] = {}
        for trial in explored:
            if path in trial.varied:
                arms.setdefault(trial.arm, []).append(trial.varied[path])
        scientific = path in results.plan.scientific
        if not arms:
            continue
        known = declared.get(path)
        axis = _guess(path, list(arms.values()), scientific) if known is None else _axis(known)
        seen = [value for values in arms.values() for value in values]
        axes.append(_covering(replace(axis, scientific=scientific), seen))
    return axes


def rows_of(results: Results) -> list[Row]:
    """Every ended trial of the search, in the plan's order of each arm."""
    return [
        Row(
            uid=draw.result.trial.uid,
            arm=arm,
            values=dict(draw.result.trial.varied),
            best=draw.score,
            state=draw.result.state,
            verdict=draw.result.verdict,
        )
        for arm, draws in draws_of(results).items()
        for draw in draws
    ]


def verdict_map(results: Results, ranked: Sequence[str] = ()) -> VerdictMap | None:
    """The verdicts over two ranges, or None where fewer than two were varied together.

    Args:
        ranked: Paths, the most important first; without any, those that most trials have.
    """
    rows = rows_of(results)
    ranges = [a for a in axes_of(results) if a.scale != "categorical" and not a.constant]
    having = Counter(path for row in rows for path in row.values)
    place = {path: i for i, path in enumerate(ranked)}
    ranges.sort(key=lambda a: (place.get(a.path, len(place)), -having[a.path]))
    if len(ranges) < 2:
        return None
    x, y = ranges[:2]
    inside = [row for row in rows if x.path in row.values and y.path in row.values]
    if not inside:
        return None
    bins = min(8, max(2, math.isqrt(len(inside) // 2)))
    x_edges, y_edges = _edges(x, bins), _edges(y, bins)
    cells: dict[tuple[int, int], list[Row]] = {}
    for row in inside:
        where = (_bin(x_edges, row.values[x.path]), _bin(y_edges, row.values[y.path]))
        cells.setdefault(where, []).append(row)
    best = min if results.plan.goal == "min" else max
    return VerdictMap(
        x=x,
        y=y,
        x_edges=x_edges,
        y_edges=y_edges,
        cells=tuple(
            Cell(
                *where,
                counts=dict(Counter(row.verdict for row in there)),
                best=best((r.best for r in there if r.best is not None), default=None),
            )
            for where, there in sorted(cells.items())
        ),
        by_importance=x.path in place and y.path in place,
    )


def _declared(results: Results) -> dict[str, Dimension]:
    """The dimensions of the sweep's file; none where it cannot be read any more."""
    try:
        space = spec.load(results.folder / FILE).space
    except (GansweepError, OSError):
        return {}  # A plug-in is missing, or the file is of another version.
    return {d.path: d for d in (*space.scientific, *space.nuisance)}


def _axis(dimension: Dimension) -> Axis:
    values = dimension.values
    if isinstance(values, Choice):
        return Axis(dimension.path, "categorical", values=values.values)
    return Axis(
        dimension.path,
        "log" if values.scale == "log_uniform" else "linear",
        low=values.low,
        high=values.high,
        whole=values.scale == "int_uniform",
    )


def _guess(path: str, by_arm: Sequence[Sequence[Any]], scientific: bool) -> Axis:
    """An axis from its values: a list if they are no numbers, or come again within an arm."""
    seen = [value for values in by_arm for value in values]
    again = any(most >= NEAR_LIST for vs in by_arm for most in Counter(map(repr, vs)).values())
    if scientific or again or not all(map(_is_number, seen)):
        values = {repr(value): value for value in seen}
        return Axis(path, "categorical", values=tuple(values.values()), guessed=True)
    low, high = min(seen), max(seen)
    whole = all(isinstance(value, int) for value in seen)
    scale: Literal["log", "linear"] = "log" if low > 0 and high >= 5 * low else "linear"
    if whole:
        scale = "linear"  # A sweep file has no logarithmic range of whole numbers.
    return Axis(path, scale, low=low, high=high, whole=whole, guessed=True)


def _covering(axis: Axis, seen: Iterable[Any]) -> Axis:
    """The axis, made longer if need be: a search may change values beyond where it drew them."""
    if axis.scale == "categorical":
        known = {repr(value) for value in axis.values}
        more = {repr(value): value for value in seen if repr(value) not in known}
        return replace(axis, values=(*axis.values, *more.values()))
    assert axis.low is not None
    assert axis.high is not None
    return replace(axis, low=min(axis.low, *seen), high=max(axis.high, *seen))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _edges(axis: Axis, bins: int) -> tuple[float, ...]:
    """Ends of the bins; those of whole numbers lie between them, and none is empty by nature."""
    assert axis.low is not None
    assert axis.high is not None
    if axis.whole:
        count = int(axis.high - axis.low) + 1
        bins = min(bins, count)
        return tuple(axis.low - 0.5 + round(i * count / bins) for i in range(bins + 1))
    if axis.scale == "log":
        ratio = axis.high / axis.low
        inner = [axis.low * ratio ** (i / bins) for i in range(1, bins)]
    else:
        inner = [axis.low + (axis.high - axis.low) * i / bins for i in range(1, bins)]
    return (axis.low, *inner, axis.high)


def _bin(edges: Sequence[float], value: float) -> int:
    return min(bisect_right(edges, value), len(edges) - 1) - 1
