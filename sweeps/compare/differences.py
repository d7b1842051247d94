"""The picture of two arms over several data sets: a bar a data set, towards the better arm."""

from __future__ import annotations

from sweeps.compare.signed import SignedRanks
from sweeps.compare.svg import FONT, LETTER, ROW, line, short, text, wrapped


def differences_svg(found: SignedRanks, width: int = 720) -> str:
    """The differences of the two arms as SVG text, the greatest on top.

    Labels are escaped.
    """
    margin = min(width * 0.3, 12 + LETTER * (6 + max(map(len, found.data_sets))))
    right = width - 150.0
    middle = (margin + right) / 2
    most = max(map(abs, found.differences)) or 1.0
    top = 2 * ROW
    best, other = short(found.arms, middle)
    parts = [
        text(middle - 12, ROW, f"{other} better", "end", found.arms[1]),
        text(middle + 12, ROW, f"{best} better", "start", found.arms[0]),
    ]
    names = short(found.data_sets, margin)
    order = sorted(range(len(found.ranks)), key=lambda i: -found.ranks[i])
    for row, i in enumerate(order):
        y = top + ROW * row
        end = middle + found.differences[i] / most * (right - middle)
        told = f"{shown(found, i)}, rank {found.ranks[i]:g}"
        parts.append(text(margin - 8, y + 4, names[i], "end", found.data_sets[i]))
        parts.append(line(middle, y, end, y, 9))
        parts.append(text(right + 8, y + 4, told, "start"))
    bottom = top + ROW * len(order)
    parts.append(line(middle, top - ROW / 2, middle, bottom - ROW / 2, 1))
    return wrapped(found.sentence, parts, width, bottom + FONT)


def shown(found: SignedRanks, i: int) -> str:
    """A data set's difference in words: `+12 %`."""
    difference = found.differences[i]
    if not found.relative:
        return f"{difference:+.3g}"
    percent = 100 * difference
    return f"{percent:+.1f} %" if abs(percent) >= 0.05 or not percent else f"{percent:+.1g} %"
