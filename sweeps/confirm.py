"""The trials that confirm: the best points of each arm, trained again on fresh seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sweeps.naming import uid_of
from sweeps.plan import Plan, Trial
from sweeps.results import Results
from sweeps.space import seed_of


def confirmations(results: Results) -> Iterator[Trial]:
    """What is to be trained again now that the search is over, in the order in which it starts.

    The first seed of every arm comes before the second of any, so that a sweep that is cut short
    has tried all arms alike; equal numbers have equal seeds in all arms. An arm in which no trial
    has a score has nothing to confirm. What has joined already is among them as it is: before an
    interruption, or before a sweep was extended, since the same point on the same seed is the same
    run.
    """
    plan = results.plan
    if plan.confirm is None:
        return
    arms = results.of_phase("explore")
    best = [
        [r.trial for r in sorted(trials, key=lambda r: r.rank_key) if r.best is not None]
        for trials in arms.values()
    ]
    number = plan.next_number
    joined = {(t.repeats, t.seed): t for t in plan.trials if t.phase == "confirm"}
    for again in range(plan.confirm.seeds):
        seed = seed_of(plan.search.seed, -1 - again)  # The search's own draws count up from 0.
        for place in range(plan.confirm.top):
            for trials in best:
                if place >= len(trials):
                    continue
                known = joined.get((trials[place].uid, seed))
                yield known or _again(plan, trials[place], number, seed)
                number += known is None


def _again(plan: Plan, trial: Trial, number: int, seed: int) -> Trial:
    return Trial(
        uid=uid_of(number, trial.arm, plan.digits),
        arm=trial.arm,
        draw=trial.draw,
        seed=seed,
        varied=trial.varied,
        config={**trial.config, "seed": seed},
        phase="confirm",
        repeats=trial.uid,
        before=tuple((until, {**config, "seed": seed}) for until, config in _before(plan, trial)),
    )


def _before(plan: Plan, trial: Trial) -> list[tuple[int, Mapping[str, Any]]]:
    """What the state was trained with that a trial took over, first things first."""
    if trial.source is None:
        return []
    source = plan.trial(trial.source)
    return [*_before(plan, source), (trial.begins, source.config)]
