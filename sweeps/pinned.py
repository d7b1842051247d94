"""The pictures of a sweep as its first trial found them; those that come later must be the same."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gancore.errors import Unavailable
from gancore.files import write_json
from sweeps import bucket

FOLDER = "pinned"


class DataChanged(Unavailable):
    """The pictures are not those that the sweep began with."""


def check(sweep: Path, data: Mapping[str, Any], found: Mapping[str, str]) -> None:
    """Pins the pictures of a data set, or compares them with those that are pinned.

    Args:
        data: The `data` section of a run.
        found: Fingerprints by what they are of.

    Raises:
        DataChanged: A trial of the sweep has trained on others.
    """
    copy = bucket.of(sweep)
    path = copy.here(_path(sweep, data))
    if not path.is_file():
        write_json(path, dict(found))
        copy.create(path)
    before = json.loads(path.read_text(encoding="utf-8"))
    if differing := [key for key in found if before.get(key) != found[key]]:
        key = differing[0]
        raise DataChanged(
            f"the pictures of {data.get('path') or data['name']!r} have changed since the sweep "
            f"began ({key}: {str(before.get(key))[:12]}, now {found[key][:12]}): put them back, or "
            "go on with --accept-data-change"
        )


def forget(sweep: Path) -> None:
    """Lets the next trial say anew which pictures the sweep has."""
    shutil.rmtree(sweep / FOLDER, ignore_errors=True)
    bucket.of(sweep).forget(sweep / FOLDER)


def _path(sweep: Path, data: Mapping[str, Any]) -> Path:
    text = json.dumps(data, sort_keys=True)
    return sweep / FOLDER / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
