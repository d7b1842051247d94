"""Reads `resources.of`: the trials that are given something else of a machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from gancore.config import options_of
from gancore.schema import Refused, show, unknown
from sweeps.dimensions import DimensionReader
from sweeps.needs import KEYS, Case, Needs, unshared
from sweeps.space import MAX_TRIALS, Search, Space
from sweeps.yamlfile import Problems, Where

KEY = "resources.of"
WHERE: Where = ("resources", "of")


@dataclass(frozen=True)
class CaseReader:
    """Reads exceptions, and notes what is wrong with them.

    Args:
        dimensions: What has read the space; it knows what a condition can be about.
    """

    problems: Problems
    dimensions: DimensionReader
    space: Space
    search: Search

    def cases(self, file: Mapping[str, Any]) -> tuple[Case, ...]:
        """The exceptions of a sweep file, in its order."""
        section = file.get("resources")
        given = section.get("of", []) if isinstance(section, Mapping) else []
        if not isinstance(given, list):
            self.problems.add(WHERE, KEY, f"expected a list, got {show(given)}")
            return ()
        found = [self._case(entry, (*WHERE, i)) for i, entry in enumerate(given)]
        cases = tuple(case for case in found if case)
        if cases and not self.problems.found:
            self._check_use(cases)
        return cases

    def _case(self, given: Any, where: Where) -> Case | None:
        if not isinstance(given, Mapping):
            message = f"expected {{when: {{path: value}}, gpu: 1}}, got {show(given)}"
            self.problems.add(where, KEY, message)
            return None
        gives, options = {}, options_of(Needs)
        for key, value in given.items():
            if key == "when":
                continue
            if key not in KEYS:
                message = unknown("key", key, ("when", *KEYS))
                self.problems.add((*where, key), KEY, message)
                continue
            try:
                gives[key] = options[key].parse(value)
            except Refused as refused:
                self.problems.add((*where, key), KEY, f"{key}: {refused}")
        if why := unshared(gives.get("gpu", 0)):
            self.problems.add((*where, "gpu"), KEY, f"gpu: {why}")
        if not given.get("when"):
            message = "says not for which trials: add `when: {path: value}`"
            self.problems.add(where, KEY, message)
            return None
        if not given.keys() - {"when"}:
            message = f"gives nothing: add {', '.join(KEYS[:-1])} or {KEYS[-1]}"
            self.problems.add(where, KEY, message)
        inside = (*where, "when")
        when = self.dimensions.conditions(KEY, given["when"], inside)
        for path, message in self.dimensions.never(when):
            self.problems.add((*inside, path), KEY, message)
        known = self.dimensions.fixed
        return Case(when, gives, {path: known[path] for path in when if path in known})

    def _check_use(self, cases: tuple[Case, ...]) -> None:
        """Notes exceptions that no trial of the sweep comes under."""
        held, first = set(), set()
        for varied in self._points(cases):
            holding = [i for i, case in enumerate(cases) if case.holds(varied)]
            held.update(holding)
            first.update(holding[:1])
        for i in range(len(cases)):
            if i not in held:
                self.problems.add(
                    (*WHERE, i), KEY, "holds for no trial of this sweep: leave it out"
                )
            elif i not in first:
                message = "an entry before it holds for all of its trials: put this one first"
                self.problems.add((*WHERE, i), KEY, message)

    def _points(self, cases: tuple[Case, ...]) -> Iterator[Mapping[str, Any]]:
        """The values of each trial; of a search that chooses later, all those that may come up."""
        points = islice(self.space.points(self.search), MAX_TRIALS)
        yield from (point.varied for point in points)
        if self.search.method in ("tpe", "pbt"):
            asked = {path for case in cases for path in case.when}
            for dimension in reversed(self.space.nuisance):  # Each after those that it hangs on.
                asked |= dimension.when.keys() if dimension.path in asked else set()
            nuisance = tuple(d for d in self.space.nuisance if d.path in asked)
            every = Space((*self.space.scientific, *nuisance), (), self.space.fixed).arms()
            yield from islice(every, MAX_TRIALS)
