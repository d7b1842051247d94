"""The plan of a sweep: every trial by name, with its values and its seed, before any starts."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from gancore.catalogue import Catalogue
from gancore.config import score_key
from gancore.files import write_json
from sweeps.space import seed_of
from sweeps.spec import Resources, Schedule, SweepSpec

FILE = "plan.json"
UID_LENGTH = 60


@dataclass(frozen=True)
class Arm:
    """One combination of scientific values.

    Args:
        label: What people read: `hinge`, or `hinge,r1,weight=10.0`.
    """

    label: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Trial:
    """One training run.

    Args:
        uid: Names the trial in folders, in the journal and in MLflow; sorts in the plan's order.
        arm: Label of its arm.
        draw: Which of its arm's points it is, from 0; equal draws of two arms share their seed
            and the values of the dimensions that both have.
        varied: Value by dotted path, scientific and nuisance.
        config: Its whole `RunConfig`, as nested mappings.
    """

    uid: str
    arm: str
    draw: int
    seed: int
    varied: Mapping[str, Any]
    config: Mapping[str, Any]

    @property
    def epochs(self) -> int:
        """How long it trains unless it is stopped."""
        return int(self.config["epochs"])


@dataclass(frozen=True)
class Plan:
    """What a sweep will do.

    Args:
        objective: The score's key in every report, such as `fid5k`.
        goal: `min` where a lower score is better, else `max`.
        scientific: The paths that tell the arms apart.
        stop_on: Verdicts that end a trial.
    """

    name: str
    objective: str
    goal: str
    scientific: tuple[str, ...]
    schedule: Schedule
    resources: Resources
    stop_on: tuple[str, ...]
    plugins: tuple[str, ...]
    arms: tuple[Arm, ...]
    trials: tuple[Trial, ...]

    @property
    def epochs(self) -> int:
        """The epochs of the longest trial."""
        return max(trial.epochs for trial in self.trials)

    @property
    def digest(self) -> str:
        """Hex digest of all that the plan says; equal sweeps have equal ones everywhere."""
        text = json.dumps(self.to_json(), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def trial(self, uid: str) -> Trial:
        """A trial by name.

        Raises:
            KeyError: There is none of that name.
        """
        return self._by_uid[uid]

    def to_json(self) -> dict[str, Any]:
        """The plan as plain data."""
        rows = {"arms": [vars(arm) for arm in self.arms], "trials": [vars(t) for t in self.trials]}
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in rows}
        return {
            **plain,
            "schedule": asdict(self.schedule),
            "resources": asdict(self.resources),
            **rows,
        }

    def write(self, folder: Path) -> None:
        """Writes `plan.json` into the folder of a sweep."""
        write_json(folder / FILE, self.to_json())

    @classmethod
    def read(cls, folder: Path) -> Plan:
        """The plan of a sweep's folder."""
        content = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return cls(
            name=content["name"],
            objective=content["objective"],
            goal=content["goal"],
            scientific=tuple(content["scientific"]),
            schedule=Schedule(**content["schedule"]),
            resources=Resources(**content["resources"]),
            stop_on=tuple(content["stop_on"]),
            plugins=tuple(content["plugins"]),
            arms=tuple(Arm(**arm) for arm in content["arms"]),
            trials=tuple(Trial(**trial) for trial in content["trials"]),
        )

    @cached_property
    def _by_uid(self) -> dict[str, Trial]:
        return {trial.uid: trial for trial in self.trials}


def make_plan(spec: SweepSpec, catalogue: Catalogue | None = None) -> Plan:
    """The trials of a sweep, in the order in which they start.

    The same specification gives the same plan, on every machine and in every process.

    Args:
        catalogue: None reads gancore's components and the plug-ins of the specification.
    """
    metric = (catalogue or spec.catalogue())["metrics"][spec.objective.metric]
    points = list(spec.space.points(spec.search))
    scientific = tuple(dimension.path for dimension in spec.space.scientific)
    digits = max(3, len(str(len(points) - 1)))
    trials = []
    for number, point in enumerate(points):
        label = label_of(point.arm)
        seed = seed_of(spec.search.seed, point.draw)
        trials.append(
            Trial(
                uid=f"{number:0{digits}}-{_slug(label)}"[:UID_LENGTH].rstrip("-."),
                arm=label,
                draw=point.draw,
                seed=seed,
                varied=point.varied,
                config=spec.config(point.varied, seed),
            )
        )
    return Plan(
        name=spec.name,
        objective=score_key(metric, spec.objective),
        goal=str(metric.facts.get("goal", "min")),
        scientific=scientific,
        schedule=spec.schedule,
        resources=spec.resources,
        stop_on=spec.stop_on,
        plugins=spec.plugins,
        arms=tuple(Arm(label_of(arm), arm) for arm in spec.space.arms()),
        trials=tuple(trials),
    )


def label_of(arm: Mapping[str, Any]) -> str:
    """An arm in a few words: names stand alone, any other value after the end of its path."""
    last = [path.rpartition(".")[2] for path in arm]
    words = []
    for (path, value), key in zip(arm.items(), last, strict=True):
        if key == "name":
            words.append(str(value))
        else:
            plain = value is None or isinstance(value, bool)
            shown = str(value).lower() if plain else str(value)
            # `lr=0.01` would leave open whose: then the path in full.
            words.append(f"{key if last.count(key) == 1 else path}={shown}")
    return ",".join(words) or "all"


def _slug(label: str) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "-", label).strip("-.")
