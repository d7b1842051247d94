"""How a process of ours finds the package, an uninstalled checkout included."""

from __future__ import annotations

import os
from pathlib import Path


def python_path() -> str:
    """`PYTHONPATH` for a child that imports this package."""
    here = str(Path(__file__).resolve().parents[1])
    return os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
