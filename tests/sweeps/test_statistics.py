"""The statistics between arms: against theory, simulation, SciPy, rliable and published tables."""

import json
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from sweeps.compare.intervals import (
    Arm,
    Estimate,
    iqm,
    iqm_interval,
    iqm_over_tasks,
    mean_interval,
    stratified_draws,
)
from sweeps.compare.pairs import (
    compare_pairs,
    difference,
    hedges_g,
    holm,
    permutation_floor,
    permutation_p,
    probability_of_improvement,
    welch,
)
from sweeps.compare.seeds import MOST, plan_seeds, pooled_cov, power_of, seeds_needed
from sweeps.compare.statistics import Comparison, compare
from sweeps.compare.verdict import estimate, probability


def covers(found: Estimate, truth: float) -> bool:
    assert found.low is not None
    assert found.high is not None
    return found.low <= truth <= found.high


def told(scores: dict[str, list[float]], goal: str = "min") -> Comparison:
    return compare(scores, metric="fid5k", goal=goal, data="mnist5k")


# Intervals


def test_the_interval_of_the_mean_is_students() -> None:
    scores = [8.0, 8.5, 9.5, 7.9]
    theirs = stats.ttest_1samp(scores, 0).confidence_interval()
    found = mean_interval(scores)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high))


def test_the_interquartile_mean_drops_a_quarter_at_either_end() -> None:
    assert iqm([0, 0, 1, 2, 3, 4, 99, 99]) == 2.5
    assert iqm([1, 2, 99]) == 34


def test_the_interquartile_mean_is_rliables() -> None:
    metrics = pytest.importorskip("rliable.metrics")
    scores = np.random.default_rng(0).lognormal(size=(5, 7))
    assert iqm(scores.ravel()) == pytest.approx(metrics.aggregate_iqm(scores))


def test_with_three_seeds_the_iqm_has_students_interval() -> None:
    scores = [8.0, 9.0, 8.2]
    ours, theirs = iqm_interval(scores), mean_interval(scores)
    assert ours.high is not None
    assert theirs.high is not None
    assert ours.high - ours.value == pytest.approx(theirs.high - theirs.value, rel=0.01)


@pytest.mark.parametrize("sigma", [0.0, 0.2])
@pytest.mark.parametrize("n", [3, 4, 5, 10])
def test_the_intervals_cover_the_truth_in_95_of_100_experiments(n: int, sigma: float) -> None:
    """Normal scores, and lognormal ones with a coefficient of variation of 20 %."""
    z = np.random.default_rng(n).standard_normal((1000, n))
    scores, mean, middle = z, 0.0, 0.0
    if sigma:
        quarter = stats.norm.ppf(0.75)
        scores, mean = np.exp(sigma * z), math.exp(sigma**2 / 2)
        # E[exp(sigma z)] over the middle half of z, in closed form.
        middle = mean * float(np.diff(stats.norm.cdf([-quarter - sigma, quarter - sigma]))[0]) * 2
    assert 0.93 <= np.mean([covers(mean_interval(x), mean) for x in scores]) <= 0.97
    assert 0.93 <= np.mean([covers(iqm_interval(x), middle) for x in scores]) <= 0.97


def test_the_interval_over_data_sets_covers_and_the_percentiles_do_not() -> None:
    rng = np.random.default_rng(1)
    hits = np.zeros(2)
    for _ in range(300):
        tasks = list(rng.standard_normal((5, 3)))
        low, high = np.quantile(stratified_draws(tasks, 500), [0.025, 0.975])
        hits += covers(iqm_over_tasks(tasks), 0), low <= 0 <= high
    assert 0.92 <= hits[0] / 300 <= 0.98
    assert hits[1] / 300 < 0.9


def test_the_bootstrap_draws_seeds_within_each_data_set() -> None:
    """Of two small and two large numbers, the greater small and the lesser large one count."""
    draws = stratified_draws([[0.0, 4.0], [100.0, 140.0]], 20_000)
    values, counts = np.unique(draws, return_counts=True)
    greater, lesser = {0: 1 / 4, 4: 3 / 4}, {100: 3 / 4, 140: 1 / 4}
    known = {(a + b) / 2: p * q for a, p in greater.items() for b, q in lesser.items()}
    assert dict(zip(values, counts / 20_000, strict=True)) == pytest.approx(known, abs=0.015)


def test_alike_scores_and_a_single_one_have_no_interval() -> None:
    for scores in ([8.0], [8.0, 8.0, 8.0], [0.1 + 0.2, 0.3]):
        for found in (mean_interval(scores), iqm_interval(scores)):
            assert (found.low, found.high) == (None, None)
    assert iqm_over_tasks([[1.0, 1.0], [2.0, 2.0]]).low is None


def test_a_row_counts_what_is_lost_and_knows_the_goal() -> None:
    scores = [3.0, math.nan, 1.0, math.inf, 8.0]
    row = Arm.of("hinge", scores, "min")
    assert (row.n, row.lost, row.best, row.median) == (3, 2, 1.0, 3.0)
    assert Arm.of("hinge", scores, "max").best == 8.0
    assert Arm.of("hinge", [], "min").mean is None


# Pairs


def test_holms_correction_multiplies_by_what_is_left_and_never_falls() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_a_permutation_of_three_against_three_ends_at_a_tenth() -> None:
    """20 ways to split six, two of them this far apart; five against five have 252."""
    apart = np.array([1.0, 2.0, 3.0]), np.array([11.0, 12.0, 13.0])
    assert permutation_p(*apart) == pytest.approx(0.1)
    assert permutation_floor(3, 3) == pytest.approx(0.1)
    five = np.arange(5.0), np.arange(5.0) + 10
    assert permutation_p(*five) == pytest.approx(2 / 252) == permutation_floor(5, 5)
    alike = np.ones(3)
    assert permutation_p(alike, alike) == 1


def test_welch_decides_with_three_seeds_and_permutations_where_all_are_alike() -> None:
    (pair,) = compare_pairs({"a": [1.0, 1.1, 1.2], "b": [2.0, 2.1, 2.3]}, "min")
    assert (pair.test, pair.separable) == ("welch", True)
    theirs = stats.ttest_ind([1.0, 1.1, 1.2], [2.0, 2.1, 2.3], equal_var=False)
    assert 3 < theirs.df < 4
    assert pair.p == pytest.approx(2 * stats.t.sf(abs(theirs.statistic), 3))
    (pair,) = compare_pairs({"a": [8.0] * 3, "b": [7.0] * 3}, "max")
    assert (pair.test, pair.welch_p, pair.separable) == ("permutation", None, False)
    assert pair.needed == 4, "2 / (8 choose 4) = 0.029"
    (pair,) = compare_pairs({"a": [8.0] * 5, "b": [7.0] * 5}, "max")
    assert pair.separable


@pytest.mark.parametrize(("goal", "better"), [("min", "low"), ("max", "high")])
def test_the_goal_says_which_is_better(goal: str, better: str) -> None:
    scores = {"low": [1.0, 2.0, 3.0], "high": [7.0, 8.0, 8.5]}
    (pair,) = compare_pairs(scores, goal)
    (turned,) = compare_pairs(dict(reversed(scores.items())), goal)
    assert pair.better == turned.better == better
    assert pair.difference.value > 0
    assert pair.effect is not None
    assert pair.effect > 0
    assert pair.improvement.value == 1


def test_the_difference_has_welchs_interval() -> None:
    """Degrees of freedom as if both had the three seeds of one: 2.65, rounded down."""
    x, y = np.array([9.0, 9.5, 10.5]), np.array([8.0, 8.1, 8.6, 8.2])
    var = x.var(ddof=1) / 3, y.var(ddof=1) / 4
    assert 2.2 < sum(var) ** 2 / (var[0] ** 2 / 2 + var[1] ** 2 / 2) < 2.9
    half = stats.t.ppf(0.975, 2) * math.sqrt(sum(var))
    assert difference(x, y).high == pytest.approx(x.mean() - y.mean() + half)
    again = np.array([1.1, 0.8, 0.9])
    assert welch(again, again + 0.1)[1] == 4, "and not 3 for 3.9999999999999996"


@pytest.mark.parametrize(("n", "m", "ratio"), [(3, 3, 10), (5, 2, 3), (10, 3, 3), (5, 5, 3)])
def test_equal_means_of_unequal_spreads_are_rarely_told_apart(n: int, m: int, ratio: int) -> None:
    """Welch's test as it is calls 5.9, 9.9, 6.9 and 5.3 % of them different."""
    rng = np.random.default_rng(n)
    x, y = rng.standard_normal((40_000, n)), ratio * rng.standard_normal((40_000, m))
    error, freedom = welch(x, y)
    wrong = 2 * stats.t.sf(abs(x.mean(axis=1) - y.mean(axis=1)) / error, freedom) <= 0.05
    assert wrong.sum() <= stats.binom.ppf(0.99, 40_000, 0.05)


def test_hedges_g_is_unbiased() -> None:
    """The factor for 4 degrees of freedom is 0.7979; over many experiments g averages to d."""
    x, y = np.array([1.0, 2.0, 3.0]), np.array([3.0, 4.0, 5.0])
    assert hedges_g(y, x) == pytest.approx(2 * 0.7979, abs=1e-4)
    rng = np.random.default_rng(0)
    found = [hedges_g(rng.normal(1, 1, 3), rng.normal(0, 1, 3)) or 0.0 for _ in range(8000)]
    assert np.mean(found) == pytest.approx(1, abs=0.05)


def test_the_probability_of_improvement_is_rliables() -> None:
    metrics = pytest.importorskip("rliable.metrics")
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 6, (5, 1)).astype(float), rng.integers(0, 6, (4, 1)).astype(float)
    # Theirs is of x being greater.
    theirs = metrics.probability_of_improvement(y, x)
    assert probability_of_improvement(x.ravel(), y.ravel()).value == pytest.approx(theirs)


def test_the_probability_of_improvement_has_an_interval_that_holds() -> None:
    rng = np.random.default_rng(4)
    for n in (3, 5, 10):
        gap = math.sqrt(2) * stats.norm.ppf(0.75)
        pairs = [(rng.standard_normal(n), gap + rng.standard_normal(n)) for _ in range(300)]
        hits = [covers(probability_of_improvement(x, y), 0.75) for x, y in pairs]
        assert 0.93 <= np.mean(hits) <= 0.98
    separated = probability_of_improvement(np.arange(3.0), np.arange(3.0) + 9)
    assert (separated.low, separated.high) == (0.5, 1.0), "three seeds do that by chance"


@pytest.mark.parametrize(
    ("arms", "n", "rounds"),
    [
        (2, 3, 100),
        *[pytest.param(a, n, 400, marks=pytest.mark.slow) for a in (2, 4) for n in (3, 5)],
    ],
)
def test_equal_arms_are_rarely_told_apart(arms: int, n: int, rounds: int) -> None:
    """In at most 5 % of all sweeps; the limit is what those rounds exceed once in a thousand."""
    rng = np.random.default_rng(arms * n)
    wrong = 0
    for _ in range(rounds):
        scores = {str(a): rng.normal(10, 1, n).tolist() for a in range(arms)}
        wrong += any(p.separable for p in compare_pairs(scores, "min"))
    assert wrong <= stats.binom.ppf(0.999, rounds, 0.05)


def test_all_pairs_are_corrected_for() -> None:
    first, second, third = compare_pairs({"a": around(8), "b": around(8.4), "c": around(9)}, "min")
    assert first.corrected_p == 3 * first.p
    assert second.corrected_p == 2 * second.p
    assert third.corrected_p == third.p


# Seeds


@pytest.mark.parametrize(
    ("mean", "spread", "normal", "exact"),
    [(58.8, 1.9, 7, 8), (6.8, 0.5, 34, 35), (20.3, 5.0, 381, 382)],
)
def test_seeds_for_a_difference_of_5_percent_at_the_spreads_of_lucic(
    mean: float, spread: float, normal: int, exact: int
) -> None:
    """FIDs of Lucic et al. 2018 (NSGAN on CIFAR-10 and MNIST, WGAN-GP on MNIST)."""
    effect = 0.05 * mean / spread
    z = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert math.ceil(2 * (z / effect) ** 2) == normal
    assert seeds_needed(effect) == exact


@pytest.mark.parametrize(("n", "effect"), [(4, 2.5), (5, 1.8), (12, 1.2)])
def test_the_power_is_that_of_simulated_tests(n: int, effect: float) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 1, (20_000, n)), rng.normal(effect, 1, (20_000, n))
    error, freedom = welch(x, y)
    told = 2 * stats.t.sf(abs(x.mean(axis=1) - y.mean(axis=1)) / error, freedom) <= 0.05
    assert power_of(effect, n) == pytest.approx(told.mean(), abs=0.012)


@pytest.mark.parametrize("effect", [0.0, 0.01, 0.3, 2.0, 30.0, 1e4, math.inf])
def test_the_planner_gives_the_fewest_seeds_at_any_effect(effect: float) -> None:
    n = seeds_needed(min(effect, 1e6), alpha=0.001)
    assert n == MOST or power_of(min(effect, 1e6), n, 0.001) >= 0.8
    assert n == 2 or power_of(min(effect, 1e6), n - 1, 0.001) < 0.8


def test_the_spread_is_pooled_by_degrees_of_freedom_and_relative_to_the_mean() -> None:
    """Spreads of 10 % from 2 degrees of freedom and 20 % from 4: the root of 0.18 / 6."""
    arms = [
        Arm.of("a", [9.0, 10.0, 11.0], "min"),
        Arm.of("b", (100 + 20 * math.sqrt(2) * np.array([-1, 1, 0, -1, 1])).tolist(), "min"),
        Arm.of("alike", [5.0, 5.0], "min"),
    ]
    assert arms[1].spread is not None
    assert arms[1].mean is not None
    relative = arms[1].spread / arms[1].mean.value
    assert pooled_cov(arms) == pytest.approx(math.sqrt((2 * 0.1**2 + 4 * relative**2) / 6))
    plan = plan_seeds(arms)
    assert plan is not None
    for share, one, all_ in plan.seeds:
        assert one == seeds_needed(share / plan.cov)
        assert all_ == seeds_needed(share / plan.cov, alpha=0.05 / 3)
    assert plan_seeds([Arm.of("a", [1.0], "min")]) is None
    assert plan_seeds([Arm.of("a", [-1.0, -2.0], "max")]) is None


# The sentence


def around(mean: float, n: int = 5, spread: float = 0.3) -> list[float]:
    return (mean + spread * np.linspace(-1, 1, n)).tolist()


SENTENCES: list[tuple[dict[str, list[float]], str, str | None]] = [
    (
        {"nonsaturating": around(9), "wasserstein_gp": around(8.1)},
        "wasserstein_gp beats nonsaturating on mnist5k: fid5k 8.1 [7.8, 8.4] against "
        "9.0 [8.7, 9.3], 5 seeds each, corrected p < 0.001",
        "wasserstein_gp",
    ),
    (
        {"a": around(8), "b": around(9, 4), "c": around(8.1)},
        "a beats b on mnist5k: fid5k 8.0 [7.7, 8.3] against 9.0 [8.6, 9.4], 5 and 4 seeds, "
        "corrected p = 0.0056; not separable from c (8.1 [7.8, 8.4], corrected p = 0.52) with "
        "5 seeds each; about 120 would be needed",
        None,
    ),
    (
        {"a": around(8.0), "b": around(8.2)},
        "no winner on mnist5k: a leads with fid5k 8.0 [7.7, 8.3], not separable from b "
        "(8.2 [7.9, 8.5], corrected p = 0.22) with 5 seeds each; about 24 would be needed",
        None,
    ),
    (
        {"a": around(8.0), "b": around(8.0)},
        "no winner on mnist5k: a leads with fid5k 8.0 [7.7, 8.3], not separable from b "
        "(8.0 [7.7, 8.3], corrected p = 1) with 5 seeds each; more than 10,000 would be needed: "
        "as good as equal",
        None,
    ),
    (
        {"a": [8.0], "b": [9.0]},
        "no verdict on mnist5k: a leads with fid5k 8, but one seed shows no spread; each arm "
        "needs at least 3",
        None,
    ),
    (
        {"a": around(8, 3)},
        "no verdict on mnist5k: only a has scores (fid5k 8.0 [7.3, 8.7], 3 seeds), and a "
        "comparison takes two arms",
        None,
    ),
    ({"a": []}, "no verdict on mnist5k: no seed has a fid5k; a has no score", None),
    ({}, "no verdict on mnist5k: no seed has a fid5k", None),
    (
        {"a": around(8), "b": [*around(9), math.nan], "c": [], "d": [7.0]},
        "a beats b on mnist5k: fid5k 8.0 [7.7, 8.3] against 9.0 [8.7, 9.3], 5 seeds each, "
        "corrected p < 0.001; c has no score; d (7) has one seed and cannot be tested; "
        "1 of 6 seeds of b gave no score",
        None,
    ),
    (
        {"a": [8.0] * 3, "b": [9.0] * 3},
        "no winner on mnist5k: a leads with fid5k 8 (all seeds alike), not separable from b "
        "(9 (all seeds alike), corrected p = 0.1) with 3 seeds each; about 4 would be needed",
        None,
    ),
    (
        {"a": [5.0, 8.0, 11.0], "b": around(8.5, 3, 0.01), "c": around(9.0, 3, 0.01)},
        "no winner on mnist5k: a leads with fid5k 8 [1, 15], not separable from b "
        "(8.50 [8.48, 8.52], corrected p = 1) and c (9.00 [8.98, 9.02], corrected p = 1) with "
        "3 seeds each; about 96 would be needed to tell it from c; b beats c on mnist5k: fid5k "
        "8.50 [8.48, 8.52] against 9.00 [8.98, 9.02], 3 seeds each, corrected p < 0.001",
        None,
    ),
]


@pytest.mark.parametrize(("scores", "sentence", "winner"), SENTENCES)
def test_the_sentence(scores: dict[str, list[float]], sentence: str, winner: str | None) -> None:
    found = told(scores)
    assert found.sentence == sentence
    assert found.winner == winner


def test_a_goal_of_max_turns_the_winner_round() -> None:
    found = told({"a": around(8), "b": around(9)}, "max")
    assert found.sentence.startswith("b beats a on mnist5k: fid5k 9.0 [8.7, 9.3]")
    with pytest.raises(ValueError, match="goal"):
        told({}, "least")


def test_many_arms_still_make_a_sentence() -> None:
    scores = {f"arm{i}": around(8 + 0.5 * max(0, i - 3)) for i in range(8)}
    sentence = told(scores).sentence
    assert "arm0 beats arm5, arm6 and arm7" in sentence
    assert "corrected p at most" in sentence
    assert "arm3 (8.0 [7.7, 8.3], corrected p = 1) and 1 more with" in sentence


def test_digits_follow_the_interval_and_p_never_crosses_the_line() -> None:
    assert estimate(Estimate(123.456, 100.0, 150.0)) == "123 [100, 150]"
    assert estimate(Estimate(0.12345, 0.12, 0.126)) == "0.123 [0.120, 0.126]"
    assert estimate(Estimate(6.2, -0.4, 13.1)) == "6 [0, 13]"
    assert [probability(p) for p in (0.0496, 0.0504, 0.05)] == [
        "p = 0.0496",
        "p = 0.0504",
        "p = 0.0500",
    ]
    assert [probability(p) for p in (0.0123, 0.3, 1.0)] == ["p = 0.012", "p = 0.3", "p = 1"]


def test_a_comparison_is_plain_json_without_nan() -> None:
    scores: dict[str, list[float]] = {"a": around(8), "b": [7.0] * 3, "c": [math.nan], "d": []}
    plain: dict[str, Any] = json.loads(json.dumps(told(scores).as_json(), allow_nan=False))
    assert [a["label"] for a in plain["arms"]] == ["b", "a", "c", "d"]
    assert plain["pairs"][0]["separable"] == (plain["pairs"][0]["corrected_p"] <= 0.05)
    assert plain["plan"]["seeds"]
