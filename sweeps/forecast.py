"""What a plan will cost, told before it starts."""

from __future__ import annotations

from typing import Any

from sweeps.plan import Plan
from sweeps.schedule.brackets import Brackets, Setting, expected_epochs


def forecast(plan: Plan) -> dict[str, Any]:
    """Trials, arms, rungs, and epochs with and without early stopping."""
    schedule = plan.schedule
    known = [t for t in plan.trials if t.phase == "explore"]
    # A search that learns has not chosen most of its trials yet: they are as long as the longest.
    arms = {arm: [(t.draw, t.epochs) for t in known if t.arm == arm] for arm in plan.searched}
    for arm, count in plan.searched.items():
        arms[arm] += [(draw, plan.epochs) for draw in range(len(arms[arm]), count)]
    lengths = [length for arm in arms.values() for _, length in arm]
    count, epochs = len(lengths), sum(lengths)
    rungs: list[list[int]] = []
    expected = float(epochs)
    if plan.search.method == "pbt":
        rungs = [list(range(schedule.grace, plan.epochs, schedule.grace))]
    elif schedule.name == "asha":
        setting = Setting(schedule.variant, schedule.grace, schedule.eta, schedule.brackets)
        rungs = [rule.epochs for rule in Brackets(setting, last=plan.epochs).rules]
        groups = list(arms.values())
        if schedule.within == "sweep":
            groups = [[trial for arm in groups for trial in arm]]
        expected = expected_epochs(groups, setting, rounds=max(3, min(200, 20_000 // count)))
    again = plan.confirmations * plan.epochs
    return {
        "name": plan.name,
        "objective": plan.objective,
        "goal": plan.goal,
        "trial_count": count,
        "arms": dict(plan.searched),
        "confirmations": plan.confirmations,
        "epochs": epochs + again,
        "rungs": rungs[0] if rungs else [],
        "brackets": rungs,
        "expected_epochs": expected + again,
        "expected_each": expected / count,
    }
