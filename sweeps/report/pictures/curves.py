"""The learning curves as a picture: a panel an arm, a line a trial, and where each was ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sweeps.report.pictures.slide import (
    INK,
    axis_name,
    colour,
    grid_of,
    left_out,
    name_panels,
    name_sides,
    panels,
    scale,
    shape,
    slide,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 12
CROWD = 30
"""Lines of a panel from which on they are drawn fainter."""

LOW = 2
"""Rows of panels from which on more leave little height to each."""

STEEP = 4.0
"""Largest over smallest score from which on they are drawn by their logarithm."""

FELL = ("diverged", "failed")


def draw(data: Mapping[str, Any]) -> Figure | None:
    """The best so far of every trial; None where no trial has a score."""
    lines: dict[int, list[tuple[Mapping[str, Any], list[tuple[int, float]]]]] = {}
    for trial in data["trials"]:
        line = list(_best_so_far(trial, data["goal"]))
        if line:
            lines.setdefault(trial["arm"], []).append((trial, line))
    if not lines:
        return None
    arms = sorted(lines, key=lambda k: data["arms"][k]["rank"])
    shown = arms[:MOST_PANELS]
    trials = [t for own in lines.values() for t, _ in own]
    stopped = sum(t["state"] == "stopped" for t in trials)
    fell = sum(t["state"] in FELL for t in trials)
    best = "best fresh seed" if any(t["phase"] == "confirm" for t in trials) else "best"
    figure = slide(
        "How the arms learn",
        f"Best {data['objective']} so far, a line a trial, each arm's {best} in bold."
        + _told(len(trials), stopped, fell),
        _marks(stopped, fell, dashed=best != "best") + left_out(len(shown), len(arms)),
    )
    axes = panels(figure, len(shown))
    for k, ax in zip(shown, axes, strict=True):
        _panel(ax, k, lines[k], data)
    name_panels(axes, [data["arms"][k]["label"] for k in shown], [colour(k) for k in shown])
    scores = [score for k in shown for _, line in lines[k] for _, score in line]
    scale(axes[0], "y", scores, wide=STEEP, low=grid_of(len(axes))[1] > LOW)
    scale(axes[0], "x", whole=True)
    if max(epoch for own in lines.values() for _, line in own for epoch, _ in line) == 1:
        axes[0].set_xlim(0.5, 1.5)
    name_sides(figure, "epoch", axis_name(data))
    return figure


def _told(trials: int, stopped: int, fell: int) -> str:
    if stopped:
        more = f", {fell} diverged or failed" if fell else ""
        return f" The schedule stopped {stopped} of {trials} trials{more}."
    return f" {fell} of {trials} diverged or failed." if fell else ""


def _marks(stopped: int, fell: int, *, dashed: bool) -> str:
    """How to read what is drawn beside the lines, of which nothing is told that is not there."""
    told = [
        *(["\u2a2f stopped by the schedule"] if stopped else []),
        *(["\u25b2 diverged or failed"] if fell else []),
        *(["dashed: trained again on a fresh seed"] if dashed else []),
    ]
    return ",  ".join(told) + "." if told else ""


def _best_so_far(trial: Mapping[str, Any], goal: str) -> Iterator[tuple[int, float]]:
    """A network that grew starts anew, for its pictures are others."""
    better = min if goal == "min" else max
    stages = trial.get("stages") or [0] * len(trial["epochs"])
    best, before = None, None
    for epoch, score, stage in zip(trial["epochs"], trial["scores"], stages, strict=True):
        if stage != before:
            best, before = None, stage
        if score is not None:
            best = score if best is None else better(best, score)
        if best is not None:
            yield epoch, best


def _panel(
    ax: Axes,
    arm: int,
    lines: Sequence[tuple[Mapping[str, Any], list[tuple[int, float]]]],
    data: Mapping[str, Any],
) -> None:
    sign = 1 if data["goal"] == "min" else -1
    confirming = any(t["phase"] == "confirm" for t, _ in lines)
    bold, _ = min(
        (pair for pair in lines if not confirming or pair[0]["phase"] == "confirm"),
        key=lambda pair: sign * pair[0]["best"],
    )
    crowd = len(lines) > CROWD
    for trial, line in lines:
        epochs, scores = zip(*line, strict=True)
        best = trial is bold
        again = trial["phase"] == "confirm" and not best
        ax.plot(
            epochs,
            scores,
            color=colour(arm),
            lw=3.5 if best else 1.3,
            alpha=1 if best else 0.25 if crowd else 0.5,
            ls=(0, (3, 2)) if again else "-",
            zorder=4 if best else 2,
        )
        mark = "x" if trial["state"] == "stopped" else "^" if trial["state"] in FELL else ""
        if not mark and len(line) == 1:  # Which is no line yet.
            ax.plot(epochs, scores, shape(arm), color=colour(arm), ms=10 if best else 7, zorder=4)
        ax.plot(
            epochs[-1], scores[-1], mark, color=INK, ms=5 if crowd else 7, mew=1.6, zorder=5,
            alpha=0.5 if crowd else 0.85, clip_on=False,
        )  # fmt: skip
    ax.grid(axis="y")
