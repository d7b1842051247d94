"""The sample wall: grids of the same latents, thinned until they fit a budget of bytes."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image

from sweeps import bucket
from sweeps.folder import GRID_SCALE, trial_folder
from sweeps.report.data import Shown

BUDGET = 12_000_000
"""Characters that the pictures may take in the page."""

MOST_FRAMES = 1500
"""Pictures on a wall; more would take too long to make, and nobody looks at them."""

LATENTS = 8
"""Rows and columns of a grid of unrelated latents. Of any other grid the rows mean something (a
class, a picture and its translation), and only its columns are cut."""

CRISP = 128
"""Pixels of width up to which a grid is stored without loss: its cells are tiny."""

_FRAME = re.compile(r"epoch-(\d+)\.png")
_QUALITY = 82
_TRIED = 8


@dataclass(frozen=True)
class Size:
    """How much of a sweep's pictures a wall shows.

    Args:
        each: Trials of an arm.
        frames: Epochs of a trial.
        side: Columns of a grid, and rows where its rows mean nothing.
    """

    each: int
    frames: int
    side: int


SIZES = (
    Size(24, 16, 8),
    Size(12, 12, 8),
    Size(12, 12, 5),
    Size(8, 10, 5),
    Size(6, 8, 4),
    Size(4, 8, 4),
    Size(3, 6, 3),
    Size(2, 5, 2),
    Size(1, 4, 2),
    Size(1, 2, 1),
)
"""From all that one could wish for to the least."""


@dataclass(frozen=True)
class Tile:
    """A trial on the wall: which of the page's trials, and its grids by epoch."""

    trial: int
    shown: Shown
    grids: dict[int, Path]

    @cached_property
    def table(self) -> tuple[int, int] | None:
        """Columns and rows of its last grid, or None where that is one picture."""
        resolution = self.shown.result.trial.config["data"].get("resolution")
        with Image.open(self.grids[max(self.grids)]) as grid:
            width, height = grid.width // GRID_SCALE, grid.height // GRID_SCALE
        if not resolution or width % resolution or height % resolution:
            return None
        return width // resolution, height // resolution


def hang_wall(trials: Sequence[Shown], budget: int = BUDGET) -> dict[str, Any]:
    """The pictures of the best trials of each arm, and an example of each verdict.

    Args:
        trials: In the order in which the page numbers them.
        budget: Characters that all pictures together may take.

    Returns:
        `epochs`, the slider's stops; `tiles`, best first and arms in turn, each with `trial` and
        `frames` by epoch as `data:` addresses; `note`, what was left out.
    """
    ordered = [t for t in _in_turn(trials) if t[1].grids]
    total = sum(len(tile.grids) for _, tile in ordered)
    for size in SIZES:
        chosen = _chosen(ordered, size)
        work = [(tile, _stops(tile, size.frames, chosen)) for tile in chosen]
        count = sum(len(epochs) for _, epochs in work)
        if count <= MOST_FRAMES and _estimate(work, size.side) * count <= budget:
            break
    tiles: list[dict[str, Any]] = []
    left = budget
    for tile, epochs in work:
        with ThreadPoolExecutor() as threads:  # Pillow lets go of the interpreter.
            made = threads.map(lambda e, t=tile: _address(t, e, size.side), epochs)
        frames = dict(zip(epochs, made, strict=True))
        left -= sum(map(len, frames.values()))
        if left < 0:
            break
        tiles.append({"trial": tile.trial, "frames": frames})
    kept = sum(len(t["frames"]) for t in tiles)
    return {
        "epochs": sorted({epoch for t in tiles for epoch in t["frames"]}),
        "tiles": tiles,
        "note": _note(len(tiles), len(trials), kept, total, size.side),
    }


def _in_turn(trials: Sequence[Shown]) -> list[tuple[int, Tile]]:
    """Every trial with its rank within its arm: the best of each arm, then the second best, ..."""
    arms: dict[str, list[Tile]] = {}
    for number, shown in enumerate(trials):
        tile = Tile(number, shown, _grids(shown))
        arms.setdefault(shown.label, []).append(tile)
    ranked = [
        (rank, tile)
        for own in arms.values()
        for rank, tile in enumerate(sorted(own, key=lambda t: t.shown.result.rank_key))
    ]
    return sorted(ranked, key=lambda pair: pair[0])


def _grids(shown: Shown) -> dict[int, Path]:
    samples = trial_folder(shown.of.folder, shown.result.trial.uid) / "samples"
    folder = bucket.of(shown.of.folder).fetch(samples)
    files = sorted(folder.glob("epoch-*.png"))
    matches = ((_FRAME.fullmatch(file.name), file) for file in files)
    return {int(match[1]): file for match, file in matches if match}


def _chosen(ordered: Sequence[tuple[int, Tile]], size: Size) -> list[Tile]:
    """The best of each arm, then of each arm the best of every verdict that is not among them."""
    best = [tile for rank, tile in ordered if rank < size.each]
    seen = {(t.shown.label, t.shown.result.verdict, t.shown.result.state) for t in best}
    for rank, tile in ordered:
        key = (tile.shown.label, tile.shown.result.verdict, tile.shown.result.state)
        if rank >= size.each and key not in seen:
            seen.add(key)
            best.append(tile)
    return best


def _stops(tile: Tile, count: int, chosen: Sequence[Tile]) -> list[int]:
    """The epochs that all tiles share, as evenly spread as they go, and the trial's own last."""
    every = sorted({epoch for t in chosen for epoch in t.grids})
    count = min(count, len(every))
    shared = {every[round(i * (len(every) - 1) / max(1, count - 1))] for i in range(count)}
    return [epoch for epoch in tile.grids if epoch in shared or epoch == max(tile.grids)]


def _estimate(work: Sequence[tuple[Tile, list[int]]], side: int) -> float:
    """Characters of a picture, from a few over all arms and epochs; a tenth more, to be safe."""
    every = [(tile, epoch) for tile, epochs in work for epoch in epochs]
    tried = every[:: max(1, len(every) // _TRIED)]
    sizes = [len(_address(tile, epoch, side)) for tile, epoch in tried]
    return 1.1 * sum(sizes) / max(1, len(sizes))


def _address(tile: Tile, epoch: int, side: int) -> str:
    with Image.open(tile.grids[epoch]) as grid:
        native = _native(grid)
    picture, stream = _cut(native, tile.table, side), io.BytesIO()
    picture.save(stream, "WEBP", lossless=native.width <= CRISP, quality=_QUALITY, method=2)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode()


def _native(grid: Image.Image) -> Image.Image:
    """A grid without the enlargement that it was written with."""
    size = grid.width // GRID_SCALE, grid.height // GRID_SCALE
    grid = grid if grid.mode in ("L", "RGB") else grid.convert("RGB")
    return grid.resize(size, Image.Resampling.NEAREST)


def _cut(picture: Image.Image, table: tuple[int, int] | None, side: int) -> Image.Image:
    """The left columns of a grid. By share: a growing network's early cells are smaller."""
    if table is None:
        return picture
    columns, rows = table
    kept = min(side, rows) if table == (LATENTS, LATENTS) else rows
    width = picture.width * min(side, columns) // columns
    return picture.crop((0, 0, width, picture.height * kept // rows))


def _note(tiles: int, trials: int, kept: int, total: int, side: int) -> str:
    if not tiles:
        return "No sample grids are on disk."
    if tiles == trials and kept == total:
        return f"All {tiles} trials and all {total} grids."
    return (
        f"{tiles} of {trials} trials and {kept} of {total} grids, at most {side} columns of each: "
        "the best of every arm and an example of every verdict. All are in the sweep's folder, "
        "under trials/."
    )
