"""How arms rank over several data sets, as CSV for machines and as LaTeX for papers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweeps.report.tables import as_csv, figure, interval, latex, tabular, write


def write_rank_tables(ranking: Mapping[str, Any], folder: Path) -> list[Path]:
    """Writes `ranks.csv` and `ranks.tex` into a folder.

    Args:
        ranking: The plain values of a `sweeps.compare.ranks.Ranking`.
    """
    return [
        write(folder / "ranks.csv", ranks_csv(ranking)),
        write(folder / "ranks.tex", ranks_latex(ranking)),
    ]


def ranks_csv(ranking: Mapping[str, Any]) -> str:
    """A row an arm: its mean score and rank on each data set, and over all of them."""
    sets = ranking["data_sets"]
    head = ["arm", *(f"{what} {name}" for name in sets for what in ("mean", "rank"))]
    pairs = [*zip(ranking["means"], ranking["places"], strict=True)]
    rows = [
        [
            arm,
            *(row[k] for pair in pairs for row in pair),
            ranking["ranks"][k],
            *((relative or {}).get(key, "") for key in ("value", "low", "high")),
        ]
        for k, (arm, relative) in enumerate(zip(ranking["arms"], ranking["relative"], strict=True))
    ]
    return as_csv([*head, "average_rank", "relative", "relative_low", "relative_high"], rows)


def ranks_latex(ranking: Mapping[str, Any]) -> str:
    """For `booktabs`: mean score and, in brackets, rank; the best of each column in bold."""
    sets = ranking["data_sets"]
    head = ["arm", *map(latex, sets), "average rank", "relative score"]
    rows = []
    for k, arm in enumerate(ranking["arms"]):
        scores = [
            _bold(f"{figure(means[k])} ({places[k]:g})", places[k] == min(places))
            for means, places in zip(ranking["means"], ranking["places"], strict=True)
        ]
        average = _bold(f"{ranking['ranks'][k]:.2f}", ranking["ranks"][k] == min(ranking["ranks"]))
        relative = ranking["relative"][k]
        told = f"{figure(relative['value'])} {interval(relative)}" if relative else "--"
        rows.append([latex(arm), *scores, average, told])
    return tabular("l" + "r" * (len(head) - 1), head, rows)


def _bold(text: str, best: bool) -> str:
    return rf"\textbf{{{text}}}" if best else text
