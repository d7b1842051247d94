"""What a scheduler's settings would have cost and lost: replays them on recorded curves."""

from __future__ import annotations

import heapq
import itertools
import math
import random
import statistics
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sweeps.curves import Curve, Recorded, read_curves
from sweeps.schedule.asha import quantile
from sweeps.schedule.brackets import Brackets, Setting, next_trial
from sweeps.schedule.rungs import rung_epochs

SAFE = 0.95
"""A setting is recommended if it keeps the winner at least this often."""


@dataclass(frozen=True)
class Outcome:
    """What a setting did, over all orders in which the trials may have come.

    Args:
        rungs: In points, of the first bracket.
        budget: Share of the points that training every trial whole takes.
        kept: Share of the orders (and groups) whose best trial was trained whole.
        median_regret: How much worse the best score seen is than the best there is; never
            negative, whichever way is better. `p90_regret` is the 90th percentile.
    """

    setting: Setting
    rungs: tuple[int, ...]
    budget: float
    kept: float
    median_regret: float
    p90_regret: float


class Course:
    """A recorded trial as a rule sees it: its best so far, and the points where it is judged.

    Between two rungs a rule changes nothing, so a replay goes from one to the next.

    Args:
        sign: -1 where a higher score is better; inside, lower always is.
    """

    def __init__(self, uid: str, curve: Curve, sign: float) -> None:
        self.uid = uid
        self.group = curve.group
        signed = (sign * s if math.isfinite(s) else math.inf for s in curve.scores)
        self.best = list(itertools.accumulate(signed, min))

    def after(self, point: int, rungs: Sequence[int]) -> int:
        """The next point at which it is judged, or its end.

        A rung that it came to without any score it enters with its first.
        """
        scored = next((n for n, b in enumerate(self.best, 1) if b < math.inf), len(self.best))
        return min(
            (p for p in (max(rung, scored) for rung in rungs) if p > point),
            default=len(self.best),
        )


def replay(courses: Sequence[Course], setting: Setting, workers: int) -> dict[str, int]:
    """How many points each trial trains if they come in this order.

    All points take equally long. A free worker takes a new trial before a promoted one, as sweeps
    do; reports of one moment are told in the order in which their trials were handed out. The n-th
    of a group to come is its n-th draw.
    """
    last = len(courses[0].best)
    rules = Brackets(setting, last=last)
    known = {course.uid: course for course in courses}
    fresh = deque(course.uid for course in courses)
    reached = dict.fromkeys(known, 0)
    draws: Counter[str] = Counter()
    rungs = {}
    for course in courses:
        rungs[course.uid] = rules.enter(course.uid, draws[course.group]).epochs
        draws[course.group] += 1
    turns = itertools.count()
    running: list[tuple[int, int, str, int]] = []
    now = 0
    while True:
        while len(running) < workers and (
            uid := next_trial(rules, fresh, {u: known[u].group for _, _, u, _ in running})
        ):
            point = known[uid].after(reached[uid], rungs[uid])
            heapq.heappush(running, (now + point - reached[uid], next(turns), uid, point))
        if not running:
            return reached
        now = running[0][0]
        while running and running[0][0] == now:
            _, turn, uid, point = heapq.heappop(running)
            reached[uid] = point
            course = known[uid]
            if point == last:
                continue
            if rules.judge(uid, course.group, point, course.best[point - 1]).action == "go_on":
                further = course.after(point, rungs[uid])
                heapq.heappush(running, (now + further - point, turn, uid, further))


def simulate(
    recorded: Recorded,
    settings: Sequence[Setting],
    *,
    workers: int = 8,
    orders: int = 300,
    seed: int = 0,
) -> list[Outcome]:
    """Replays every setting on the same random orders of arrival."""
    courses = _courses(recorded)
    draws = random.Random(seed)
    arrivals = [draws.sample(courses, len(courses)) for _ in range(orders)]
    return [_outcome(setting, arrivals, workers) for setting in settings]


def _courses(recorded: Recorded) -> list[Course]:
    sign = 1.0 if recorded.goal == "min" else -1.0
    courses = [Course(str(n), curve, sign) for n, curve in enumerate(recorded.curves)]
    # A group without a single score has no winner to keep.
    best = {c.group: min(o.best[-1] for o in courses if o.group == c.group) for c in courses}
    return [course for course in courses if best[course.group] < math.inf]


def _outcome(setting: Setting, arrivals: Sequence[Sequence[Course]], workers: int) -> Outcome:
    courses = arrivals[0]
    last = len(courses[0].best)
    groups = {g: [c for c in courses if c.group == g] for g in sorted({c.group for c in courses})}
    points, kept, regrets = 0, [], []
    for arrival in arrivals:
        reached = replay(arrival, setting, workers)
        points += sum(reached.values())
        for members in groups.values():
            truth = min(c.best[-1] for c in members)
            kept.append(any(reached[c.uid] == last for c in members if c.best[-1] == truth))
            regrets.append(min(c.best[reached[c.uid] - 1] for c in members) - truth)
    return Outcome(
        setting,
        tuple(rung_epochs(setting.grace, setting.eta, last)),
        points / (len(arrivals) * len(courses) * last),
        sum(kept) / len(kept),
        statistics.median(regrets),
        quantile(sorted(regrets), 0.9),
    )


def grid(
    points: int,
    graces: Sequence[int],
    etas: Sequence[int],
    variants: Sequence[str],
    brackets: int = 1,
) -> list[Setting]:
    """Every combination that has a rung before the curves' end."""
    return [
        Setting(variant, grace, eta, brackets)
        for eta, grace, variant in itertools.product(etas, graces, variants)
        if grace < points
    ]


def recommend(outcomes: Sequence[Outcome]) -> Outcome:
    """The cheapest that keeps the winner often enough; if none does, the one that does most."""
    safe = [o for o in outcomes if o.kept >= SAFE]
    if safe:
        return min(safe, key=lambda o: o.budget)
    return max(outcomes, key=lambda o: (o.kept, -o.budget))


def rank_agreement(recorded: Recorded, points: Sequence[int]) -> dict[int, float | None]:
    """Kendall's tau between the best so far at a point and the best at the end.

    Of several groups their mean, without those whose scores are all equal; None if all are.
    """
    from scipy.stats import kendalltau

    groups: dict[str, list[Course]] = {}
    for course in _courses(recorded):
        groups.setdefault(course.group, []).append(course)
    found: dict[int, float | None] = {}
    for point in points:
        taus = [
            float(kendalltau([c.best[point - 1] for c in g], [c.best[-1] for c in g]).statistic)
            for g in groups.values()
        ]
        told = [tau for tau in taus if math.isfinite(tau)]
        found[point] = statistics.fmean(told) if told else None
    return found


def calibrated(
    path: Path,
    epochs: int,
    goal: str,
    *,
    variant: str = "stopping",
    brackets: int = 1,
    workers: int = 8,
) -> tuple[int, int]:
    """Grace in epochs and eta for a sweep of so many epochs, as recorded curves recommend them.

    The rungs keep their share of a run's length.

    Raises:
        UserError: See `read_curves`.
    """
    recorded = read_curves(path, goal=goal)
    points = len(recorded.steps)
    settings = grid(points, list(_graces(points)), (2, 3, 4), [variant], brackets)
    best = recommend(simulate(recorded, settings, workers=workers)).setting
    return max(1, round(best.grace * epochs / points)), best.eta


def _graces(points: int) -> Iterator[int]:
    """1, 2, 3, 4, 6, 9, ... up to half of a run."""
    grace = 1
    while grace <= max(1, points // 2):
        yield grace
        grace = max(grace + 1, grace * 3 // 2)
