"""What `gansweep simulate` prints: the cost and risk of every setting, and which one to take."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from sweeps.console import Console
from sweeps.curves import Recorded, read_curves
from sweeps.errors import UserError
from sweeps.schedule.brackets import VARIANTS
from sweeps.simulate import SAFE, Outcome, grid, rank_agreement, recommend, simulate


def show_simulation(  # noqa: PLR0913  (the command's options, one each)
    source: Path,
    *,
    goal: str,
    graces: Sequence[int],
    etas: Sequence[int],
    brackets: int,
    workers: int,
    orders: int,
    until: float | None,
    as_json: bool,
    only: Mapping[str, str] | None = None,
) -> None:
    """Prints what every setting costs and keeps, and which one is recommended.

    Raises:
        UserError: See `read_curves`; or no grace is short enough.
    """
    recorded = read_curves(source, goal=goal, until=until, only=only)
    points = len(recorded.steps)
    settings = grid(points, graces, etas, list(VARIANTS), brackets)
    if not settings:
        raise UserError(f"{source}: its curves have {points} points: choose a smaller --grace")
    outcomes = simulate(recorded, settings, workers=workers, orders=orders)
    taus = rank_agreement(recorded, sorted({r for o in outcomes for r in o.rungs}))
    best = recommend(outcomes)
    if as_json:
        print(json.dumps(_facts(recorded, outcomes, taus, best), indent=2, allow_nan=False))
        return
    console = Console(highlight=False)
    console.print(
        Text(str(source), style="bold").append(
            f"  {len(recorded.curves)} curves of {points} points, {workers} workers, "
            f"{orders} orders of arrival{f', {brackets} brackets' if brackets > 1 else ''}",
            "default",
        )
    )
    for note in recorded.notes:
        console.print(Text(note, style="dim"))
    console.print()
    console.print(_outcome_table(recorded, outcomes))
    console.print()
    console.print(_agreement_table(recorded, taus))
    console.print()
    console.print(sentence(recorded, best, orders))


def sentence(recorded: Recorded, best: Outcome, orders: int) -> str:
    """The recommendation in words, with the numbers that it rests on."""
    s = best.setting
    point = "point" if s.grace == 1 else "points"
    hedged = f" in {s.brackets} brackets" if s.brackets > 1 else ""
    why = (
        f"the cheapest here that does in {SAFE:.0%} or more"
        if best.kept >= SAFE
        else f"none here does in {SAFE:.0%}, this one does most often"
    )
    return (
        f"recommended: {s.variant} with eta {s.eta} and grace {s.grace} {point} "
        f"(step {_short(recorded.steps[s.grace - 1])}){hedged} trains {best.budget:.0%} of the "
        f"full sweep and keeps the winner in {best.kept:.1%} of {orders} orders: {why}"
    )


def _outcome_table(recorded: Recorded, outcomes: Sequence[Outcome]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("eta", "grace"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("variant", no_wrap=True)
    table.add_column("rungs (steps)")
    for heading in ("budget", "kept", "regret", "p90"):
        table.add_column(heading, justify="right", no_wrap=True)
    for o in outcomes:
        table.add_row(
            str(o.setting.eta),
            str(o.setting.grace),
            o.setting.variant,
            " ".join(_short(recorded.steps[r - 1]) for r in o.rungs),
            f"{o.budget:.1%}",
            f"{o.kept:.1%}",
            f"{o.median_regret:.3g}",
            f"{o.p90_regret:.3g}",
        )
    return table


def _agreement_table(recorded: Recorded, taus: dict[int, float | None]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("rung (step)", justify="right", no_wrap=True)
    table.add_column("tau: do ranks there agree with the final ones?", no_wrap=True)
    for point, tau in taus.items():
        told = "none" if tau is None else f"{tau:.2f}"
        table.add_row(_short(recorded.steps[point - 1]), told)
    return table


def _short(step: float) -> str:
    """4000 as 4k."""
    return f"{step / 1000:g}k" if step >= 1000 and step % 100 == 0 else f"{step:g}"


def _facts(
    recorded: Recorded,
    outcomes: Sequence[Outcome],
    taus: dict[int, float | None],
    best: Outcome,
) -> dict[str, Any]:
    def row(o: Outcome) -> dict[str, Any]:
        told = asdict(o)
        steps = [recorded.steps[r - 1] for r in o.rungs]
        return {**told.pop("setting"), "steps": steps, **told}

    return {
        "curves": len(recorded.curves),
        "points": len(recorded.steps),
        "goal": recorded.goal,
        "notes": recorded.notes,
        "settings": [row(o) for o in outcomes],
        "rank_agreement": [
            {"point": p, "step": recorded.steps[p - 1], "tau": tau} for p, tau in taus.items()
        ],
        "recommended": row(best),
    }
