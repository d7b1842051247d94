"""A trial, and a whole sweep, killed at every call that makes something durable; then resumed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import faults
from faults.invariants import report_builds
from sweeps.plan import Plan
from sweeps.results import Results

Findings = dict[str, list[str]]


def crashed_everywhere(
    folder: Path, do: str, action: Callable[[Path], object], **sweep: Any
) -> Any:
    """All that is unsound after a resume from each crash point, and how many points there were."""
    start = faults.planned(faults.scripted(folder, **sweep))
    reference = shutil.copytree(start, folder / "reference" / start.name)
    faults.play(reference)
    faults.assert_sound(reference)
    found: Findings = {}

    def note(when: str, unsound: Findings) -> None:
        for name, troubles in unsound.items():
            found.setdefault(name, []).extend(f"{when}: {text}" for text in troubles)

    def check(place: Path) -> None:
        point = place.parent.name
        note(f"{point}, crashed", faults.unsound(place, at_rest=False))
        faults.play(place)
        # The report follows from numbers and fates; those are asked for at every point.
        note(f"{point}, resumed", faults.unsound(place, reference, but=[report_builds]))

    return faults.every_crash_point(action, check, start=start, do=do), found


def first_trial(place: Path) -> None:
    faults.play_trial(place, Plan.read(place).trials[0].uid)


CRASHING: dict[str, tuple[Callable[[Path], object], dict[str, Any]]] = {
    "trial": (first_trial, {"scientific": {"loss.name": ["hinge"]}}),
    "sweep": (
        faults.play,
        {
            "scientific": {"loss.name": ["hinge"]},
            "search": {"trials_each": 3},
            "epochs": 3,
            "schedule": {"name": "asha", "grace": 1, "eta": 2},
            "confirm": {"top": 1, "seeds": 1},
        },
    ),
}


Crashes = Callable[[str, str], tuple[int, Findings]]
"""How many crash points there are, and what each invariant found, by what crashes and how."""


@pytest.fixture(scope="module")
def crashes(tmp_path_factory: pytest.TempPathFactory) -> Crashes:
    @cache
    def of(what: str, do: str) -> tuple[int, Findings]:
        action, changes = CRASHING[what]
        return crashed_everywhere(tmp_path_factory.mktemp(what), do, action, **changes)

    return of


def missing(row: str, *names: str) -> list[Any]:
    """Invariants that do not hold yet, each with the row of the catalogue that is to mend it."""
    return [pytest.param(n, marks=pytest.mark.xfail(strict=True, reason=row)) for n in names]


NAMES = [i.__name__ for i in (*faults.ALWAYS, *faults.AT_REST) if i is not report_builds]
NO_END = missing("A1: killed between its last checkpoint and its end", "all_have_ended")
OTHER_FATE = missing("A1: killed between its last checkpoint and its end", "same_decisions")
LITTER = missing("A5: temporary files of a killed process stay", "no_litter")


def all_but(*marked: Any) -> list[Any]:
    known = {param.values[0] for param in marked}
    return [*(name for name in NAMES if name not in known), *marked]


@pytest.mark.parametrize("invariant", all_but(*NO_END, *OTHER_FATE, *LITTER))
def test_a_trial_killed_half_way_through_any_call(crashes: Crashes, invariant: str) -> None:
    points, found = crashes("trial", "half")
    assert points > 50
    assert found.get(invariant, []) == []


@pytest.mark.slow
@pytest.mark.parametrize("do", ["kill_before", "kill_after"])
@pytest.mark.parametrize("invariant", all_but(*NO_END, *OTHER_FATE, *LITTER))
def test_a_trial_killed_before_or_after_any_call(crashes: Crashes, do: str, invariant: str) -> None:
    points, found = crashes("trial", do)
    assert points > 50
    assert found.get(invariant, []) == []


@pytest.mark.slow
@pytest.mark.parametrize("invariant", all_but(*NO_END, *OTHER_FATE, *LITTER))
def test_a_sweep_killed_half_way_through_any_call(crashes: Crashes, invariant: str) -> None:
    points, found = crashes("sweep", "half")
    assert points > 150
    assert found.get(invariant, []) == []


def test_resumed_again_and_again_nothing_is_written(tmp_path: Path) -> None:
    place = faults.planned(faults.scripted(tmp_path))
    faults.play(place)
    before = {path: path.read_bytes() for path in place.rglob("*.jsonl") if path.stem[0] != "_"}
    faults.play(place)
    assert {path: path.read_bytes() for path in before} == before
    assert Results.read(place).state == "finished"
