"""The dotted paths of `RunConfig` that a sweep may vary, and what each of them takes."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from gancore.catalogue import KINDS, Catalogue
from gancore.config import COMPONENTS, RunConfig, flatten, options_of
from gancore.schema import MISSING, Option, Refused, unknown
from sweeps.space import Dimension, Range

WHY_NOT = {
    "seed": "each draw has a seed of its own, which all arms share: see search.seed",
    "evaluation": "scores of unlike protocols cannot be compared: write this under objective",
}
"""What a sweep file may neither vary nor set in `base`, and why."""


class Paths:
    """What may be varied, given the components that can occur.

    Args:
        occurring: The names that each component field can have in this sweep.
        misread: Component fields that a misspelt key was meant to name.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        occurring: Mapping[str, Collection[str]],
        misread: Collection[str] = (),
    ) -> None:
        self._catalogue = catalogue
        self._names = [f"{part}.name" for part in COMPONENTS]
        self._plain = dict(_plain_options())
        self.occurring = occurring
        self.misread = misread

    @classmethod
    def of(
        cls,
        runs: Sequence[Mapping[str, Any]],
        sections: Mapping[str, Mapping[str, Any]],
        others: Iterable[Any],
        catalogue: Catalogue,
    ) -> Paths:
        """The paths of a sweep.

        Args:
            runs: What does not vary, under each system that can occur.
            sections: `scientific` and `nuisance`.
            others: What stands under keys that no sweep file has: misspelt sections, perhaps.
        """
        everything = cls(catalogue, {part: catalogue[kind] for part, kind in COMPONENTS.items()})
        keys = [k for s in sections.values() for k in s if not everything.is_known(k)]
        keys += [k for other in others if isinstance(other, Mapping) for k in other]
        misread = {
            part
            for part in COMPONENTS
            if any(difflib.get_close_matches(k, [part, f"{part}.name"], n=1) for k in keys)
        }
        occurring = {}
        for part, every in everything.occurring.items():
            names = _names(part, runs, sections)
            slip = part in misread or any(n not in every for n in names)
            occurring[part] = list(every) if slip else names
        return cls(catalogue, occurring, misread)

    def decided(self, runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Value by path of all that does not vary, defaults of certain components among them.

        Args:
            runs: Under each system that can occur; what they differ in is not decided.
        """
        defaults = {
            f"{part}.{option.name}": option.default
            for part, names in self.occurring.items()
            if len(names) == 1
            for option in self._catalogue[COMPONENTS[part]][next(iter(names))].options.values()
            if option.default is not MISSING
        }
        first, *others = [dict(flatten(run)) for run in runs]
        alike = {k: v for k, v in first.items() if all(k in o and o[k] == v for o in others)}
        return {**defaults, **alike}

    @property
    def known(self) -> list[str]:
        """Every path that may be varied."""
        options = [
            f"{part}.{option}"
            for part, names in self.occurring.items()
            for name in names
            for option in self._catalogue[COMPONENTS[part]][name].options
        ]
        return sorted({*self._names, *self._plain, *options})

    def options(self, path: str, names: Collection[str] | None = None) -> dict[str, Option]:
        """What a path takes, by component; one entry under "" where it depends on none.

        Args:
            names: Only these components; None means all that can occur.
        """
        if path in self._plain:
            return {"": self._plain[path]}
        part, _, option = path.partition(".")
        return {
            name: self._catalogue[COMPONENTS[part]][name].options[option]
            for name in self.occurring.get(part, ())
            if option in self._catalogue[COMPONENTS[part]][name].options
            and (names is None or name in names)
        }

    def is_known(self, path: str) -> bool:
        return path in self._names or bool(self.options(path))

    def refusal(self, path: str, given: Any) -> str | None:
        """Why a path cannot be varied, or None where it can."""
        head, _, last = path.partition(".")
        if head in WHY_NOT:
            return f"cannot be varied: {WHY_NOT[head]}"
        if self.is_known(path):
            return None
        inside = [known for known in self.known if known.startswith(f"{path}.")]
        if inside:
            given = [f"{path}.{key}" for key in given] if isinstance(given, Mapping) else []
            example = (given or [k for k in inside if k in self._names] or inside)[0]
            return f"a section cannot be varied: name its keys, such as {example}"
        if head in COMPONENTS:
            takers = [n for n, e in self._catalogue[COMPONENTS[head]].items() if last in e.options]
            if takers:
                kind = KINDS[COMPONENTS[head]]
                return f"no {kind} of this sweep takes it, only {', '.join(sorted(takers))}"
        return unknown("key", path, self._near(path))

    def refused(self, dimension: Dimension, value: Any) -> str | None:
        """Why a value cannot be one of a dimension's, or None where it can."""
        part = dimension.path.partition(".")[0]
        if dimension.path in self._names:
            kind = COMPONENTS[part]
            return None if value in self._catalogue[kind] else self._catalogue.refusal(kind, value)
        options = self.options(dimension.path, dimension.when.get(f"{part}.name"))
        for option in options.values():
            try:
                option.parse(value)
            except Refused as refused:
                whole = option.kind is int and isinstance(dimension.values, Range)
                hint = ": use int_uniform" if whole and isinstance(value, float) else ""
                return f"{refused}{hint}"
        return None

    def _near(self, path: str) -> list[str]:
        """The paths that a message should suggest from."""
        head, _, last = path.rpartition(".")
        inside = [p for p in self.known if head and p.startswith(f"{head}.")]
        return inside or [p for p in self.known if p.endswith(f".{last}")] or self.known


def _plain_options() -> dict[str, Option]:
    """The options of `RunConfig` that belong to no component, by path."""
    found = dict(options_of(RunConfig))
    for section in fields(RunConfig):
        if is_dataclass(section.default):
            inside = options_of(type(section.default))
            found |= {f"{section.name}.{name}": option for name, option in inside.items()}
    return {path: option for path, option in found.items() if path.split(".")[0] not in WHY_NOT}


def _names(
    part: str, runs: Sequence[Mapping[str, Any]], sections: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """The names that a component field is given in a sweep; "" for what is no name."""
    names: list[Any] = []
    always = False
    for section in sections.values():
        given = section.get(f"{part}.name")
        values = given.get("choice") if isinstance(given, Mapping) else given
        if isinstance(values, list):
            names += values
            always = always or not isinstance(given, Mapping) or "when" not in given
    if not always:
        given = [run[part] for run in runs]
        names += [g.get("name") if isinstance(g, Mapping) else None for g in given]
    return list(dict.fromkeys(name if isinstance(name, str) else "" for name in names))
