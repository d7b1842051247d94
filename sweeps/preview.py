"""What `gansweep plan` shows of a sweep that has not begun."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from sweeps import preflight
from sweeps.console import Console
from sweeps.estimate import ArmCost, Estimate, Estimator, Fit, arm_needs
from sweeps.forecast import forecast
from sweeps.needs import told
from sweeps.plan import Plan, make_plan
from sweeps.receipt import clock
from sweeps.shares.decision import undecided
from sweeps.shares.measure import asked, cpus_here, shares
from sweeps.spec import SweepSpec

if TYPE_CHECKING:
    from sweeps.probe import Probe

_TRIALS = 40
"""Trials that are listed for people."""


def show_plan(spec: SweepSpec, *, with_probe: bool, as_json: bool) -> None:
    """Prints trials, arms, rungs and the epochs to expect; with a probe, hours and disk too.

    Raises:
        GansweepError: An arm cannot run, or none can on this machine; all else has been printed.
    """
    plan = make_plan(spec)
    facts = forecast(plan)
    measured, estimate = None, None
    if with_probe:
        from sweeps.probe import probe

        if plan.resources.auto and preflight.gpus():
            plan = replace(plan, shares=shares(asked(plan, spec.folder), cpus_here()))
        measured = probe(plan, spec.folder)
        estimate = Estimator(plan, measured.arms, measured.room).estimate()
        facts["shares"] = dict(plan.shares)
        facts["probe"] = _probe_json(plan, measured, estimate)
    if as_json:
        content = {**facts, "trials": [vars(trial) for trial in plan.trials]}
        print(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        _print(plan, facts, measured, estimate)
    preflight.raise_all(preflight.troubles(plan))
    if measured and measured.troubles:
        worst = max(measured.troubles.values(), key=lambda trouble: trouble.exit_code)
        raise type(worst)("\n".join(map(str, measured.troubles.values())))


def _print(
    plan: Plan, facts: Mapping[str, Any], measured: Probe | None, estimate: Estimate | None
) -> None:
    console = Console(highlight=False)
    better = "lower" if plan.goal == "min" else "higher"
    console.print(
        f"[bold]{plan.name}[/bold]  {facts['trial_count']} trials in "
        f"{len(facts['arms'])} arms, by {plan.objective} ({better} is better)"
    )
    _print_schedule(plan, facts, console)
    if plan.confirm:
        console.print(
            f"then the best {plan.confirm.top} of each arm on {plan.confirm.seeds} fresh seeds: "
            f"{plan.confirmations} trials to the end"
        )
    if measured_first := undecided(plan):
        trials = ", ".join(trial.uid for trial in measured_first.values())
        console.print(Text(f"a trial's share of a GPU is measured when the sweep begins: {trials}"))
    if plan.resources.of or plan.shares:
        console.print(Text(f"a trial is given {told(plan.kinds())}"))
    if measured and estimate and measured.arms:
        _print_probe(plan, measured, estimate, console)
    elif plan.budget.hours or plan.budget.gpu_hours:
        console.print("--probe tells whether the budget suffices")
    for misfit in preflight.misfits(plan):
        console.print(Text(str(misfit), style="yellow"))
    console.print()
    console.print(_trials(plan, console))
    if len(plan.trials) > _TRIALS:
        console.print(f"... and {len(plan.trials) - _TRIALS} more (--json lists all)")


def _print_schedule(plan: Plan, facts: Mapping[str, Any], console: Console) -> None:
    if not facts["rungs"]:
        console.print(f"no early stopping: {facts['epochs']} epochs will be trained")
        return
    rungs = ", ".join(map(str, facts["rungs"]))
    if plan.search.method == "pbt":
        console.print(
            f"one population an arm, its worst replaced at epochs {rungs}: "
            f"{facts['epochs']} epochs will be trained"
        )
        return
    console.print(f"asha within {plan.schedule.within}, rungs at epochs {rungs}")
    for later in facts["brackets"][1:]:
        places = ", ".join(map(str, later)) or "none: trained whole"
        console.print(f"  another bracket, rungs at {places}")
    console.print(
        f"about {facts['expected_epochs']:.0f} of {facts['epochs']} epochs will be trained"
    )


def _print_probe(plan: Plan, measured: Probe, estimate: Estimate, console: Console) -> None:
    stopping = plan.stops
    console.print()
    console.print(_totals(measured, estimate, stopping=stopping))
    console.print()
    console.print(_arms(measured, estimate, stopping=stopping))
    console.print()
    side, counts = "1 trial at a time", sorted(_at_once(plan, measured))
    if counts[-1] > 1:
        many = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
        side = f"{many} trials at once, timed one by one (side by side is slower)"
    console.print(f"on this {measured.device}: {side}", style="dim")
    if any(needs.gpu for needs in plan.kinds()) and measured.device == "cpu":
        console.print("there is no GPU here: the hours are those of its CPU", style="yellow")
    for fit in estimate.budget:
        console.print(Text(_fit(fit), style="" if fit.fits else "yellow"))


def _totals(measured: Probe, estimate: Estimate, *, stopping: bool) -> RenderableType:
    """What the sweep costs: a row a cost, a column with early stopping and one without."""
    costs = [estimate.expected, estimate.whole] if stopping else [estimate.whole]
    confirming = bool(estimate.whole.confirm_epochs)
    rows = [
        ("epochs", [f"{cost.epochs:.0f}" for cost in costs]),
        (estimate.unit, [_short(cost.hours) for cost in costs]),
        ("wall time", [clock(cost.wall_seconds) for cost in costs]),
        *([("  of that, confirming", [clock(c.confirm_seconds) for c in costs])] * confirming),
        ("checkpoints, at most", [decimal(round(cost.checkpoint_bytes)) for cost in costs]),
        ("sample grids", [decimal(round(cost.grid_bytes)) for cost in costs]),
    ]
    table = _table()
    table.add_column("the arms that can run" if measured.troubles else "the sweep", no_wrap=True)
    for heading in ("with early stopping", "without") if stopping else ("no early stopping",):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading, cells in rows:
        table.add_row(heading, *cells)
    return table


def _arms(measured: Probe, estimate: Estimate, *, stopping: bool) -> RenderableType:
    """What each arm costs, with early stopping and, after `of`, without."""
    table = _table()
    table.add_column("arm", overflow="fold")
    for heading in ("s an epoch", "epochs", estimate.unit):
        table.add_column(heading, justify="right", no_wrap=True)
    for label, cost in estimate.arms.items():
        epochs, hours = f"{cost.all_epochs:.0f}", _short(cost.all_hours)
        if stopping:
            epochs, hours = f"{cost.epochs:.0f} of {epochs}", f"{_short(cost.hours)} of {hours}"
        table.add_row(label, _epoch(cost), epochs, hours)
    for label in measured.troubles:
        table.add_row(label, Text("cannot run", style="red"))
    return table


def _table() -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")


def _epoch(cost: ArmCost) -> str:
    """The seconds of an epoch; of networks that grow, from the cheapest to the dearest."""
    low, high = (_short(bound(cost.epoch_seconds)) for bound in (min, max))
    return low if low == high else f"{low} to {high}"


def _short(value: float) -> str:
    """Three digits, but neither a power of ten nor a digit too few before the point."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 0.01 else f"{value:.4f}"


def _fit(fit: Fit) -> str:
    verdict = "suffices" if fit.fits else "does not suffice"
    cut = "" if fit.fits else ", the search is cut"
    return (
        f"budget of {fit.limit:g} {fit.unit} {verdict}: about {_short(fit.expected)} expected{cut}"
    )


def _trials(plan: Plan, console: Console) -> Table:
    """A column a varied key; where there is no room for so many, all in one, by name."""
    varied = sorted({k for t in plan.trials for k in t.varied if k not in plan.scientific})
    wide, narrow = _table(), _table()
    for table in (wide, narrow):
        for heading in ("trial", "seed"):
            table.add_column(heading, no_wrap=True)
    for key in varied:
        wide.add_column(key.replace(".", ".\n"), justify="right", no_wrap=True)
    narrow.add_column("with", overflow="fold")
    for t in plan.trials[:_TRIALS]:
        cells = {k: _cell(t.varied[k]) for k in varied if k in t.varied}
        wide.add_row(t.uid, str(t.seed), *(cells.get(key, "") for key in varied))
        narrow.add_row(t.uid, str(t.seed), ", ".join(f"{k}={cell}" for k, cell in cells.items()))
    unbounded = console.options.update(max_width=10_000)
    fits = console.measure(wide, options=unbounded).maximum <= console.width
    return wide if fits else narrow


def _cell(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _at_once(plan: Plan, measured: Probe) -> list[int]:
    """Of each arm how many trials this machine runs side by side, were there no other arms."""
    return [measured.room.at_once(needs) for needs in arm_needs(plan).values()]


def _probe_json(plan: Plan, measured: Probe, estimate: Estimate) -> dict[str, Any]:
    return {
        "device": measured.device,
        "at_once": min(_at_once(plan, measured)),
        "unit": estimate.unit,
        "with_early_stopping": asdict(estimate.expected),
        "without_early_stopping": asdict(estimate.whole),
        "arms": {
            label: {**asdict(cost), "stages": [s._asdict() for s in measured.arms[label].stages]}
            for label, cost in estimate.arms.items()
        },
        "budget": [{**asdict(fit), "fits": fit.fits} for fit in estimate.budget],
        "troubles": {label: str(trouble) for label, trouble in measured.troubles.items()},
    }
