"""Promotion: nobody goes on for having come early, and everybody's best is trained whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest

from sweeps.schedule.asha import Asha
from sweeps.schedule.promotion import Promotion

Curve = Callable[[int], float]


def run(rule: Promotion, curves: dict[str, Curve], last: int, slots: int = 1) -> dict[str, int]:
    """The epochs that each trial trains, when a free slot takes a new trial before a promotion."""
    epochs = dict.fromkeys(curves, 0)
    fresh, live = list(curves), list[str]()
    while True:
        while len(live) < slots:
            if fresh:
                live.append(fresh.pop(0))
            elif promoted := rule.promotable(dict.fromkeys(live, "arm")):
                rule.leave(promoted[0])
                live.append(promoted[0])
            else:
                break
        if not live:
            return epochs
        for trial in list(live):
            epochs[trial] += 1
            told = rule.judge(trial, "arm", epochs[trial], curves[trial](epochs[trial]))
            if told.action != "go_on" or epochs[trial] == last:
                live.remove(trial)


def first(rule: Promotion, *busy: str) -> str | None:
    """Who may go on, while others of the arm train."""
    found = rule.promotable(dict.fromkeys(busy, "arm"))
    return found[0] if found else None


def level(score: float) -> Curve:
    return lambda epoch: score - epoch / 1000


def test_worst_first_promotion_runs_a_third_past_the_first_rung_where_stopping_runs_all() -> None:
    scores = [300.0 - 30 * n for n in range(9)]
    rule = Promotion(grace=1, eta=3, last=3)
    epochs = run(rule, {str(n): level(s) for n, s in enumerate(scores)}, last=3)
    assert sum(e > 1 for e in epochs.values()) == 3
    stopping = Asha(grace=1, eta=3, last=3)
    assert all(stopping.judge(str(n), "arm", 1, s).action == "go_on" for n, s in enumerate(scores))


def test_best_first_the_best_three_of_nine_go_on_and_the_best_to_the_end() -> None:
    rule = Promotion(grace=1, eta=3, last=9)
    epochs = run(rule, {str(n): level(10.0 + n) for n in range(9)}, last=9)
    # Rungs 1 and 3: of nine the best three, of three the best one.
    assert [epochs[str(n)] for n in range(9)] == [9, 3, 3, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("slots", [1, 3, 9])
def test_a_group_of_fewer_than_eta_still_trains_its_best_to_the_end(slots: int) -> None:
    rule = Promotion(grace=1, eta=3, last=9)
    epochs = run(rule, {"poor": level(9.0), "good": level(1.0)}, last=9, slots=slots)
    assert epochs == {"poor": 1, "good": 9}


def test_while_others_come_the_share_is_rounded_down_and_then_up() -> None:
    rule = Promotion(grace=1, eta=2, last=4)
    told = rule.judge("a", "arm", 1, 5.0)
    assert (told.action, told.reason) == ("pause", "asha, rung 1: 5 waits for 2 to compare, 1 came")
    assert first(rule, "b") is None
    assert first(rule) == "a"
    told = rule.judge("b", "arm", 1, 7.0)
    assert told.reason == "asha, rung 1: 7 waits, the best 1 of 2 end at 5"
    assert rule.promotable({"c": "arm"}) == ("a", 1, "asha, rung 1: 5, among the best 1 of 2")
    rule.leave("a")
    assert first(rule, "c") is None
    rule.judge("c", "arm", 1, 6.0)
    # Three came, a goes on: one and a half of three are two when all are there.
    assert first(rule, "a", "d") is None
    assert first(rule, "a") == "c"


def test_a_rung_is_not_full_while_somebody_below_may_still_be_promoted_to_it() -> None:
    rule = Promotion(grace=1, eta=2, last=4)
    for n in range(4):
        rule.judge(str(n), "arm", 1, float(n))
    assert first(rule) == "0"
    rule.leave("0")
    rule.judge("0", "arm", 2, 0.5)
    assert first(rule) == "1"  # And not 0, alone at rung 2 yet.
    rule.leave("1")
    assert first(rule, "1") is None
    rule.judge("1", "arm", 2, -0.2)
    assert first(rule) == "1"
    rule.leave("1")
    assert first(rule, "1") is None


def test_the_highest_rung_is_served_first() -> None:
    rule = Promotion(grace=1, eta=2, last=8)
    for n in range(8):
        rule.judge(str(n), "arm", 1, float(n))
    for uid in ("0", "1"):
        rule.leave(uid)
        rule.judge(uid, "arm", 2, float(uid))
    # At rung 2 one of two may go on, at rung 1 two of eight are still to.
    assert first(rule) == "0"
    rule.leave("0")
    assert first(rule, "0") == "2"


def test_arms_have_rungs_of_their_own() -> None:
    rule = Promotion(grace=1, eta=2, last=4)
    rule.judge("good", "a", 1, 1.0)
    rule.judge("poor", "b", 1, 100.0)
    busy = {"x": "a", "y": "b"}
    assert rule.promotable(busy) is None
    rule.judge("poorer", "b", 1, 200.0)
    assert (rule.promotable(busy) or ("",))[0] == "poor"
    # Who trains in one arm keeps no other arm waiting.
    assert (rule.promotable({"y": "b"}) or ("",))[0] == "good"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_number_enters_no_rung(bad: float) -> None:
    rule = Promotion(grace=1, eta=2, last=4)
    assert rule.judge("bad", "arm", 1, bad).action == "go_on"
    rule.judge("a", "arm", 1, 5.0)
    rule.judge("b", "arm", 1, 7.0)
    assert first(rule) == "a"


def test_the_best_so_far_counts_and_a_higher_goal_turns_it_round() -> None:
    rule = Promotion(grace=2, eta=2, last=4, goal="max")
    rule.judge("early", "arm", 1, 9.0)
    rule.judge("early", "arm", 2, 1.0)
    rule.judge("late", "arm", 1, 2.0)
    assert rule.judge("late", "arm", 2, 3.0).action == "pause"
    assert first(rule) == "early"


def test_unlike_stages_are_never_compared() -> None:
    rule = Promotion(grace=1, eta=2, last=4)
    rule.judge("small", "arm", 1, 1.0, stage=8)
    rule.judge("grown", "arm", 1, 50.0, stage=16)
    assert first(rule, "other") is None
    rule.judge("grown more", "arm", 1, 60.0, stage=16)
    assert first(rule, "other") == "grown"


@pytest.mark.parametrize("slots", [1, 2, 6])
@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4, 5), (5, 4, 3, 2, 1, 0), (3, 0, 5, 1, 4, 2)])
def test_in_any_order_the_best_third_go_on(order: Sequence[int], slots: int) -> None:
    rule = Promotion(grace=1, eta=3, last=2)
    epochs = run(rule, {str(n): level(float(n)) for n in order}, last=2, slots=slots)
    assert {uid for uid, e in epochs.items() if e == 2} >= {"0"}
    assert sum(e == 2 for e in epochs.values()) <= 3
    if slots == 1:
        assert {uid for uid, e in epochs.items() if e == 2} == {"0", "1"}


def test_what_the_journal_says_waits_is_what_waits() -> None:
    rule = Promotion(grace=1, eta=2, last=4)
    rule.judge("a", "arm", 1, 5.0)
    rule.judge("b", "arm", 1, 3.0)
    rule.leave("b")
    rule.settle({"b"})
    assert [uid for uid, _, _ in rule.waiting()] == ["b"]


def test_one_that_has_ended_waits_no_longer_but_is_still_compared_with() -> None:
    rule = Promotion(grace=1, eta=2, last=4)
    rule.judge("a", "arm", 1, 1.0)
    rule.judge("b", "arm", 1, 3.0)
    rule.leave("a")
    assert first(rule) is None


def test_the_place_of_one_that_is_lost_falls_to_the_next() -> None:
    rule = Promotion(grace=1, eta=3, last=4)
    for uid, score in [("a", 1.0), ("b", 3.0), ("c", 4.0)]:
        rule.judge(uid, "arm", 1, score)
    assert first(rule) == "a"
    rule.leave("a")
    assert first(rule, "a") is None
    rule.lose("a")  # It diverged at its second epoch.
    assert first(rule) == "b"
    # While others come it counts as before: of four, one may go on, and that was a.
    assert first(rule, "d") is None
