"""What a report tells of how its sweeps were run: the sweep file, the schedule, the machines."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sweeps.needs import told
from sweeps.plan import Plan
from sweeps.results import Results


def sweep_facts(name: str, results: Results) -> dict[str, Any]:
    """A sweep in a few words, and its file in full."""
    path = results.folder / "sweep.yaml"
    plan = results.plan
    return {
        "name": name,
        "state": results.state,
        "began_ms": results.began_ms,
        "trials": len(results.trials),
        "ended": sum(r.ended for r in results.trials.values()),
        "epochs_done": results.epochs_done,
        "epochs_planned": results.epochs_planned,
        "digest": plan.digest,
        "schedule": _schedule(plan),
        "resources": told(plan.kinds()),
        "repeats": repetition(results),
        "text": path.read_text(encoding="utf-8") if path.is_file() else "",
    }


def _schedule(plan: Plan) -> str:
    asked = vars(plan.schedule)
    if plan.search.method == "pbt":
        return f"pbt, the worst of {asked['eta']} replaced every {asked['grace']} epochs"
    if asked["name"] == "none":
        return "none"
    rest = (f"{k} {word(v)}" for k, v in asked.items() if k != "name" and v is not None)
    return ", ".join(["asha", *rest])


def repetition(results: Results) -> str:
    """What who runs a sweep again may expect of its numbers and of its stops."""
    plan = results.plan
    devices = {
        str(start.get("device", "cpu")).partition(":")[0]
        for result in results.trials.values()
        for start in result.starts
    }
    exact = plan.repeats or devices <= {"cpu"}
    alike = "the same machine, versions and number of threads"
    told = [
        f"bit for bit on {alike}"
        if exact
        else f"up to rounding, which training amplifies, on {alike} (deterministic: true repeats)"
    ]
    if plan.stops and not plan.repeats and plan.resources.concurrent != 1:
        told.append("who is stopped may hang on who reports first")
    seeds = [[x for x in scores if math.isfinite(x)] for scores in results.confirmed.values()]
    sds = [statistics.stdev(scores) for scores in seeds if len(scores) > 1]
    as_seeds = "elsewhere as another seed would"
    if sds:
        between = " to ".join(dict.fromkeys(f"{sd:.2g}" for sd in (min(sds), max(sds))))
        as_seeds += f" (standard deviation between the seeds of an arm: {between} {plan.objective})"
    return "; ".join([*told, as_seeds])


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
