"""The look that all pictures share: a slide with its message on top, in the page's colours."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gancore.files import write_atomically
from sweeps.report.data import WIDE
from sweeps.report.labels import cut, unlike

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INCHES = (12.8, 7.2)
DPI = 200

INK, SOFT, FAINT = "#1c1d21", "#62656e", "#e7e7e3"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#c4669a", "#d18f00", "#3d9fd6", "#3c3f47")
"""Of the arms, in the order planned: the page's (`template/style.css`), after Okabe and Ito."""

SHAPES = "os^DvPp"
"""Of the arms' marks, as the page's: any two arms differ in more than colour."""

PANELS = 9.6
"""Inches that the panels of a row have for their names."""

MOST_ARMS = 14
"""Rows of a picture; more would be too small to read."""

TITLE, SMALL_TITLE, TEXT, NOTE = 24.0, 18.0, 15.0, 12.0
TITLE_LETTERS, SMALL_TITLE_LETTERS, TEXT_LETTERS, NOTE_LETTERS = 60, 80, 104, 135
"""Letters in a line of each size."""

LINE = 1.35
EDGE, SIDE = 0.4, 0.3
"""Inches around the content, and for the name of an axis that panels share."""

LOOK = {
    "text.parse_math": False,  # A `$` in a name is a dollar.
    "text.color": INK,
    "font.size": 14,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": SOFT,
    "axes.labelsize": TEXT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "lines.solid_capstyle": "round",
    "lines.solid_joinstyle": "round",
}


@contextmanager
def look() -> Iterator[None]:
    """Within it figures look as ours do, whatever this machine's settings of matplotlib say."""
    from matplotlib import style

    with style.context(["default", LOOK]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # A letter that no font has is drawn as a box.
        yield


def slide(title: str, text: str = "", note: str = "") -> Figure:
    """An empty figure with its message; what is drawn into it keeps clear of the words.

    Args:
        text: Under the title.
        note: At the foot, small: how to read the picture.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=INCHES, dpi=DPI, facecolor="white", layout="constrained")
    width, height = INCHES
    top = EDGE
    styles: tuple[dict[str, Any], ...] = ({"fontweight": "bold"}, {"color": SOFT})
    words = (
        _sized(title, (TITLE, TITLE_LETTERS, 2), (SMALL_TITLE, SMALL_TITLE_LETTERS, 3), even),
        _sized(text, (TEXT, TEXT_LETTERS, 3), (NOTE, NOTE_LETTERS, 4), fold),
    )
    for (lines, size), style in zip(words, styles, strict=True):
        if lines:
            figure.text(
                EDGE / width, 1 - top / height, lines, size=size, va="top", linespacing=LINE,
                in_layout=False, **style,
            )  # fmt: skip
            top += (lines.count("\n") + 1) * size * LINE / 72 + 0.06
    bottom = EDGE
    if lines := fold(note, NOTE_LETTERS, 2):
        figure.text(
            EDGE / width, EDGE / height, lines, size=NOTE, color=SOFT, linespacing=LINE,
            in_layout=False,
        )  # fmt: skip
        bottom += (lines.count("\n") + 1) * NOTE * LINE / 72 + 0.16
    engine: Any = figure.get_layout_engine()
    engine.set(
        rect=(
            EDGE / width,
            bottom / height,
            1 - 2 * EDGE / width,
            1 - (top + 0.12 + bottom) / height,
        ),
        w_pad=0.1,
        h_pad=0.1,
        wspace=0.03,
    )
    return figure


def _sized(
    text: str,
    large: tuple[float, int, int],
    small: tuple[float, int, int],
    broken: Callable[[str, int, int], str],
) -> tuple[str, float]:
    """The words in lines, and their size: the small one where the large would cut them off."""
    size, letters, lines = large
    if len(_broken(_joined(text), letters)) > lines:
        size, letters, lines = small
    return broken(text, letters, lines), size


def keep(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG; equal figures give equal bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    stream, canvas = io.BytesIO(), FigureCanvasAgg(figure)
    canvas.print_figure(stream, format="png", dpi=DPI, metadata={"Software": "gansweep"})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, stream.getvalue())


def grid_of(count: int) -> tuple[int, int]:
    """Columns and rows that so many panels stand in."""
    columns = {1: 1, 2: 2, 4: 2}.get(count, 3 if count in (3, 5, 6, 9) else 4)
    return columns, -(-count // columns)


def panels(figure: Figure, count: int) -> list[Axes]:
    """So many axes in a grid of one scale; those of a row and of a column share their ticks."""
    columns, rows = grid_of(count)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    every = list(grid.flat)
    for place, ax in enumerate(every):
        if place >= count:
            ax.remove()
        elif place + columns >= count:
            ax.tick_params(labelbottom=True)  # The one below it is not there.
    return every[:count]


def name_panels(axes: Sequence[Axes], labels: Sequence[str], tones: Sequence[str]) -> None:
    """An arm's name over each panel, in two lines where it is long."""
    columns, _ = grid_of(len(axes))
    size = 15 if columns < 3 else 13
    told = names(labels, int(PANELS / columns / (0.0097 * size)), 2)
    for ax, name, tone in zip(axes, told, tones, strict=True):
        ax.set_title(name, loc="left", size=size, fontweight="bold", color=tone)


def name_sides(figure: Figure, across: str, up: str) -> None:
    """Names the axes that all panels share, beside all of them."""
    engine: Any = figure.get_layout_engine()
    left, bottom, width, height = engine.get()["rect"]
    aside, under = SIDE / INCHES[0], SIDE / INCHES[1]
    engine.set(rect=(left + aside, bottom + under, width - aside, height - under))
    common: dict[str, Any] = {"size": TEXT, "color": SOFT, "in_layout": False}
    figure.text(left + aside + width / 2, bottom, across, ha="center", **common)
    figure.text(left, bottom + under + height / 2, up, va="center", rotation=90, **common)


def compared(data: Mapping[str, Any]) -> list[int]:
    """The arms that may stand on one axis, best first: those of the first one's protocol."""
    arms = data["arms"]
    order = sorted(range(len(arms)), key=lambda k: arms[k]["rank"])
    return [k for k in order if arms[k]["protocol"] == arms[order[0]]["protocol"]]


def left_out(shown: int, there: int) -> str:
    """The remark on arms that found no room."""
    return f" The best {shown} of {there} arms." if shown < there else ""


def axis_name(data: Mapping[str, Any]) -> str:
    """The objective and which way is better."""
    return f"{data['objective']} ({'lower' if data['goal'] == 'min' else 'higher'} is better)"


def colour(arm: int) -> str:
    """An arm's, by its place in the plan."""
    return COLOURS[arm % len(COLOURS)]


def shape(arm: int) -> str:
    """The mark of an arm, by its place in the plan."""
    return SHAPES[(arm + arm // len(COLOURS)) % len(SHAPES)]


def fold(text: str, letters: int, lines: int = 1) -> str:
    """A text in lines that are not longer than so many letters; what is too much is cut off."""
    folded = _broken(_joined(text), letters)
    kept = folded[:lines]
    if len(folded) > lines:
        kept[-1] = kept[-1][: letters - 1] + "\u2026"
    return "\n".join(kept)


def even(text: str, letters: int, lines: int = 1) -> str:
    """Folded, and where all of it fits, into lines of about one length, no word broken for it.

    Between words rather than after a comma or slash.
    """
    count = fold(text, letters, lines).count("\n")
    widths = range(max(map(len, _pieces(_joined(text))), default=1), letters)
    fits = [n for n in widths if len(_broken(_joined(text), n)) <= count + 1]
    whole = (n for n in fits if " ".join(_broken(_joined(text), n)) == _joined(text))
    return fold(text, next(whole, next(iter(fits), letters)), lines)


def names(labels: Sequence[str], letters: int, lines: int = 1) -> list[str]:
    """Labels of arms in even lines; where one is too long, what all have alike is left out."""
    shown: Sequence[str] = labels
    if any(len(_broken(_joined(label), letters)) > lines for label in labels):
        shown = unlike(labels)
    return [_named(label, letters, lines) for label in shown]


def _named(name: str, letters: int, lines: int) -> str:
    """In even lines, or without its middle: names that begin alike mostly end unlike."""
    folded = _broken(_joined(name), letters)
    if len(folded) <= lines:
        return even(name, letters, lines)
    kept = folded[:lines]
    rest = name[sum(map(len, kept[:-1])) :]
    return "\n".join([*kept[:-1], cut(rest.strip(), letters)])


def _joined(text: str) -> str:
    """In one line, with what belongs together held together: `p < 0.001`, `[3.3, 3.7]`."""
    line = re.sub(r" ([=<>]) (?=\S)", "\u00a0\\1\u00a0", " ".join(text.split()))
    line = re.sub(r"\balpha (?=\d)", "alpha\u00a0", line)
    return re.sub(r"\[[^][]{1,30}\]", lambda m: m[0].replace(" ", "\u00a0"), line)


def _broken(text: str, letters: int) -> list[str]:
    """Broken after a space, comma or slash, and within a word only where it must be."""
    lines = [""]
    for whole in _pieces(text):
        piece = whole
        while len((lines[-1] + piece).rstrip()) > letters:
            room = 0 if lines[-1] else letters
            lines[-1] += piece[:room]
            piece = piece[room:]
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines]


def _pieces(text: str) -> list[str]:
    return re.findall(r"(?:[^ ,/]|,(?=\u00a0))*[ ,/]?", text)


def number(value: float) -> str:
    """A tick as one would write it: `0.001`, `3.8e-4`, `12,000`."""
    if value and not 1e-3 <= abs(value) < 1e6:
        return re.sub(r"\.?0*e([+-])0*", lambda m: "e" + m[1].strip("+"), f"{value:.2e}")
    return f"{value:,.10g}"


def scale(
    ax: Axes,
    letter: Literal["x", "y"],
    values: Sequence[float] = (),
    *,
    wide: float = WIDE,
    whole: bool = False,
    low: bool = False,
) -> None:
    """Gives an axis ticks that are plain numbers.

    Args:
        values: Drawn by their logarithm where the largest is `wide` times the smallest.
        whole: Only whole numbers are ticks.
        low: It has room for a few ticks only.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    axis = ax.xaxis if letter == "x" else ax.yaxis
    locator: Any = MaxNLocator(
        3 if low else 6, steps=(1, 2, 5, 10), integer=whole, min_n_ticks=1 if whole else 2
    )
    if values and min(values) > 0 and max(values) / min(values) >= wide:
        ax.set(**{f"{letter}scale": "log"})
        ratio = max(values) / min(values)
        steps = (1,) if ratio >= (30 if low else 300) else (1, 3) if low else (1, 2, 5)
        locator = LogLocator(subs=steps, numticks=9)
    axis.set_major_locator(locator)
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axis.set_minor_formatter(NullFormatter())
