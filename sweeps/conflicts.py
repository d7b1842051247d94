"""What is wrong with a sweep file though each value is right by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gancore.schema import show
from sweeps import repeatable
from sweeps.needs import unshared
from sweeps.schedule.rungs import rung_epochs
from sweeps.settings import Budget, Resources, Schedule
from sweeps.space import Search, Space
from sweeps.variation import changeable
from sweeps.yamlfile import Problems


@dataclass(frozen=True)
class Conflicts:
    """Holds the sections of a sweep file against one another.

    Args:
        folder: Where what the file names lies.
        run: What does not vary.
    """

    problems: Problems
    folder: Path
    run: Mapping[str, Any]
    space: Space
    search: Search
    schedule: Schedule
    resources: Resources
    budget: Budget

    def check(self) -> None:
        """Notes all that is wrong."""
        self._check_schedule()
        self._check_population()
        self._check_resources()
        if not self.problems.found and repeatable.is_asked(self.run, self.space):
            for where, why in repeatable.conflicts(
                self.search, self.schedule, self.budget, self.resources
            ):
                self.problems.add(where, ".".join(where), f"deterministic: {why}")

    def _check_schedule(self) -> None:
        """Which trials end early, held against how they are chosen and how long they are."""
        schedule, given = self.schedule, self._given("search")
        if given.get("method") == "grid" and "trials_each" in given:
            method = self._at("search", "method")
            message = f"a grid search{method} tries every point once: leave this out"
            self.problems.add(("search", "trials_each"), "search.trials_each", message)
        if schedule.name == "none":
            for key in self._given("schedule").keys() - {"name"}:
                message = (
                    f"has no use with schedule none{self._at('schedule', 'name')}: leave it out"
                )
                self.problems.add(("schedule", key), f"schedule.{key}", message)
        if schedule.calibrate is not None:
            if not (self.folder / schedule.calibrate).exists():
                message = f"no file or folder {show(schedule.calibrate)} beside the sweep file"
                self.problems.add(("schedule", "calibrate"), "schedule.calibrate", message)
            for key in self._given("schedule").keys() & {"grace", "eta"}:
                message = f"calibrate{self._at('schedule', 'calibrate')} chooses it: leave one out"
                self.problems.add(("schedule", key), f"schedule.{key}", message)
        varied = [d for d in (*self.space.scientific, *self.space.nuisance) if d.path == "epochs"]
        lengths = varied[0].values.corners if varied else [self.run["epochs"]]
        most = max((n for n in lengths if isinstance(n, int)), default=schedule.grace)
        if schedule.name == "asha" and 1 <= most < schedule.grace:
            line = self._at(*varied[0].where) if varied else self._at("base", "epochs")
            message = f"{schedule.grace} is more than the {most} epochs of a run{line}"
            self.problems.add(("schedule", "grace"), "schedule.grace", message)
        rungs = len(list(rung_epochs(schedule.grace, schedule.eta, most)))
        if schedule.calibrate is None and schedule.brackets > rungs + 1:
            message = f"{rungs} rungs make at most {rungs + 1} brackets, the last without a rung"
            self.problems.add(("schedule", "brackets"), "schedule.brackets", message)

    def _check_population(self) -> None:
        """A population takes from the schedule only when it turns, and how many it replaces."""
        search, schedule, space = self.search, self.schedule, self.space
        if search.method != "pbt":
            return
        method = f"method pbt{self._at('search', 'method')}"
        if search.trials_each < schedule.eta:
            message = (
                f"{method} replaces 1 of {schedule.eta} (schedule.eta), which of "
                f"{search.trials_each} is none: take at least {schedule.eta}"
            )
            self.problems.add(("search", "trials_each"), "search.trials_each", message)
        usual = Schedule()
        for key in ("name", "variant", "brackets", "within", "calibrate"):
            if getattr(schedule, key) != getattr(usual, key):
                message = f"{method} takes only grace and eta from the schedule: leave this out"
                self.problems.add(("schedule", key), f"schedule.{key}", message)
        paths = [dimension.path for dimension in space.nuisance]
        if "epochs" in paths:
            message = f"{method} compares trials of equal length: set it in base"
            self.problems.add(("nuisance", "epochs"), "epochs", message)
        if not any(map(changeable, space.nuisance)) and not self.problems.found:
            message = (
                f"{method} changes values in mid-training: vary a number of generator, "
                "discriminator, loss or penalty"
            )
            self.problems.add(("nuisance",), "nuisance", message)

    def _check_resources(self) -> None:
        """What a trial is given, and what it counts against."""
        resources = self.resources
        if why := unshared(resources.gpu):
            self.problems.add(("resources", "gpu"), "resources.gpu", why)
        # A limit that nothing counts against is none.
        anywhere = resources.gpu or any(case.gives.get("gpu") for case in resources.of)
        if self.budget.gpu_hours and not anywhere:
            message = "trials use no GPU (resources.gpu is 0): use hours, or give them one"
            self.problems.add(("budget", "gpu_hours"), "budget.gpu_hours", message)

    def _given(self, section: str) -> Mapping[str, Any]:
        """What the file itself says in a section."""
        given = self.problems.document.value.get(section)
        return given if isinstance(given, Mapping) else {}

    def _at(self, *where: str | int) -> str:
        """` (line 7)` where a value has a line of its own."""
        line = self.problems.document.lines.get(where)
        return f" (line {line})" if line else ""
