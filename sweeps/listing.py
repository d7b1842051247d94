"""What `plan`, `list`, `show` and the component listings print, for people and for machines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gancore.catalogue import KINDS, Catalogue, Entry
from gancore.config import flatten
from gancore.schema import MISSING, Option
from sweeps import folder
from sweeps.ailments import ailment_table, ailments
from sweeps.forecast import forecast
from sweeps.plan import Plan, make_plan
from sweeps.receipt import clock, costs, receipt
from sweeps.results import Results
from sweeps.spec import SweepSpec
from sweeps.terminal import leaderboard, print_verdict, trial_table

if TYPE_CHECKING:
    from sweeps.probe import Probe


def show_plan(spec: SweepSpec, *, with_probe: bool, as_json: bool) -> None:
    """Prints trials, arms, rungs and the epochs to expect; with a probe, time and disk too."""
    plan = make_plan(spec)
    facts = forecast(plan)
    measured = _probe(plan, spec) if with_probe else None
    if measured:
        facts["probe"] = vars(measured)
    if as_json:
        _print_json({**facts, "trials": [vars(t) for t in plan.trials]})
        return
    console = Console(highlight=False)
    console.print(
        f"[bold]{plan.name}[/bold]  {facts['trial_count']} trials in "
        f"{len(facts['arms'])} arms, objective {plan.objective} ({plan.goal})"
    )
    _print_schedule(plan, facts, console)
    if plan.confirm:
        console.print(
            f"then the best {plan.confirm.top} of each arm on {plan.confirm.seeds} fresh seeds: "
            f"{plan.confirmations} trials to the end"
        )
    if measured:
        _print_probe(measured, console)
    console.print()
    varied = sorted({k for t in plan.trials for k in t.varied if k not in plan.scientific})
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("trial", "seed"):
        table.add_column(heading, no_wrap=True)
    for key in varied:
        table.add_column(key.replace(".", ".\n"), justify="right", no_wrap=True)
    for t in plan.trials[:40]:
        cells = (t.varied.get(k, "") for k in varied)
        table.add_row(
            t.uid,
            str(t.seed),
            *(f"{c:.3g}" if isinstance(c, float) else str(c) for c in cells),
        )
    console.print(table)
    if len(plan.trials) > 40:
        console.print(f"... and {len(plan.trials) - 40} more (--json lists all)")


def _print_schedule(plan: Plan, facts: Mapping[str, Any], console: Console) -> None:
    rungs = ", ".join(map(str, facts["rungs"]))
    if plan.search.method == "pbt":
        console.print(
            f"a population an arm, its worst replaced at epochs {rungs}: {facts['epochs']} epochs "
            "will be trained"
        )
    elif rungs:
        console.print(f"asha within {plan.schedule.within}, rungs at epochs {rungs}")
        for later in facts["brackets"][1:]:
            places = ", ".join(map(str, later)) or "none: trained whole"
            console.print(f"  another bracket, rungs at {places}")
        console.print(
            f"about {facts['expected_epochs']:.0f} of {facts['epochs']} epochs will be trained"
        )
    else:
        console.print(f"no early stopping: {facts['epochs']} epochs will be trained")


def _probe(plan: Plan, spec: SweepSpec) -> Probe:
    from sweeps.probe import probe

    return probe(plan, spec.folder)


def _print_probe(measured: Probe, console: Console) -> None:
    each = ", ".join(f"{arm} {seconds:.1f} s" for arm, seconds in measured.epoch_seconds.items())
    console.print(f"an epoch on this machine ({measured.device}): {each}")
    console.print(
        f"about {clock(measured.seconds)} with {measured.at_once} trials at once, "
        f"and {measured.megabytes:.0f} MB in the storage folder"
    )


def list_sweeps(storage: Path, *, as_json: bool) -> None:
    """Prints every sweep of a storage folder with its state and its best."""
    rows = [sweep_facts(Results.read(place)) for place in folder.every(storage)]
    if as_json:
        _print_json(rows)
        return
    console = Console(highlight=False)
    if not rows:
        console.print(f"no sweeps in {storage}: start one with `gansweep run FILE`")
        return
    lines = [
        (
            row["name"],
            row["state"],
            f"{row['ended']}/{row['trials']}",
            f"{row['epochs_done']}/{row['epochs_planned']}",
            "" if row["best"] is None else f"{row['objective']} {row['best']:.4g}",
            row["arm"] or "",
        )
        for row in rows
    ]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    *headings, last = ("sweep", "state", "trials", "epochs", "best", "arm")
    for number, heading in enumerate(headings):
        # As wide as it must be: what is missing on a narrow screen, the arm's name gives up.
        longest = max(len(heading), *(len(line[number]) for line in lines))
        table.add_column(heading, no_wrap=True, min_width=longest)
    table.add_column(last, no_wrap=True)
    for line in lines:
        table.add_row(*line)
    console.print(table)


def show_sweep(place: Path, *, as_json: bool) -> None:
    """Prints a sweep's leaderboard and all of its trials."""
    results = Results.read(place)
    facts = sweep_facts(results)
    if as_json:
        trials = [
            {
                "uid": r.trial.uid,
                "arm": r.trial.arm,
                "draw": r.trial.draw,
                "seed": r.trial.seed,
                "source": r.trial.source,
                "begins": r.trial.begins,
                "varied": r.trial.varied,
                "state": r.state,
                "verdict": r.verdict,
                "reason": r.reason,
                "epochs": r.epoch,
                "best": r.best,
                "best_epoch": r.best_epoch,
                "passport": r.starts[-1]["passport"] if r.starts else None,
            }
            for r in results.trials.values()
        ]
        ill = [vars(ailment) for ailment in ailments(results)]
        spent = [vars(cost) for cost in costs(results)]
        _print_json({**facts, "trial_results": trials, "ailments": ill, "costs": spent})
        return
    console = Console(highlight=False)
    console.print(
        f"[bold]{facts['name']}[/bold]  {facts['state']}  {facts['ended']}/{facts['trials']} "
        f"trials  {facts['epochs_done']} of {facts['epochs_planned']} epochs"
    )
    starts = [s for r in results.trials.values() for s in r.starts]
    if starts:
        passport = starts[0]["passport"]
        console.print(Text(protocol(passport), style="dim"))
    console.print()
    console.print(leaderboard(results))
    console.print()
    print_verdict(results, console)
    console.print(receipt(results))
    console.print()
    ranked = sorted(results.trials.values(), key=lambda r: r.rank_key)
    console.print(trial_table(results, ranked))
    if found := ailments(results):
        console.print()
        console.print(ailment_table(found))


def protocol(passport: Mapping[str, Any]) -> str:
    """A score's passport in one sentence; `--json` has it in full."""
    p = passport
    accuracy = f", accuracy {p['accuracy']:.3f}" if p["accuracy"] is not None else ""
    return (
        f"{p['metric']}: {p['generated']} generated by {p['weights']} weights against {p['real']} "
        f"real of {p['data_name']} {p['split']} ({p['data'][:12]}, {p['resolution']}x"
        f"{p['resolution']}x{p['channels']}), features {p['features']} "
        f"({p['features_digest'][:12]}{accuracy})"
    )


def sweep_facts(results: Results) -> dict[str, Any]:
    """A sweep in one row."""
    best = results.best
    state = results.state
    if state == "running" and not folder.is_owned(results.folder):
        state = "interrupted"  # Its process died without a word.
    return {
        "name": results.folder.name,
        "state": state,
        "objective": results.plan.objective,
        "trials": len(results.trials),
        "ended": sum(r.ended for r in results.trials.values()),
        "epochs_done": results.epochs_done,
        "epochs_planned": results.epochs_planned,
        "best": best.best if best else None,
        "arm": best.trial.arm if best else None,
        "best_trial": best.trial.uid if best else None,
    }


def list_components(kind: str, *, as_json: bool) -> None:
    """Prints the registered components of a kind with options, defaults and sources."""
    entries = Catalogue.read()[kind]
    if as_json:
        _print_json({name: _entry_json(entry) for name, entry in sorted(entries.items())})
        return
    console = Console(highlight=False)
    for name, entry in sorted(entries.items()):
        console.print(Text(name, style="bold"))
        console.print(Text(f"  {entry.summary}", style="dim"))
        if made := dict(flatten(entry.facts.get("preset", {}))):
            words = ", ".join(f"{key} {value}" for key, value in made.items())
            console.print(Text(f"  where nothing else is said: {words}"))
        for option in entry.options.values():
            console.print(
                Text(f"  {option.name} = {_default(option)}", style="cyan").append(
                    f"   {option.takes}. {option.help}".rstrip(), style="default"
                )
            )
    if kind == "losses":
        console.print(
            f"\nuse in a sweep file as `{KINDS[kind]}.name: NAME`, options as "
            f"`{KINDS[kind]}.OPTION: VALUE`",
            style="dim",
        )


def _entry_json(entry: Entry) -> dict[str, Any]:
    options = {
        o.name: {
            "takes": o.takes,
            "default": None if o.default is MISSING else o.default,
            "required": o.default is MISSING,
            "help": o.help,
        }
        for o in entry.options.values()
    }
    return {"summary": entry.summary, "options": options, "facts": entry.facts}


def _default(option: Option) -> str:
    return "required" if option.default is MISSING else str(option.default)


def _print_json(content: Any) -> None:
    print(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))
