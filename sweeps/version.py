"""Which code is running."""

from __future__ import annotations

import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKED = "code_version.txt"
"""Beside this file in a copy that was sent to a cluster: which version it is a copy of."""


@cache
def code_version() -> str:
    """The release, and the commit where the code lies in a git checkout: `0.1.0+1a2b3c4`."""
    here = Path(__file__).parent
    if (here / PACKED).is_file():
        return (here / PACKED).read_text().strip()
    try:
        release = version("gansweep")
    except PackageNotFoundError:
        release = "0"
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
