"""The answer as a picture: every arm with its mean, the interval of it, and each confirmed seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from sweeps.report.pictures.slide import (
    FAINT,
    INK,
    MOST_ARMS,
    TEXT,
    axis_name,
    colour,
    compared,
    left_out,
    names,
    number,
    scale,
    shape,
    slide,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROOMY = 8
"""Rows up to which a name may have two lines."""

GOLDEN = 0.618
"""Marks stand apart by it, so that equal scores can be counted."""


def draw(data: Mapping[str, Any]) -> Figure | None:
    """A row an arm, the best on top; None where nothing was confirmed."""
    seeds: dict[int, list[float]] = {}
    for trial in data["trials"]:
        if trial["phase"] == "confirm" and trial["best"] is not None:
            seeds.setdefault(trial["arm"], []).append(trial["best"])
    arms = [k for k in compared(data) if k in seeds]
    if not arms:
        return None
    shown = arms[:MOST_ARMS]
    title, _, text = data["answer"].partition(": ")
    if title.startswith("no "):
        title = title.capitalize() if title.islower() else f"N{title[1:]}"
    told = any(data["arms"][k].get("mean") is not None for k in shown)
    middle = "the stroke their mean" if told else "the stroke their median"
    level = f", the bar its {data['level']:.0%} interval" if told and data["level"] else ""
    note = f"Each mark is a fresh seed of an arm's best point, {middle}{level}."
    figure = slide(title, text, note + left_out(len(shown), len(arms)))
    ax = figure.add_subplot()
    ends = [v for k in shown for v in seeds[k]]
    for row, k in enumerate(shown):
        ends += _row(ax, row, k, data["arms"][k], seeds[k])
    _frame(ax, [data["arms"][k] for k in shown], ends)
    ax.set_xlabel(axis_name(data))
    return figure


def _row(
    ax: Axes, row: int, arm: int, facts: Mapping[str, Any], scores: Sequence[float]
) -> list[float]:
    """Draws an arm; returns the ends of its interval."""
    interval = [facts.get("mean_low"), facts.get("mean_high")]
    mean = facts.get("mean")
    middle = median(scores) if mean is None else mean
    known = [v for v in interval if v is not None] if mean is not None else []
    if len(known) == 2:
        ax.barh(
            row, known[1] - known[0], left=known[0], height=0.52, color=colour(arm), alpha=0.2, lw=0
        )
    ax.plot([middle] * 2, [row - 0.34, row + 0.34], color=colour(arm), lw=4, solid_capstyle="butt")
    reach = min(0.34, 0.06 * len(scores))
    heights = [row + reach * (2 * ((k * GOLDEN) % 1) - 1) for k in range(len(scores))]
    style: dict[str, Any] = {"ms": 9, "mec": "white", "alpha": 0.9, "zorder": 3}
    ax.plot(scores, heights, shape(arm), color=colour(arm), **style)
    figures = facts.get("estimate") or number(float(f"{middle:.4g}"))
    ax.text(
        1.02, row, figures, transform=ax.get_yaxis_transform(), va="center", size=TEXT, color=INK
    )
    return known


def _frame(ax: Axes, arms: Sequence[Mapping[str, Any]], values: Sequence[float]) -> None:
    roomy = len(arms) <= ROOMY
    told = names([arm["label"] for arm in arms], *((26, 2) if roomy else (36, 1)))
    ax.set_yticks(range(len(arms)), told, size=TEXT if roomy else 12, color=INK)
    ax.set_ylim(len(arms) - 0.4, -0.6)
    ax.tick_params("y", length=0)
    ax.spines["left"].set_visible(False)
    ax.set_axisbelow(True)
    ax.grid(axis="x")
    ax.hlines(
        range(len(arms)), 0, 1, transform=ax.get_yaxis_transform(), color=FAINT, lw=1, zorder=0
    )
    scale(ax, "x", values)
    ax.use_sticky_edges = False
    ax.margins(x=0.05)
