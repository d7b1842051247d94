"""Reads the `scientific` and `nuisance` sections of a sweep file into a search space."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import yaml

from gancore.config import COMPONENTS
from gancore.schema import Refused, show, unknown
from sweeps.paths import Paths
from sweeps.space import SCALES, Choice, Dimension, Range, Space, Tie, listed
from sweeps.yamlfile import Problems, Where

KINDS = ("choice", *SCALES, "same_as")
SECTIONS = ("scientific", "nuisance")


class DimensionReader:
    """Reads dimensions and notes what is wrong with them.

    Args:
        fixed: Value by path of what does not vary.

    Attributes:
        paths: What may be varied.
        broken: Paths that cannot be relied on, since something about them is wrong.
        fixed: As given.
    """

    def __init__(self, problems: Problems, paths: Paths, fixed: Mapping[str, Any]) -> None:
        self._problems = problems
        self.paths = paths
        self.fixed = fixed
        self.broken = {f"{part}.name" for part in paths.misread}
        self._varied: dict[str, Dimension | Tie] = {}

    def space(self, sections: Mapping[str, Mapping[str, Any]]) -> Space:
        """The search space of the two sections."""
        read = {name: self._section(name, sections[name]) for name in SECTIONS}
        for path in read["scientific"].keys() & read["nuisance"].keys():
            line = self._problems.document.line_of(("scientific", path))
            first = f" (line {line})" if line else ""
            self._wrong(
                path, ("nuisance", path), f"is scientific already{first}: it is one or other"
            )
            del read["nuisance"][path]
        varied = {d.path: d for section in read.values() for d in section.values()}
        self._varied = varied
        dimensions = {path: d for path, d in varied.items() if isinstance(d, Dimension)}
        for dimension in dimensions.values():
            self._check_values(dimension)
        for name, section in read.items():
            for one in section.values():
                self._check_when(one, name, read["nuisance"])
        ties = [self._resolved(tie, varied) for tie in varied.values() if isinstance(tie, Tie)]
        ordered = self._in_order(dimensions)
        return Space(
            scientific=tuple(d for d in ordered if d.path in read["scientific"]),
            nuisance=tuple(d for d in ordered if d.path in read["nuisance"]),
            fixed=self.fixed,
            ties=tuple(tie for tie in ties if tie),
        )

    def _wrong(self, path: str, where: Where, message: str) -> None:
        self.broken.add(path)
        self._problems.add(where, path, message)

    def _section(self, name: str, given: Mapping[str, Any]) -> dict[str, Dimension | Tie]:
        read = {}
        for path, values in given.items():
            where = (name, path)
            if refusal := self.paths.refusal(path, values):
                self._wrong(path, where, refusal)
            elif dimension := self._dimension(path, values, where):
                read[path] = dimension
                tie = isinstance(dimension, Tie)
                if name == "scientific" and listed(dimension) is None:
                    del read[path]
                    but = "same_as: write this under nuisance" if tie else "a range"
                    message = f"a scientific key needs a list of values to compare, not {but}"
                    self._wrong(path, where, message)
        return read

    def _dimension(self, path: str, given: Any, where: Where) -> Dimension | Tie | None:
        if isinstance(given, list):
            return self._choice(path, given, where, {})
        if not isinstance(given, Mapping):
            message = f"expected a list or a range {{log_uniform: [low, high]}}, got {show(given)}"
            self._wrong(path, where, message)
            return None
        kinds = [kind for kind in KINDS if kind in given]
        options = ("when", "times" if kinds == ["same_as"] else "points")
        extra = [key for key in given if key not in (*KINDS, *options)]
        if len(kinds) != 1:
            if extra and not kinds:
                self._wrong(path, (*where, extra[0]), unknown("kind", extra[0], KINDS))
            else:
                got = " and ".join(kinds) or "none"
                self._wrong(path, where, f"expected one of {', '.join(KINDS)}, got {got}")
            return None
        for key in extra:
            self._wrong(path, (*where, key), unknown("key", key, (*kinds, *options)))
        when = self.conditions(path, given.get("when", {}), (*where, "when"))
        inside = (*where, kinds[0])
        if kinds[0] == "same_as":
            return self._tie(path, given, inside, when)
        if kinds[0] == "choice":
            if "points" in given:
                self._wrong(path, (*where, "points"), "points is for a range, not for a list")
            return self._choice(path, given["choice"], inside, when)
        return self._range(path, given, inside, when)

    def _choice(
        self, path: str, given: Any, where: Where, when: dict[str, tuple[Any, ...]]
    ) -> Dimension | None:
        if not isinstance(given, list):
            self._wrong(path, where, f"expected a list, got {show(given)}")
            return None
        if not given:
            self._wrong(path, where, "an empty list: there is nothing to try")
        values: list[Any] = []
        for i, value in enumerate(given):
            if isinstance(value, list | Mapping):
                self._wrong(path, (*where, i), f"expected a plain value, got {show(value)}")
            elif any(value == v and isinstance(value, bool) is isinstance(v, bool) for v in values):
                self._wrong(path, (*where, i), f"{show(value)} stands twice in the list")
            else:
                values.append(value)
        whole = len(values) == len(given) > 0
        return Dimension(path, Choice(tuple(values)), when, where) if whole else None

    def _range(
        self, path: str, given: Mapping[str, Any], where: Where, when: dict[str, tuple[Any, ...]]
    ) -> Dimension | None:
        scale = str(where[-1])
        bounds, points = given[scale], given.get("points")
        kind = int if scale == "int_uniform" else (int, float)
        if not isinstance(bounds, list) or len(bounds) != 2:
            got = f"{len(bounds)} values" if isinstance(bounds, list) else show(bounds)
            self._wrong(path, where, f"expected [low, high], got {got}")
            return None
        for bound in bounds:
            number = isinstance(bound, kind) and not isinstance(bound, bool)
            if not number or not math.isfinite(bound):
                word = "whole numbers" if kind is int else "numbers"
                self._wrong(path, where, f"expected two {word}, got {show(bound)}")
                return None
        low, high = bounds if kind is int else map(float, bounds)
        if not low < high:
            self._wrong(path, where, f"low {low:g} is not below high {high:g}")
            return None
        if scale == "log_uniform" and low <= 0:
            self._wrong(path, where, f"a logarithmic range needs low > 0, got {low:g}")
            return None
        if "points" in given and not self._points(path, points, bounds, where):
            return None
        return Dimension(path, Range(scale, low, high, points), when, where)

    def _points(self, path: str, points: Any, bounds: list[Any], where: Where) -> bool:
        message = ""
        if not isinstance(points, int) or isinstance(points, bool) or points < 2:
            message = f"expected a whole number >= 2, got {show(points)}"
        elif where[-1] == "int_uniform" and points > (count := bounds[1] - bounds[0] + 1):
            message = f"there are only {count} whole numbers from {bounds[0]} to {bounds[1]}"
        if message:
            self._wrong(path, (*where[:-1], "points"), f"points: {message}")
        return not message

    def _tie(
        self, path: str, given: Mapping[str, Any], where: Where, when: dict[str, tuple[Any, ...]]
    ) -> Tie | None:
        to, times = given["same_as"], given.get("times")
        message = ""
        if path.removesuffix(".name") in COMPONENTS:
            message = "a name cannot follow another key: list its values"
        elif not isinstance(to, str):
            message = f"same_as: expected the path of another key, got {show(to)}"
        if message:
            self._wrong(path, where, message)
            return None
        if "times" in given and not (_is_number(times) and 0 < given["times"] < math.inf):
            message = f"times: expected a number above 0, got {show(times)}"
            self._wrong(path, (*where[:-1], "times"), message)
            return None
        return Tie(path, to, times, when, where)

    def _resolved(self, tie: Tie, varied: Mapping[str, Dimension | Tie]) -> Tie | None:
        """The tie to the dimension at the end of its chain; None where anything is wrong."""
        chain, end = [tie], varied.get(tie.to)
        while isinstance(end, Tie) and end not in chain:
            chain.append(end)
            end = varied.get(end.to)
        if end == tie:
            way = ", ".join(link.path for link in chain[1:])
            message = f"by way of {way}" if way else "so nothing decides its value"
            self._wrong(tie.path, tie.where, f"same_as: follows itself, {message}")
        elif tie.to not in varied and tie.to not in self.broken:
            message = f"{tie.to} does not vary: set both in base"
            if not self.paths.is_known(tie.to):
                message = str(self.paths.refusal(tie.to, None))
            self._wrong(tie.path, tie.where, f"same_as: {message}")
        if self.broken & {link for t in chain for link in (t.path, t.to)}:
            return None
        if not isinstance(end, Dimension):
            return None  # It leads to another's mistake, which is told there.
        times = [link.times for link in chain if link.times is not None]
        whole = replace(tie, to=end.path, times=math.prod(times) if times else None)
        sound = self._check_tied_when(tie, varied) and self._check_tied_values(whole, end)
        return whole if sound else None

    def _check_tied_when(self, tie: Tie, varied: Mapping[str, Dimension | Tie]) -> bool:
        """Notes a tie that may exist where what it follows does not."""
        lacking = {
            path: values
            for path, values in varied[tie.to].when.items()
            if path not in self.broken
            and not all(v in values for v in tie.when.get(path) or self._possible(path))
        }
        if lacking:
            short = {p: v[0] if len(v) == 1 else list(v) for p, v in lacking.items()}
            shown = yaml.safe_dump(short, default_flow_style=True, width=math.inf).strip()
            message = f"same_as: {tie.to} does not always exist: add `when: {shown}` here too"
            self._wrong(tie.path, tie.where, message)
        return not lacking

    def _check_tied_values(self, tie: Tie, end: Dimension) -> bool:
        """Notes values of the dimension that the tied path does not take."""
        message: str | None = None
        if tie.times is not None and not all(map(_is_number, end.values.corners)):
            message = f"times: the values of {end.path} are no numbers"
        else:
            values = tuple(tie.of(value) for value in end.values.corners)
            taker = Dimension(tie.path, Choice(values), tie.when)
            told = [m for value in values if (m := self.paths.refused(taker, value))]
            values_of = end.path if tie.times is None else f"{tie.times:g} times {end.path}"
            message = f"same_as: cannot be all of {values_of}: {told[0]}" if told else None
        if message:
            self._wrong(tie.path, tie.where, message)
        return not message

    def conditions(self, key: str, given: Any, where: Where) -> dict[str, tuple[Any, ...]]:
        """What a `when` says: by path the values of which it must have one.

        Args:
            key: Named in messages; not to be relied on where something is wrong.
        """
        if not isinstance(given, Mapping):
            message = f"when: expected {{path: value}}, got {show(given)}"
            self._wrong(key, where, message)
            return {}
        listed = {
            path: value if isinstance(value, list) else [value] for path, value in given.items()
        }
        for path, values in listed.items():
            if not values or any(isinstance(v, list | Mapping) for v in values):
                self._wrong(key, (*where, path), "when: expected a value or a list of values")
        return {path: tuple(values) for path, values in listed.items()}

    def _check_values(self, dimension: Dimension) -> None:
        for i, value in enumerate(dimension.values.corners):
            message = self.paths.refused(dimension, value)
            if message and isinstance(dimension.values, Range):
                self._wrong(dimension.path, dimension.where, message)
                break
            if message:
                self._wrong(dimension.path, (*dimension.where, i), message)

    def _check_when(
        self, dimension: Dimension | Tie, section: str, nuisance: Mapping[str, Dimension | Tie]
    ) -> None:
        """Notes conditions that can never hold, or that nothing can decide."""
        where = (*dimension.where[:2], "when")
        decidable = dimension.when
        if section == "scientific":
            for path in decidable.keys() & nuisance.keys() - self.broken:
                message = f"when: an arm cannot depend on nuisance {path}"
                self._wrong(dimension.path, (*where, path), message)
            decidable = {p: values for p, values in decidable.items() if p not in nuisance}
        for place, message in self.never(decidable):
            self._wrong(dimension.path, (*where, place), message)

    def never(self, when: Mapping[str, tuple[Any, ...]]) -> Iterator[tuple[str, str]]:
        """Of conditions those that can never hold, or that nothing can decide: path and message.

        Only once the space has been read.
        """
        for path, values in when.items():
            if path in self.broken:
                continue  # What it can be is unknown until that is put right.
            try:
                possible = self._possible(path)
            except Refused as refused:
                yield path, f"when: {refused}"
                continue
            for value in values:
                if value not in possible:
                    yield path, f"when: {unknown(f'value of {path}', value, possible)}"

    def _possible(self, path: str) -> list[Any]:
        """The values that a path can have in this sweep."""
        fixed = [self.fixed[path]] if path in self.fixed else []
        if path not in self._varied:
            if not fixed and not self.paths.is_known(path):
                raise Refused(self.paths.refusal(path, None) or unknown("key", path, self.fixed))
            if not fixed:
                raise Refused(f"{path} is neither varied nor set in base")
            return fixed
        dimension = self._varied[path]
        if isinstance(dimension, Tie):
            raise Refused(f"{path} follows {dimension.to}: let that decide")
        if isinstance(dimension.values, Range):
            raise Refused(f"{path} is a range; only a list can decide")
        return [*dimension.values.values, *(fixed if dimension.when else ())]

    def _in_order(self, dimensions: Mapping[str, Dimension]) -> list[Dimension]:
        """Each dimension after those that its `when` names; the file's order otherwise."""
        ordered: dict[str, Dimension] = {}
        waiting = dict(dimensions)
        while waiting:
            ready = [d for d in waiting.values() if not waiting.keys() & d.when.keys()]
            if not ready:
                for dimension in _circle(waiting):
                    others = ", ".join(sorted(dimension.when.keys() & waiting.keys()))
                    message = f"when: depends on itself, by way of {others}"
                    self._wrong(dimension.path, (*dimension.where[:2], "when"), message)
                break
            # One at a time, so that the order of the file is kept as far as it can be.
            ordered[ready[0].path] = waiting.pop(ready[0].path)
        return list(ordered.values())


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _circle(waiting: Mapping[str, Dimension]) -> Iterator[Dimension]:
    """Of dimensions that wait for one another, those that stand in a circle."""
    for path, dimension in waiting.items():
        seen: set[str] = set()
        ahead = set(dimension.when)
        while ahead := (ahead & waiting.keys()) - seen:
            seen |= ahead
            ahead = {key for p in ahead for key in waiting[p].when}
        if path in seen:
            yield dimension
