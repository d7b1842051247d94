"""Where in the search space each failure lives: what the trials of a verdict have in common."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from gancore.verdicts import AILMENTS
from sweeps.console import Label
from sweeps.results import Results, TrialResult

NARROW = 0.6
"""A range is told where a verdict's trials fill at most this share of what was searched."""

WHERE = 40
"""Letters up to which ranges stand in one line each, whatever room that leaves to the arms."""

GOOD = ("converged",)


@dataclass(frozen=True)
class Ailment:
    """The trials of one verdict.

    Args:
        arms: Trials by arm, most first.
        where: What their values have in common that others' do not: `generator.lr 0.003 .. 0.005`.
    """

    verdict: str
    trials: tuple[str, ...]
    arms: dict[str, int]
    where: tuple[str, ...]


def ailments(results: Results) -> list[Ailment]:
    """Every verdict of a sweep's trials but `healthy`, the gravest first."""
    reported = [r for r in results.trials.values() if r.points or r.ended]
    found = []
    for name in ("failed", *AILMENTS):
        own = [r for r in reported if r.verdict == name]
        if own:
            arms = Counter(r.trial.arm for r in own)
            aside = (*results.plan.scientific, *results.plan.tied)
            where = () if name in GOOD else tuple(_common(own, reported, aside))
            uids = tuple(r.trial.uid for r in own)
            found.append(Ailment(name, uids, dict(arms.most_common()), where))
    return found


def ailment_table(found: Sequence[Ailment]) -> Table:
    """A row a verdict."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("verdict", no_wrap=True)
    table.add_column("trials", justify="right", no_wrap=True)
    table.add_column("of arms")
    told = [len(line) for ailment in found for line in ailment.where]
    table.add_column("where", no_wrap=max(told, default=0) <= WHERE)
    for ailment in found:
        style = "green" if ailment.verdict in GOOD else "red"
        arms = ", ".join(f"{arm} {count}" for arm, count in ailment.arms.items())
        table.add_row(
            Text(ailment.verdict, style=style),
            str(len(ailment.trials)),
            Label(arms),
            Text("\n".join(ailment.where), style="dim"),
        )
    return table


def _common(
    own: Sequence[TrialResult], all_trials: Sequence[TrialResult], aside: Sequence[str]
) -> list[str]:
    """What the values of some trials have in common, where that is narrower than the space."""
    told = []
    keys = dict.fromkeys(key for r in all_trials for key in r.trial.varied if key not in aside)
    for key in keys:
        values = [r.trial.varied[key] for r in own if key in r.trial.varied]
        every = [r.trial.varied[key] for r in all_trials if key in r.trial.varied]
        if len(values) < 2 or len(set(every)) < 2:
            continue
        if all(isinstance(v, int | float) and not isinstance(v, bool) for v in every):
            if _width(values) <= NARROW * _width(every):
                told.append(f"{key} {min(values):.3g} .. {max(values):.3g}")
        elif len(set(values)) == 1:
            told.append(f"{key} {values[0]}")
    return told


def _width(values: Sequence[Any]) -> float:
    """The range of numbers; of positive ones by their logarithms, as rates are searched."""
    low, high = min(values), max(values)
    return math.log(high / low) if low > 0 else high - low
