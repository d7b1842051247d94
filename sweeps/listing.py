"""What `list`, `show` and the component listings print, for people and for machines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gancore.catalogue import Catalogue, Entry
from gancore.config import flatten
from gancore.schema import MISSING, Option
from sweeps import folder
from sweeps.ailments import ailment_table, ailments
from sweeps.bucket import spoken
from sweeps.console import Console, Label
from sweeps.errors import DamagedSweep
from sweeps.receipt import costs, receipt
from sweeps.results import Results
from sweeps.terminal import leaderboard, print_verdict, trial_table, warn
from sweeps.troubles import troubles

_USE = {
    **{
        kind: f"`{key}.name: NAME`, and its options as `{key}.OPTION: VALUE`"
        for kind, key in (
            ("systems", "system"),
            ("losses", "loss"),
            ("penalties", "penalty"),
            ("models", "model"),
            ("datasets", "data"),
        )
    },
    "metrics": "`objective: {metric: NAME}`",
    "features": "`objective: {features: NAME}`",
}
"""How a sweep file says that it wants one of a kind."""


def list_sweeps(storage: Path, *, as_json: bool) -> None:
    """Prints every sweep of a storage folder with its state and its best."""
    rows, damaged = [], []
    for place in folder.every(storage):
        try:
            rows.append(sweep_facts(Results.read(place)))
        except DamagedSweep as error:
            damaged.append({"name": place.name, "state": "damaged", "reason": str(error)})
    if as_json:
        _print_json([*rows, *damaged])
        return
    console = Console(highlight=False)
    if rows:
        console.print(_sweep_table(rows))
    for row in damaged:
        console.print(Text(f"damaged: {row['reason']}"), soft_wrap=True)
    if not rows and not damaged:
        console.print(f"no sweeps in {spoken(storage)}: start one with `gansweep run FILE`")


def _sweep_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """A line a sweep."""
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
        # As wide as it must be: where the screen is narrow, the arm's name takes more lines.
        longest = max(len(heading), *(len(line[number]) for line in lines))
        table.add_column(heading, no_wrap=True, min_width=longest)
    table.add_column(last)
    for *cells, arm in lines:
        table.add_row(*cells, Label(arm))
    return table


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
        more = {"ailments": ill, "costs": spent, "troubles": troubles(results)}
        _print_json({**facts, "trial_results": trials, **more})
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
    warn(results, console)
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
        console.print(_indented(Text(entry.summary, style="dim")))
        if made := dict(flatten(entry.facts.get("preset", {}))):
            words = ", ".join(f"{key} {value}" for key, value in made.items())
            console.print(_indented(Text(f"where nothing else is said: {words}")))
        for option in entry.options.values():
            console.print(_indented(Text(f"{option.name} = {_default(option)}", style="cyan")))
            console.print(_indented(Text(f"{option.takes}. {option.help}".rstrip()), by=4))
    console.print(f"\nin a sweep file: {_USE[kind]}", style="dim")


def _indented(text: Text, by: int = 2) -> Padding:
    """All lines of a text, those too where it is broken."""
    return Padding(text, (0, 0, 0, by), expand=False)


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
