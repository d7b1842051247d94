"""How many trials share a GPU, from what was measured; numbers in, numbers out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweeps.plan import Plan, Trial

CONTEXT_GB = 0.5
"""What a process takes of a GPU before its first tensor, about: CUDA's context and its kernels."""

MARGIN = 0.15
"""Of the GPU, what stays free: allocators waste some, and a later epoch may need more."""

GAIN = 1.05
"""By what factor more trials side by side must be faster in total to be worth it."""

MOST = 16
"""Trials on a GPU at most."""

_DIGITS = 4
"""Ray counts shares of a GPU in ten-thousandths."""


def room_for(trial_gb: float, total_gb: float) -> int:
    """How many trials fit into the memory of a GPU; 0 where not even one does.

    Args:
        trial_gb: The largest that a trial's tensors take together.
    """
    each = trial_gb + CONTEXT_GB
    side_by_side = int(total_gb * (1 - MARGIN) / each)
    return max(side_by_side, int(each <= total_gb))  # One alone needs no margin to others.


def most_of(fit: int, cpus: float, cpu: float, concurrent: int | None) -> int:
    """How many trials could run side by side by all that limits them; one in any case.

    Args:
        fit: How many by memory.
        cpus, cpu: Of the machine for each of its GPUs, and of a trial.
    """
    return max(1, min(fit, int(cpus / cpu + 1e-6), concurrent or MOST, MOST))


def fastest(most: int, rate_of: Callable[[int], float]) -> int:
    """The number of trials side by side beyond which more are no faster in total.

    Args:
        rate_of: Pictures a second of so many together; 0 where they cannot run.
    """
    best, rate = 1, rate_of(1)
    for number in _numbers(most):
        together = rate_of(number)
        if together < rate * GAIN:
            break
        best, rate = number, together
    return best


def share_of(number: int) -> float:
    """The share of a GPU of each of so many trials: rounded down, so that all of them fit."""
    scale = 10**_DIGITS
    return math.floor(scale / number) / scale


def memory_fraction(share: float, total_gb: float) -> float:
    """Of a GPU's memory, what the tensors of a trial with a share may take.

    Each process has a context beside its tensors; where that leaves next to nothing, half of the
    share is for tensors, and the trial says itself that it is too little.
    """
    return max(share - CONTEXT_GB / total_gb, share / 2)


def undecided(plan: Plan) -> dict[str, Trial]:
    """By arm the largest of those trials whose share is still to be decided.

    Large is what multiplies up: the batch, the resolution, and the whole numbers of the model.
    """
    if not plan.resources.auto:
        return {}
    found: dict[str, Trial] = {}
    for trial in plan.trials:
        if trial.arm not in plan.shares and plan.resources.is_auto(trial.varied):
            known = found.get(trial.arm)
            if known is None or _size(trial.config) > _size(known.config):
                found[trial.arm] = trial
    return found


def _numbers(most: int) -> Iterator[int]:
    """2, 4, 8 and so on, and last the most."""
    number = 2
    while number < most:
        yield number
        number *= 2
    if most > 1:
        yield most


def _size(config: Mapping[str, Any]) -> float:
    data, model = config.get("data", {}), config.get("model", {})
    resolution = data.get("resolution") if isinstance(data, Mapping) else None
    numbers = [config.get("batch"), resolution, resolution, *_wholes(model)]
    return math.prod(float(n) for n in numbers if isinstance(n, int) and n > 0)


def _wholes(model: Any) -> Iterable[Any]:
    values = model.values() if isinstance(model, Mapping) else ()
    return (v for v in values if isinstance(v, int) and not isinstance(v, bool))
