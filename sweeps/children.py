"""How a process of ours finds its Python and the package, an uninstalled checkout included."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def python_path() -> str:
    """`PYTHONPATH` for a child that imports this package."""
    here = str(Path(__file__).resolve().parents[1])
    return os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))


def python() -> str:
    """This very Python; by a relative PATH it knows itself only in the folder where it began."""
    return os.path.abspath(sys.executable)
