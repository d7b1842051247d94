"""The same decisions, whatever happens to the driver, to a worker and to the clocks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from played_sweep import Clock, Score, place_of, play, write

from sweeps import journal
from sweeps.dispatch import Dispatcher
from sweeps.folder import trial_folder
from sweeps.journal import Journal
from sweeps.plan import Plan, Trial
from sweeps.results import Results
from sweeps.spending import HOUR, Spending

SHORT: dict[str, Any] = {"scientific": {"loss.name": ["hinge"]}, "confirm": {"seeds": 1}}
STOPPING = {**SHORT, "schedule": {"grace": 1, "eta": 2}}
PROMOTION = {
    **SHORT,
    "schedule": {"variant": "promotion", "grace": 1, "eta": 2},
    "search": {"trials_each": 4},
}
TPE = {**PROMOTION, "search": {"method": "tpe", "trials_each": 6}}
POPULATION = {
    **SHORT,
    "search": {"method": "pbt", "trials_each": 3},
    "schedule": {"grace": 1, "eta": 3},
}
DEATHS = ("judged", "heard", "journalled", "outlived")


def worse(trial: Trial, epoch: int) -> float:
    """The later a trial is planned the worse it is; the second diverges."""
    return math.nan if trial.draw == 1 and epoch == 2 else 10.0 + trial.draw - epoch / 10


def better(trial: Trial, epoch: int) -> float:
    return 100.0 - 10 * trial.draw - epoch / 10


def by_rate(trial: Trial, epoch: int) -> float:
    return 10.0 - 1e5 * float(trial.varied["generator.lr"]) - epoch / 1000


CASES: dict[str, tuple[dict[str, Any], Score]] = {
    "stopping": (STOPPING, worse),
    "promotion": (PROMOTION, better),
    "tpe": (TPE, by_rate),
    "population": (POPULATION, by_rate),
}


@pytest.fixture(autouse=True)
def _quick() -> Any:
    """What survives a power cut is tested elsewhere."""
    with patch("os.fsync"):
        yield


@pytest.mark.parametrize("dies", DEATHS)
@pytest.mark.parametrize("case", CASES)
def test_a_driver_killed_at_any_point_of_any_report_decides_as_one_that_was_not(
    tmp_path: Path, case: str, dies: str
) -> None:
    changes, score = CASES[case]
    whole = place_of(tmp_path / "whole", **changes)
    play(whole, score, slots=1)
    reports = sum(r.trained for r in Results.read(whole).trials.values())
    assert reports > 9
    for until in range(1, reports + 1):
        broken = place_of(tmp_path / str(until), **changes)
        play(broken, score, slots=1, until=until, dies=dies)
        play(broken, score, slots=1)
        assert fates(broken) == fates(whole), until
        assert Plan.read(broken) == Plan.read(whole), until


def fates(place: Path) -> dict[str, tuple[Any, ...]]:
    """How each trial ended, when, with which best; and of those that a rule ended, why."""
    population = Plan.read(place).search.method == "pbt"
    return {
        uid: (r.state, r.epoch, r.best, "" if population else r.reason)
        for uid, r in Results.read(place).trials.items()
    }


def test_where_two_reports_wait_unheard_they_are_heard_by_epoch_and_plan(tmp_path: Path) -> None:
    place = place_of(tmp_path, **STOPPING)
    first, second, third = Plan.read(place).trials
    with Journal(place, journal.DRIVER) as log:
        log.append("sweep", state="running", pid=1, code_version="0")
        for trial, epochs in ((third, 1), (second, 1), (first, 2)):
            write(place, trial, "start", attempt=1)
            for epoch in range(1, epochs + 1):
                score = {"fid500": 10.0 + trial.draw}
                write(place, trial, "epoch", attempt=1, epoch=epoch, values=score)
        dispatcher = Dispatcher(Results.read(place), log)
        assert dispatcher.next() == first.uid
    heard = [(r["trial"], r["epoch"]) for r in driver(place) if r["kind"] == "heard"]
    assert heard == [(first.uid, 1), (second.uid, 1), (third.uid, 1), (first.uid, 2)]
    results = Results.read(place)
    # The first to come always goes on; both others miss its mark.
    assert [r.state for r in results.trials.values()][1:] == ["stopped", "stopped"]
    Dispatcher(results, NoLog())  # Nothing is left to be heard, nor to be decided.


def test_an_epoch_without_its_checkpoint_is_judged_once_it_has_been_done_again(
    tmp_path: Path,
) -> None:
    place = place_of(tmp_path, **STOPPING)
    first, second, _ = Plan.read(place).trials
    with Journal(place, journal.DRIVER) as log:
        log.append("sweep", state="running", pid=1, code_version="0")
        for trial in (first, second):
            write(place, trial, "start", attempt=1)
            write(place, trial, "epoch", attempt=1, epoch=1, values={"fid500": 10.0 + trial.draw})
        facts = trial_folder(place, second.uid) / "checkpoints" / "epoch-0001.json"
        facts.unlink()  # Its machine died before.
        dispatcher = Dispatcher(Results.read(place), log)
        assert [dispatcher.next(), dispatcher.next()] == [first.uid, second.uid]
        assert [r["trial"] for r in driver(place) if r["kind"] == "heard"] == [first.uid]
        facts.touch()
        again = dispatcher.judge(second.uid, 1, 10.0 + second.draw, 0, ended=False)
        assert again.action == "stop"
    assert Results.read(place).trials[second.uid].state == "stopped"


class NoLog(Journal):
    def __init__(self) -> None:
        """Writes nothing."""

    def append(self, kind: str, **content: Any) -> journal.Record:
        raise AssertionError(kind, content)


def driver(place: Path) -> list[journal.Record]:
    return journal.read(place, journal.DRIVER)


@pytest.mark.parametrize("case", [*CASES, "ties"])
def test_clocks_that_differ_by_hours_change_no_decision(tmp_path: Path, case: str) -> None:
    changes, score = {**CASES, "ties": (PROMOTION, lambda _trial, _epoch: 5.0)}[case]
    right, wrong = place_of(tmp_path / "right", **changes), place_of(tmp_path / "wrong", **changes)
    for place, shifted in ((right, False), (wrong, True)):
        with skewed(shifted):
            play(place, score, slots=2, until=4)
            play(place, score, slots=2)
    assert fates(wrong) == fates(right)
    assert Plan.read(wrong) == Plan.read(right)


def skewed(shifted: bool) -> Any:
    """Every trial's machine has a clock of its own, an hour behind that of the trial before."""
    original = Journal.append

    def append(self: Journal, kind: str, **content: Any) -> journal.Record:
        late = 0 if self.path.stem == journal.DRIVER or not shifted else int(self.path.stem[:3])
        with patch("time.time_ns", lambda: (100 - late) * 3_600_000_000_000):
            return original(self, kind, **content)

    return patch.object(Journal, "append", append)


def test_the_hours_of_a_budget_are_those_of_the_drivers_clock(tmp_path: Path) -> None:
    place = place_of(tmp_path, **STOPPING)
    first = Plan.read(place).trials[0]
    with patch("time.time_ns", lambda: 0), Journal(place, journal.DRIVER) as log:
        log.append("sweep", state="running", pid=1, code_version="0")
    with patch("time.time_ns", lambda: int(9 * HOUR * 1e9)):  # On another machine, at once.
        write(place, first, "start", attempt=1)
        write(place, first, "epoch", attempt=1, epoch=1, values={"fid500": 3.0})
    with patch("time.time_ns", lambda: int(HOUR * 1e9)), Journal(place, journal.DRIVER) as log:
        log.append("heard", trial=first.uid, epoch=1)
    results = Results.read(place)
    assert Spending(results.plan, results, Clock()).hours == pytest.approx(1)


def test_a_journal_without_an_order_is_replayed_by_its_clocks_and_has_one_from_then_on(
    tmp_path: Path,
) -> None:
    place = place_of(tmp_path, **STOPPING)
    first, second, third = Plan.read(place).trials
    with patch("sweeps.journal.FORMAT", 0), Journal(place, journal.DRIVER) as log:
        log.append("sweep", state="running", pid=1, code_version="0")
        for now, trial in enumerate((third, first, second)):
            with patch("time.time_ns", lambda now=now: now * 1_000_000):
                write(place, trial, "start", attempt=1)
                score = {"fid500": 10.0 + trial.draw}
                write(place, trial, "epoch", attempt=1, epoch=1, values=score)
        Dispatcher(Results.read(place), log)
    again = Results.read(place)
    assert again.heard == [(third.uid, 1), (first.uid, 1), (second.uid, 1)]
    # As far as they came then they may go on: what was decided by clocks is not decided again.
    assert {r.state for r in again.trials.values()} == {"running"}


def test_a_report_that_a_worker_took_with_it_is_judged_where_it_was_made(tmp_path: Path) -> None:
    place = place_of(tmp_path, **STOPPING)
    first, second, _ = Plan.read(place).trials
    with Journal(place, journal.DRIVER) as log:
        log.append("sweep", state="running", pid=1, code_version="0")
        dispatcher = Dispatcher(Results.read(place), log)
        for trial in (first, second):
            assert dispatcher.next() == trial.uid
            dispatcher.began(trial.uid)
            for epoch in (1, 2):
                score = {"fid500": 10.0 + trial.draw}
                write(place, trial, "epoch", attempt=epoch, epoch=epoch, values=score)
        assert dispatcher.judge(first.uid, 1, 10.0, 0, ended=False).action == "go_on"
        # The worker died before it told of epoch 1; its second attempt tells of epoch 2.
        assert dispatcher.judge(second.uid, 2, 11.0, 0, ended=False).action == "stop"
    result = Results.read(place).trials[second.uid]
    assert (result.state, result.epoch) == ("stopped", 1)


def test_the_place_of_a_promoted_trial_whose_worker_died_falls_to_the_next_at_once(
    tmp_path: Path,
) -> None:
    place = place_of(tmp_path, **{**PROMOTION, "search": {"trials_each": 2}})
    poor, good = Plan.read(place).trials
    with Journal(place, journal.DRIVER) as log:
        dispatcher = begun(place, log)
        told(place, dispatcher, poor, 100.0, "pause")
        told(place, dispatcher, good, 99.0, "go_on")  # It is the next to go on anyway.
        assert dispatcher.next() is None
        dispatcher.left(good.uid)
        dispatcher.died(good.uid, "SIGKILL")
        assert dispatcher.next() == poor.uid
    lost = Results.read(place).trials[good.uid]
    assert (lost.state, lost.reason, lost.epoch) == ("failed", "SIGKILL", 1)


def test_a_population_does_not_wait_for_one_whose_worker_died(tmp_path: Path) -> None:
    place = place_of(tmp_path, **POPULATION)
    first, *others = Plan.read(place).trials
    with Journal(place, journal.DRIVER) as log:
        dispatcher = begun(place, log)
        for trial in others:
            told(place, dispatcher, trial, 10.0 + trial.draw, "pause")
        assert dispatcher.next() is None  # One is still to come.
        dispatcher.left(first.uid)
        dispatcher.died(first.uid, "SIGKILL")
        assert dispatcher.next() is not None
    assert Plan.read(place).trials[-1].draw == first.draw  # Its place is taken.


def begun(place: Path, log: Journal) -> Dispatcher:
    log.append("sweep", state="running", pid=1, code_version="0")
    dispatcher = Dispatcher(Results.read(place), log)
    for trial in Plan.read(place).trials:
        assert dispatcher.next() == trial.uid
        dispatcher.began(trial.uid)
        write(place, trial, "start", attempt=1)
    return dispatcher


def told(place: Path, dispatcher: Dispatcher, trial: Trial, score: float, action: str) -> None:
    """The first report of a trial, and what it is told."""
    write(place, trial, "epoch", attempt=1, epoch=1, values={"fid500": score})
    assert dispatcher.judge(trial.uid, 1, score, 0, ended=False).action == action
    if action != "go_on":
        dispatcher.left(trial.uid)


def test_a_verdict_that_ends_a_trial_does_so_where_it_was_found(tmp_path: Path) -> None:
    place = place_of(tmp_path, **PROMOTION, stop_on="collapsed")
    first = Plan.read(place).trials[0]
    with Journal(place, journal.DRIVER) as log:
        log.append("sweep", state="running", pid=1, code_version="0")
        write(place, first, "start", attempt=1)
        values, why = {"fid500": 3.0}, {"verdict": "collapsed", "evidence": "one mode"}
        write(place, first, "epoch", attempt=1, epoch=1, values=values, **why)
        # Its worker, killed before it could say so, is to write the end; it waits for nobody.
        assert Dispatcher(Results.read(place), log).next() == first.uid
    assert [r["kind"] for r in driver(place)] == ["sweep", "heard"]
