"""What mattered in the search space, and how large its good part is."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scipy import stats

from sweeps.compare.axes import Axis, axes_of
from sweeps.compare.budget import Draw, comparable, draws_of, learnt
from sweeps.results import Results

if TYPE_CHECKING:
    import optuna

FEWEST = 20
"""Draws below which nothing is said."""

SHUFFLES = 199
SEEN = 5
"""Shuffled sweeps in which it looks as important, after which no more are made for it."""

LEVEL = 0.95
SIGNIFICANT = 0.05
NEAR = 0.1


@dataclass(frozen=True)
class Share:
    """How much one hyper-parameter decides whether a draw is among the best.

    Args:
        importance: Its share; all shares together are one, or zero where nothing matters.
        p: How often it looks as important where it has no effect, from sweeps whose scores were
            shuffled; times the number of hyper-parameters, since the eye picks the largest.
    """

    path: str
    importance: float
    p: float


@dataclass(frozen=True)
class Importance:
    """The hyper-parameters of one arm, or of the whole sweep: first those that stand out from
    chance, each group the most important first.

    Args:
        arm: None is the whole sweep, with what tells the arms apart among the hyper-parameters.
        draws: How many trials it rests on; the best `top` of them were set against all.
        points: How many unlike points these are: the arms of a search share their draws.
        refused: Why nothing can be said, or empty.
    """

    arm: str | None
    draws: int
    points: int
    top: int
    shares: tuple[Share, ...] = ()
    refused: str = ""


@dataclass(frozen=True)
class Robustness:
    """How large the part of an arm's space is that is nearly as good as its best point.

    Args:
        near: Draws within 10 % of the arm's best, which is one of them; `bar` is that score.
        stopped: Draws that were stopped early and missed the bar: full training might have led
            some of them across, so that the share is a lower bound.
        low, high: 95 % interval of the share (Wilson 1927). Of a random search; of a grid it says
            how the grid's points did.
        learnt: A searcher chose the points, good ones more often: this is no share of the space.
    """

    arm: str
    draws: int
    near: int
    stopped: int
    share: float
    low: float
    high: float
    bar: float | None
    learnt: bool


def importances(results: Results, seed: int = 0) -> list[Importance]:
    """The importance over all arms, where there are several, then within each arm.

    By PED-ANOVA (Watanabe et al. 2023, arXiv:2304.10255), as Optuna has it: how unlike the best
    draws are to all, one hyper-parameter at a time. It looks at ranks, so that one
    FID of 700 does not drown the rest and a trial that was stopped early is what it is, not one of
    the best; and it knows hyper-parameters that only some trials have, for which fANOVA would drop
    all other trials. What it cannot see is two that matter only together.
    """
    arms, axes = draws_of(results), axes_of(results)
    sign = 1.0 if results.plan.goal == "min" else -1.0
    groups: list[tuple[str | None, list[Draw]]] = [*arms.items()]
    if len(arms) > 1:
        groups.insert(0, (None, [draw for draws in arms.values() for draw in draws]))
    return [_importance(arm, draws, axes, sign, seed) for arm, draws in groups]


def robustness(results: Results) -> list[Robustness]:
    """The share of each arm's draws that come within 10 % of its best.

    Arms that were scored by unlike protocols within themselves are left out.
    """
    return [
        _robustness(arm, draws, results.plan.goal, learnt(results))
        for arm, draws in draws_of(results).items()
        if comparable(draws)
    ]


def _robustness(arm: str, draws: Sequence[Draw], goal: str, learnt: bool) -> Robustness:
    scores = [d.score for d in draws if d.score is not None]
    bar, near, stopped = None, 0, 0
    if scores:
        best, sign = (min(scores), 1.0) if goal == "min" else (max(scores), -1.0)
        bar = best + sign * NEAR * abs(best)
        reached = [d.score is not None and sign * d.score <= sign * bar for d in draws]
        near = sum(reached)
        ended_early = (d.result.state == "stopped" for d in draws)
        stopped = sum(early and not r for early, r in zip(ended_early, reached, strict=True))
    share = stats.binomtest(near, len(draws)).proportion_ci(LEVEL, method="wilson")
    ends = float(share.low), float(share.high)
    return Robustness(arm, len(draws), near, stopped, near / len(draws), *ends, bar, learnt)


def _importance(
    arm: str | None, draws: Sequence[Draw], axes: Sequence[Axis], sign: float, seed: int
) -> Importance:
    n, top = len(draws), _top(len(draws))
    scores = [sign * d.score for d in draws if d.score is not None]
    # Those without a score come last, one worse than the worst.
    last = max(scores, default=0.0) + 1
    costs = [last if d.score is None else sign * d.score for d in draws]
    varied = [axis for axis in axes if _varies(axis, draws)]
    points = len({draw.result.trial.draw for draw in draws})
    refused = _refusal(draws, top, costs, varied)
    if refused:
        return Importance(arm, n, points, top, refused=refused)
    study = _Study(draws, varied, top / n)
    found = study.divergences(costs)
    total = math.fsum(found.values()) or 1.0
    shares = []
    for scientific in (True, False):
        paths = [axis.path for axis in varied if axis.scientific is scientific]
        by_chance = _by_chance(study, found, paths, _shuffles(draws, costs, scientific, seed))
        for path, p in by_chance.items():
            shares.append(Share(path, found[path] / total, min(1.0, len(found) * p)))
    shares.sort(key=lambda share: (share.p > SIGNIFICANT, -share.importance, share.path))
    return Importance(arm, n, points, top, tuple(shares))


def _by_chance(
    study: _Study,
    found: Mapping[str, float],
    paths: Sequence[str],
    shuffles: Iterator[list[float]],
) -> dict[str, float]:
    """How often each looks as important in a shuffled sweep (Besag and Clifford 1991).

    What looks so five times soon needs no exact figure; the hopeless ones would cost most of the
    time.
    """
    count, p = dict.fromkeys(paths, 0), {}
    for made, shuffled in enumerate(shuffles if paths else (), start=1):
        for path, value in study.divergences(shuffled, [*count]).items():
            count[path] += value >= found[path]
            if count[path] == SEEN:
                p[path] = SEEN / made
                del count[path]
        if not count:
            break
    return {**p, **{path: (seen + 1) / (SHUFFLES + 1) for path, seen in count.items()}}


def _varies(axis: Axis, draws: Sequence[Draw]) -> bool:
    values = [
        d.result.trial.varied.get(axis.path) for d in draws if axis.path in d.result.trial.varied
    ]
    return any(value != values[0] for value in values)


def _top(n: int) -> int:
    """How many draws are the good ones.

    A tenth is the method's default, but of few draws that is too few to tell from chance: a
    quarter is taken, until that is 25.
    """
    return max(math.ceil(n / 10), min(math.ceil(n / 4), 25))


def _refusal(
    draws: Sequence[Draw], top: int, costs: Sequence[float], varied: Sequence[Axis]
) -> str:
    n = len(draws)
    if not varied:
        return "nothing was varied"
    if not comparable(draws):
        return "the scores are of unlike protocols (other data, or scored in another way)"
    if n < FEWEST:
        return f"{n} draws; importance needs {FEWEST}"
    tied = sum(cost <= sorted(costs)[top - 1] for cost in costs)
    if tied > n // 2:
        return f"{tied} of {n} draws share the best score: nothing tells good ones from poor ones"
    return ""


def _shuffles(
    draws: Sequence[Draw], costs: Sequence[float], scientific: bool, seed: int
) -> Iterator[list[float]]:
    """The scores as they might have come out if one kind of hyper-parameter had no effect.

    Arms share their draws, so four arms of six draws are six points, not 24: shuffling all scores
    would find significance in that. Nuisance values are tested by moving the scores of a draw to
    another one, in all arms together; scientific ones by changing places within a draw.
    """
    import numpy as np

    trials = [draw.result.trial for draw in draws]
    blocks: dict[object, list[int]] = {}
    for i, trial in enumerate(trials):
        blocks.setdefault(trial.draw if scientific else trial.arm, []).append(i)
    # Of each block in the same order of the other key: equal keys move alike.
    for block in blocks.values():
        block.sort(key=lambda i: trials[i].draw)
    rng = np.random.default_rng(seed)
    numbers = sorted({trial.draw for trial in trials})
    for _ in range(SHUFFLES):
        key = dict(zip(numbers, rng.random(len(numbers)), strict=True))
        shuffled = list(costs)
        for block in blocks.values():
            if scientific:
                source = [block[i] for i in rng.permutation(len(block))]
            else:
                source = sorted(block, key=lambda i: key[trials[i].draw])
            for to, come_from in zip(block, source, strict=True):
                shuffled[to] = costs[come_from]
        yield shuffled


class _Study:
    """The draws as Optuna knows them, whose scores can be changed."""

    def __init__(self, draws: Sequence[Draw], axes: Sequence[Axis], quantile: float) -> None:
        import optuna

        distributions = {axis.path: _distribution(axis) for axis in axes}
        with _quiet():
            self._study = optuna.create_study(direction="minimize")
            self._study.add_trials(
                [_trial(draw.result.trial.varied, distributions) for draw in draws]
            )
        self._evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=quantile)

    def divergences(
        self, costs: Sequence[float], paths: list[str] | None = None
    ) -> dict[str, float]:
        """Of the best draws from all, by path, if these were the draws' scores."""
        import optuna

        with _quiet():
            return optuna.importance.get_param_importances(
                self._study,
                evaluator=self._evaluator,
                params=paths,
                target=lambda trial: costs[trial.number],
                normalize=False,
            )


def _trial(
    varied: Mapping[str, Any], distributions: Mapping[str, optuna.distributions.BaseDistribution]
) -> optuna.trial.FrozenTrial:
    import optuna

    own = {path: d for path, d in distributions.items() if path in varied}
    params = {path: varied[path] for path in own}
    return optuna.create_trial(params=params, distributions=own, value=0.0)


def _distribution(axis: Axis) -> optuna.distributions.BaseDistribution:
    from optuna import distributions

    if axis.scale == "categorical":
        return distributions.CategoricalDistribution(axis.values)
    assert axis.low is not None
    assert axis.high is not None
    if axis.whole:
        return distributions.IntDistribution(int(axis.low), int(axis.high))
    return distributions.FloatDistribution(axis.low, axis.high, log=axis.scale == "log")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's word that a study was made, and that `target` must be one to minimise."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)
