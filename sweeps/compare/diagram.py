"""The critical-difference diagram: average ranks on a line, and bars over what is not separable."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

from sweeps.compare.ranks import Ranking

ROW = 22
BAR = 10
FONT = 13
LETTER = 0.56 * FONT


def critical_difference_svg(ranking: Ranking, width: int = 720) -> str:
    """The ranking as SVG text (after Demsar 2006, figure 1); best on the left.

    It takes the colour and the font of the text around it, so that it suits light and dark pages.
    Labels are escaped.
    """
    arms = len(ranking.arms)
    middle = math.ceil(arms / 2)
    left = _margin(ranking.arms[:middle], width)
    right = width - _margin(ranking.arms[middle:], width)

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
        parts.append(_line(ends[0] - 4, y, ends[1] + 4, y, 5))
    for number, (arm, rank) in enumerate(zip(ranking.arms, ranking.ranks, strict=True)):
        on_left = number < middle
        y = labels + ROW * (number if on_left else arms - 1 - number)
        edge, towards = (left - 8, -4) if on_left else (right + 8, 4)
        name = _short(arm, left if on_left else width - right)
        text = f"{name}  {rank:.2f}" if on_left else f"{rank:.2f}  {name}"
        parts += [_line(x(rank), axis, x(rank), y, 1), _line(x(rank), y, edge, y, 1)]
        parts.append(_text(edge + towards, y + 4, text, "end" if on_left else "start", arm))
    title = html.escape(ranking.sentence)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" fill="currentColor" '
        f'stroke="none" font-family="inherit" font-size="{FONT}" '
        f'style="max-width:100%;height:auto"><title>{title}</title>{"".join(parts)}</svg>'
    )


def _scale(ranking: Ranking, left: float, step: float, y: float) -> list[str]:
    """The axis with its ticks, and above it the length of the critical difference."""
    arms = len(ranking.arms)
    parts = [_line(left, y, left + step * (arms - 1), y, 1.5)]
    for rank in range(1, arms + 1):
        at = left + step * (rank - 1)
        parts += [_line(at, y - 5, at, y, 1.5), _text(at, y - 9, str(rank), "middle")]
    length = min(ranking.critical_difference, arms - 1) * step
    beyond = " (longer than the axis)" if ranking.critical_difference > arms - 1 else ""
    text = f"critical difference {ranking.critical_difference:.2f}{beyond}"
    top = y - 34
    return [
        *parts,
        _line(left, top, left + length, top, 1.5),
        _line(left, top - 4, left, top + 4, 1.5),
        _line(left + length, top - 4, left + length, top + 4, 1.5),
        _text(left, top - 8, text, "start"),
    ]


def _line(x1: float, y1: float, x2: float, y2: float, thickness: float) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
        f'stroke="currentColor" stroke-width="{thickness}"/>'
    )


def _text(x: float, y: float, text: str, anchor: str, title: str = "") -> str:
    shown = f"<title>{html.escape(title)}</title>" if title else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{shown}{html.escape(text)}</text>'


def _margin(names: Sequence[str], width: int) -> float:
    """Room for the names of one side and their ranks."""
    return min(width * 0.4, 12 + LETTER * (6 + max(len(n) for n in names)))


def _short(name: str, margin: float) -> str:
    """The name, cut where the margin ends."""
    longest = int((margin - 12) / LETTER) - 6
    return name if len(name) <= longest else name[: longest - 1] + "\u2026"
