"""`plan.json` on disk: whole, unaltered, of a format that this version reads, and whose it is."""

from __future__ import annotations

import hashlib
import json
import uuid
from pathlib import Path
from typing import Any

from gancore.files import write_json
from sweeps import journal
from sweeps.errors import DamagedSweep
from sweeps.version import code_version

FILE = "plan.json"
FORMAT = 1
"""Of the file; raised when an older version could misread what a newer one writes."""


def write(folder: Path, content: dict[str, Any]) -> None:
    """Writes a plan with its checksum; a sweep that has an id keeps it."""
    try:
        known = identity(folder)
    except DamagedSweep:
        known = None
    envelope = {"format": FORMAT, "id": known or uuid.uuid4().hex, "written_by": code_version()}
    body = {**envelope, **content}
    write_json(folder / FILE, {**body, "sha256": _digest(body)})


def read(folder: Path) -> dict[str, Any]:
    """What a sweep's plan says.

    Plans that are older than the checksum are read as they are.

    Raises:
        DamagedSweep: The file is missing, altered or cut off, or a later version wrote it.
    """
    path = folder / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DamagedSweep(f"{folder} has no {FILE}: it is no sweep") from None
    except (OSError, ValueError) as error:
        raise DamagedSweep(f"{path}: cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise DamagedSweep(f"{path}: is no plan of a sweep")
    made = content.get("format", 0)
    if not isinstance(made, int) or made > FORMAT:
        raise DamagedSweep(
            f"{path}: is of format {made}, by gansweep {content.get('written_by', '?')}; this "
            f"version reads up to {FORMAT}: update gansweep"
        )
    told = content.pop("sha256", None)
    if (made or told) and told != _digest(content):
        raise DamagedSweep(f"{path}: does not match its checksum: take it from a backup")
    return content


def identity(folder: Path) -> str | None:
    """What tells a sweep from all others, wherever its folder lies.

    Of one whose plan is older than that it has an id, it is the digest of the first line of the
    driver's journal, which no other sweep shares; None before it first ran.

    Raises:
        DamagedSweep: There is a plan that cannot be read.
    """
    if not (folder / FILE).exists():
        return None
    if told := read(folder).get("id"):
        return str(told)
    first = next(iter(journal.read(folder, journal.DRIVER)), None)
    return _digest(first)[:32] if first else None


def _digest(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
