"""What a budget buys as a picture: the best score to expect of an arm for what is spent on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sweeps.report.pictures.slide import (
    MOST_ARMS,
    SOFT,
    axis_name,
    colour,
    compared,
    left_out,
    names,
    scale,
    shape,
    slide,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

UNITS = ("trials", "epochs")
ROOMY = 6
"""Names beside curves up to which they may have two lines."""

GAP = 0.062
"""Between two names, as a share of the height."""

MARKS = 8
"""Places of a curve that have its arm's mark."""


def draw(data: Mapping[str, Any]) -> Figure | None:
    """A panel a unit, with bands; each arm's name stands where its curve ends."""
    curves = data["budget"]
    arms = [k for k in compared(data) if data["arms"][k]["label"] in curves]
    known = {
        k: {u: c for u, c in curves[data["arms"][k]["label"]].items() if _known(c)}
        for k in arms[:MOST_ARMS]
    }
    units = [u for u in UNITS if any(len(own[u]["x"]) > 1 for own in known.values() if u in own)]
    if not units:
        return None
    note = data["about"].get("budget", "") + left_out(len(known), len(arms))
    text = (
        f"The best {data['objective']} to expect after this much of the search was spent on an arm."
    )
    figure = slide("What a budget buys", text, note)
    row = figure.subplots(1, len(units), sharey=True, squeeze=False)[0]
    for unit, ax in zip(units, row, strict=True):
        drawn = {k: own[unit] for k, own in known.items() if unit in own}
        for k, curve in drawn.items():
            _curve(ax, k, curve)
        ax.set_xlabel(f"{unit} of the search, per arm")
        ax.grid(axis="y")
        scale(ax, "x", whole=True)
        ax.margins(x=0.01)
    every = [own[u] for own in known.values() for u in units if u in own]
    means, lows, highs = (
        [v for curve in every for v in curve.get(key, ()) if v is not None]
        for key in ("mean", "low", "high")
    )
    scale(row[0], "y", [*means, *highs, *(lows if min(lows, default=0) < 0 else ())])
    if row[0].get_yscale() == "log":  # On which a band has no end that begins at 0.
        row[0].set_ylim(bottom=min(means) / 1.3)
    row[0].set_ylabel(axis_name(data))
    _name_ends(row[-1], drawn, {k: data["arms"][k]["label"] for k in drawn})
    return figure


def _curve(ax: Axes, arm: int, curve: Mapping[str, Sequence[Any]]) -> None:
    band = [
        (x, low, high)
        for x, low, high in zip(*(curve.get(key, ()) for key in ("x", "low", "high")), strict=False)
        if low is not None and high is not None
    ]
    if band:
        xs, lows, highs = zip(*band, strict=True)
        ax.fill_between(xs, lows, highs, color=colour(arm), alpha=0.13, lw=0)
    line = _known(curve)
    every = max(1, -(-len(line) // MARKS))
    ax.plot(
        *zip(*line, strict=True), color=colour(arm), lw=3, marker=shape(arm), ms=8, mec="white",
        markevery=every,
    )  # fmt: skip


def _known(curve: Mapping[str, Sequence[Any]]) -> list[tuple[float, float]]:
    pairs = zip(curve["x"], curve["mean"], strict=True)
    return [(x, mean) for x, mean in pairs if mean is not None]


def _name_ends(
    ax: Axes, curves: Mapping[int, Mapping[str, Sequence[Any]]], labels: Mapping[int, str]
) -> None:
    """Writes each arm's name beside the end of its curve, as near as the other names allow."""
    to_axes = (ax.transData + ax.transAxes.inverted()).transform
    ends = {k: _known(curve)[-1] for k, curve in curves.items()}
    heights = {k: float(to_axes(end)[1]) for k, end in ends.items()}
    roomy = len(curves) <= ROOMY
    short = names([labels[k] for k in curves], *((24, 2) if roomy else (32, 1)))
    told = dict(zip(curves, short, strict=True))
    sizes = {k: GAP * (1 + name.count("\n")) for k, name in told.items()}
    for k, at in spread(heights, sizes).items():
        ax.annotate(
            told[k],
            xy=ends[k],
            xytext=(1.06, at),
            textcoords="axes fraction",
            va="center",
            size=15 if roomy else 11,
            color=colour(k),
            fontweight="bold",
            arrowprops={
                "arrowstyle": "-",
                "color": SOFT,
                "lw": 0.7,
                "shrinkA": 2,
                "shrinkB": 4,
                "relpos": (0, 0.5),
            },
        )


def spread(heights: Mapping[int, float], sizes: Mapping[int, float]) -> dict[int, float]:
    """The middles of boxes that do not overlap, in the order of the heights where each wants to be.

    Boxes that would overlap are stacked, around the middle of where they want to be.
    """
    stacks: list[list[int]] = []

    def bottom(stack: Sequence[int]) -> float:
        wanted = sum(heights[k] for k in stack) / len(stack)
        return wanted - sum(sizes[k] for k in stack) / 2

    for k in sorted(heights, key=heights.__getitem__):
        stacks.append([k])
        while len(stacks) > 1:
            if bottom(stacks[-1]) >= bottom(stacks[-2]) + sum(sizes[j] for j in stacks[-2]):
                break
            stacks[-2:] = [stacks[-2] + stacks[-1]]
    return {
        k: bottom(stack) + sum(sizes[j] for j in stack[:place]) + sizes[k] / 2
        for stack in stacks
        for place, k in enumerate(stack)
    }
