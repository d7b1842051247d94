"""The sweep file as a type: what it may say, checked to its last trial before anything starts."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from gancore.catalogue import Catalogue
from gancore.config import Evaluation, options_of
from gancore.schema import Refused, show, unknown
from gancore.verdicts import AILMENTS
from sweeps import plugins
from sweeps.cases import CaseReader
from sweeps.check import RunCheck
from sweeps.compose import Composer
from sweeps.conflicts import Conflicts
from sweeps.dimensions import SECTIONS, DimensionReader
from sweeps.folder import NAME
from sweeps.paths import WHY_NOT, Paths
from sweeps.settings import Budget, Confirm, Resources, Schedule
from sweeps.space import MAX_TRIALS, Range, Search, Space
from sweeps.yamlfile import Document, Problem, Problems, SpecError, Where, parse_yaml, read_yaml

ENOUGH = 500
"""Points that are looked at when there are too many to run anyway."""

Section = TypeVar("Section")


@dataclass(frozen=True, kw_only=True)
class SweepSpec:
    """One question: what is asked, what is tuned for each answer, and by what means.

    Made by `load` or `SweepSpec.of`, which check it; every run that it plans can start.

    Args:
        base: What all runs share: a part of a `RunConfig`, as nested mappings.
        space: The scientific and the nuisance dimensions.
        objective: How every run is scored.
        confirm: What is trained again on fresh seeds; None confirms nothing.
        stop_on: Verdicts that end a trial; one that has diverged ends in any case.
        plugins: Modules of the user's that register components.
        text: What `of` or `load` read; a sweep's folder keeps it.
        folder: Where plug-ins are looked for first.
    """

    name: str
    base: Mapping[str, Any]
    space: Space
    search: Search
    schedule: Schedule
    objective: Evaluation
    confirm: Confirm | None
    budget: Budget
    resources: Resources
    stop_on: tuple[str, ...]
    plugins: tuple[str, ...]
    composer: Composer = field(compare=False, repr=False)
    text: str = field(default="", compare=False, repr=False)
    folder: Path = field(default=Path(), compare=False)

    @classmethod
    def of(cls, mapping: Mapping[str, Any]) -> SweepSpec:
        """A sweep from Python: the same keys as in a file, and a `name` must be among them.

        Raises:
            SpecError: With every problem that the mapping has.
        """
        # JSON is YAML: the text is a sweep file, and tuples and odd keys become what they would.
        try:
            text = json.dumps(mapping, indent=2, ensure_ascii=False)
        except (TypeError, ValueError) as error:
            raise SpecError([Problem(0, "", f"not plain data: {error}")]) from None
        return _Reader(Document(text=text, value=json.loads(text)), Path(), None).spec()

    def catalogue(self) -> Catalogue:
        """All components, the plug-ins' among them."""
        return Catalogue.read(plugin_files(self))

    def plugin_roots(self) -> list[Path]:
        """What to copy for the plug-ins to be importable elsewhere: files and package folders."""
        return list(dict.fromkeys(plugins.root_of(name, self.folder) for name in self.plugins))

    def config(self, varied: Mapping[str, Any], seed: int = 0) -> dict[str, Any]:
        """The `RunConfig` of a point, as nested mappings with every default written out."""
        return self.composer(varied, seed)


def load(path: Path, plugins: Path | None = None) -> SweepSpec:
    """A sweep file, checked down to each of its trials.

    Args:
        plugins: Where the user's modules are looked for first; None takes the file's folder.

    Raises:
        SpecError: With every problem that the file has, each with its line.
    """
    path = Path(path)
    return _Reader(read_yaml(path), plugins or path.parent, path.stem).spec()


def read(text: str, name: str, plugins: Path) -> SweepSpec:
    """The text of a sweep file, checked down to each of its trials.

    Args:
        name: Of a sweep that its file does not name.
        plugins: Where the user's modules are looked for first.

    Raises:
        SpecError: With every problem that the text has.
    """
    return _Reader(parse_yaml(text, ""), plugins, name).spec()


def plugin_files(spec: SweepSpec) -> list[Path]:
    """The source files of a sweep's plug-ins."""
    return [file for name in spec.plugins for file in plugins.find(name, spec.folder)]


class _Reader:
    """Reads a document section by section and notes every problem on the way."""

    def __init__(self, document: Document, folder: Path, stem: str | None) -> None:
        self.document = document
        self.folder = folder
        self.stem = stem
        self.value: dict[str, Any] = document.value
        self.problems = Problems(document)
        derived = ("space", "composer", "text", "folder")
        own = [f.name for f in fields(SweepSpec) if f.name not in derived]
        self.keys = [*own, *SECTIONS]

    def spec(self) -> SweepSpec:
        for key in self.value:
            if key not in self.keys:
                self.problems.add((key,), key, unknown("key", key, self.keys))
        modules = self.plugins()
        catalogue = self.catalogue(modules)
        base, objective = self.base(), self.section("objective", Evaluation)
        search, schedule = self.section("search", Search), self.section("schedule", Schedule)
        confirm = self.section("confirm", Confirm) if "confirm" in self.value else None
        resources, budget = self.section("resources", Resources), self.section("budget", Budget)
        sections = {name: self.mapping(name) for name in SECTIONS}
        stop_on = self.stop_on()
        composer = Composer.of(base, objective, sections, catalogue)
        reader = self.reader(composer, sections, catalogue)
        space = self.space(reader, composer, sections, search, catalogue)
        cases = CaseReader(self.problems, reader, space, search).cases(self.value)
        resources = replace(resources, of=cases)
        run = composer.fixed()
        Conflicts(
            self.problems, self.folder, run, space, search, schedule, resources, budget
        ).check()
        name = self.name()
        self.problems.refuse()
        return SweepSpec(
            name=name,
            base=base,
            space=space,
            search=search,
            schedule=schedule,
            objective=objective,
            confirm=confirm,
            budget=budget,
            resources=resources,
            stop_on=stop_on,
            plugins=modules,
            composer=composer,
            text=self.document.text,
            folder=self.folder,
        )

    def name(self) -> str:
        """The sweep's name, which will be a folder's."""
        name = self.value.get("name", self.stem)
        if not isinstance(name, str) or not NAME.fullmatch(name):
            origin = "" if "name" in self.value or name is None else ", from the file's name"
            self.problems.add(
                ("name",),
                "name",
                "expected letters, digits, `.`, `_` and `-`, at most 100, with no leading `.` or "
                f"`-`, got {show(name)}{origin}",
            )
            return "unnamed"
        return name

    def plugins(self) -> tuple[str, ...]:
        given = self.value.get("plugins", [])
        if not isinstance(given, list):
            self.problems.add(("plugins",), "plugins", f"expected a list, got {show(given)}")
            return ()
        found = []
        for i, module in enumerate(given):
            if not isinstance(module, str) or not module.replace(".", "_").isidentifier():
                message = f"expected the name of a module, got {show(module)}"
                self.problems.add(("plugins", i), "plugins", message)
                continue
            try:
                plugins.find(module, self.folder)
                found.append(module)
            except Refused as refused:
                self.problems.add(("plugins", i), "plugins", str(refused))
        return tuple(found)

    def catalogue(self, modules: tuple[str, ...]) -> Catalogue:
        own = Catalogue.read_source()
        if not modules:
            return own
        files = [file for module in modules for file in plugins.find(module, self.folder)]
        merged = Catalogue.read_source(files)
        for message in plugins.taken(own, merged):
            self.problems.add(("plugins",), "plugins", message)
        return merged

    def stop_on(self) -> tuple[str, ...]:
        """The verdicts that end a trial; one alone may stand without brackets."""
        given = self.value.get("stop_on", [])
        given = [given] if isinstance(given, str) else given
        if not isinstance(given, list):
            self.problems.add(
                ("stop_on",), "stop_on", f"expected a list of verdicts, got {show(given)}"
            )
            return ()
        for i, name in enumerate(given):
            if name not in AILMENTS:
                self.problems.add(("stop_on", i), "stop_on", unknown("verdict", name, AILMENTS))
        return tuple(name for name in given if name in AILMENTS)

    def mapping(self, key: str) -> dict[str, Any]:
        given = self.value.get(key, {})
        if not isinstance(given, dict):
            self.problems.add((key,), key, f"expected a mapping, got {show(given)}")
            return {}
        return given

    def section(self, key: str, kind: type[Section]) -> Section:
        """A section of plain options; what is wrong is noted and left at its default."""
        if key == "schedule" and isinstance(self.value.get(key), str):
            self.value[key] = {"name": self.value[key]}  # `schedule: none`
        known = {name: option for name, option in options_of(kind).items() if name != "auto"}
        values: dict[str, Any] = {}
        for name, value in self.mapping(key).items():
            if (key, name) == ("resources", "of"):
                continue  # Its conditions are read when the space is known (see `sweeps.cases`).
            if (key, name, value) == ("resources", "gpu", "auto"):
                values |= {"gpu": 1.0, "auto": True}
                continue
            where, dotted = (key, name), f"{key}.{name}"
            if name not in known:
                self.problems.add(where, dotted, unknown("key", name, known))
                continue
            try:
                values[name] = known[name].parse(value)
            except Refused as refused:
                self.problems.add(where, dotted, str(refused))
        return kind(**values)

    def base(self) -> dict[str, Any]:
        """What all runs share, without what may not be set there."""
        given = self.mapping("base")
        for key in WHY_NOT.keys() & given.keys():
            self.problems.add(("base", key), key, f"does not belong in base: {WHY_NOT[key]}")
        return {key: value for key, value in given.items() if key not in WHY_NOT}

    def reader(
        self, composer: Composer, sections: Mapping[str, Mapping[str, Any]], catalogue: Catalogue
    ) -> DimensionReader:
        """What reads the search space."""
        runs = [composer.fixed(system) for system in composer.systems] or [composer.fixed()]
        others = [given for key, given in self.value.items() if key not in self.keys]
        paths = Paths.of(runs, sections, others, catalogue)
        return DimensionReader(self.problems, paths, paths.decided(runs))

    def space(
        self,
        reader: DimensionReader,
        composer: Composer,
        sections: Mapping[str, Mapping[str, Any]],
        search: Search,
        catalogue: Catalogue,
    ) -> Space:
        """The search space, once every planned run has been checked."""
        if not any(sections.values()) and not self.problems.found:
            self.problems.add((), "", "nothing is varied: name values under scientific or nuisance")
        space = reader.space(sections)
        self.check_points(space, search)
        RunCheck(
            space=space,
            search=search,
            config=composer,
            catalogue=catalogue,
            paths=reader.paths,
            broken=reader.broken,
            problems=self.problems,
        ).run(MAX_TRIALS if self.fits(space, search) else ENOUGH)
        return space

    def check_points(self, space: Space, search: Search) -> None:
        """A range needs `points` in a grid search, and has no use for them in another."""
        for dimension in space.nuisance:
            values, where = dimension.values, dimension.where
            if not isinstance(values, Range):
                continue
            if search.method == "grid" and values.points is None:
                message = "grid search needs to know how many values: add `points: 5`"
                self.problems.add(where, dimension.path, message)
            if search.method != "grid" and values.points is not None:
                message = (
                    f"points is for `search: {{method: grid}}`; a {search.method} search draws"
                )
                self.problems.add((*where[:-1], "points"), dimension.path, message)

    def fits(self, space: Space, search: Search) -> bool:
        """Whether the sweep is small enough, counted before it is unfolded."""
        size = space.size(search)
        count = f"{size:,}"
        if size > MAX_TRIALS and any(d.when for d in (*space.scientific, *space.nuisance)):
            # The bound counts what `when` rules out; go and see, but not beyond the limit.
            size = sum(1 for _ in islice(space.points(search), MAX_TRIALS + 1))
            count = f"more than {MAX_TRIALS:,}"
        if size <= MAX_TRIALS:
            return True
        arms = math.prod(len(d.values.grid) for d in space.scientific)
        each: Where = ("nuisance",) if search.method == "grid" else ("search", "trials_each")
        where = ("scientific",) if arms > MAX_TRIALS else each
        message = f"{count} trials; the limit is {MAX_TRIALS:,}"
        self.problems.add(where, ".".join(map(str, where)), message)
        return False
