"""The rule that ends poor trials: against Ray's own, and on the inputs that break Ray's."""

import math
import random
from types import SimpleNamespace

import numpy as np
import pytest

from sweeps.schedule.asha import Asha, quantile, rung_epochs


@pytest.mark.parametrize("goal", ["min", "max"])
@pytest.mark.parametrize(("grace", "eta", "last"), [(1, 3, 20), (2, 2, 30), (4, 4, 100)])
def test_it_decides_as_ray_does_on_healthy_curves(
    goal: str, grace: int, eta: int, last: int
) -> None:
    from ray.tune.schedulers.async_hyperband import _Bracket

    draws = random.Random(f"{goal}{grace}{eta}")
    rays = _Bracket(grace, last, eta, 0)
    ours = Asha(grace=grace, eta=eta, last=last, goal=goal)
    running = {f"t{i}": draws.random() for i in range(60)}
    best: dict[str, float] = {}
    epochs = dict.fromkeys(running, 0)
    stops = 0
    while running:
        trial = draws.choice(sorted(running))
        epochs[trial] += 1
        sign = -1 if goal == "min" else 1
        score = running[trial] + draws.gauss(0, 0.1)
        best[trial] = max(best.get(trial, -math.inf), sign * score)
        theirs = (
            rays.on_result(SimpleNamespace(trial_id=trial), epochs[trial], best[trial]) == "STOP"
        )
        if epochs[trial] >= last:
            del running[trial]
            continue
        assert (ours.judge(trial, "arm", epochs[trial], score).action == "stop") == theirs
        if theirs:
            stops += 1
            del running[trial]
    assert stops > 20


def test_a_score_that_is_not_finite_moves_nobodys_cutoff() -> None:
    clean, dirty = (Asha(grace=1, eta=3, last=9) for _ in range(2))
    for number, bad in enumerate([math.nan, math.inf, -math.inf] * 5):
        assert dirty.judge(f"bad{number}", "arm", 1, bad).action == "go_on"
    for number, score in enumerate([30, 20, 25, 10, 40]):
        decisions = [rule.judge(str(number), "arm", 1, score) for rule in (clean, dirty)]
        assert decisions[0] == decisions[1]


def test_the_best_score_so_far_counts_and_not_the_last() -> None:
    rule = Asha(grace=3, eta=2, last=9)
    for epoch, score in [(1, 50), (2, 10), (3, 60)]:
        rule.judge("steady", "arm", epoch, score)
    for epoch, score in [(1, 8), (2, 70), (3, 80)]:
        decision = rule.judge("spiky", "arm", epoch, score)
    assert decision.action == "go_on"
    for epoch, score in [(1, 90), (2, 90), (3, 9.5)]:
        decision = rule.judge("late", "arm", epoch, score)
    assert decision.action == "stop"
    assert decision.reason == "asha, rung 3: 9.5 misses 9 (2 came before)"


def test_arms_do_not_race_each_other() -> None:
    rule = Asha(grace=1, eta=3, last=9)
    assert rule.judge("good", "a", 1, 1.0).action == "go_on"
    assert rule.judge("poor", "b", 1, 100.0).action == "go_on"
    assert rule.judge("poor too", "a", 1, 100.0).action == "stop"


def test_nothing_is_decided_at_the_end() -> None:
    assert list(rung_epochs(1, 3, 9)) == [1, 3]
    assert list(rung_epochs(2, 3, 60)) == [2, 6, 18, 54]


def test_the_quantile_is_numpys() -> None:
    draws = random.Random(0)
    for size in range(1, 12):
        numbers = sorted(draws.gauss(0, 1) for _ in range(size))
        for share in (0.0, 0.25, 1 / 3, 0.5, 1.0):
            assert quantile(numbers, share) == pytest.approx(np.quantile(numbers, share))


def test_only_scores_of_one_stage_are_compared() -> None:
    """A network that grows has small scores at 8 pixels and large ones at 16."""
    rule = Asha(grace=1, eta=3, last=9)
    for number in range(3):
        assert rule.judge(f"small {number}", "arm", 3, 1.0, stage=8).action == "go_on"
    assert rule.judge("grown", "arm", 3, 50.0, stage=16).action == "go_on"
    assert rule.judge("poor and small", "arm", 3, 50.0, stage=8).action == "stop"
    assert rule.judge("poor and grown", "arm", 3, 80.0, stage=16).action == "stop"


def test_the_best_of_an_earlier_stage_does_not_count_in_the_next() -> None:
    rule = Asha(grace=3, eta=2, last=9)
    for epoch, stage, score in [(1, 8, 1.0), (2, 16, 40.0), (3, 16, 30.0)]:
        assert rule.judge("first", "arm", epoch, score, stage).action == "go_on"
    for epoch, stage, score in [(1, 8, 0.5), (2, 16, 60.0), (3, 16, 50.0)]:
        decision = rule.judge("second", "arm", epoch, score, stage)
    assert decision.reason == "asha, rung 3: 50 misses 30 (1 came before)"


def test_a_rung_that_was_passed_in_another_stage_is_not_judged_late() -> None:
    rule = Asha(grace=1, eta=2, last=9)
    for trial, score in [("first", 1.0), ("second", 99.0)]:
        assert rule.judge(trial, "arm", 3, score, stage=16).action == "go_on"  # Rung 2 lies before.
    assert rule.judge("first", "arm", 4, 1.0, stage=16).action == "go_on"
    assert rule.judge("second", "arm", 4, 99.0, stage=16).action == "stop"
