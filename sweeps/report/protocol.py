"""What a report tells of how its sweeps were run: the sweep file, the schedule, the machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sweeps.results import Results


def sweep_facts(name: str, results: Results) -> dict[str, Any]:
    """A sweep in a few words, and its file in full."""
    path = results.folder / "sweep.yaml"
    plan = results.plan
    rest = {k: v for k, v in vars(plan.schedule).items() if k != "name" and v is not None}
    schedule = [plan.schedule.name, *(f"{key} {word(value)}" for key, value in rest.items())]
    return {
        "name": name,
        "state": results.state,
        "began_ms": results.began_ms,
        "trials": len(results.trials),
        "ended": sum(r.ended for r in results.trials.values()),
        "epochs_done": results.epochs_done,
        "epochs_planned": results.epochs_planned,
        "digest": plan.digest,
        "schedule": "none" if plan.schedule.name == "none" else ", ".join(schedule),
        "text": path.read_text(encoding="utf-8") if path.is_file() else "",
    }


def machine_facts(results: Sequence[Results]) -> list[dict[str, Any]]:
    """What the trials ran on, each combination once, with the number of attempts."""
    seen: Counter[tuple[tuple[str, str], ...]] = Counter()
    trials = (r for one in results for r in one.trials.values())
    for start in (s for r in trials for s in r.starts):
        facts = {
            "node": start.get("node"),
            "device": start.get("device"),
            "gansweep": start.get("code_version"),
            **start.get("versions", {}),
        }
        seen[tuple((key, word(value)) for key, value in facts.items())] += 1
    return [{"attempts": count, **dict(facts)} for facts, count in seen.most_common()]


def word(value: Any) -> str:
    """A value as the sweep file would have it."""
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
