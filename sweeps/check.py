"""Checks every run that a sweep would start, and finds the line that is to blame."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple

from gancore.catalogue import Catalogue
from gancore.config import COMPONENTS, ConfigError, RunConfig
from sweeps.paths import Paths
from sweeps.space import Dimension, Search, Space, Tie, listed
from sweeps.yamlfile import Problems, Where

ConfigPath = tuple[str, ...]


class _Blame(NamedTuple):
    where: Where
    key: str
    dimension: Dimension | Tie | None


@dataclass
class _Finding:
    """One thing wrong, with the trials and arms that have it; `remedy` says what to do anyway."""

    blame: _Blame
    message: str
    remedy: bool = False
    trials: int = 0
    arms: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class RunCheck:
    """Builds the `RunConfig` of planned points, and of the ends of every range.

    Args:
        config: The run of a point, from its varied values.
        broken: Paths that were refused already; their values are not judged again.
    """

    space: Space
    search: Search
    config: Callable[[Mapping[str, Any]], dict[str, Any]]
    catalogue: Catalogue
    paths: Paths
    broken: Collection[str]
    problems: Problems

    def run(self, limit: int) -> None:
        """Notes what is wrong with the first `limit` points of the sweep."""
        arms = list(islice(self.space.arms(), limit))
        number = {tuple(arm.items()): i for i, arm in enumerate(arms)}
        points = list(islice(self.space.points(self.search), limit))
        found: dict[Any, _Finding] = {}
        for point in points:
            for finding in self._wrong(point.varied, found):
                finding.trials += 1
                finding.arms.add(number.get(tuple(point.arm.items()), -1))
        for arm in arms:
            for varied in self.space.ends(arm):
                for finding in self._wrong(varied, found):
                    finding.arms.add(number[tuple(arm.items())])
        for finding in found.values():
            # Arms with another fault were not looked at to the end: then the count would mislead.
            whole = finding.remedy or self.broken
            share = "" if whole else _share(finding, len(points), len(arms))
            self.problems.add(finding.blame.where, finding.blame.key, finding.message + share)

    def _wrong(self, varied: Mapping[str, Any], found: dict[Any, _Finding]) -> Iterator[_Finding]:
        """What is wrong with the run of a point; what was found before is found again."""
        config = self.config(varied)
        try:
            RunConfig.of(config, self.catalogue)
            return
        except ConfigError as error:
            wrong = error.problems
        for path, message in ((p.path, p.message) for p in wrong):
            if ".".join(path) in self.broken or path[0] in self.paths.misread:
                continue
            if path[0] in COMPONENTS and len(path) == 1 and self._lacks(path[0]):
                continue
            blame = self._blame(path, varied)
            remedy = self._remedy(path, config, blame)
            words = remedy or message
            # Every draw from a range has a message of its own; one speaks for all.
            draws = blame.dimension and listed(blame.dimension) is None
            group = (blame.where, blame.key, "" if draws else words)
            yield found.setdefault(group, _Finding(blame, words, bool(remedy)))

    @cached_property
    def _dimensions(self) -> dict[str, Dimension | Tie]:
        dimensions = {d.path: d for d in (*self.space.scientific, *self.space.nuisance)}
        return {**dimensions, **{tie.path: tie for tie in self.space.ties}}

    def _lacks(self, section: str) -> bool:
        """Whether a key of a section was refused; it may be the one that the section needs."""
        return any(path.startswith(f"{section}.") for path in self.broken)

    def _blame(self, path: ConfigPath, varied: Mapping[str, Any]) -> _Blame:
        """Where the value that a problem is about was set."""
        document = self.problems.document
        key = ".".join(path)
        if path[0] == "evaluation":
            where: Where = ("objective", *path[1:])
            # A protocol that nobody chose is wrong for the data that somebody chose.
            place = (
                where if where in document.lines else self._blame(("data", "name"), varied).where
            )
            return _Blame(place, ".".join(map(str, where)), None)
        section = [p for p in varied if p.partition(".")[0] == path[0]]
        whole = len(path) == 1 and path[0] in COMPONENTS
        short = path[1:] == ("name",) and ("base", path[0]) in document.lines  # `loss: hinge`
        in_base = short or (("base", *path) in document.lines and not whole)
        if key not in varied and (in_base or not section):
            return _Blame(("base", *path), key, None)
        chosen = key if key in varied else section[0]
        dimension = self._dimensions[chosen]
        place = dimension.where
        if values := listed(dimension):
            place = (*place, values.index(varied[chosen]))
        return _Blame(place, key, dimension)

    def _remedy(self, path: ConfigPath, config: Mapping[str, Any], blame: _Blame) -> str | None:
        """What to do about an option that the run's component lacks; the same for all arms."""
        if len(path) != 2 or path[0] not in COMPONENTS or path[1] == "name":
            return None
        part, option = path
        takers = self.paths.options(f"{part}.{option}")
        entry = self.catalogue[COMPONENTS[part]].get(config[part]["name"])
        if "" in takers or entry is None or option in entry.options:
            return None
        if not takers:
            return self.paths.refusal(f"{part}.{option}", None)
        names = ", ".join(sorted(takers))
        when = f"when: {{{part}.name: {names if len(takers) == 1 else f'[{names}]'}}}"
        if blame.dimension:
            return f"only {names} takes it: add `{when}`"
        value = config[part][option]
        return f"only {names} takes it: write it under nuisance as `{{choice: [{value}], {when}}}`"


def _share(finding: _Finding, trials: int, arms: int) -> str:
    """How much of the sweep has a problem, where that is not all of it."""
    if not finding.trials:
        return " (at an end of its range)"
    if len(finding.arms) < arms:
        return f" ({len(finding.arms)} of {arms} arms)"
    return f" ({finding.trials} of {trials} trials)" if finding.trials < trials else ""
