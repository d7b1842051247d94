"""Who runs next: the search in its order, then the winners on fresh seeds, within the budget."""

from __future__ import annotations

import math
import statistics
from pathlib import Path
from typing import Any

import pytest
from played_sweep import SWEEP, Clock, Score, by_number, place_of, play, write

from sweeps import SweepSpec, journal
from sweeps.dispatch import Dispatcher
from sweeps.errors import UserError
from sweeps.journal import Journal
from sweeps.plan import Plan, Trial
from sweeps.results import Results
from sweeps.spending import HOUR, Spending

PHASES = ("explore", "confirm")


def confirming(plan: Plan) -> list[Trial]:
    return [t for t in plan.trials if t.phase == "confirm"]


def test_the_best_point_of_each_arm_is_trained_again_on_fresh_seeds(tmp_path: Path) -> None:
    place = place_of(tmp_path)
    began = play(place)
    plan = Plan.read(place)
    assert began == [t.uid for t in plan.trials]
    again = confirming(plan)
    assert [(t.uid, t.repeats) for t in again] == [
        ("006-hinge", "004-hinge"),
        ("007-minimax", "005-minimax"),
        ("008-hinge", "004-hinge"),
        ("009-minimax", "005-minimax"),
    ]
    # Arms share the fresh seeds, and no seed of the search is among them.
    seeds = [t.seed for t in again]
    assert seeds[0] == seeds[1] != seeds[2] == seeds[3]
    assert not {*seeds} & {t.seed for t in plan.trials if t.phase == "explore"}
    for trial in again:
        repeated = plan.trial(trial.repeats or "")
        assert trial.varied == repeated.varied
        assert trial.config == {**repeated.config, "seed": trial.seed}


def test_what_came_of_the_confirmations_is_kept_apart_from_the_search(tmp_path: Path) -> None:
    place = place_of(tmp_path)
    play(place)
    results = Results.read(place)
    assert results.best is not None
    assert results.best.trial.uid == "005-minimax"
    assert all(r.trial.phase == "explore" for _, rs in results.leaderboard for r in rs)
    assert results.confirmed == {
        "hinge": [100 - 6 - 0.4, 100 - 8 - 0.4],
        "minimax": [100 - 7 - 0.4, 100 - 9 - 0.4],
    }


def test_top_of_an_arm_with_fewer_scores_is_what_there_is(tmp_path: Path) -> None:
    place = place_of(tmp_path, confirm={"top": 2, "seeds": 1})

    def only_two(trial: Trial, epoch: int) -> float:
        lost = trial.arm == "minimax" and trial.draw < 2
        return math.nan if lost else by_number(trial, epoch)

    play(place, only_two)
    assert [t.repeats for t in confirming(Plan.read(place))] == [
        "004-hinge",
        "005-minimax",
        "002-hinge",
    ]


def test_a_confirmation_is_never_stopped_by_the_schedule(tmp_path: Path) -> None:
    schedule = {"name": "asha", "grace": 1, "eta": 2}
    place = place_of(tmp_path, schedule=schedule)
    # The later the worse: all but the first of each arm miss the cut, as all confirmations would.
    play(place, lambda t, e: 10.0 + int(t.uid[:3]) - e / 10, slots=1)
    results = Results.read(place)
    search = [r.epoch for rs in results.of_phase("explore").values() for r in rs]
    assert sorted(search) == [1, 1, 1, 1, 4, 4]
    assert all(r.epoch == 4 for rs in results.of_phase("confirm").values() for r in rs)
    assert results.epochs_saved == 12


@pytest.mark.parametrize("until", range(1, 33, 4))
def test_a_driver_that_dies_at_any_report_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, until: int
) -> None:
    broken_off(tmp_path, until, schedule={"name": "asha", "grace": 1, "eta": 2})


def broken_off(tmp_path: Path, until: int, score: Score = by_number, **changes: Any) -> Path:
    """A sweep whose driver died after so many reports, gone on with; it is as one unbroken."""
    whole, broken = (place_of(tmp_path / name, **changes) for name in ("whole", "broken"))
    play(whole, score, slots=1)
    play(broken, score, slots=1, until=until)
    play(broken, score, slots=1)
    assert fates(broken) == fates(whole)
    assert Plan.read(broken) == Plan.read(whole)
    return broken


def fates(place: Path) -> dict[str, tuple[str, int, str]]:
    return {u: (r.state, r.epoch, r.reason) for u, r in Results.read(place).trials.items()}


def test_the_budget_leaves_room_for_the_confirmations(tmp_path: Path) -> None:
    # 6 searches and 4 confirmations of 4 epochs, two at a time, an hour an epoch: 20 hours.
    place = place_of(tmp_path, budget={"hours": 16.5})
    play(place, epoch_seconds=HOUR)
    results = Results.read(place)
    stopped = [r for r in results.trials.values() if r.state == "stopped"]
    assert {r.reason for r in stopped} == {
        "budget: 9 of 16.5 hours used, 8 kept for the confirmations"
    }
    assert [(r.trial.uid, r.epoch) for r in stopped] == [("004-hinge", 1), ("005-minimax", 1)]
    assert all(r.state == "completed" for rs in results.of_phase("confirm").values() for r in rs)


def test_a_budget_too_small_for_all_is_shared_and_kept(tmp_path: Path) -> None:
    place = place_of(tmp_path, budget={"hours": 4}, confirm={"top": 1, "seeds": 5})
    play(place, epoch_seconds=HOUR)
    results = Results.read(place)
    epochs = {p: sum(r.epoch for rs in results.of_phase(p).values() for r in rs) for p in PHASES}
    assert epochs == {"explore": 4, "confirm": 4}
    assert all(r.ended for r in results.trials.values())


def test_gpu_hours_count_every_trial_by_its_share(tmp_path: Path) -> None:
    place = place_of(
        tmp_path, budget={"gpu_hours": 3.9}, resources={"gpu": 0.5}, confirm={"seeds": 1}
    )
    plan = Plan.read(place)
    results, clock = Results.read(place), Clock()
    spending = Spending(plan, results, clock)
    for uid in ("000-hinge", "001-minimax"):
        spending.begins(uid)
    clock.now = 3 * HOUR
    assert spending.gpu_hours == pytest.approx(3)
    assert spending.exhausted() == ""
    spending.ends("000-hinge")
    clock.now = 5 * HOUR
    assert spending.exhausted() == "budget: 4 of 3.9 GPU-hours used"


def test_the_hours_of_earlier_runs_count_and_those_between_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = place_of(tmp_path, resources={"gpu": 1})
    now = 0.0
    monkeypatch.setattr("time.time_ns", lambda: int(now * 1e9))
    first = Plan.read(place).trials[0]
    for began, epoch in ((0.0, 1), (100 * HOUR, 2)):
        now = began
        with Journal(place, journal.DRIVER) as log:
            log.append("sweep", state="running", pid=1, code_version="0")
        now = began + HOUR / 2
        write(place, first, "start", attempt=epoch)
        now = began + 2 * HOUR
        write(place, first, "epoch", attempt=epoch, epoch=epoch, values={"fid500": 3.0})
        with Journal(place, journal.DRIVER) as log:
            log.append("heard", trial=first.uid, epoch=epoch)
    results = Results.read(place)
    spending = Spending(results.plan, results, Clock())
    assert spending.hours == pytest.approx(4)
    assert spending.gpu_hours == pytest.approx(3)


def test_gpu_hours_without_a_gpu_are_refused() -> None:
    with pytest.raises(UserError, match=r"budget.gpu_hours: trials use no GPU"):
        SweepSpec.of({**SWEEP, "budget": {"gpu_hours": 3}})


PROMOTION = {"name": "asha", "variant": "promotion", "grace": 1, "eta": 3}


def worst_first(trial: Trial, epoch: int) -> float:
    return 100.0 - 10 * trial.draw - epoch / 10


def test_promotion_lets_trials_wait_and_the_best_of_each_arm_be_trained_whole(
    tmp_path: Path,
) -> None:
    place = place_of(tmp_path, schedule=PROMOTION, search={"trials_each": 9})
    play(place, worst_first)
    results = Results.read(place)
    for trials in results.of_phase("explore").values():
        # Three of nine pass rung 1, and of those three one passes rung 3.
        assert sorted(r.epoch for r in trials) == [1, 1, 1, 1, 1, 1, 3, 3, 4]
        best = min(trials, key=lambda r: r.rank_key)
        assert (best.trial.draw, best.epoch, best.state) == (8, 4, "completed")
        others = [r for r in trials if r is not best]
        assert {r.state for r in others} == {"stopped"}
        assert all("waits" in r.reason for r in others)
    assert len(results.of_phase("confirm")["hinge"]) == 2


@pytest.mark.parametrize("until", range(1, 60, 7))
def test_promotion_goes_on_after_the_driver_died_at_any_report(tmp_path: Path, until: int) -> None:
    broken_off(tmp_path, until, worst_first, schedule=PROMOTION, search={"trials_each": 9})


def best_diverges(trial: Trial, epoch: int) -> float:
    return math.nan if trial.draw == 2 and epoch == 2 else worst_first(trial, epoch)


@pytest.mark.parametrize("until", [4, 6, 7, 8, 10, 99])
def test_if_the_best_of_an_arm_diverges_the_next_is_trained_whole(
    tmp_path: Path, until: int
) -> None:
    place = place_of(tmp_path, schedule=PROMOTION)
    play(place, best_diverges, until=until)
    play(place, best_diverges)
    for trials in Results.read(place).of_phase("explore").values():
        assert [(r.epoch, r.state) for r in trials] == [
            (1, "stopped"),
            (4, "completed"),
            (2, "diverged"),
        ]


@pytest.mark.parametrize("until", range(1, 60, 7))
def test_brackets_are_dealt_the_same_after_the_driver_died(tmp_path: Path, until: int) -> None:
    schedule = {**PROMOTION, "brackets": 2}
    place = broken_off(tmp_path, until, worst_first, schedule=schedule, search={"trials_each": 9})
    hinge = Results.read(place).of_phase("explore")["hinge"]
    # Draws 1 and 5 are first judged at epoch 3, and the better of them is trained whole.
    assert {r.trial.draw for r in hinge if r.epoch == 4} == {5, 8}
    assert all(r.epoch >= 3 for r in hinge if r.trial.draw in (1, 5))


def test_nobody_is_promoted_early_while_another_of_its_arm_trains(tmp_path: Path) -> None:
    place = place_of(tmp_path, schedule=PROMOTION)
    play(place, worst_first, slots=4)
    for trials in Results.read(place).of_phase("explore").values():
        assert [r.epoch for r in trials] == [1, 1, 4]


@pytest.mark.parametrize(
    ("changes", "at_once"),
    [
        ({}, 6),
        ({"budget": {"hours": 9}}, 1),
        ({"budget": {"gpu_hours": 9}, "resources": {"gpu": 1}}, 1),
        ({"schedule": PROMOTION}, 1),
    ],
)
def test_trials_are_ready_before_there_is_room_unless_a_report_may_change_who_is_next(
    tmp_path: Path, changes: dict[str, Any], at_once: int
) -> None:
    place = place_of(tmp_path, **changes)
    with Journal(place, journal.DRIVER) as log:
        dispatcher = Dispatcher(Results.read(place), log)
        ready = list(iter(dispatcher.next, None))
        assert len(ready) == at_once
        dispatcher.began(ready[0])
        assert (dispatcher.next() is None) == (at_once == 6)


TPE: dict[str, Any] = {
    "search": {"method": "tpe", "trials_each": 12},
    "schedule": PROMOTION,
    "confirm": {"seeds": 1},
}


def by_rate(trial: Trial, epoch: int) -> float:
    """The higher the learning rate the better."""
    return 10.0 - 1e5 * float(trial.varied["generator.lr"]) - epoch / 1000


def test_tpe_learns_from_trials_that_wait_at_a_rung(tmp_path: Path) -> None:
    place = place_of(tmp_path, **TPE)
    play(place, by_rate, slots=1)
    rates = [
        r.trial.varied["generator.lr"] for r in Results.read(place).of_phase("explore")["hinge"]
    ]
    warm_up = Plan.read(place).search.warm_up
    # Nothing has ended when the last point is chosen: all wait until every trial has begun.
    assert statistics.median(rates[warm_up:]) > 2 * statistics.median(rates[:warm_up])


@pytest.mark.parametrize("until", [3, 9, 17, 26])
def test_tpe_chooses_the_same_points_after_the_driver_died(tmp_path: Path, until: int) -> None:
    broken_off(tmp_path, until, by_rate, **TPE)
