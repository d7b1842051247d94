"""Brackets: dealt as Ray deals, each with rungs of its own, and what all of them will cost."""

from __future__ import annotations

import itertools
import math
import pickle
from statistics import fmean

import numpy as np
import pytest

from sweeps import SweepSpec, make_plan
from sweeps.forecast import forecast
from sweeps.schedule.brackets import Brackets, Setting, dealing, shares, simulated


@pytest.mark.parametrize(("grace", "eta", "last", "count"), [(1, 3, 80, 3), (2, 2, 50, 4)])
def test_rungs_and_shares_are_rays(grace: int, eta: int, last: int, count: int) -> None:
    from ray.tune.schedulers.async_hyperband import _Bracket

    ours = Brackets(Setting("stopping", grace, eta, count), last=last)
    rays = [_Bracket(grace, last, eta, s) for s in range(count)]
    for rule, ray in zip(ours.rules, rays, strict=True):
        assert rule.epochs == sorted(milestone for milestone, _ in ray._rungs)
    sizes = np.array([len(ray._rungs) for ray in rays])
    weights = np.e ** (sizes - sizes.max())
    assert shares([len(rule.epochs) for rule in ours.rules]) == pytest.approx(
        weights / weights.sum()
    )


def test_however_few_the_draws_each_bracket_has_its_share() -> None:
    parts = shares([4, 3, 2])
    dealt = [0, 0, 0]
    for draw, bracket in enumerate(itertools.islice(dealing(parts), 300)):
        dealt[bracket] += 1
        for count, part in zip(dealt, parts, strict=True):
            assert abs(count - part * (draw + 1)) < 1
    # 0.665, 0.245 and 0.09 of eight.
    eight = list(itertools.islice(dealing(parts), 8))
    assert [eight.count(bracket) for bracket in range(3)] == [5, 2, 1]


@pytest.mark.parametrize("variant", ["stopping", "promotion"])
def test_trials_of_unlike_brackets_are_never_compared(variant: str) -> None:
    rules = Brackets(Setting(variant, 1, 3, 2), last=9)
    by_bracket = {0: rules.enter("early", 0), 1: rules.enter("late", 1)}
    assert [rule.epochs for rule in by_bracket.values()] == [[1, 3], [3]]
    rules.enter("early too", 2)
    assert rules.judge("late", "arm", 1, 500.0).action == "go_on"
    first = rules.judge("early", "arm", 1, 1.0).action
    assert first == ("go_on" if variant == "stopping" else "pause")
    assert rules.judge("early too", "arm", 1, 2.0).action != "go_on"
    # A thousand times as bad as the others' at this epoch, but alone in its bracket.
    alone = rules.judge("late", "arm", 3, 400.0).action
    if variant == "stopping":
        assert alone == "go_on"
        assert rules.promotable({}) is None
    else:
        assert (rules.promotable({}) or ("",))[:2] == ("late", 3)
        rules.leave("late")
        assert (rules.promotable({"late": "arm"}) or ("",))[:2] == ("early", 1)
        rules.lose("early")
        assert (rules.promotable({"late": "arm"}) or ("",))[:2] == ("early too", 1)
        rules.settle({"early"})
        assert [uid for uid, _, _ in rules.waiting()] == ["early"]


def test_a_bracket_beyond_the_end_trains_whole() -> None:
    rules = Brackets(Setting("promotion", 4, 2, 2), last=8)
    assert rules.enter("whole", 1).epochs == []
    for epoch in range(1, 9):
        assert rules.judge("whole", "arm", epoch, 99.0).action == "go_on"


def expected_epochs(groups: list[list[tuple[int, int]]], setting: Setting) -> float:
    return fmean(sum(map(sum, sweep)) for sweep in simulated(groups, setting))


def test_expected_epochs_lie_between_grace_and_full_length() -> None:
    stopping = Setting("stopping", 1, 3)
    arms = [[(n, 27) for n in range(16)]] * 3
    assert 3 * (16 + 26) < expected_epochs(arms, stopping) < 3 * 16 * 27 / 2
    # One trial an arm has nobody to lose against.
    assert expected_epochs([[(0, 27)]] * 3, stopping) == 81
    # Of nine, three pass the first rung, one the second and the third.
    nine = [[(n, 27) for n in range(9)]]
    assert expected_epochs(nine, Setting("promotion", 1, 3)) == 6 * 1 + 2 * 3 + 1 * 27


def test_what_each_bracket_is_expected_to_cost_adds_up() -> None:
    setting = Setting("promotion", 1, 3, 2)
    numbers = list(itertools.islice(dealing(shares([3, 2])), 9))
    early, late = numbers.count(0), numbers.count(1)
    assert (early, late) == (7, 2)
    passed = math.ceil(early / 3)
    cost = (early - passed) * 1 + (passed - 1) * 3 + 27 + (late - 1) * 3 + 27
    assert expected_epochs([[(n, 27) for n in range(9)]], setting) == cost


def test_a_plan_tells_the_rungs_and_the_cost_of_its_variant_and_brackets() -> None:
    def facts(**schedule: object) -> dict[str, object]:
        spec = {
            "name": "told",
            "base": {"data": "digits", "model": "mlp", "epochs": 9},
            "scientific": {"loss.name": ["hinge", "minimax"]},
            "nuisance": {"generator.lr": {"log_uniform": [1e-5, 1e-4]}},
            "search": {"trials_each": 9},
            "schedule": {"variant": "promotion", "grace": 1, "eta": 3, **schedule},
        }
        return forecast(make_plan(SweepSpec.of(spec)))

    one, two = facts(), facts(brackets=2)
    assert (one["rungs"], one["brackets"]) == ([1, 3], [[1, 3]])
    assert one["expected_epochs"] == 2 * (6 * 1 + 2 * 3 + 1 * 9)
    assert two["brackets"] == [[1, 3], [3]]
    # Seven and two of nine: the best of each bracket is trained whole.
    assert two["expected_epochs"] == 2 * (4 * 1 + 2 * 3 + 9 + 1 * 3 + 9)


@pytest.mark.parametrize("variant", ["stopping", "promotion"])
def test_it_survives_pickling_as_tune_does_it_and_deals_on(variant: str) -> None:
    rules = Brackets(Setting(variant, 1, 3, 2), last=27)
    before = [rules.rules.index(rules.enter(str(n), n)) for n in range(10)]
    again = pickle.loads(pickle.dumps(rules))
    deals = [again.rules.index(again.enter(f"new {n}", n)) for n in range(30)]
    assert deals[:10] == before
    assert deals == list(itertools.islice(dealing(shares([3, 2])), 30))
