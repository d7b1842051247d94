"""The expected best against what is spent: closed forms, and brute force over all ways to draw."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations, pairwise, permutations
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from scipy import stats

from sweeps import SweepSpec, make_plan
from sweeps.compare import budget
from sweeps.compare.budget import (
    band_of_best,
    curves_in_epochs,
    curves_in_trials,
    draws_of,
    expected_best,
)
from sweeps.results import Results, TrialResult

Told = tuple[str, Sequence[float]]
"""How a trial ended, and its score at each epoch."""


def swept(arms: dict[str, Sequence[Told]], goal: str = "min", **search: Any) -> Results:
    """A sweep as its journal would tell it: by loss, its trials in order."""
    sweep = {
        "name": "told",
        "base": {"data": "digits", "model": "mlp", "epochs": 9},
        "scientific": {"loss.name": list(arms)},
        "nuisance": {"generator.lr": {"log_uniform": [1e-4, 1e-3]}},
        "search": {"trials_each": max(map(len, arms.values())), **search},
    }
    plan = replace(make_plan(SweepSpec.of(sweep)), goal=goal)
    trials = {t.uid: TrialResult(t, plan.objective, goal) for t in plan.trials}
    for result in trials.values():
        told = arms[result.trial.arm]
        if result.trial.draw < len(told):
            tell(result, *told[result.trial.draw])
    return Results(Path("nowhere"), plan, trials, state="finished")


def tell(result: TrialResult, state: str, scores: Sequence[float], **start: Any) -> None:
    result.add({"kind": "start", "passport_digest": "same", **start})
    for epoch, score in enumerate(scores, 1):
        values = {result.objective: score}
        result.add({"kind": "epoch", "epoch": epoch, "time_ms": 0, "values": values})
    result.add({"kind": "end", "state": state, "verdict": "healthy", "reason": ""})


def finals(*scores: float) -> list[Told]:
    return [("completed", [score]) for score in scores]


@pytest.mark.parametrize("goal", ["min", "max"])
@pytest.mark.parametrize("scores", [[3.0], [5.0, 1.0, 1.0, 9.0, 2.5, 7.0], [2.0] * 4])
def test_the_expected_best_is_the_mean_over_all_subsets(scores: list[float], goal: str) -> None:
    best, ks = (min if goal == "min" else max), range(1, len(scores) + 1)
    brute = [fmean(best(subset) for subset in combinations(scores, k)) for k in ks]
    assert expected_best(scores, ks, goal) == pytest.approx(brute, rel=1e-13)


def test_it_is_exact_for_ten_thousand_scores() -> None:
    """The least of k different numbers from 1 to n is (n + 1) / (k + 1) on average."""
    n = 10_000
    ks = np.array([1, 2, 3, 10, 99, 1000, 5000, 9998, 9999, 10_000])
    shuffled = np.random.default_rng(0).permutation(np.arange(1.0, n + 1))
    assert expected_best(shuffled, ks.tolist()) == pytest.approx((n + 1) / (ks + 1), rel=1e-11)


@pytest.mark.parametrize(("scores", "k"), [([1.0, 2.0], 3), ([1.0], 0), ([], 1)])
def test_more_than_there_are_cannot_be_taken(scores: list[float], k: int) -> None:
    with pytest.raises(ValueError, match="cannot take"):
        expected_best(scores, [k])


def test_a_draw_without_a_score_brings_the_worst_of_all() -> None:
    told = [*finals(4.0, 2.0), ("failed", []), ("diverged", [math.nan])]
    (hinge, minimax) = curves_in_trials(swept({"hinge": told, "minimax": finals(50.0, 8.0)}))
    assert (hinge.draws, hinge.scoreless) == (4, 2)
    assert hinge.mean == pytest.approx(expected_best([4.0, 2.0, 50.0, 50.0], [1, 2, 3, 4]))
    assert (minimax.xs, minimax.mean) == ((1, 2), (29.0, 8.0))


def test_an_arm_without_any_score_has_no_curve() -> None:
    results = swept({"hinge": finals(1.0), "minimax": [("failed", [])]})
    assert [curve.arm for curve in curves_in_trials(results)] == ["hinge"]
    assert [curve.arm for curve in curves_in_epochs(results)] == ["hinge"]


@pytest.mark.parametrize("goal", ["min", "max"])
def test_in_epochs_it_is_the_mean_over_all_orders(goal: str) -> None:
    """Three trials of unlike length, one of which never had a score, and one scored late."""
    sign = 1 if goal == "min" else -1
    own: list[Told] = [
        ("stopped", [6.0 * sign]),
        ("completed", [math.nan, 5.0 * sign, 7.0 * sign, 1.0 * sign]),
        ("failed", []),
    ]
    results = swept({"hinge": own, "minimax": finals(9.0 * sign)}, goal)
    walks = []
    # What each epoch shows; 9 is the worst of all. The failed trial had begun an epoch.
    for order in permutations([[6.0], [9.0, 5.0, 7.0, 1.0], [9.0]]):
        shown = [score for path in order for score in path]
        walks.append([sign * min(shown[: i + 1]) for i in range(6)])
    curve = curves_in_epochs(results)[0]
    assert (curve.xs, curve.stopped, curve.scoreless) == ((1, 2, 3, 4, 5, 6), 1, 1)
    assert curve.mean == pytest.approx(np.mean(walks, axis=0))
    assert curve.low == pytest.approx(np.quantile(walks, 0.025, axis=0))
    assert curve.high == pytest.approx(np.quantile(walks, 0.975, axis=0))


def test_many_orders_are_sampled_and_agree_with_the_exact_mean() -> None:
    """Trials of one epoch each: so many epochs are so many draws, whose mean is known."""
    scores = np.random.default_rng(1).lognormal(size=12).tolist()
    results = swept({"hinge": finals(*scores)})
    (sampled,), (exact,) = curves_in_epochs(results), curves_in_trials(results)
    assert sampled.xs == exact.xs
    # The standard error of 1,000 orders is below 0.03 of the spread of one draw.
    assert sampled.mean == pytest.approx(exact.mean, abs=0.12 * np.std(scores))
    assert sampled.mean[-1] == pytest.approx(min(scores))
    assert curves_in_epochs(results, seed=1)[0].mean != sampled.mean


def test_only_trials_of_the_search_that_began_and_ended_are_draws() -> None:
    results = swept({"hinge": finals(3.0, 2.0, 1.0, 5.0)})
    fresh, confirmed, unbegun, running = results.trials.values()
    confirmed.trial = replace(confirmed.trial, phase="confirm", repeats=fresh.trial.uid)
    unbegun.starts.clear()  # Such as one for which the budget did not suffice.
    running.state = "interrupted"
    assert [d.result for d in draws_of(results)["hinge"]] == [fresh]
    assert curves_in_trials(results)[0].mean == (3.0,)


def test_scores_of_an_earlier_stage_bring_nothing() -> None:
    results = swept({"hinge": finals(3.0, 2.0), "minimax": finals(4.0)})
    grown = results.trials["000-hinge"]
    values = {grown.objective: 7.0}
    grown.add({"kind": "epoch", "epoch": 2, "time_ms": 0, "values": values, "stage": 1})
    assert [d.score for d in draws_of(results)["hinge"]] == [7.0, None]
    (curve,) = curves_in_epochs(results)
    assert (curve.xs, set(curve.mean), curve.scoreless) == ((1, 2, 3), {7.0}, 1)


def test_the_worst_is_not_taken_from_scores_of_another_passport() -> None:
    results = swept({"hinge": finals(90.0, 80.0), "minimax": [*finals(3.0), ("failed", [])]})
    for result in results.of_phase("explore")["minimax"]:
        result.starts[-1]["passport_digest"] = "other data"
    assert curves_in_trials(results)[1].mean == (3.0, 3.0)
    results.trials["001-minimax"].starts[-1]["passport_digest"] = "a third"
    assert [curve.arm for curve in curves_in_trials(results)] == ["hinge"]


def test_the_band_holds_for_a_quarter_of_the_draws_and_is_the_same_again() -> None:
    scores = np.random.default_rng(2).uniform(size=17).tolist()
    results = swept({"hinge": finals(*scores)})
    (curve,) = curves_in_trials(results)
    assert curve.low[4:] == curve.high[4:] == (None,) * 13
    for low, mean, high in list(zip(curve.low, curve.mean, curve.high, strict=True))[:4]:
        assert low is not None
        assert high is not None
        assert low < mean < high
    assert curves_in_trials(results) == [curve]
    assert curves_in_trials(results, seed=1)[0].low != curve.low


def test_the_band_of_a_share_is_clopper_and_pearsons() -> None:
    """Seven successes in 40: the best of k is one unless all k fail, and the share is known so."""
    (curve,) = curves_in_trials(swept({"hinge": finals(*[0.0] * 7, *[1.0] * 33)}))
    share = stats.binomtest(7, 40).proportion_ci()
    for k in range(2, 11):
        assert curve.low[k - 1] == pytest.approx((1 - share.high) ** k, abs=0.02)
        assert curve.high[k - 1] == pytest.approx((1 - share.low) ** k, abs=0.02)
    (_, high) = band_of_best(np.repeat([0.0, 1.0], [40, 360]), [50])
    share = stats.binomtest(40, 400).proportion_ci()
    assert high == pytest.approx((1 - share.low) ** 50, rel=0.2), "small, but not left out"


def test_the_lower_end_allows_for_better_draws_than_the_best_seen() -> None:
    """As far before the best as the fourth best of eight, or the seventh of 40, lies behind it."""
    for n, place, k in ((8, 4, 2), (40, 7, 10)):
        scores = [9.0] * (place - 1) + [10.0] + [10.5] * (n - place)
        (curve,) = curves_in_trials(swept({"hinge": finals(*scores)}))
        shares = np.random.default_rng(9).dirichlet(np.ones(n + 1), 20_000).cumsum(axis=1)
        first, its, next_ = (1 - shares[:, [0, place - 1, place]].T) ** k
        least = 8 + first + its + 0.5 * next_
        assert curve.low[k - 1] == pytest.approx(np.quantile(least, 0.025), abs=0.03)
        assert np.quantile(least, 0.025) < 9


def test_of_distances_none_is_expected_below_0() -> None:
    (curve,) = curves_in_trials(swept({"hinge": finals(*[0.1] * 3, *[9.0] * 5)}))
    assert curve.low[:2] == (0, 0)


@pytest.mark.parametrize("goal", ["min", "max"])
def test_the_upper_end_allows_for_a_draw_that_fails_though_none_did(goal: str) -> None:
    """It would bring 5, the worst of all arms. Eight draws that succeed leave a chance of 37 %."""
    sign = 1 if goal == "min" else -1
    told = {"hinge": finals(*[0.0] * 8), "minimax": [*finals(5.0 * sign), ("failed", [])]}
    curve = curves_in_trials(swept(told, goal))[0]
    low, high = (curve.low, curve.high) if goal == "min" else (curve.high, curve.low)
    assert low[:2] == (0, 0)
    for k in (1, 2):
        assert high[k - 1] == pytest.approx(5 * sign * (1 - 0.025 ** (1 / 8)) ** k, abs=0.09)


def test_there_is_no_band_of_seven_draws() -> None:
    seven, eight = ([float(i) for i in range(n)] for n in (7, 8))
    (curve,) = curves_in_trials(swept({"hinge": finals(*seven)}))
    assert set(curve.low + curve.high) == {None}
    (curve,) = curves_in_trials(swept({"hinge": finals(*eight)}))
    assert curve.low[0] is not None


def test_a_higher_score_may_be_the_better_one() -> None:
    scores = np.random.default_rng(3).uniform(size=8).tolist()
    (least,) = curves_in_trials(swept({"hinge": finals(*scores)}))
    (most,) = curves_in_trials(swept({"hinge": finals(*(-s for s in scores))}, "max"))
    assert most.mean == pytest.approx([-m for m in least.mean])
    assert most.low[:2] == pytest.approx([-h for h in least.high[:2] if h is not None])
    assert most.high[:2] == pytest.approx([-h for h in least.low[:2] if h is not None])


@pytest.mark.parametrize(("method", "learnt"), [("random", False), ("tpe", True)])
def test_a_curve_says_whether_its_points_were_drawn(method: str, learnt: bool) -> None:
    results = swept({"hinge": finals(2.0)})
    search = replace(results.plan.search, method=method, trials_each=9)
    results.plan = replace(results.plan, search=search)
    assert curves_in_trials(results)[0].learnt is learnt


def test_long_curves_are_thinned_and_keep_their_ends() -> None:
    ticks = budget._ticks(10_000)
    assert len(ticks) <= budget.TICKS
    assert ticks[:3] == [1, 2, 3]
    assert ticks[-1] == 10_000
    assert max(b - a for a, b in pairwise(ticks)) <= 10_000 / 59 + 1


@pytest.mark.parametrize("kind", ["uniform", "normal", "lognormal", "failing"])
@pytest.mark.parametrize("n", [8, pytest.param(32, marks=pytest.mark.slow)])
def test_the_band_covers_the_truth(kind: str, n: int) -> None:
    """1,000 searches; the truth is the mean of 10^5."""
    rng = np.random.default_rng(n)
    draw: dict[str, Callable[[tuple[int, ...]], Any]] = {
        "uniform": lambda size: rng.uniform(size=size),
        "normal": lambda size: rng.normal(size=size),
        "lognormal": lambda size: rng.lognormal(size=size),
        "failing": lambda size: np.where(rng.uniform(size=size) < 0.2, 9, rng.uniform(size=size)),
    }
    ks = [1, 2, n // 4]
    truth = np.array([draw[kind]((100_000, k)).min(axis=1).mean() for k in ks])
    low, high = band_of_best(draw[kind]((1000, n)), ks, worst=9 if kind == "failing" else -math.inf)
    held = ((low <= truth) & (truth <= high)).mean(axis=0)
    assert (held >= 0.94).all()
