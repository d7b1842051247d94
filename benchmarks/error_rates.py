"""How often the intervals miss the truth, and how often the verdict sees a difference that is not.

    python benchmarks/error_rates.py          # about a minute on one core

Each line is 1,000 simulated experiments (`--rounds`). Coverage is nominally 95 %, and 1,000 rounds
know it to within 1.4 points. `lognormal 20 %` has that coefficient of variation.

`expected best` says how often the band holds the truth, each place for itself, and how wide it is
beside standard errors of the jackknife times Student's t, whose coverage stands last.

In the last two tables all arms have one mean: each verdict that separates any two of them is a
mistake. Their lines are of 20 times as many experiments, which know 5 % to within 0.3 points.
"""

from __future__ import annotations

import argparse
import functools
import itertools
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from sweeps.compare.budget import _weights, band_of_best, expected_best
from sweeps.compare.intervals import (
    Estimate,
    iqm_interval,
    iqm_over_tasks,
    mean_interval,
    stratified_draws,
)
from sweeps.compare.pairs import ALPHA, permutation_p, probability_of_improvement, welch

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Floats]


def lognormal(variation: float) -> Draw:
    sigma = np.sqrt(np.log1p(variation**2))
    return lambda rng, shape: np.exp(sigma * rng.standard_normal(shape))


SHAPES: dict[str, Draw] = {
    "normal": lambda rng, shape: 10 + rng.standard_normal(shape),
    "lognormal 10 %": lognormal(0.1),
    "lognormal 20 %": lognormal(0.2),
}


FAILED = 150.0
"""The worst score of all arms, which failures bring."""

SEARCHES: dict[str, Draw] = {
    "uniform": lambda rng, shape: rng.random(shape),
    "beta(2, 5)": lambda rng, shape: rng.beta(2, 5, shape),
    "beta(5, 2)": lambda rng, shape: rng.beta(5, 2, shape),
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "lognormal 20 %": lognormal(0.2),
    "lognormal 130 %": lognormal(1.3),
    "FID, 20 % failed": lambda rng, shape: np.where(
        rng.random(shape) < 0.2, FAILED, np.minimum(20 * lognormal(0.65)(rng, shape), FAILED)
    ),
    "max, lognormal 20 %": lambda rng, shape: -lognormal(0.2)(rng, shape),
    "max, lognormal 130 %": lambda rng, shape: -lognormal(1.3)(rng, shape),
}


def percentile_interval(scores: Floats) -> Estimate:
    """What Agarwal et al. 2021 do, for one data set."""
    return Estimate(0.0, *np.quantile(stratified_draws([scores], 500), [0.025, 0.975]))


def tukey_mclaughlin(scores: Floats) -> Estimate:
    """Trimmed mean with the t interval of Tukey and McLaughlin (1963)."""
    n, cut = len(scores), len(scores) // 4
    ordered = np.sort(scores)
    spread = np.clip(ordered, ordered[cut], ordered[n - cut - 1]).std(ddof=1)
    t = stats.t.ppf(0.975, n - 2 * cut - 1)
    half = t * spread / ((1 - 2 * cut / n) * np.sqrt(n))
    return Estimate.around(ordered[cut : n - cut].mean(), half)


def covers(interval: Estimate, truth: float) -> bool:
    if interval.low is None or interval.high is None:
        return False
    return interval.low <= truth <= interval.high


def one_arm(rounds: int) -> Iterator[str]:
    methods: list[tuple[str, Callable[[Floats], Estimate]]] = [
        ("mean, Student's t", mean_interval),
        ("iqm, ours", iqm_interval),
        ("iqm, percentile bootstrap", percentile_interval),
        ("iqm, Tukey-McLaughlin", tukey_mclaughlin),
    ]
    for shape, draw in SHAPES.items():
        many = np.sort(draw(np.random.default_rng(99), (4_000_000,)))
        truths = (float(many.mean()), float(many[1_000_000:3_000_000].mean()))
        for n in (3, 5, 10):
            scores = draw(np.random.default_rng(n), (rounds, n))
            for name, method in methods:
                truth = truths[0] if name.startswith("mean") else truths[1]
                share = np.mean([covers(method(x), truth) for x in scores])
                yield f"{name:<34}{shape:<18}{n:>3} seeds{'':<12}{share:>8.1%}"


def several_data_sets(rounds: int) -> Iterator[str]:
    for tasks in (3, 5, 10):
        levels = np.random.default_rng(5).normal(1, 0.15, tasks)
        many = levels + 0.1 * np.random.default_rng(99).standard_normal((400_000, tasks))
        truth = float(stats.trim_mean(many, 0.25, axis=None))
        for n in (3, 5, 10):
            rng = np.random.default_rng(n)
            hits = np.zeros(2)
            for _ in range(rounds):
                runs = list((levels + 0.1 * rng.standard_normal((n, tasks))).T)
                low, high = np.quantile(stratified_draws(runs, 500), [0.025, 0.975])
                hits += covers(iqm_over_tasks(runs), truth), low <= truth <= high
            for method, hit in zip(("widened, ours", "percentile"), hits / rounds, strict=True):
                where = f"{tasks} data sets"
                name = f"iqm, stratified, {method}"
                yield f"{name:<34}{'normal':<18}{n:>3} seeds, {where:<12}{hit:>6.1%}"


def expected_best_of_k(rounds: int) -> Iterator[str]:
    for number, (shape, draw) in enumerate(SEARCHES.items()):
        many = draw(np.random.default_rng(99), (400_000,))
        for n in (8, 16, 32, 64):
            ks = sorted({1, 2, n // 8, n // 4})
            truth = expected_best(many, ks)
            searches = draw(np.random.default_rng([number, n]), (rounds, n))
            worst = FAILED if shape.startswith("FID") else -np.inf
            # All at once they would take gigabytes.
            parts = np.array_split(searches, max(1, rounds // 200))
            low, high = np.concatenate([band_of_best(p, ks, worst) for p in parts], axis=1)
            error = stats.t.ppf(0.975, n - 1) * jackknife(searches, ks)
            mean = np.sort(searches) @ _weights(n, np.array(ks)).T
            held = ((low <= truth) & (truth <= high)).mean(axis=0)
            wide = (high - low).mean(axis=0) / (2 * error).mean(axis=0)
            usual = (abs(mean - truth) <= error).mean(axis=0)
            for k, ours, width, theirs in zip(ks, held, wide, usual, strict=True):
                where = f"best of {k:>2} from {n:>2}"
                yield f"{shape:<24}{where:<24}{ours:>7.1%}{width:>8.2f}{theirs:>9.1%}"


def jackknife(searches: Floats, ks: list[int]) -> Floats:
    """Standard error of the expected best of each k, row by row."""
    n = searches.shape[1]
    ordered = np.sort(searches)
    weights = _weights(n - 1, np.array(ks))
    left_out = [np.delete(ordered, i, axis=1) @ weights.T for i in range(n)]
    error: Floats = np.sqrt(n - 1) * np.std(left_out, axis=0)
    return error


def improvement(rounds: int) -> Iterator[str]:
    for n in (3, 5, 10):
        for truth in (0.5, 0.7, 0.9):
            rng = np.random.default_rng(n)
            gap = float(stats.norm.ppf(truth)) * np.sqrt(2)
            hits = [
                covers(
                    probability_of_improvement(
                        rng.standard_normal(n), gap + rng.standard_normal(n)
                    ),
                    truth,
                )
                for _ in range(rounds)
            ]
            where = f"truth {truth}"
            name = "probability of improvement"
            yield f"{name:<34}{'normal':<18}{n:>3} seeds, {where:<12}{np.mean(hits):>6.1%}"


def false_positives(rounds: int) -> Iterator[str]:
    """Of the tests and their correction on arms of one mean; the sentence adds nothing to them."""
    for arms, (shape, draw) in itertools.product((2, 4, 8), SHAPES.items()):
        for seeds in ([2], [3], [5], [10], [4, 5], [3, 10]):
            yield wrong_calls(shape, arms, [draw], seeds, 20 * rounds)
    for arms, n in itertools.product((2, 4, 8), (3, 5)):
        yield wrong_calls("modes found, of 8", arms, [modes], [n], rounds)


def unequal_spreads(rounds: int) -> Iterator[str]:
    """The same where every other arm has a larger spread, and more seeds or fewer."""
    counts = [2], [3], [5], [10], [4, 5], [5, 4], [3, 10], [10, 3]
    for (shape, spread), arms in itertools.product(SPREADS.items(), (2, 8)):
        for ratio, seeds in itertools.product((3, 10), counts):
            draws = [spread(1 / ratio), spread(1)]
            yield wrong_calls(f"{shape}, 1 : {ratio}", arms, draws, seeds, 20 * rounds)


def modes(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    return rng.binomial(8, 0.97, shape).astype(float)


def normal(spread: float) -> Draw:
    return lambda rng, shape: 10 + spread * rng.standard_normal(shape)


def skewed(spread: float) -> Draw:
    """With a mean of 1, whatever its spread; 1 is 20 %."""
    variation = 0.2 * spread
    return lambda rng, shape: lognormal(variation)(rng, shape) / np.sqrt(1 + variation**2)


SPREADS: dict[str, Callable[[float], Draw]] = {"normal": normal, "lognormal 20 %": skewed}


def wrong_calls(shape: str, number: int, draws: list[Draw], seeds: list[int], rounds: int) -> str:
    """So many arms that take turns in how they are drawn and how often."""
    rng = np.random.default_rng([number, *seeds])
    turns = zip(range(number), itertools.cycle(draws), itertools.cycle(seeds), strict=False)
    arms = [draw(rng, (rounds, n)) for _, draw, n in turns]
    ps = np.stack([deciding(x, y) for x, y in itertools.combinations(arms, 2)])
    # Holm calls any pair different where Bonferroni does.
    share = np.mean(ps.min(axis=0) * len(ps) <= ALPHA)
    counts = " and ".join(map(str, seeds))
    return f"{shape:<28}{number:>3} arms {counts:>9} seeds{share:>10.2%}"


def deciding(x: Floats, y: Floats) -> Floats:
    """The p that decides on each row, as `compare_pairs` takes it."""
    alike = (np.ptp(x, axis=1) == 0) | (np.ptp(y, axis=1) == 0)
    ps = np.empty(len(x))
    error, freedom = welch(x[~alike], y[~alike])
    gap = abs(x[~alike].mean(axis=1) - y[~alike].mean(axis=1))
    ps[~alike] = 2 * stats.t.sf(gap / error, freedom)
    ps[alike] = [
        permuted(tuple(sorted(a)), tuple(sorted(b)))
        for a, b in zip(x[alike].tolist(), y[alike].tolist(), strict=True)
    ]
    return ps


@functools.cache
def permuted(x: tuple[float, ...], y: tuple[float, ...]) -> float:
    return permutation_p(np.array(x), np.array(y))


TABLES = {
    "one_arm": one_arm,
    "expected_best": expected_best_of_k,
    "improvement": improvement,
    "several_data_sets": several_data_sets,
    "false_positives": false_positives,
    "unequal_spreads": unequal_spreads,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", choices=list(TABLES), help="one of the tables")
    parser.add_argument("--rounds", type=int, default=1000)
    given = parser.parse_args()
    for name, table in TABLES.items():
        if given.only in (None, name):
            print(f"\n{name.replace('_', ' ')}")
            for line in table(given.rounds):
                print(line, flush=True)


if __name__ == "__main__":
    main()
