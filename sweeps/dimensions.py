"""Reads the `scientific` and `nuisance` sections of a sweep file into a search space."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from gancore.schema import Refused, show, unknown
from sweeps.paths import Paths
from sweeps.space import SCALES, Choice, Dimension, Range, Space
from sweeps.yamlfile import Problems, Where

KINDS = ("choice", *SCALES)
SECTIONS = ("scientific", "nuisance")


class DimensionReader:
    """Reads dimensions and notes what is wrong with them.

    Args:
        fixed: Value by path of what does not vary.

    Attributes:
        broken: Paths that cannot be relied on, since something about them is wrong.
    """

    def __init__(self, problems: Problems, paths: Paths, fixed: Mapping[str, Any]) -> None:
        self._problems = problems
        self._paths = paths
        self._fixed = fixed
        self.broken = {f"{part}.name" for part in paths.misread}

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
        dimensions = {d.path: d for section in read.values() for d in section.values()}
        for dimension in dimensions.values():
            self._check_values(dimension)
        for name, section in read.items():
            for dimension in section.values():
                self._check_when(dimension, name, dimensions, read["nuisance"])
        ordered = self._in_order(dimensions)
        return Space(
            scientific=tuple(d for d in ordered if d.path in read["scientific"]),
            nuisance=tuple(d for d in ordered if d.path in read["nuisance"]),
            fixed=self._fixed,
        )

    def _wrong(self, path: str, where: Where, message: str) -> None:
        self.broken.add(path)
        self._problems.add(where, path, message)

    def _section(self, name: str, given: Mapping[str, Any]) -> dict[str, Dimension]:
        read = {}
        for path, values in given.items():
            where = (name, path)
            if refusal := self._paths.refusal(path, values):
                self._wrong(path, where, refusal)
            elif dimension := self._dimension(path, values, where):
                read[path] = dimension
                if name == "scientific" and isinstance(dimension.values, Range):
                    del read[path]
                    message = "a scientific key needs a list of values to compare, not a range"
                    self._wrong(path, where, message)
        return read

    def _dimension(self, path: str, given: Any, where: Where) -> Dimension | None:
        if isinstance(given, list):
            return self._choice(path, given, where, {})
        if not isinstance(given, Mapping):
            message = f"expected a list or a range {{log_uniform: [low, high]}}, got {show(given)}"
            self._wrong(path, where, message)
            return None
        kinds = [kind for kind in KINDS if kind in given]
        extra = [key for key in given if key not in (*KINDS, "when", "points")]
        if len(kinds) != 1:
            if extra and not kinds:
                self._wrong(path, (*where, extra[0]), unknown("kind", extra[0], KINDS))
            else:
                got = " and ".join(kinds) or "none"
                self._wrong(path, where, f"expected one of {', '.join(KINDS)}, got {got}")
            return None
        for key in extra:
            self._wrong(path, (*where, key), unknown("key", key, (*kinds, "when", "points")))
        when = self._when(path, given.get("when", {}), (*where, "when"))
        inside = (*where, kinds[0])
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

    def _when(self, path: str, given: Any, where: Where) -> dict[str, tuple[Any, ...]]:
        if not isinstance(given, Mapping):
            message = f"when: expected {{path: value}}, got {show(given)}"
            self._wrong(path, where, message)
            return {}
        listed = {
            key: value if isinstance(value, list) else [value] for key, value in given.items()
        }
        for key, values in listed.items():
            if not values or any(isinstance(v, list | Mapping) for v in values):
                self._wrong(path, (*where, key), "when: expected a value or a list of values")
        return {key: tuple(values) for key, values in listed.items()}

    def _check_values(self, dimension: Dimension) -> None:
        for i, value in enumerate(dimension.values.corners):
            message = self._paths.refused(dimension, value)
            if message and isinstance(dimension.values, Range):
                self._wrong(dimension.path, dimension.where, message)
                break
            if message:
                self._wrong(dimension.path, (*dimension.where, i), message)

    def _check_when(
        self,
        dimension: Dimension,
        section: str,
        dimensions: Mapping[str, Dimension],
        nuisance: Mapping[str, Dimension],
    ) -> None:
        """Notes conditions that can never hold, or that nothing can decide."""
        for path, values in dimension.when.items():
            where = (*dimension.where[:2], "when", path)
            if path in self.broken:
                continue  # What it can be is unknown until that is put right.
            if section == "scientific" and path in nuisance:
                message = f"when: an arm cannot depend on nuisance {path}"
                self._wrong(dimension.path, where, message)
                continue
            try:
                possible = self._possible(path, dimensions)
            except Refused as refused:
                self._wrong(dimension.path, where, f"when: {refused}")
                continue
            for value in values:
                if value not in possible:
                    words = unknown(f"value of {path}", value, possible)
                    self._wrong(dimension.path, where, f"when: {words}")

    def _possible(self, path: str, dimensions: Mapping[str, Dimension]) -> list[Any]:
        """The values that a path can have in this sweep."""
        fixed = [self._fixed[path]] if path in self._fixed else []
        if path not in dimensions:
            if not fixed and not self._paths.is_known(path):
                raise Refused(self._paths.refusal(path, None) or unknown("key", path, self._fixed))
            if not fixed:
                raise Refused(f"{path} is neither varied nor set in base")
            return fixed
        values = dimensions[path].values
        if isinstance(values, Range):
            raise Refused(f"{path} is a range; only a list can decide")
        return [*values.values, *(fixed if dimensions[path].when else ())]

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
