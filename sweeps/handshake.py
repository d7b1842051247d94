"""Whether a node may train: it sees the sweep, and runs what the driver runs."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sweeps import bucket, planfile
from sweeps.version import code_version

PACKAGES = ("torch", "ray")


def versions() -> dict[str, str]:
    """What must be the same on all nodes for their numbers to be comparable."""
    found = {"python": ".".join(platform.python_version_tuple()[:2]), "gansweep": code_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "none"
    return found


def refusal(sweep: Path, driver: dict[str, str]) -> str:
    """Why this node must not train, in one line that names it; empty where it may.

    Args:
        driver: The driver's `versions`.
    """
    node = os.uname().nodename
    if not (sweep / planfile.FILE).is_file():
        where = bucket.spoken(sweep)
        return f"node {node} does not see {where}: give --storage a folder that every node sees"
    if found := unlike(versions(), driver):
        return f"node {node} has {', '.join(found)}: install the same there"
    return ""


def unlike(here: Mapping[str, str], driver: Mapping[str, str]) -> list[str]:
    """What a node has of another version than the driver, and which the driver has."""
    return [
        f"{name} {here.get(name, 'none')} (the driver has {theirs})"
        for name, theirs in driver.items()
        if not _same(name, here.get(name, "none"), theirs)
    ]


def _same(name: str, here: str, there: str) -> bool:
    """Whether two versions are one: a build for a GPU is that for a CPU, and who has no git
    checkout has just a release. Who edits a checkout while a sweep runs from it does not end that.
    """
    (release, _, build), (other, _, its) = (v.partition("+") for v in (here, there))
    build, its = build.removesuffix("-dirty"), its.removesuffix("-dirty")
    return release == other and (name == "torch" or not build or not its or build == its)
