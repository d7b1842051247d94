"""Population-based training: who ends, who takes over, with which values, whatever happens."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from played_sweep import place_of, play

from sweeps import SweepSpec
from sweeps.confirm import confirmations
from sweeps.plan import Plan, Trial
from sweeps.receipt import costs
from sweeps.results import Results
from sweeps.tracking.description import decimal, sweep_params, trial_tags
from sweeps.variation import Explorer

POPULATION: dict[str, Any] = {
    "base": {"data": "digits", "model": "mlp", "epochs": 8},
    "nuisance": {
        "generator.lr": {"log_uniform": [1e-5, 1e-2]},
        "discriminator.steps": {"choice": [1, 2, 4]},
        "latent": {"choice": [8, 16]},
        "discriminator.beta1": {"uniform": [0.0, 0.3], "when": {"loss.name": "minimax"}},
    },
    "search": {"method": "pbt", "trials_each": 6},
    "schedule": {"grace": 2, "eta": 3},
    "confirm": {"top": 1, "seeds": 2},
}


def by_rate(trial: Trial, epoch: int) -> float:
    """The higher the rate the better; the first epochs of a trial that took over are worse."""
    return 50 - 10 * math.log10(trial.varied["generator.lr"]) - epoch + trial.draw / 100


def populated(tmp_path: Path, **changes: Any) -> Path:
    return place_of(tmp_path, **{**POPULATION, **changes})


def segments(place: Path) -> list[tuple[Any, ...]]:
    """What became of the search, without the times at which it did."""
    return sorted(
        (
            uid,
            tuple(r.trial.varied.items()),
            r.trial.source,
            r.trial.begins,
            r.epoch,
            r.state,
            r.reason,
        )
        for uid, r in Results.read(place).trials.items()
    )


def test_every_grace_epochs_the_worst_third_takes_over_from_the_best(tmp_path: Path) -> None:
    place = populated(tmp_path)
    play(place, by_rate)
    results = Results.read(place)
    for arm, trials in results.of_phase("explore").items():
        by_uid = {r.trial.uid: r for r in trials}
        for epoch in (2, 4, 6):
            joined = [r for r in trials if r.trial.begins == epoch]
            assert len(joined) == 2, arm
            alive = [r for r in trials if r.trial.begins < epoch <= r.epoch]
            ranked = sorted(alive, key=lambda r: r.at(epoch) or math.nan)
            assert {r.trial.source for r in joined} <= {r.trial.uid for r in ranked[:2]}
            ended = [r for r in trials if r.state == "stopped" and r.epoch == epoch]
            assert {r.trial.uid for r in ended} == {r.trial.uid for r in ranked[-2:]}
            assert {r.trial.draw for r in joined} == {r.trial.draw for r in ended}
            for r in joined:
                winner = by_uid[r.trial.source or ""].trial
                assert r.trial.varied["latent"] == winner.varied["latent"]  # It shapes networks.
                assert r.trial.varied != winner.varied
                assert r.trial.config["generator"]["lr"] == r.trial.varied["generator.lr"]
        assert sum(r.trained for r in trials) == 6 * 8
    assert results.epochs_saved == 0
    assert all(cost.spared == 0 for cost in costs(results))
    searched = sum(r.trained for r in results.trials.values() if r.trial.phase == "explore")
    assert searched == 2 * 6 * 8
    assert results.epochs_planned == results.epochs_done == 2 * (6 + 2) * 8


def test_nothing_depends_on_how_many_train_at_once(tmp_path: Path) -> None:
    places = [populated(tmp_path / str(slots)) for slots in (1, 2, 20)]
    for place, slots in zip(places, (1, 2, 20), strict=True):
        play(place, by_rate, slots=slots)
    one, two, many = (segments(place) for place in places)
    assert len(one) == 2 * (6 + 3 * 2 + 2)

    def told(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        return [row[:-2] for row in rows]  # Who came last to a turn did not wait.

    assert told(one) == told(two) == told(many)


@pytest.mark.parametrize("until", range(1, 120, 7))
def test_a_driver_killed_at_any_report_leads_to_the_same_population(
    tmp_path: Path, until: int
) -> None:
    whole, broken = populated(tmp_path / "whole"), populated(tmp_path / "broken")
    play(whole, by_rate)
    play(broken, by_rate, until=until)
    play(broken, by_rate)
    assert [row[:-1] for row in segments(broken)] == [row[:-1] for row in segments(whole)]


def test_the_place_of_one_that_diverged_is_taken_too(tmp_path: Path) -> None:
    place = populated(tmp_path)

    def score(trial: Trial, epoch: int) -> float:
        broken = trial.draw in (1, 2, 3) and trial.source is None and epoch == 1
        return math.nan if broken else by_rate(trial, epoch)

    play(place, score)
    for trials in Results.read(place).of_phase("explore").values():
        joined = [r.trial for r in trials if r.trial.begins == 2]
        assert {t.draw for t in joined} == {1, 2, 3}
        assert all(r.state == "completed" for r in trials if r.trial.begins == 6)


def test_an_arm_of_which_all_diverged_ends(tmp_path: Path) -> None:
    place = populated(tmp_path)

    def score(trial: Trial, epoch: int) -> float:
        return math.nan if trial.arm == "hinge" else by_rate(trial, epoch)

    play(place, score)
    hinge = Results.read(place).of_phase("explore")["hinge"]
    assert [r.state for r in hinge] == ["diverged"] * 6


def test_a_budget_ends_those_that_wait(tmp_path: Path) -> None:
    place = populated(tmp_path, budget={"hours": 0.01}, confirm={"top": 1, "seeds": 1})
    play(place, by_rate, epoch_seconds=2.0)
    assert all(r.ended for r in Results.read(place).trials.values())


def test_a_confirmation_trains_what_its_line_trained_with(tmp_path: Path) -> None:
    place = populated(tmp_path)

    def better_later(trial: Trial, epoch: int) -> float:
        return by_rate(trial, epoch) - 100 * trial.begins

    play(place, better_later)
    plan = Plan.read(place)
    again = [t for t in plan.trials if t.phase == "confirm"]
    assert again == list(confirmations(Results.read(place)))
    for trial in again:
        line = plan.trial(trial.repeats or "")
        assert line.begins == 6
        for epoch in range(8):
            while line.begins > epoch:
                line = plan.trial(line.source or "")
            until, config = trial.stretch(epoch)
            assert epoch < until <= 8
            assert config == {**line.config, "seed": trial.seed}
            line = plan.trial(trial.repeats or "")


def test_mlflow_is_told_where_a_run_comes_from(tmp_path: Path) -> None:
    place = populated(tmp_path)
    play(place, by_rate)
    results = Results.read(place)
    taken = next(r for r in results.trials.values() if r.trial.source)
    tags = trial_tags(taken, taken.state, "population")
    assert tags["gansweep.source"] == taken.trial.source
    assert tags["gansweep.begins"] == "2"
    assert "gansweep.source" not in trial_tags(
        results.trials[taken.trial.source or ""], "running", "population"
    )
    again = next(r for r in results.trials.values() if r.trial.before)
    before = dict(again.trial.before)
    told = trial_tags(again, again.state, "population")["gansweep.trained_before"]
    for until, run in before.items():
        assert f"to epoch {until}: generator.lr {decimal(run['generator']['lr'])}" in told


def test_a_number_is_drawn_anew_or_moves_a_fifth_and_stays_in_its_range() -> None:
    spec = SweepSpec.of({"name": "q", "scientific": {"loss.name": ["minimax"]}, **POPULATION})
    varied = {
        "loss.name": "minimax",
        "generator.lr": 9e-3,
        "discriminator.steps": 1,
        "latent": 16,
        "discriminator.beta1": 0.1,
    }
    found = [Explorer(spec.space, 0).vary(varied, draw, 2) for draw in range(400)]
    rates = [f["generator.lr"] for f in found]
    moved = sum(math.isclose(rate, 9e-3 * 0.8) or rate == 1e-2 for rate in rates)  # 1.08e-2 is out.
    assert 0.68 < moved / 400 < 0.82
    assert all(1e-5 <= rate <= 1e-2 for rate in rates)
    steps = [f["discriminator.steps"] for f in found]
    assert set(steps) == {1, 2, 4}
    assert steps.count(4) < 60  # A list's number goes to its neighbour, unless it is drawn anew.
    assert {f["latent"] for f in found} == {16}
    assert all(0 <= f["discriminator.beta1"] <= 0.3 for f in found)


def test_a_tied_value_follows_what_it_is_tied_to() -> None:
    tie = {"same_as": "generator.lr", "times": 2}
    nuisance = {"generator.lr": {"log_uniform": [1e-5, 1e-2]}, "discriminator.lr": tie}
    spec = SweepSpec.of({**POPULATION, "name": "q", "nuisance": nuisance})
    before = {"generator.lr": 1e-3, "discriminator.lr": 2e-3}
    for draw in range(10):
        found = Explorer(spec.space, 0).vary(before, draw, 2)
        assert found["generator.lr"] != 1e-3
        assert found["discriminator.lr"] == 2 * found["generator.lr"]


def test_a_dimension_that_means_something_only_now_is_drawn() -> None:
    sweep = {
        **POPULATION,
        "name": "q",
        "nuisance": {
            "discriminator.steps": {"choice": [1, 2]},
            "discriminator.lr": {
                "log_uniform": [1e-5, 1e-2],
                "when": {"discriminator.steps": 2},
            },
        },
    }
    explorer = Explorer(SweepSpec.of(sweep).space, 0)
    found = [explorer.vary({"discriminator.steps": 1}, draw, 2) for draw in range(20)]
    assert {f["discriminator.steps"] for f in found} == {1, 2}
    assert all(("discriminator.lr" in f) == (f["discriminator.steps"] == 2) for f in found)


def test_mlflow_says_how_often_and_how_many_take_over_and_of_no_rung(tmp_path: Path) -> None:
    params = sweep_params(Plan.read(populated(tmp_path)))
    told = {k: v for k, v in params.items() if k.startswith(("schedule.", "search."))}
    wanted = {"search.method": "pbt", "search.seed": "0"}
    assert told == {**wanted, "schedule.grace": "2", "schedule.eta": "3"}
