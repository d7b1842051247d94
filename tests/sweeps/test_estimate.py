"""What a plan will cost: hours of machines, hours on the clock, disk, arm by arm."""

from __future__ import annotations

from typing import Any

import pytest

from sweeps import SweepSpec, make_plan
from sweeps.estimate import Arm, Estimate, Estimator, Room, Stage
from sweeps.forecast import Outlook

HOUR = 3600.0


def arm(seconds: float) -> Arm:
    """Ten pictures an epoch, of which the score takes a tenth of the time and keeping another."""
    stages = (Stage(0, 0.08 * seconds, 0.1 * seconds),)
    return Arm(stages, 10, 0.1 * seconds, checkpoint_bytes=1000, grid_bytes=10)


def estimate(cheap: float = 1.0, dear: float = 2.0, at_once: int = 2, **changes: Any) -> Estimate:
    content = {
        "name": "told",
        "base": {"data": "digits", "model": "mlp", "epochs": 9},
        "scientific": {"loss.name": ["hinge", "wasserstein_gp"]},
        "nuisance": {"generator.lr": {"log_uniform": [1e-5, 1e-4]}},
        "search": {"trials_each": 9},
        "schedule": {"variant": "promotion", "grace": 1, "eta": 3},
        **changes,
    }
    arms = {"hinge": arm(cheap * HOUR), "wasserstein_gp": arm(dear * HOUR)}
    return Estimator(make_plan(SweepSpec.of(content)), arms, Room(trials=at_once)).estimate()


def test_an_arm_whose_epochs_cost_twice_is_weighed_twice() -> None:
    told = estimate(resources={"cpu": 4})
    epochs = 6 * 1 + 2 * 3 + 1 * 9  # Of nine, three pass the first rung, and one the second.
    assert (told.expected.epochs, told.whole.epochs) == (2 * epochs, 2 * 81)
    assert told.unit == "core-hours"
    assert told.expected.hours == pytest.approx(4 * (1 + 2) * epochs)
    assert told.whole.hours == pytest.approx(4 * (1 + 2) * 81)
    cheap, dear = told.arms["hinge"], told.arms["wasserstein_gp"]
    assert (cheap.epochs, cheap.all_epochs) == (epochs, 81)
    assert dear.hours == pytest.approx(2 * cheap.hours) == pytest.approx(4 * 2 * epochs)
    assert dear.all_hours == pytest.approx(4 * 2 * 81)
    assert dear.epoch_seconds == pytest.approx([2 * HOUR] * 9)


def test_gpu_hours_are_of_the_share_that_a_trial_has() -> None:
    told = estimate(resources={"cpu": 4, "gpu": 0.25})
    assert told.unit == "GPU-hours"
    assert told.whole.hours == pytest.approx(0.25 * (1 + 2) * 81)


def test_within_the_sweep_the_arms_share_the_epochs() -> None:
    schedule = {"variant": "promotion", "grace": 1, "eta": 3, "within": "sweep"}
    told = estimate(schedule=schedule)
    assert told.expected.epochs == 12 * 1 + 4 * 3 + 2 * 9
    shares = [cost.epochs for cost in told.arms.values()]
    assert sum(shares) == pytest.approx(told.expected.epochs)
    assert shares == pytest.approx([21, 21], rel=0.1)


def test_a_trial_cannot_be_split_and_confirmations_wait_for_the_search() -> None:
    many = estimate(at_once=64, schedule="none")
    assert many.whole.wall_seconds == pytest.approx(2 * 9 * HOUR)  # Of the longest trial.
    again = estimate(at_once=64, schedule="none", confirm={"top": 2, "seeds": 3})
    assert again.whole.wall_seconds == pytest.approx(2 * 2 * 9 * HOUR)
    assert again.whole.confirm_seconds == pytest.approx(2 * 9 * HOUR)
    assert again.whole.confirm_epochs == 2 * 2 * 3 * 9
    assert again.whole.confirm_hours == pytest.approx((1 + 2) * 2 * 3 * 9)
    assert again.whole.hours == pytest.approx(many.whole.hours + again.whole.confirm_hours)
    # Early stopping does not touch them.
    stopped = estimate(at_once=64, confirm={"top": 2, "seeds": 3})
    assert stopped.expected.confirm_hours == pytest.approx(again.whole.confirm_hours)
    # One machine, one after the other.
    alone = estimate(at_once=1, schedule="none", confirm={"top": 2, "seeds": 3})
    assert alone.whole.wall_seconds == pytest.approx((1 + 2) * (9 + 2 * 3) * 9 * HOUR)


def test_disk_is_three_checkpoints_a_trial_at_most_and_a_grid_an_epoch() -> None:
    told = estimate()
    assert told.whole.checkpoint_bytes == 18 * 3 * 1000
    assert told.whole.grid_bytes == 18 * 10 * 10  # One before training.
    # Six of nine trials have but one epoch, and so but one checkpoint.
    assert told.expected.checkpoint_bytes == 2 * (6 * 1 + 3 * 3) * 1000
    assert told.expected.grid_bytes == (told.expected.epochs + 18) * 10


def test_an_epoch_costs_what_its_pictures_and_the_stage_at_its_end_cost() -> None:
    grown = Arm((Stage(0, 1, 100), Stage(15, 3, 200), Stage(40, 7, 300)), 10, 0.5, 0, 0)
    assert grown.epoch_seconds(5) == [
        10 * 1 + 100.5,
        5 * 1 + 5 * 3 + 200.5,
        10 * 3 + 200.5,
        10 * 3 + 300.5,  # It ends where the last stage begins, and is scored there.
        10 * 7 + 300.5,
    ]


@pytest.mark.parametrize(("hours", "fits"), [(62.9, False), (63.1, True)])
def test_a_budget_is_held_against_the_sweep_with_early_stopping(hours: float, fits: bool) -> None:
    (told,) = estimate(at_once=1, budget={"hours": hours}).budget
    assert (told.unit, told.limit, told.fits) == ("hours", hours, fits)
    assert told.expected == pytest.approx(63)
    (gpu,) = estimate(budget={"gpu_hours": 5 * hours}, resources={"gpu": 5}).budget
    assert (gpu.unit, gpu.fits) == ("GPU-hours", fits)
    assert gpu.expected == pytest.approx(5 * 63)


def test_a_search_that_learns_has_its_trials_in_the_outlook() -> None:
    content = {
        "name": "learns",
        "base": {"data": "digits", "model": "mlp", "epochs": 9},
        "scientific": {"loss.name": ["hinge", "minimax"]},
        "nuisance": {"generator.lr": {"log_uniform": [1e-5, 1e-4]}},
        "search": {"method": "tpe", "trials_each": 30},
    }
    plan = make_plan(SweepSpec.of(content))
    assert len(plan.trials) < 60
    search = Outlook.of(plan).search
    assert [(run.arm, run.draw) for run in search] == [
        (label, draw) for draw in range(30) for label in ("hinge", "minimax")
    ]
