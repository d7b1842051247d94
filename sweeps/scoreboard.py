"""What `gansweep evaluate` prints, and the word to MLflow that goes with it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from sweeps import tracking
from sweeps.console import Console
from sweeps.errors import EnvironmentTrouble
from sweeps.evaluation import Asked, Evaluated, evaluate
from sweeps.listing import protocol
from sweeps.results import Results
from sweeps.tracking.address import check_uri


def show_evaluation(
    place: Path,
    uid: str | None,
    epoch: int | None,
    asked: Asked,
    *,
    tracking_uri: str | None,
    as_json: bool,
) -> None:
    """Evaluates a checkpoint, prints what was found, and lets MLflow know.

    MLflow need not be there: the evaluation is on disk, and `gansweep sync` sends it later.

    Raises:
        UserError: See `evaluate`; or the address cannot be a tracking store's.
        EnvironmentTrouble: See `evaluate`.
    """
    uri = tracking_uri or tracking.default_uri(place.parent)
    check_uri(uri)
    with Console(stderr=True).status("drawing pictures and scoring them ..."):
        found = evaluate(place, uid, epoch, asked)
    if as_json:
        content = {**found.facts, "file": str(found.path)}
        print(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        _print(found, Results.read(place), Console(highlight=False))
    try:
        tracking.sync(place, uri)
    except EnvironmentTrouble as trouble:
        print(f"warning: {trouble}; later: gansweep sync {place.name}", file=sys.stderr)


def _print(found: Evaluated, results: Results, console: Console) -> None:
    facts = found.facts
    result, epoch = results.trials[facts["trial"]], facts["epoch"]
    then = {p.epoch: p.values.get(result.objective) for p in result.points}.get(epoch)
    trained = "" if then is None else f"  ({result.objective} {then:.4g} while it trained)"
    console.print(Text(facts["trial"], style="bold").append(f"  epoch {epoch}{trained}", "default"))
    console.print(Text(protocol(facts["passport"]).partition(": ")[2], style="dim"))
    console.print()
    console.print(scoreboard(facts))
    console.print()
    console.print(Text(_about_reference(facts), style="dim"))
    console.print(Text(str(found.path), style="dim"), soft_wrap=True)


def scoreboard(facts: dict[str, Any]) -> Table:
    """A row a score: value, interval, which way is better, and what real pictures score."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("score", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column(f"{facts['level']:.0%} interval", justify="right", no_wrap=True)
    table.add_column("better", no_wrap=True)
    table.add_column("real pictures", justify="right", no_wrap=True)
    for name, row in facts["scores"].items():
        known = row.get("low") is not None and row["high"] is not None
        interval = f"{row['low']:.4g} .. {row['high']:.4g}" if known else ""
        table.add_row(
            name,
            _number(row["value"]),
            interval,
            {"min": "lower", "max": "higher"}.get(row["goal"], ""),
            _number(row["reference"]) if "reference" in row else "",
        )
    return table


def _about_reference(facts: dict[str, Any]) -> str:
    """What the last two columns mean, and what keeps the last from being the same measurement."""
    pictures, split = facts["reference"]["pictures"], facts["reference"]["split"]
    generated = facts["passport"]["generated"]
    text = (
        f"real pictures: the same scores of {pictures} pictures of the {split} split, which is "
        "about the best that a generator can hope for"
    )
    if pictures < generated:
        text += (
            f"; of {pictures} pictures, not {generated}, most scores come out worse: "
            f"--samples {pictures} compares like with like"
        )
    return f"{text}\ninterval: of drawing other pictures, not of training again"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"
