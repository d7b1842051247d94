"""Puts the `RunConfig` of a point together from what a sweep file says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gancore.catalogue import Catalogue
from gancore.config import COMPONENTS, Evaluation, RunConfig, laid_over, preset


@dataclass(frozen=True)
class Composer:
    """Defaults, under the preset of the system, under `base`, under the values of a point.

    Args:
        systems: All that can occur in the sweep, the one of `base` first.
    """

    base: Mapping[str, Any]
    objective: Evaluation
    systems: tuple[str, ...]
    presets: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(
        cls,
        base: Mapping[str, Any],
        objective: Evaluation,
        varied: Mapping[str, Any],
        catalogue: Catalogue,
    ) -> Composer:
        """The composer of a sweep.

        Args:
            varied: What the sweep file says of `system.name`, if it varies, by section.
        """
        given = laid_over(RunConfig().as_mapping(), base)["system"]
        names = [given.get("name") if isinstance(given, Mapping) else None]
        for section in varied.values():
            values = section.get("system.name")
            values = values.get("choice") if isinstance(values, Mapping) else values
            names += values if isinstance(values, list) else []
        systems = tuple(dict.fromkeys(name for name in names if isinstance(name, str)))
        return cls(base, objective, systems, {name: preset(name, catalogue) for name in systems})

    def fixed(
        self, system: str | None = None, names: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """What does not vary under a system, with every default written out.

        Args:
            names: Of components that vary. Under another loss than its own, a preset's options for
                its loss mean nothing and are left out.
        """
        below = self.presets.get(system or (self.systems or ("",))[0], {})
        run = laid_over(RunConfig().as_mapping(), below)
        run = laid_over(laid_over(run, names or {}), self.base)
        return {**run, "evaluation": asdict(self.objective)}

    def __call__(self, varied: Mapping[str, Any], seed: int = 0) -> dict[str, Any]:
        """The run of a point, from its varied values by dotted path."""
        chosen = {part: varied.get(f"{part}.name") for part in COMPONENTS if part != "system"}
        names = {part: name for part, name in chosen.items() if isinstance(name, str)}
        run = self.fixed(varied.get("system.name"), names)
        config = {key: dict(v) if isinstance(v, dict) else v for key, v in run.items()}
        for path, value in varied.items():
            section, _, last = path.rpartition(".")
            target = config[section] if section else config
            if isinstance(target, dict):  # else `base` has something else there, which is refused
                target[last] = value
        return {**config, "seed": seed}
