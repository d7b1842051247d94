"""What a plan will cost, told before it starts."""

from __future__ import annotations

from typing import Any

from sweeps.plan import Plan
from sweeps.schedule.asha import expected_epochs, rung_epochs


def forecast(plan: Plan) -> dict[str, Any]:
    """Trials, arms, rungs, and epochs with and without early stopping."""
    schedule = plan.schedule
    known = [t for t in plan.trials if t.phase == "explore"]
    # A search that learns has not chosen most of its trials yet: they are as long as the longest.
    lengths = {arm: [t.epochs for t in known if t.arm == arm] for arm in plan.searched}
    for arm, count in plan.searched.items():
        lengths[arm] += [plan.epochs] * (count - len(lengths[arm]))
    count, epochs = sum(map(len, lengths.values())), sum(map(sum, lengths.values()))
    rungs: list[int] = []
    expected = float(epochs)
    if schedule.name == "asha":
        rungs = list(rung_epochs(schedule.grace, schedule.eta, plan.epochs))
        groups = list(lengths.values())
        if schedule.within == "sweep":
            groups = [[epochs for one in groups for epochs in one]]
        rounds = max(3, min(200, 20_000 // count))
        expected = expected_epochs(groups, grace=schedule.grace, eta=schedule.eta, rounds=rounds)
    again = plan.confirmations * plan.epochs
    return {
        "name": plan.name,
        "objective": plan.objective,
        "goal": plan.goal,
        "trial_count": count,
        "arms": dict(plan.searched),
        "confirmations": plan.confirmations,
        "epochs": epochs + again,
        "rungs": rungs,
        "expected_epochs": expected + again,
        "expected_each": expected / count,
    }
