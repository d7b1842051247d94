"""Whose plug-ins run: those of this user's own runs, and those of sweeps that were trusted."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from sweeps.errors import UserError
from sweeps.plan import Plan

PLUGINS = "plugins"
"""The folder of a sweep that has its own copy of the user's modules."""


def check(place: Path) -> None:
    """Refuses to run the plug-ins of a sweep that this user neither ran nor trusts.

    Raises:
        UserError: Saying what would run, and how to let it.
    """
    if Plan.read(place).plugins and not _note(place).is_file():
        files = [name for name in _files(place) if name.endswith(".py")]
        more = f" and {len(files) - 3} more" if len(files) > 3 else ""
        raise UserError(
            f"{place.name!r} has plug-ins that no run of yours put there: "
            f"{', '.join(files[:3])}{more} in {place / PLUGINS} would run; read them, then --trust"
        )


def remember(place: Path) -> None:
    """Notes that this user lets the plug-ins of a sweep run, as they are now."""
    if not Plan.read(place).plugins:
        return
    try:
        note = _note(place)
        note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        note.write_text(f"{place.name}\n", encoding="utf-8")
    except (OSError, RuntimeError) as error:
        print(f"warning: cannot note that these plug-ins are yours: {error}", file=sys.stderr)


def _note(place: Path) -> Path:
    """The user's own file that says so; its name is a digest of all that could run."""
    told = hashlib.sha256(repr(Plan.read(place).plugins).encode())
    for name, path in _files(place).items():
        told.update(f"\0{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}".encode())
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return home / "gansweep" / "trusted" / told.hexdigest()


def _files(place: Path) -> dict[str, Path]:
    """Every file that an import could read; byte code is never read (see `sweeps.plugins`)."""
    folder = place / PLUGINS
    found = sorted(p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return {path.relative_to(folder).as_posix(): path for path in found}
