"""What a budget buys: the best score to expect of so many draws, or of so many epochs, of an arm.

"Which arm should I take, if I can afford 20 trials?" is answered by a curve for each arm (Lucic et
al. 2018, arXiv:1711.10337; Dodge et al. 2019, arXiv:1909.03004). Both kinds rest on the search
alone: a confirmation trains a point that was chosen, which is no draw.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sweeps.results import Results, TrialResult

TAIL = 0.025
"""What a band leaves out at either end."""

FEWEST = 8
"""Draws below which there is no band."""

SHARES = 2000
ORDERS = 1000
TICKS = 120
"""Most places of a curve."""

Floats = NDArray[np.float64]
Unit = Literal["trials", "epochs"]


@dataclass(frozen=True)
class Draw:
    """A trial of the search that has ended.

    Args:
        score: Its best, or None where it brought nothing that others can be compared with: it
            failed, diverged before its first score, or never grew to the last size of picture.
        passport: How it was scored; scores of unlike passports are never compared.
        stage: The last stage that any trial of this passport reached: only there are scores.
    """

    result: TrialResult
    score: float | None
    passport: str
    stage: int


@dataclass(frozen=True)
class Curve:
    """The best score to expect of an arm against what is spent on it.

    Args:
        unit: What `xs` counts.
        learnt: A searcher chose the points by what came before, and this curve, which shuffles
            them, is not what a longer or a shorter search would have found.
        draws: How many of the arm's trials have ended; `scoreless` of them brought no score, and
            `stopped` were ended early by the schedule.
        low, high: A band of 95 %, None where there is none to be had. In trials (`confidence`) it
            is the uncertainty of the mean. In epochs (`orders`) it is what the luck of the order
            does: of 100 searches that try these points in random order, 95 stand inside.
    """

    arm: str
    unit: Unit
    band: Literal["confidence", "orders"]
    learnt: bool
    draws: int
    scoreless: int
    stopped: int
    xs: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]


def draws_of(results: Results) -> dict[str, list[Draw]]:
    """The trials of the search by arm that began and ended; the others are no draws, or not yet.

    A population has none: its trials go on from one another.
    """
    found: dict[str, list[Draw]] = {}
    if results.plan.search.method == "pbt":
        return found
    stages: dict[str, int] = {}
    arms = results.of_phase("explore")
    begun = {arm: [r for r in rs if r.ended and r.starts] for arm, rs in arms.items()}
    for result in (r for rs in begun.values() for r in rs):
        passport = _passport(result)
        stages[passport] = max(stages.get(passport, 0), result.best_stage)
    for arm, rs in begun.items():
        for r in rs:
            stage = stages[_passport(r)]
            score = r.best if r.best_stage == stage else None
            found.setdefault(arm, []).append(Draw(r, score, _passport(r), stage))
    return found


def comparable(draws: Sequence[Draw]) -> bool:
    """Whether all of them were scored alike."""
    return len({draw.passport for draw in draws}) == 1


def learnt(results: Results) -> bool:
    """Whether a searcher chose points by what came before, so that they are no random draws."""
    search = results.plan.search
    return search.method != "grid" and search.warm_up < search.trials_each


def curves_in_trials(results: Results, seed: int = 0) -> list[Curve]:
    """The expected best of 1, 2, ... draws of each arm that has a score.

    Arms that were scored by unlike protocols within themselves are left out. A trial that was
    stopped early counts with the best that it reached. It would have come further, so the first
    draws are judged too harshly; the last ones hardly, since the best trials are those that were
    let go on. A draw without a score brings nothing: until another one does, the worst score of
    all arms scored alike stands, which is too kind, but the same for all of them.
    """
    return [
        _curve(results, arm, draws, _in_trials(np.array(costs), worst, seed), "trials")
        for arm, draws, costs, worst in _with_costs(results)
    ]


def curves_in_epochs(results: Results, seed: int = 0) -> list[Curve]:
    """The expected best of each arm against the epochs that its search has cost.

    The arm's trials are put one after the other in random order, and each counts with the epochs
    that it trained and with its best after each of them. What the schedule saved is seen here: a
    trial stopped at its first epoch costs one. What it does not show is that the order would have
    changed who is stopped. One that failed before its first report costs the epoch it had begun.
    """
    curves = []
    for arm, draws, _, worst in _with_costs(results):
        paths = [_path(draw, _sign(results), worst) for draw in draws]
        curves.append(_curve(results, arm, draws, _in_epochs(paths, seed), "epochs"))
    return curves


def expected_best(scores: Sequence[float] | Floats, ks: Sequence[int], goal: str = "min") -> Floats:
    """The mean best of k of the scores, over all subsets of size k.

    Unbiased (Tang et al. 2020, arXiv:2004.13705), where the estimator of Dodge et al. 2019
    (arXiv:1909.03004), which takes a score again and again, makes an arm look worse than it is.

    Args:
        scores: At most some 10,000, all finite.

    Raises:
        ValueError: There are fewer than k of them, or none is to be taken.
    """
    sign = 1.0 if goal == "min" else -1.0
    ordered = np.sort(sign * np.asarray(scores, dtype=np.float64))
    places = np.asarray(ks, dtype=np.int64)
    if not ordered.size or (places < 1).any() or (places > ordered.size).any():
        raise ValueError(f"cannot take {list(ks)} of {ordered.size} scores")
    return sign * (_weights(ordered.size, places) @ ordered)


def _weights(n: int, ks: NDArray[np.int64]) -> Floats:
    """P(the i-th best of n is the best of k different ones) = C(n - i, k - 1) / C(n, k).

    Row by k, column by i. Each is its left neighbour times (n - k - i + 1) / (n - i), a number
    between 0 and 1: nothing overflows, nothing cancels.
    """
    k = ks[:, None]
    i = np.arange(1, n)[None, :]
    ratios = np.maximum(n - k - i + 1, 0) / (n - i)
    weights = np.cumprod(np.concatenate([k / n, ratios], axis=1), axis=1)
    weights[weights < 1e-200] = 0  # Denormal numbers are a hundred times slower to add up.
    return weights


Band = tuple[list[int], Floats, Floats, Floats]
"""Places, mean, and the two ends of the band as far as they go; lower is better."""


def _in_trials(costs: Floats, worst: float, seed: int) -> Band:
    """The mean at every place, and a band of 95 % as far as one holds: a quarter of the draws.

    Of fewer than eight draws there is none: half of them may be failures, or none, by chance.
    """
    xs = _ticks(costs.size)
    mean = expected_best(costs, xs)
    trusted = [x for x in xs if x <= costs.size // 4]
    if costs.size < FEWEST:
        return xs, mean, np.empty(0), np.empty(0)
    return xs, mean, *band_of_best(costs, trusted, worst, seed)


def band_of_best(
    costs: Floats, ks: Sequence[int], worst: float = -math.inf, seed: int = 0
) -> tuple[Floats, Floats]:
    """The two ends of a band of 95 % for the expected least of k draws.

    The share of all draws that are better than the i-th best of n is random, but its distribution
    is known whatever the scores are: the n shares are n uniform numbers in order. Such numbers say
    how often another draw falls between two neighbours. What it brings there is not known: the
    better of the two at best, the other at worst. The band goes from the 2.5 % point of the least
    at best to the 97.5 % point at worst: the bounds of Learned-Miller and Thomas (2019,
    arXiv:1905.06208) of a mean, taken of the mean least of k.

    They ask for the best and the worst score that there can be. Nobody knows these, so it is
    assumed that what was not seen lies at most as far before the best as the (1 + log2 n)-th best
    lies behind it; and at most as far behind the worst as the best lies before it, or at `worst`.
    Costs of which none is below 0 are taken for distances, such as FID: none ever is.

    Of simulated searches of 8 to 64 draws, 95 to 100 in 100 bands held the truth, mostly 97 to 99,
    for k from 1 to a quarter of the draws; uniform, beta, normal and log-normal scores, and FID
    with a fifth of failures (`benchmarks/error_rates.py`). To be too wide is the price of not
    assuming a shape: standard errors of the jackknife times Student's t are less wide by a tenth
    to a half, and cover 79 to 96. Where a few draws are far better than all others the lower end is
    not low enough: of scores to be maximised whose logarithm is normal with a spread of 130 %, 86
    to 98 in 100 bands held. No search tells what it was too short to meet.

    Args:
        costs: [..., n], lower is better.
        ks: Each at most a quarter of n, or the band is too narrow.
        worst: What a draw without a score brings, for there may be one where none was seen.

    Returns:
        The lower and the upper end, each [..., k].
    """
    n = costs.shape[-1]
    seen = np.sort(costs, axis=-1)
    best, last = seen[..., :1], seen[..., -1:]
    beyond = 2 * best - seen[..., [(n - 1).bit_length()]]
    behind = np.maximum(worst, 2 * last - best)
    starts = np.stack([beyond, best], axis=-1)
    ends = [np.concatenate(way, axis=-1) for way in ([beyond, seen], [seen, behind])]
    gaps = np.diff(np.stack(ends, axis=-1), axis=-2)
    rng = np.random.default_rng(seed)
    least = []
    # In small parts: the shares of 10,000 draws all at once would take gigabytes.
    for _ in range(SHARES // 20):
        others = 1 - np.sort(rng.random((20, n)), axis=1)
        # P(the least of k lies behind a gap) = P(one draw does)^k, and the gaps so weighed sum up
        # to the mean. Behind 40 n / k scores that is below exp(-40): time and nothing else.
        near = [(k, 40 * n // k) for k in ks]
        least.append(np.stack([starts + others[:, :m] ** k @ gaps[..., :m, :] for k, m in near]))
    at_best, at_worst = np.moveaxis(np.concatenate(least, axis=-2), (-1, 0), (0, -1))
    low, high = np.quantile(at_best, TAIL, axis=-2), np.quantile(at_worst, 1 - TAIL, axis=-2)
    return np.where(best < 0, low, np.maximum(low, 0)), high


def _in_epochs(paths: Sequence[Floats], seed: int) -> Band:
    """Mean and middle 95 % over the orders of trials, each of them the path of its best."""
    lengths = np.array([path.size for path in paths])
    starts = np.cumsum(lengths) - lengths
    flat = np.concatenate(paths)
    steps = np.arange(flat.size)
    xs = _ticks(flat.size)
    places = np.array(xs) - 1
    rows = []
    for order in _orders(len(paths), seed):
        own = lengths[order]
        before = np.cumsum(own) - own
        walk = flat[np.repeat(starts[order] - before, own) + steps]
        rows.append(np.minimum.accumulate(walk)[places])
    curves = np.array(rows)
    low, high = np.quantile(curves, [TAIL, 1 - TAIL], axis=0)
    return xs, curves.mean(axis=0), low, high


def _orders(n: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """All orders of n where they are few, else many random ones."""
    if math.factorial(min(n, 20)) <= ORDERS:
        yield from (np.array(order) for order in permutations(range(n)))
    else:
        rng = np.random.default_rng(seed)
        yield from (rng.permutation(n) for _ in range(ORDERS))


def _path(draw: Draw, sign: float, worst: float) -> Floats:
    """The best of a trial after each of its epochs; the worst of all before its first score."""
    path = np.full(max(1, draw.result.epoch), worst)
    for point in draw.result.points:
        value = point.values.get(draw.result.objective, math.nan)
        if point.stage == draw.stage and math.isfinite(value):
            path[point.epoch - 1] = sign * value
    return np.minimum.accumulate(path)


def _with_costs(results: Results) -> Iterator[tuple[str, list[Draw], list[float], float]]:
    """Arms that have a score, their draws, what each brings, and what one without a score does.

    Lower is better.
    """
    sign, arms = _sign(results), draws_of(results)
    worst: dict[str, float] = {}
    for draw in (d for draws in arms.values() for d in draws):
        if draw.score is not None:
            worst[draw.passport] = max(sign * draw.score, worst.get(draw.passport, -math.inf))
    for arm, draws in arms.items():
        if comparable(draws) and any(d.score is not None for d in draws):
            nothing = worst[draws[0].passport]
            costs = [nothing if d.score is None else sign * d.score for d in draws]
            yield arm, draws, costs, nothing


def _passport(result: TrialResult) -> str:
    return str(result.starts[-1].get("passport_digest", ""))


def _sign(results: Results) -> float:
    return 1.0 if results.plan.goal == "min" else -1.0


def _ticks(n: int) -> list[int]:
    """1 to n, or of so many some that look even on a plain and on a logarithmic axis."""
    if n <= TICKS:
        return list(range(1, n + 1))
    half = TICKS // 2
    both = np.concatenate([np.linspace(1, n, half), np.geomspace(1, n, half)])
    return [int(x) for x in np.unique(both.round())]


def _curve(results: Results, arm: str, draws: Sequence[Draw], found: Band, unit: Unit) -> Curve:
    xs, mean, low, high = found
    sign = _sign(results)
    if sign < 0:
        low, high = high, low
    rest = [None] * (len(xs) - len(low))
    return Curve(
        arm=arm,
        unit=unit,
        band="confidence" if unit == "trials" else "orders",
        learnt=learnt(results),
        draws=len(draws),
        scoreless=sum(d.score is None for d in draws),
        stopped=sum(d.result.state == "stopped" for d in draws),
        xs=tuple(xs),
        mean=tuple((sign * mean).tolist()),
        low=(*(sign * low).tolist(), *rest),
        high=(*(sign * high).tolist(), *rest),
    )
