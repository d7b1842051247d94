"""The plan of a sweep: every trial by name, with its values and its seed, before any starts."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from gancore.catalogue import Catalogue
from gancore.config import score_key
from sweeps import journal, planfile
from sweeps.edits import meaning
from sweeps.errors import DamagedSweep
from sweeps.naming import label_of, uid_of
from sweeps.needs import Needs
from sweeps.settings import Budget, Confirm, Resources, Schedule
from sweeps.space import Search, seed_of
from sweeps.spec import SweepSpec

_UID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


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
        phase: Whether it searches, or trains a point that the search found again; `retired` is such
            a confirmation that no longer counts, since a larger search found a better point.
        repeats: Of a confirmation, the trial whose point it has.
        source, begins: Of a trial that takes over another's state: whose, and after which epoch.
        before: Of a confirmation of such a trial, what it trains with at first: for each stretch
            its last epoch and its `RunConfig`.
    """

    uid: str
    arm: str
    draw: int
    seed: int
    varied: Mapping[str, Any]
    config: Mapping[str, Any]
    phase: Literal["explore", "confirm", "retired"] = "explore"
    repeats: str | None = None
    source: str | None = None
    begins: int = 0
    before: tuple[tuple[int, Mapping[str, Any]], ...] = ()

    def __post_init__(self) -> None:
        # Files and folders have these names, and a plan may come from a stranger.
        for name in (self.uid, self.source, self.repeats):
            if name is not None and (not _UID.fullmatch(name) or name == journal.DRIVER):
                raise ValueError(f"{name!r} cannot name a trial")
        # JSON knows no tuples.
        object.__setattr__(self, "before", tuple((until, run) for until, run in self.before))

    @property
    def epochs(self) -> int:
        """The epoch at which it ends unless it is stopped."""
        return int(self.config["epochs"])

    def stretch(self, epoch: int) -> tuple[int, Mapping[str, Any]]:
        """Until which epoch it trains alike after an epoch, and with which `RunConfig`."""
        ahead = ((until, run) for until, run in self.before if epoch < until)
        return next(ahead, (self.epochs, self.config))


@dataclass(frozen=True)
class Plan:
    """What a sweep will do.

    Args:
        objective: The score's key in every report, such as `fid5k`.
        goal: `min` where a lower score is better, else `max`.
        scientific: The paths that tell the arms apart.
        confirm: What is trained again; its trials join when the search is over.
        stop_on: Verdicts that end a trial.
        tied: The paths whose values follow another's, and so tell nothing of their own.
        asked: What the sweep file asked for, by key, however it was written (see `edits`).
        source: Digest of the sweep file's text, so that an edited copy of it is noticed.
        shares: By label of an arm its trials' share of a GPU, where that was measured.
    """

    name: str
    objective: str
    goal: str
    scientific: tuple[str, ...]
    search: Search
    schedule: Schedule
    confirm: Confirm | None
    budget: Budget
    resources: Resources
    stop_on: tuple[str, ...]
    plugins: tuple[str, ...]
    arms: tuple[Arm, ...]
    trials: tuple[Trial, ...]
    tied: tuple[str, ...] = ()
    asked: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
    shares: Mapping[str, float] = field(default_factory=dict)

    @cached_property
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

    def needs(self, trial: Trial) -> Needs:
        """What a trial is given of a machine."""
        share = self.shares.get(trial.arm) if self.resources.auto else None
        return self.resources.needs(trial.varied, share)

    def kinds(self) -> dict[Needs, tuple[str, ...]]:
        """What trials are given, each kind once, with the labels of the arms that have it.

        A kind of trials that a search may yet choose has none.
        """
        found: dict[Needs, dict[str, None]] = {}
        for trial in self.trials:
            found.setdefault(self.needs(trial), {})[trial.arm] = None
        if self.search.method in ("tpe", "pbt"):
            share = max(self.shares.values(), default=1.0) if self.resources.auto else None
            for case in self.resources.of:
                found.setdefault(case.needs(self.resources.usual(share)), {})
        return {needs: tuple(arms) for needs, arms in found.items()}

    def to_json(self) -> dict[str, Any]:
        """The plan as plain data."""
        rows = {"arms": [vars(arm) for arm in self.arms], "trials": [vars(t) for t in self.trials]}
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in rows}
        if not self.shares:
            del plain["shares"]
        return {
            **plain,
            "search": asdict(self.search),
            "schedule": asdict(self.schedule),
            "confirm": asdict(self.confirm) if self.confirm else None,
            "budget": asdict(self.budget),
            "resources": self.resources.as_json(),
            **rows,
        }

    def write(self, folder: Path) -> None:
        """Writes `plan.json` into the folder of a sweep."""
        planfile.write(folder, self.to_json())

    @classmethod
    def read(cls, folder: Path) -> Plan:
        """The plan of a sweep's folder, with all that has joined or changed since it was made.

        Raises:
            DamagedSweep: It is no plan, or not as it was written.
        """
        return cls.written(folder).told(folder, journal.read(folder, journal.DRIVER))

    @classmethod
    def written(cls, folder: Path) -> Plan:
        """The plan as `plan.json` has it.

        Raises:
            DamagedSweep: It is no plan, or not as it was written.
        """
        content = planfile.read(folder)
        with _damage_told(folder / planfile.FILE):
            return cls(
                name=content["name"],
                objective=content["objective"],
                goal=content["goal"],
                scientific=tuple(content["scientific"]),
                stop_on=tuple(content["stop_on"]),
                trials=tuple(Trial(**trial) for trial in content["trials"]),
                tied=tuple(content.get("tied", ())),
                **{"search": Search(), "confirm": None, "budget": Budget(), **_parts(content)},
            )

    def told(self, folder: Path, records: Iterable[journal.Record]) -> Plan:
        """As `after`, of records from the driver's journal of a sweep's folder.

        Raises:
            DamagedSweep: A record is none that this package writes.
        """
        with _damage_told(journal.journal_folder(folder) / f"{journal.DRIVER}.jsonl"):
            return self.after(*records)

    def after(self, *records: journal.Record) -> Plan:
        """The plan after records of the driver's; most say nothing of it, none changes it twice.

        Raises:
            KeyError, TypeError, ValueError: A record is none that this package writes.
        """
        plan, joining = self, list[Trial]()
        for record in records:
            if record["kind"] == "join":
                joining.append(Trial(**record["trial"]))
            elif record["kind"] in ("amend", "retire"):
                # Many join in a row, and each time the plan is copied.
                plan, joining = plan.joined(joining)._changed(record), []
        return plan.joined(joining)

    def _changed(self, record: journal.Record) -> Plan:
        if record["kind"] == "amend":
            trials = [_of_length(trial, record.get("epochs")) for trial in self.trials]
            amended = replace(self, trials=tuple(trials), **_parts(record))
            return amended.joined(Trial(**trial) for trial in record.get("trials", ()))
        uid = record["trial"]
        kept = (replace(t, phase="retired") if t.uid == uid else t for t in self.trials)
        return replace(self, trials=tuple(kept))

    def joined(self, trials: Iterable[Trial]) -> Plan:
        """The plan with more trials at its end; those that it has already are passed over."""
        new = tuple(trial for trial in trials if trial.uid not in self._by_uid)
        return replace(self, trials=(*self.trials, *new)) if new else self

    @property
    def next_number(self) -> int:
        """The number of a trial that joins."""
        return 1 + max(int(t.uid.partition("-")[0]) for t in self.trials if t.source is None)

    @property
    def digits(self) -> int:
        """How many digits a trial's number has."""
        return len(self.trials[0].uid.partition("-")[0])

    @cached_property
    def searched(self) -> dict[str, int]:
        """How many trials the search gives each arm in the end."""
        if self.search.method == "tpe":
            return {arm.label: self.search.trials_each for arm in self.arms}
        explored = (t for t in self.trials if t.phase == "explore")
        return dict(Counter(t.arm for t in explored if t.source is None))

    @cached_property
    def repeats(self) -> bool:
        """Whether no decision may hang on who was quicker, since runs are to repeat."""
        return any(trial.config.get("deterministic") for trial in self.trials)

    @property
    def stops(self) -> bool:
        """Whether trials of the search compete at rungs; a population has turns instead."""
        return self.schedule.name != "none" and self.search.method != "pbt"

    @property
    def confirmations(self) -> int:
        """How many trials confirm, should every arm have enough that can be."""
        if self.confirm is None:
            return 0
        points = sum(min(self.confirm.top, count) for count in self.searched.values())
        return points * self.confirm.seeds

    def keeps(self, epoch: int) -> int:
        """The epoch whose state others may still take over from a trial that has come to this one.

        Of a population it is that of the last turn before: who takes over may begin any time until
        all have come to the next.
        """
        if self.search.method != "pbt":
            return epoch
        return (epoch - 1) // self.schedule.grace * self.schedule.grace

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
    if spec.search.method == "tpe":  # The others are chosen when something is known.
        planned = [point for point in points if point.draw < spec.search.warm_up]
    else:
        planned = points
    scientific = tuple(dimension.path for dimension in spec.space.scientific)
    arms = tuple(Arm(label_of(arm), arm) for arm in spec.space.arms())
    again = spec.confirm.top * spec.confirm.seeds * len(arms) if spec.confirm else 0
    digits = max(3, len(str(len(points) + again - 1)))
    trials = []
    for number, point in enumerate(planned):
        label = label_of(point.arm)
        seed = seed_of(spec.search.seed, point.draw)
        trials.append(
            Trial(
                uid=uid_of(number, label, digits),
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
        search=spec.search,
        schedule=spec.schedule,
        confirm=spec.confirm,
        budget=spec.budget,
        resources=spec.resources,
        stop_on=spec.stop_on,
        plugins=spec.plugins,
        arms=arms,
        trials=tuple(trials),
        tied=tuple(tie.path for tie in spec.space.ties),
        asked=meaning(spec),
        source=digest_of(spec.text),
    )


@contextmanager
def _damage_told(file: Path) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        why = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise DamagedSweep(f"{file}: is no plan of a sweep: {why}") from None


def _parts(content: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a plan that `plan.json` has, or of which an `amend` record says another."""
    made: dict[str, Any] = {}
    for key, kind in (
        ("search", Search),
        ("schedule", Schedule),
        ("confirm", Confirm),
        ("budget", Budget),
        ("resources", Resources),
    ):
        if content.get(key) is not None:
            made[key] = kind(**content[key])
    if "arms" in content:
        made["arms"] = tuple(Arm(**arm) for arm in content["arms"])
    if "asked" in content:
        made["asked"] = dict(content["asked"])
    if "shares" in content:
        made["shares"] = {str(arm): float(gpu) for arm, gpu in content["shares"].items()}
    if "source" in content:
        made["source"] = str(content["source"])
    if "plugins" in content:
        made["plugins"] = tuple(content["plugins"])
        if wrong := [m for m in made["plugins"] if not _MODULE.fullmatch(m)]:
            raise ValueError(f"{wrong[0]!r} cannot name a module")
    return made


def _of_length(trial: Trial, epochs: int | None) -> Trial:
    """A trial that is to train so many epochs."""
    if epochs is None:
        return trial
    return replace(trial, config={**trial.config, "epochs": epochs})


def digest_of(text: str) -> str:
    """What tells a sweep file from an edited one."""
    return hashlib.sha256(text.encode()).hexdigest()
