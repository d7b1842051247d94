"""The arms of sweeps on several data sets: how they rank over all of them, or which of two wins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from gancore.files import write_atomically
from sweeps.compare.diagram import critical_difference_svg
from sweeps.compare.differences import differences_svg, shown
from sweeps.compare.ranks import Ranking, rank
from sweeps.compare.signed import SignedRanks, signed_ranks
from sweeps.compare.verdict import estimate
from sweeps.console import Label
from sweeps.errors import UserError
from sweeps.report.pictures import write_rank_picture
from sweeps.report.rank_tables import write_rank_tables
from sweeps.results import Results

DIAGRAM = "critical_difference.svg"
DIFFERENCES = "signed_ranks.svg"


def data_of(results: Results) -> str:
    """The data sets of a sweep's trials by name."""
    names = (str(t.config["data"]["name"]) for t in results.plan.trials)
    return ", ".join(dict.fromkeys(names))


def of_unlike_data(results: Sequence[Results]) -> bool:
    """Whether these are sweeps of one question on data sets that all differ."""
    return len(results) > 1 and len(set(map(data_of, results))) == len(results)


def ranking(results: Sequence[Results]) -> Ranking | SignedRanks:
    """The arms over all data sets, by their confirmed seeds on each.

    Three arms or more are ranked; two are compared by signed ranks, since average ranks of two say
    no more than how often either won (Demsar 2006, section 3.1).

    Raises:
        UserError: The sweeps are ranked by unlike scores, or too little has been confirmed.
    """
    objectives = {(one.plan.objective, one.plan.goal) for one in results}
    if len(objectives) > 1:
        told = ", ".join(sorted(f"{name} ({goal})" for name, goal in objectives))
        raise UserError(f"the sweeps are ranked by unlike scores: {told}")
    goal = results[0].plan.goal
    scores = {data_of(one): one.confirmed for one in results}
    found = rank(scores, goal) or signed_ranks(scores, goal)
    if found is None:
        raise UserError(
            "arms are compared over data sets where two of them or more have confirmed seeds on "
            "each: give the sweeps the same arms, and `confirm`"
        )
    return found


def write_ranking(found: Ranking | SignedRanks, folder: Path) -> list[Path]:
    """The comparison as a picture of its own; of ranks a slide, CSV and LaTeX as well."""
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(found, SignedRanks):
        path = folder / DIFFERENCES
        write_atomically(path, differences_svg(found).encode())
        return [path]
    path = folder / DIAGRAM
    write_atomically(path, critical_difference_svg(found).encode())
    told = found.as_json()
    return [path, *write_rank_picture(told, folder), *write_rank_tables(told, folder)]


def table_of(found: Ranking | SignedRanks) -> Table:
    """What the sentence rests on: average ranks, or the two arms on each data set."""
    return _rank_table(found) if isinstance(found, Ranking) else _signed_table(found)


def _signed_table(found: SignedRanks) -> Table:
    """Data sets with the means of both arms, their difference and its rank."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("data set", no_wrap=True)
    for heading in (*found.arms, f"{found.arms[0]} better by", "rank"):
        table.add_column(heading, justify="right", no_wrap=True)
    for i, (data, means) in enumerate(zip(found.data_sets, found.means, strict=True)):
        cells = (*(f"{mean:.4g}" for mean in means), shown(found, i), f"{found.ranks[i]:g}")
        table.add_row(data, *cells)
    return table


def _rank_table(found: Ranking) -> Table:
    """Arms by average rank, 1 the best on every data set."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("arm")
    table.add_column("average rank", justify="right", no_wrap=True)
    table.add_column("score over the mean of all arms", justify="right", no_wrap=True)
    for arm, average, relative in zip(found.arms, found.ranks, found.relative, strict=True):
        table.add_row(Label(arm), f"{average:.2f}", estimate(relative) if relative else "")
    return table
