"""What a plan will cost, told before it starts."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sweeps.plan import Plan
from sweeps.schedule.asha import expected_epochs, rung_epochs


def forecast(plan: Plan) -> dict[str, Any]:
    """Trials, arms, rungs, and epochs with and without early stopping."""
    schedule = plan.schedule
    epochs = sum(t.epochs for t in plan.trials)
    rungs: list[int] = []
    expected = float(epochs)
    if schedule.name == "asha":
        rungs = list(rung_epochs(schedule.grace, schedule.eta, plan.epochs))
        groups: dict[str, list[int]] = {}
        for t in plan.trials:
            groups.setdefault(t.arm if schedule.within == "arm" else "", []).append(t.epochs)
        rounds = max(3, min(200, 20_000 // len(plan.trials)))
        expected = expected_epochs(
            list(groups.values()), grace=schedule.grace, eta=schedule.eta, rounds=rounds
        )
    return {
        "name": plan.name,
        "objective": plan.objective,
        "goal": plan.goal,
        "trial_count": len(plan.trials),
        "arms": dict(Counter(t.arm for t in plan.trials)),
        "epochs": epochs,
        "rungs": rungs,
        "expected_epochs": expected,
    }
