"""The trials that confirm: the best points of each arm, trained again on fresh seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sweeps.plan import Plan, Trial, uid_of
from sweeps.results import Results
from sweeps.space import seed_of


def confirmations(results: Results) -> Iterator[Trial]:
    """What is to be trained again now that the search is over, in the order in which it starts.

    The first seed of every arm comes before the second of any, so that a sweep that is cut short
    has tried all arms alike; equal numbers have equal seeds in all arms. An arm in which no trial
    has a score has nothing to confirm. The same search always gives the same confirmations, so
    those that have joined already are among them.
    """
    plan = results.plan
    if plan.confirm is None:
        return
    arms = results.of_phase("explore")
    best = [
        [r.trial for r in sorted(trials, key=lambda r: r.rank_key) if r.best is not None]
        for trials in arms.values()
    ]
    number = sum(map(len, arms.values()))
    for again in range(plan.confirm.seeds):
        seed = seed_of(plan.search.seed, -1 - again)  # The search's own draws count up from 0.
        for place in range(plan.confirm.top):
            for trials in best:
                if place < len(trials):
                    yield _again(plan, trials[place], number, seed)
                    number += 1


def _again(plan: Plan, trial: Trial, number: int, seed: int) -> Trial:
    digits = len(trial.uid.partition("-")[0])
    return Trial(
        uid=uid_of(number, trial.arm, digits),
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
