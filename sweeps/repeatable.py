"""What of a sweep would hang on who was quicker, where its runs are to repeat bit for bit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sweeps.settings import Budget, Resources, Schedule
from sweeps.space import Search, Space


def is_asked(run: Mapping[str, Any], space: Space) -> bool:
    """Whether any run of a sweep is `deterministic`."""
    for dimension in (*space.scientific, *space.nuisance):
        if dimension.path == "deterministic":
            return any(value is True for value in dimension.values.corners)
    return run.get("deterministic") is True


def conflicts(
    search: Search, schedule: Schedule, budget: Budget, resources: Resources
) -> Iterator[tuple[tuple[str, str], str]]:
    """What cannot be had with it: the key, and what to do."""
    for key in ("hours", "gpu_hours"):
        if getattr(budget, key) is not None:
            yield ("budget", key), "a clock would decide who is trained: leave it out"
    if resources.concurrent == 1:
        return
    alone = "resources.concurrent: 1"
    if search.method == "tpe":
        message = f"tpe learns first from whoever ends first: use another method, or {alone}"
        yield ("search", "method"), message
    if search.method != "pbt" and schedule.name == "asha" and schedule.variant == "stopping":
        yield (
            ("schedule", "variant"),
            "stopping judges a trial by those that came before it: use promotion, whose rungs then "
            f"wait for all, or {alone}",
        )
