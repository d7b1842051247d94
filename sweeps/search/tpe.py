"""Points that learn from the trials before them: a tree-structured Parzen estimator an arm."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial
from ray.air.constants import TRAINING_ITERATION
from ray.tune.search.optuna import OptunaSearch

from sweeps import journal
from sweeps.results import Results, TrialResult
from sweeps.space import Choice, Dimension, Range, Search, Space, seed_of

SCORE = "score"


class Asked(NamedTuple):
    """A trial was given a point.

    Args:
        arm: Its arm's label.
        varied: Value by dotted path, scientific and nuisance.
    """

    uid: str
    arm: str
    varied: Mapping[str, Any]


class Told(NamedTuple):
    """A trial ended, or was paused.

    Args:
        best: Its best score; None where it diverged or failed.
        epoch: Where a rule or a verdict stopped it; None where it ran to its end.
    """

    uid: str
    best: float | None
    epoch: int | None = None


Event = Asked | Told


def told(result: TrialResult) -> Told | None:
    """What a trial that ended or was paused has to tell; None of any other."""
    uid = result.trial.uid
    if result.state == "completed":
        return Told(uid, result.best)
    if result.state in ("stopped", "paused"):
        return Told(uid, result.best, result.epoch)
    return Told(uid, None) if result.ended else None


def history(results: Results) -> Iterator[Event]:
    """What a sweep's journal says of its search, for `Tpe.replay`."""
    records = journal.read(results.folder, journal.DRIVER)
    pauses = {r["trial"]: r["epoch"] for r in records if r["kind"] == "pause"}
    for arm in results.of_phase("explore").values():
        for result in arm:
            uid = result.trial.uid
            yield Asked(uid, result.trial.arm, result.trial.varied)
            if event := told(result):
                yield event
            elif uid in pauses:  # It goes on since; what was told at its pause still stands.
                yield Told(uid, _best_until(result, pauses[uid]), pauses[uid])


def _best_until(result: TrialResult, epoch: int) -> float | None:
    """A trial's best score as it was after an epoch."""
    before = TrialResult(result.trial, result.objective, result.goal)
    for point in result.points:
        if point.epoch <= epoch:
            before.add({"kind": "epoch", **vars(point)})
    return before.best


class Tpe:
    """Chooses the points of all arms, each by what is known of that arm alone.

    The method is that of Bergstra et al. 2011 (Algorithms for Hyper-Parameter Optimization) in its
    multivariate form (Falkner et al. 2018, arXiv:1807.01774): of an arm's trials, the
    best tenth and the rest each give a density over the space, and of some points drawn from the
    first, the one with the highest ratio of the two is taken. An arm begins with the draws that a
    random search of the same seed would make, the same in all arms, until `search.warm_up` of its
    trials have a score.

    Trials that ran to their end are compared by their best score. Those stopped on the way come
    after them, the ones that came further first, and by their best score among equals: scores of
    unlike lengths never meet. Those that diverged or failed come last. A trial that is under way
    counts among the rest (the constant liar of Ginsbourger et al. 2010), so that points asked for
    at one time differ.

    A point depends on the seed, on its number within the arm, on the points asked for before it,
    and on what was told last of each; not on the order of the telling, nor on the process.

    Args:
        arms: Scientific values by the arm's label.
        goal: `min` or `max`.
    """

    def __init__(
        self, space: Space, search: Search, arms: Mapping[str, Mapping[str, Any]], goal: str
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # It greets every study.
        self._arms = {label: _Arm(space, search, arm, goal) for label, arm in arms.items()}
        self._arm_of: dict[str, _Arm] = {}

    def ask(self, uid: str, arm: str) -> dict[str, Any]:
        """The point of an arm's next trial: value by dotted path, scientific and nuisance."""
        self._arm_of[uid] = self._arms[arm]
        return self._arms[arm].ask(uid)

    def tell(self, uid: str, best: float | None, epoch: int | None = None) -> None:
        """Takes in how a trial ended, or stands where it pauses: see `Told`.

        One that goes on after its pause is told again; the last word counts.
        """
        self._arm_of[uid].tell(Told(uid, best, epoch))

    def replay(self, events: Iterable[Event]) -> None:
        """Brings a fresh searcher to where another was, whatever this one would have chosen.

        The points must come in the order in which they were asked for, and each before what is
        told of it.
        """
        for event in events:
            if isinstance(event, Told):
                self.tell(*event)
            else:
                self._arm_of[event.uid] = self._arms[event.arm]
                self._arms[event.arm].take(event.uid, event.varied)


@dataclass
class _Arm:
    """One arm's trials, and the study that Ray's wrapper of Optuna makes of them."""

    space: Space
    search: Search
    values: Mapping[str, Any]
    goal: str
    points: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    ends: dict[str, Told] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.chances = self.space.chances(self.search)
        self._open()

    def ask(self, uid: str) -> dict[str, Any]:
        number = len(self.points)
        scored = sum(end.best is not None for end in self.ends.values())
        # The best tenth must not be filled up with trials that have no score.
        if scored < max(self.search.warm_up, number / 10):
            return self.take(uid, self.space.drawn(self.values, number, self.chances))
        return self.take(uid, None)

    def take(self, uid: str, point: Mapping[str, Any] | None) -> dict[str, Any]:
        """Gives a trial a point, one that is known or else one of the estimator's."""
        self.sampler.given = None if point is None else self._encoded(point)
        found: Mapping[str, Any] = self._suggested(uid) or {}
        # Scientific values first, then in the space's order: as a drawn point has them.
        paths = (*self.values, *(d.path for d in self.space.nuisance))
        self.points[uid] = self.space.tied({path: found[path] for path in paths if path in found})
        return dict(self.points[uid])

    def tell(self, end: Told) -> None:
        again = end.uid in self.ends
        scored = end.best is not None and math.isfinite(end.best)
        self.ends[end.uid] = end if scored else end._replace(best=None)
        if again:  # Optuna takes no word back.
            self._open()
        else:
            self._tell(self.ends[end.uid])

    def _open(self) -> None:
        """A new study of all that is known."""
        self.sampler = _Sampler(self.search.seed)
        self.optuna = OptunaSearch(
            self._suggest, metric=SCORE, mode=self.goal, sampler=self.sampler
        )
        for uid, point in self.points.items():
            self.take(uid, point)
            if uid in self.ends:
                self._tell(self.ends[uid])

    def _tell(self, end: Told) -> None:
        if end.best is not None and end.epoch is None:
            self.optuna.on_trial_complete(end.uid, {SCORE: end.best})
            return
        if end.best is not None:
            result = {SCORE: end.best, TRAINING_ITERATION: end.epoch}
            self.optuna.on_trial_result(end.uid, result)
        # Without a result it is pruned: at its last report, or behind all others if it has none.
        self.optuna.on_trial_complete(end.uid, None)

    def _encoded(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """A point as `_suggest` asks Optuna for it: values of a list by their number, no ties."""
        encoded = {}
        for dimension in self.space.nuisance:
            if dimension.path in point:
                value = point[dimension.path]
                if isinstance(dimension.values, Choice):
                    value = _number(dimension.values, value)
                encoded[dimension.path] = value
        return encoded

    def _suggested(self, uid: str) -> Any:
        """Optuna's next point. That a busy machine took a second for it is nothing to warn of."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Define-by-run function", UserWarning)
            return self.optuna.suggest(uid)

    def _suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        varied = dict(self.values)
        for dimension in self.space.nuisance:
            if self.space.exists(dimension, varied):
                varied[dimension.path] = _suggest(trial, dimension)
        return varied


SUGGEST: dict[str, Callable[[optuna.Trial, str, Range], float]] = {
    "uniform": lambda trial, path, r: trial.suggest_float(path, r.low, r.high),
    "log_uniform": lambda trial, path, r: trial.suggest_float(path, r.low, r.high, log=True),
    "int_uniform": lambda trial, path, r: trial.suggest_int(path, int(r.low), int(r.high)),
}
"""Optuna's word for each of the scales."""


def _suggest(trial: optuna.Trial, dimension: Dimension) -> Any:
    values = dimension.values
    if isinstance(values, Range):
        return SUGGEST[values.scale](trial, dimension.path, values)
    return values.values[trial.suggest_categorical(dimension.path, range(len(values.values)))]


def _number(choice: Choice, value: Any) -> int:
    """Where a value stands in a list; to Python, and to Optuna, `true` and 1 are one value."""
    pairs = [(type(v) is bool, v) for v in choice.values]
    return pairs.index((type(value) is bool, value))


class _Sampler(BaseSampler):
    """Optuna's TPE with fresh random numbers for each point, or a point that is given.

    Args:
        seed: Of the search.

    Attributes:
        given: The next point; None leaves it to the estimator.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.given: Mapping[str, Any] | None = None

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        self._tpe = make_tpe(seed_of(self._seed, trial.number))
        return self._tpe.infer_relative_search_space(study, trial) if self.given is None else {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._tpe.sample_relative(study, trial, search_space) if search_space else {}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        if self.given is None:
            return self._tpe.sample_independent(study, trial, param_name, param_distribution)
        return self.given[param_name]


def make_tpe(seed: int) -> TPESampler:
    """Optuna's estimator, of which nothing is random but what `seed` decides.

    Multivariate, since what is tuned of a GAN hangs together, as a step size does with its
    momentum; in groups, since otherwise a dimension that some points lack would be left out of
    that. With groups, the dimensions which exist under a condition are estimated together, from
    the trials that have them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return TPESampler(n_startup_trials=0, multivariate=True, group=True, seed=seed)
