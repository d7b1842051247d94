"""Sample grids under the names by which MLflow's image view finds a picture of every step."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

FOLDER = "images"
KEY = "samples"
THUMBNAIL = 1024
"""Longest side in pixels of the copy that the image view shows; `log_image` takes 256, at which
a grid of 64 pictures is a blur."""


def grid_of(trial_folder: Path, epoch: int) -> Path:
    """Where a trial keeps the grid of an epoch."""
    return trial_folder / "samples" / f"epoch-{epoch:04d}.png"


def stage(grid: Path, target: Path, *, owner: str, epoch: int, time_ms: int) -> None:
    """Puts a grid and its small copy into a folder, named as MLflow 3's `log_image` would.

    `log_image` itself draws a new random name each time; with a name that follows from the
    owner and the epoch, a grid that is sent again replaces itself.

    Args:
        owner: What tells this trial from all others, wherever it is sent from.
    """
    from PIL import Image

    name = uuid.uuid5(uuid.NAMESPACE_URL, f"gansweep:{owner}/{KEY}/{epoch}")
    stem = f"{KEY}+step+{epoch}+timestamp+{time_ms}+{name}"
    shutil.copyfile(grid, target / f"{stem}.png")
    with Image.open(grid) as picture:
        small = picture.convert("RGB")
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    # The encoder's search for the smallest file takes three times as long and saves a sixth.
    small.save(target / f"{stem}+compressed.webp", method=1)
