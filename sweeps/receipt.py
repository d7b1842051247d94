"""What a sweep has cost, arm by arm, and what early stopping spared."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rich.table import Table

from sweeps.console import Label
from sweeps.results import Results, TrialResult


@dataclass(frozen=True)
class Cost:
    """The cost of an arm in seconds of its trials.

    Args:
        search, confirm: Spent on either.
        spared: What the epochs that the search's trials did not train would have cost, at what an
            epoch of each trial cost; a trial that never reported is not counted.
        gpu_seconds: What was spent, each trial's seconds times its share of GPUs.
    """

    arm: str
    search: float
    confirm: float
    spared: float
    gpu_seconds: float = 0.0


def costs(results: Results) -> list[Cost]:
    """A row an arm, in the order of the plan."""
    phases = {phase: results.of_phase(phase) for phase in ("explore", "confirm", "retired")}
    return [
        Cost(
            arm=arm,
            search=sum(map(seconds, trials)),
            confirm=sum(
                seconds(trial)
                for phase in ("confirm", "retired")
                for trial in phases[phase].get(arm, [])
            ),
            spared=sum(_spared(results, trial) for trial in trials),
            gpu_seconds=sum(
                seconds(trial) * results.plan.needs(trial.trial).gpu
                for phase in phases.values()
                for trial in phase.get(arm, [])
            ),
        )
        for arm, trials in phases["explore"].items()
    ]


def seconds(result: TrialResult) -> float:
    """What a trial's epochs took, in training and in scoring."""
    parts = ("seconds_training", "seconds_evaluation")
    spent = (point.values.get(part, 0.0) for point in result.points for part in parts)
    return sum(s for s in spent if math.isfinite(s))


def receipt(results: Results) -> Table:
    """The costs as a table, with a last row for all arms.

    GPU-hours where there were GPUs, confirmations where there are any.
    """
    rows, gpu = costs(results), any(needs.gpu for needs in results.plan.kinds())
    confirmed = results.plan.confirm is not None
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("cost")
    for heading in ("search", *(["confirm"] if confirmed else []), "spared"):
        table.add_column(heading, justify="right", no_wrap=True)
    if gpu:
        table.add_column("GPU-hours", justify="right", no_wrap=True)
    total = Cost(
        "all",
        sum(row.search for row in rows),
        sum(row.confirm for row in rows),
        sum(row.spared for row in rows),
        sum(row.gpu_seconds for row in rows),
    )
    for row in [*rows, total] if len(rows) > 1 else rows:
        confirm = [clock(row.confirm)] if confirmed else []
        cells = [clock(row.search), *confirm, clock(row.spared)]
        if gpu:
            cells.append(f"{row.gpu_seconds / 3600:.2f}")
        table.add_row(Label(row.arm), *cells)
    return table


def clock(value: float) -> str:
    """Hours, minutes and seconds, as a clock shows them."""
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _spared(results: Results, result: TrialResult) -> float:
    if not result.ended or not result.trained:
        return 0.0
    return seconds(result) / result.trained * results.spared(result)
