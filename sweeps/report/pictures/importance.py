"""What mattered, as a picture: a bar a hyper-parameter, over all arms and within each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sweeps.report.pictures.slide import COLOURS, INK, SOFT, TEXT, colour, even, names, slide

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_COLUMNS = 6
MOST_ROWS = 10
LIKELY = 0.05
"""P above which a bar is pale: shuffled scores look as important too often."""

Row = Mapping[str, Any]


def draw(data: Mapping[str, Any]) -> Figure | None:
    """A row a hyper-parameter, a column all arms and each arm; None where nothing can be said."""
    groups: dict[str, list[Row]] = {}
    for row in data["importance"]:
        groups.setdefault(row.get("arm") or row.get("sweep") or "", []).append(row)
    if not groups:
        return None
    labels = {arm["label"]: k for k, arm in enumerate(data["arms"])}
    order = sorted(groups, key=lambda g: data["arms"][labels[g]]["rank"] if g in labels else 0)
    shown = order[:MOST_COLUMNS]
    left = f" {len(shown)} of {len(order)} columns." if len(shown) < len(order) else ""
    figure = slide(
        _title(groups, shown),
        f"How much each hyper-parameter decides whether a draw is among the best by "
        f"{data['objective']}.",
        data["about"].get("importance", "") + left,
    )
    paths = _ordered([groups[group] for group in shown])[:MOST_ROWS]
    columns = figure.subplots(1, len(shown), sharex=True, sharey=True, squeeze=False)[0]
    own = [group for group in shown if group]
    told = dict(zip(own, names(own, 78 // len(shown), 2), strict=True))
    for group, ax in zip(shown, columns, strict=True):
        tone = colour(labels[group]) if group in labels else COLOURS[-1]
        _column(ax, [r for r in groups[group] if r["path"] in paths], paths, tone)
        if group or len(order) > 1:
            title = told.get(group, "all arms")
            ax.set_title(title, loc="left", size=12.5, fontweight="bold", color=tone)
    columns[0].set_yticks(range(len(paths)), [even(p, 24, 2) for p in paths], size=TEXT, color=INK)
    columns[0].set_ylim(len(paths) - 0.4, -0.6)
    most = max(row["share"] for group in shown for row in groups[group]) or 1
    columns[0].set_xlim(0, most / (1 - 0.055 * len(shown)))  # Room for a bar's share beside it.
    return figure


def _title(groups: Mapping[str, Sequence[Row]], shown: Sequence[str]) -> str:
    """What the first column says, which is of all arms where there is one of them."""
    leading = max(groups[shown[0]], key=lambda row: row["share"])
    if not _likely(leading):
        return f"{leading['path']} mattered most"
    elsewhere = any(not _likely(row) for group in shown[1:] for row in groups[group])
    if not elsewhere:
        return "No hyper-parameter stands out from chance"
    where = "Over all arms" if not shown[0] else f"In {shown[0]}"
    return f"{where} no hyper-parameter stands out from chance"


def _likely(row: Row) -> bool:
    return (row.get("p") or 0) > LIKELY


def _ordered(groups: Sequence[Sequence[Row]]) -> list[str]:
    """The hyper-parameters by their share in the first group that knows them."""
    ranked = (sorted(own, key=lambda row: -row["share"]) for own in groups)
    return list(dict.fromkeys(row["path"] for own in ranked for row in own))


def _column(ax: Axes, rows: Sequence[Row], paths: Sequence[str], tone: str) -> None:
    for row in rows:
        place, alpha = paths.index(row["path"]), 0.3 if _likely(row) else 1
        ax.barh(place, row["share"], height=0.55, color=tone, alpha=alpha, lw=0)
        told = "< 1%" if 0 < row["share"] < 0.005 else f"{row['share']:.0%}"
        ax.annotate(
            told, (row["share"], place), (6, 0), textcoords="offset points",
            va="center", size=14, color=SOFT,
        )  # fmt: skip
    ax.tick_params(length=0, labelbottom=False)
    ax.spines["bottom"].set_visible(False)
