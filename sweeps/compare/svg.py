"""What the pictures of a comparison are drawn with: lines and words as SVG text.

All takes the colour of the text around it, so that it suits light and dark pages.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

from sweeps.report.labels import in_a_line

ROW = 22
FONT = 13
LETTER = 0.6 * FONT


def wrapped(title: str, parts: Sequence[str], width: int, height: float) -> str:
    """An SVG of its parts, with a title."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:g}" '
        f'width="{width}" height="{height:g}" role="img" fill="currentColor" '
        f'stroke="none" font-family="system-ui, DejaVu Sans, sans-serif" font-size="{FONT}" '
        f'style="max-width:100%;height:auto"><title>{html.escape(title)}</title>{"".join(parts)}</svg>'
    )


def line(x1: float, y1: float, x2: float, y2: float, thickness: float) -> str:
    """A line in the colour of the text."""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
        f'stroke="currentColor" stroke-width="{thickness}"/>'
    )


def text(x: float, y: float, words: str, anchor: str, title: str = "") -> str:
    """Words of the picture, escaped; the title is what shows under the mouse."""
    shown = f"<title>{html.escape(title)}</title>" if title else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{shown}{html.escape(words)}</text>'
    )


def short(names: Sequence[str], margin: float) -> list[str]:
    """Names that end where the margin does, and are told apart."""
    return in_a_line(names, int((margin - 12) / LETTER) - 6)
