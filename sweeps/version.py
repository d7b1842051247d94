"""Which code is running."""

from __future__ import annotations

import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


@cache
def code_version() -> str:
    """The release, and the commit where the code lies in a git checkout: `0.1.0+1a2b3c4`."""
    try:
        release = version("gansweep")
    except PackageNotFoundError:
        release = "0"
    here = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--exclude=*"],
            cwd=here,
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return release
    return f"{release}+{done.stdout.strip()}"
