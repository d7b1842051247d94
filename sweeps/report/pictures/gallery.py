"""Which pictures there are, and how they come into a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeps.report.pictures import answer, budget, curves, importance, ranks, verdicts
from sweeps.report.pictures.slide import keep, look

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Draw = Callable[[Mapping[str, Any]], "Figure | None"]

PICTURES = "pictures"
"""Their folder, in the report's."""

DRAWN: dict[str, Draw] = {
    "answer": answer.draw,
    "budget": budget.draw,
    "curves": curves.draw,
    "importance": importance.draw,
    "verdicts": verdicts.draw,
}
"""Each by the name of its file, in the order of the page."""

RANKS: dict[str, Draw] = {"ranks": ranks.draw}
"""What there is to draw of sweeps on several data sets."""


def write_pictures(data: Mapping[str, Any], report: Path) -> list[Path]:
    """Draws what there is something to show of; a picture of an earlier report goes if it has not.

    Args:
        data: As `report_data` returns it.
        report: The report's folder.

    Returns:
        The pictures that were written.
    """
    return _written(DRAWN, data, report)


def write_rank_picture(ranking: Mapping[str, Any], report: Path) -> list[Path]:
    """The critical-difference diagram of a ranking, given as plain values."""
    return _written(RANKS, ranking, report)


def _written(drawn: Mapping[str, Draw], data: Mapping[str, Any], report: Path) -> list[Path]:
    paths = []
    for name, draw in drawn.items():
        path = report / PICTURES / f"{name}.png"
        with look():
            figure = draw(data)
            if figure is None:
                path.unlink(missing_ok=True)
                continue
            keep(figure, path)
        paths.append(path)
    return paths
