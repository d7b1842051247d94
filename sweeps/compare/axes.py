"""What a sweep varied, as axes: from where to where, and on which scale."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from sweeps import spec
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


def axes_of(results: Results) -> list[Axis]:
    """What the sweep varied, scientific first, as its file says or else as its trials look.

    What only follows another value has no axis: the two would tell the same thing twice.
    """
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
        if not arms or path in results.plan.tied:
            continue
        known = declared.get(path)
        axis = _guess(path, list(arms.values()), scientific) if known is None else _axis(known)
        seen = [value for values in arms.values() for value in values]
        axes.append(_covering(replace(axis, scientific=scientific), seen))
    return axes


def _declared(results: Results) -> dict[str, Dimension]:
    """The dimensions of the sweep's file; none where it cannot be read any more."""
    try:
        space = spec.load(results.folder / FILE, results.folder / "plugins").space
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
