"""`python -m sweeps.jobs.needs`: whether the Python of a cluster's head has what gansweep needs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sweeps.errors import EnvironmentTrouble

REQUIREMENTS = "requirements.txt"
"""In a job's working directory: what the package needs, as it says of itself where it came from."""


def lacking(requirements: Iterable[str]) -> Iterator[str]:
    """What this Python lacks, a few words each."""
    try:
        from packaging.requirements import Requirement
    except ImportError:  # Ray brings it.
        yield "ray is missing"
        return
    for line in requirements:
        needed = Requirement(line)
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(needed.name)
        except PackageNotFoundError:
            yield f"{needed.name} is missing"
            continue
        if not needed.specifier.contains(found, prereleases=True):
            yield f"{needed.name} is {found}, not {needed.specifier}"


def _main() -> None:
    if found := list(lacking(Path(REQUIREMENTS).read_text().splitlines())):
        where = f"{sys.executable} on {os.uname().nodename}"
        print(f"error: {where}: {', '.join(found)}: install there what gansweep needs")
        sys.exit(EnvironmentTrouble.exit_code)


if __name__ == "__main__":
    _main()
