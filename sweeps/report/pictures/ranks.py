"""The critical-difference diagram as a picture: average ranks, bars over what is not separable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sweeps.report.pictures.slide import INK, SOFT, colour, names, slide

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BAR, ROW = 0.4, 1.0
"""Heights of a bar and of a name, in the diagram's own measure."""


def draw(ranking: Mapping[str, Any]) -> Figure | None:
    """A ranking's plain values after Demsar 2006, figure 1; the best on the left."""
    arms, sets = ranking["arms"], len(ranking["data_sets"])
    won = not ranking["sentence"].startswith("no winner")
    title = f"{arms[0]} ranks best over {sets} data sets" if won else "No winner"
    text = ranking["sentence"].removeprefix("no winner: ")
    rest = text.removeprefix(f"{title} (average rank {ranking['ranks'][0]:.2f}) and ")
    figure = slide(
        title,
        text if rest == text else f"It {rest}",
        "Average rank over " + ", ".join(ranking["data_sets"]) + "; 1 is the best. Arms under one "
        "bar are not separable (Friedman's test, Nemenyi's critical difference, alpha 0.05).",
    )
    ax = figure.add_subplot()
    last = len(arms)
    ax.set_xlim(1, last)
    bars = 0.6 + BAR * len(ranking["groups"])
    lowest = bars + ROW * (0.5 + (last + 1) // 2)
    ax.set_ylim(lowest, -2.2)
    ax.hlines(0, 1, last, color=INK, lw=2, clip_on=False)
    for tick in range(1, last + 1):
        ax.vlines(tick, -0.14, 0, color=INK, lw=2, clip_on=False)
        ax.text(tick, -0.24, str(tick), ha="center", size=16, color=INK)
    _difference(ax, ranking["critical_difference"], last)
    for k, group in enumerate(ranking["groups"]):
        ends = [ranking["ranks"][arms.index(arm)] for arm in (group[0], group[-1])]
        ax.plot(ends, [0.5 + BAR * k] * 2, color="#55565c", lw=8, zorder=3, clip_on=False)
    for place in range(last):
        _arm(ax, ranking, place, bars)
    ax.set_axis_off()
    return figure


def _difference(ax: Axes, difference: float, last: int) -> None:
    """Its length, above the axis."""
    end = 1 + min(difference, last - 1)
    ax.plot([1, end], [-1.25] * 2, color=SOFT, lw=2, marker="|", ms=12, mew=2, clip_on=False)
    beyond = " (longer than the axis)" if difference > last - 1 else ""
    ax.text(1, -1.5, f"critical difference {difference:.2f}{beyond}", size=14, color=SOFT)


def _arm(ax: Axes, ranking: Mapping[str, Any], place: int, bars: float) -> None:
    arms, rank = ranking["arms"], ranking["ranks"][place]
    on_left = place < (len(arms) + 1) // 2
    row = place if on_left else len(arms) - 1 - place
    height = bars + ROW * (row + 0.5)
    side = 1 if on_left else len(arms)
    ax.plot([rank, rank, side], [0, height, height], color=SOFT, lw=1.2, clip_on=False)
    ax.plot(rank, 0, "o", color=colour(place), ms=11, zorder=4, clip_on=False)
    name = names(arms, 30)[place]
    ax.annotate(
        f"{name}  {rank:.2f}" if on_left else f"{rank:.2f}  {name}",
        (side, height),
        (-8 if on_left else 8, 0),
        textcoords="offset points",
        ha="right" if on_left else "left",
        va="center",
        size=17,
        fontweight="bold" if place == 0 else "normal",
        color=INK,
    )
