"""`gansweep compare`: what the sweeps answer, in the terminal, as JSON and as a report."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from sweeps import bucket
from sweeps.console import Console, Label
from sweeps.errors import UserError
from sweeps.folder import REPORT
from sweeps.results import Results

if TYPE_CHECKING:
    from sweeps.compare.statistics import Comparison


def write_sweep_report(results: Results) -> Path | None:
    """The report of one sweep in its own folder; None where no trial has a score yet."""
    from sweeps.compare.analysis import analysis
    from sweeps.report import write_report

    if all(r.best is None for r in results.trials.values()):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy's remarks on few numbers; the report says them.
        page = write_report([results], results.folder / REPORT, analysis([results]))
    bucket.of(results.folder).push(page.parent)
    return page


def show_comparison(places: Sequence[Path], out: Path | None, *, as_json: bool) -> None:
    """Compares the arms of one sweep or several and writes their report.

    Sweeps whose data sets all differ are compared by ranks, with a critical-difference diagram; of
    two arms by signed ranks, with a picture of their differences.

    Args:
        out: Folder of the report; None takes the sweep's own, of several a folder `report` here.

    Raises:
        UserError: The scores cannot be compared, or there are none.
    """
    from sweeps.compare.across import of_unlike_data
    from sweeps.compare.analysis import analysis, comparison
    from sweeps.report import write_report
    from sweeps.report.data import shown_trials

    results = [Results.read(place) for place in places]
    for one in results:
        if all(r.best is None for r in one.trials.values()):
            raise UserError(f"sweep {one.folder.name!r} has no scores to compare yet")
    if of_unlike_data(results):
        _show_ranking(results, out or Path(REPORT), as_json=as_json)
        return
    told = analysis(results)
    target = out or (places[0] / REPORT if len(places) == 1 else Path(REPORT))
    page = write_report(results, target, told)
    if target.parent == places[0]:
        bucket.of(places[0]).push(target)
    if as_json:
        print(json.dumps({**told, "report": str(page)}, ensure_ascii=False, allow_nan=False))
        return
    console = Console(highlight=False)
    compared = comparison(results)
    if compared is None:
        console.print(
            "nothing was confirmed, so no arm can be said to beat another: add "
            "`confirm: {top: 1, seeds: 5}` to the sweep file"
        )
    else:
        print_comparison(compared, console)
        named = {arm.label for arm in compared.arms}
        left = dict.fromkeys(s.label for s in shown_trials(results) if s.label not in named)
        if left:
            console.print(Text(f"not confirmed, so not compared: {', '.join(left)}"))
    console.print(Text(str(page), style="dim"), soft_wrap=True)


def _show_ranking(results: Sequence[Results], out: Path, *, as_json: bool) -> None:
    """Of sweeps on unlike data no scores are compared, but the ranks that arms have on each."""
    from sweeps.compare.across import ranking, table_of, write_ranking
    from sweeps.compare.analysis import comparison

    found = ranking(results)
    files = write_ranking(found, out)
    if as_json:
        content = {**found.as_json(), "diagram": str(files[0]), "files": [*map(str, files)]}
        print(json.dumps(content, ensure_ascii=False, allow_nan=False))
        return
    console = Console(highlight=False)
    console.print(Text(found.sentence))
    console.print()
    console.print(table_of(found))
    console.print()
    for one in results:
        compared = comparison([one])
        console.print(Text(compared.sentence if compared else "", style="dim"))
    for file in files:
        console.print(Text(str(file), style="dim"), soft_wrap=True)


def print_comparison(compared: Comparison, console: Console) -> None:
    """The arms on their confirmed seeds, best first, and what may be said of them."""
    from sweeps.compare.verdict import estimate

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("confirmed arm")
    table.add_column("seeds", justify="right", no_wrap=True)
    table.add_column(f"{compared.metric}, mean and 95 %", justify="right", no_wrap=True)
    table.add_column("median", justify="right", no_wrap=True)
    table.add_column("best", justify="right", no_wrap=True)
    for arm in compared.arms:
        table.add_row(
            Label(arm.label),
            str(arm.n),
            estimate(arm.mean) if arm.mean else "none",
            "" if arm.median is None else f"{arm.median:.4g}",
            "" if arm.best is None else f"{arm.best:.4g}",
        )
    console.print(table)
    console.print()
    console.print(Text(compared.sentence, style="bold"))
