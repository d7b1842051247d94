"""The critical-difference diagram: average ranks on a line, and bars over what is not separable."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sweeps.compare.ranks import Ranking
from sweeps.compare.svg import LETTER, ROW, line, short, text, wrapped

BAR = 10
MOST = 0.34
"""Share of the width that the names of one side may have."""


def critical_difference_svg(ranking: Ranking, width: int = 720) -> str:
    """The ranking as SVG text (after Demsar 2006, figure 1); best on the left.

    It takes the colour of the text around it, so that it suits light and dark pages. Labels are
    escaped.
    """
    arms = len(ranking.arms)
    middle = math.ceil(arms / 2)
    names = short(ranking.arms, width * MOST)
    left = _margin(names[:middle])
    right = width - _margin(names[middle:])

    def x(rank: float) -> float:
        return left + (rank - 1) * (right - left) / (arms - 1)

    axis = 58
    first_bar = axis + 16
    labels = first_bar + BAR * len(ranking.groups) + 16
    height = labels + ROW * middle
    parts = [*_scale(ranking, left, x(2) - left, axis)]
    for number, group in enumerate(ranking.groups):
        ends = [x(ranking.ranks[ranking.arms.index(a)]) for a in (group[0], group[-1])]
        y = first_bar + BAR * number
        parts.append(line(ends[0] - 4, y, ends[1] + 4, y, 5))
    for number, (arm, rank) in enumerate(zip(ranking.arms, ranking.ranks, strict=True)):
        on_left = number < middle
        y = labels + ROW * (number if on_left else arms - 1 - number)
        edge, towards = (left - 8, -4) if on_left else (right + 8, 4)
        label = f"{names[number]}  {rank:.2f}" if on_left else f"{rank:.2f}  {names[number]}"
        parts += [line(x(rank), axis, x(rank), y, 1), line(x(rank), y, edge, y, 1)]
        parts.append(text(edge + towards, y + 4, label, "end" if on_left else "start", arm))
    return wrapped(ranking.sentence, parts, width, height)


def _scale(ranking: Ranking, left: float, step: float, y: float) -> list[str]:
    """The axis with its ticks, and above it the length of the critical difference."""
    arms = len(ranking.arms)
    parts = [line(left, y, left + step * (arms - 1), y, 1.5)]
    for rank in range(1, arms + 1):
        at = left + step * (rank - 1)
        parts += [line(at, y - 5, at, y, 1.5), text(at, y - 9, str(rank), "middle")]
    length = min(ranking.critical_difference, arms - 1) * step
    beyond = " (longer than the axis)" if ranking.critical_difference > arms - 1 else ""
    told = f"critical difference {ranking.critical_difference:.2f}{beyond}"
    top = y - 34
    return [
        *parts,
        line(left, top, left + length, top, 1.5),
        line(left, top - 4, left, top + 4, 1.5),
        line(left + length, top - 4, left + length, top + 4, 1.5),
        text(left, top - 8, told, "start"),
    ]


def _margin(names: Sequence[str]) -> float:
    """Room for the names of one side and their ranks."""
    return 12 + LETTER * (6 + max(map(len, names)))
