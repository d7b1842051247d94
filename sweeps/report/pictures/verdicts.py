"""Where in the search space training fails, as a heat map: the share of ill trials, arm by arm."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sweeps.report.data import SOUND
from sweeps.report.pictures.slide import (
    FAINT,
    INK,
    fold,
    grid_of,
    name_panels,
    name_sides,
    number,
    panels,
    slide,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

HEAT = ("#f2f4f6", "#f8cfa6", "#e88a3c", "#c04a00", "#8f3500")
"""From no trial ill to all: lighter is better, in grey too."""

MOST_PANELS = 6
"""Arms; of more, all stand in one panel."""

FEWEST_CELLS, MOST_CELLS = 2, 6
"""Along a side."""

DRAWS_A_CELL = 1.5

FEW = 3
"""Cells up to which every edge between them has its number."""

DARK = 0.55
"""Share from which on words in a cell are white."""

PLACE = (9.5, 4.2)
LETTER = 0.11
"""Inches that all panels have, and that a letter takes."""

Trial = Mapping[str, Any]
Groups = dict[str, list[Trial]]


@dataclass(frozen=True)
class Side:
    """A side of the map: a dimension cut into cells.

    Args:
        index: The dimension's, among the page's; None is the arm itself.
        edges: Between the cells of a range; of choices none.
        names: Of the cells where these are choices, else of the edges.
    """

    title: str
    index: int | None
    edges: tuple[float, ...]
    names: tuple[str, ...]

    @property
    def cells(self) -> int:
        return len(self.edges) - 1 if self.edges else len(self.names)

    def cell(self, trial: Trial) -> int | None:
        """In which cell a trial lies; None where it does not have the dimension."""
        if self.index is None:
            return int(trial["row"])
        value = trial["values"][self.index]
        if value is None:
            return None
        if not self.edges:
            return self.names.index(value)
        inner = self.edges[1:-1]
        return sum(value >= edge for edge in inner)


@dataclass(frozen=True)
class Room:
    """What a cell's words have room for: `letters` in a line, `wide` words, `high` lines."""

    letters: int
    wide: bool
    high: bool

    @classmethod
    def of(cls, panels: int, across: Side, up: Side) -> Room:
        columns, rows = grid_of(panels)
        width = PLACE[0] / columns / across.cells
        height = PLACE[1] / rows / up.cells
        letters = int(width / LETTER)
        return cls(letters, wide=letters >= 7, high=letters >= 10 and height >= 0.6)


def draw(data: Mapping[str, Any]) -> Figure | None:
    """The two dimensions that matter most; None where there is none, or no trial fell ill."""
    searched = [t for t in data["trials"] if t["phase"] == "explore" and t["state"] != "waiting"]
    ill = Counter(t["verdict"] for t in searched if _ill(t))
    if not ill or not data["dimensions"]:
        return None
    groups = _groups(data, searched)
    cells = math.sqrt(max(map(len, groups.values())) / DRAWS_A_CELL)
    cells = max(FEWEST_CELLS, min(MOST_CELLS, round(cells)))
    first, *rest = _leading(data, searched)
    across = _side(data, first, cells)
    if rest:
        up = _side(data, rest[0], cells)
    else:
        up = Side("arm", None, (), tuple(groups)[::-1])
        groups = {"": [{**t, "row": up.names.index(arm)} for arm in groups for t in groups[arm]]}
    told = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in ill.most_common())
    room = Room.of(len(groups), across, up)
    verdict = ", and the verdict that most of them have" if room.high else ""
    figure = slide(
        f"Where training fails: {ill.total()} of {len(searched)} trials fell ill",
        f"Of the search: {told}.",
        f"Each cell: trials that fell ill of all that were drawn there{verdict}. "
        "Blank: none was drawn there.",
    )
    axes = panels(figure, len(groups))
    name_panels(axes, list(groups), [INK] * len(axes))
    for own, ax in zip(groups.values(), axes, strict=True):
        _panel(ax, own, across, up, room)
        ax.tick_params(labelsize=12, length=0)
    _ticks(axes, across, up)
    name_sides(figure, across.title, up.title)
    _key(figure, axes)
    return figure


def _ill(trial: Trial) -> bool:
    return trial["verdict"] not in SOUND


def _groups(data: Mapping[str, Any], searched: Sequence[Trial]) -> Groups:
    """The trials of a panel by its title: by arm, or all in one where these are too many."""
    arms: dict[int, list[Trial]] = {}
    for trial in searched:
        arms.setdefault(trial["arm"], []).append(trial)
    if len(arms) > MOST_PANELS:
        return {"all arms": list(searched)}
    order = sorted(arms, key=lambda k: data["arms"][k]["rank"])
    return {data["arms"][k]["label"]: arms[k] for k in order}


def _leading(data: Mapping[str, Any], searched: Sequence[Trial]) -> list[int]:
    """The two dimensions that most trials have, of these the most important."""
    weight: Counter[str] = Counter()
    for row in data["importance"]:
        weight[row["path"]] += row["share"]
    paths = [dimension["path"] for dimension in data["dimensions"]]
    have = [sum(t["values"][k] is not None for t in searched) for k in range(len(paths))]
    return sorted(range(len(paths)), key=lambda k: (-have[k], -weight[paths[k]]))[:2]


def _side(data: Mapping[str, Any], index: int, cells: int) -> Side:
    dimension = data["dimensions"][index]
    if "choices" in dimension:
        return Side(dimension["path"], index, (), tuple(dimension["choices"]))
    low, high = dimension["low"], dimension["high"]
    shares = [k / cells for k in range(cells + 1)]
    if dimension["log"]:
        edges = tuple(low * (high / low) ** share for share in shares)
    else:
        edges = tuple(low + (high - low) * share for share in shares)
    names = tuple(number(float(f"{edge:.2g}")) for edge in edges)
    return Side(dimension["path"], index, edges, names)


def _panel(ax: Axes, trials: Sequence[Trial], across: Side, up: Side, room: Room) -> None:
    """Cells with the share of ill trials as colour and, where there is room, in words."""
    from matplotlib.patches import Rectangle

    cells: dict[tuple[int, int], list[Trial]] = {}
    for trial in trials:
        x, y = across.cell(trial), up.cell(trial)
        if x is not None and y is not None:
            cells.setdefault((x, y), []).append(trial)
    for (x, y), own in cells.items():
        ill = Counter(t["verdict"].replace("_", " ") for t in own if _ill(t))
        share = ill.total() / len(own)
        ax.add_patch(Rectangle((x, y), 1, 1, facecolor=_heat()(share), edgecolor="white", lw=2))
        told = f"{ill.total()} of {len(own)}" if room.wide else f"{ill.total()}/{len(own)}"
        if ill and room.high:
            told += "\n" + fold(ill.most_common(1)[0][0], room.letters, 2)
        ink = "white" if share > DARK else INK
        size = 12 if room.wide else 10
        ax.text(x + 0.5, y + 0.5, told, ha="center", va="center", size=size, color=ink)
    ax.set_xlim(0, across.cells)
    ax.set_ylim(0, up.cells)
    ax.set_facecolor("white")
    for spine in ax.spines.values():
        spine.set(visible=True, color=FAINT)


def _heat() -> Colormap:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("ill", HEAT)


def _ticks(axes: Sequence[Axes], across: Side, up: Side) -> None:
    """Names stand under the middle of a choice, and at the edges between cells of a range."""
    for side, place in ((across, axes[0].set_xticks), (up, axes[0].set_yticks)):
        every = 2 if side.cells > FEW and side.edges else 1
        at = range(0, len(side.names), every)
        names = [fold(side.names[k], 14, 2) for k in at]
        place([k + (0 if side.edges else 0.5) for k in at], names)
    for ax in axes:  # Numbers in the corners keep within their panel.
        if across.edges and (labels := ax.get_xticklabels()):
            labels[0].set_horizontalalignment("left")
            labels[-1].set_horizontalalignment("right")
        if up.edges and (labels := ax.get_yticklabels()):
            labels[0].set_verticalalignment("bottom")
            labels[-1].set_verticalalignment("top")


def _key(figure: Figure, axes: Sequence[Axes]) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.ticker import PercentFormatter

    bar = figure.colorbar(
        ScalarMappable(cmap=_heat()), ax=list(axes), aspect=32, pad=0.02,
        format=PercentFormatter(1), ticks=[0, 0.5, 1],
    )  # fmt: skip
    bar.set_label("trials that fell ill", size=14)
    bar.outline.set_visible(False)
