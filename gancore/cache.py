"""Where a machine keeps what is prepared once for all runs."""

from __future__ import annotations

import os
from pathlib import Path


def cache_root() -> Path:
    """`$GANSWEEP_CACHE`, or `gansweep` in the user's cache folder."""
    if own := os.environ.get("GANSWEEP_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gansweep"
