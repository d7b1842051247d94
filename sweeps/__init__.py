"""Sweeps over GANs: Ray Tune runs the trials, the journal keeps them, MLflow shows them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweeps.errors import Busy, EnvironmentTrouble, GansweepError, UserError
    from sweeps.options import Options
    from sweeps.plan import Plan, make_plan
    from sweeps.results import Results
    from sweeps.spec import SweepSpec
    from sweeps.sweep import extend, resume, run

_HOME = {
    "Busy": "sweeps.errors",
    "EnvironmentTrouble": "sweeps.errors",
    "GansweepError": "sweeps.errors",
    "Options": "sweeps.options",
    "Plan": "sweeps.plan",
    "Results": "sweeps.results",
    "SweepSpec": "sweeps.spec",
    "UserError": "sweeps.errors",
    "extend": "sweeps.sweep",
    "make_plan": "sweeps.plan",
    "resume": "sweeps.sweep",
    "run": "sweeps.sweep",
}

__all__ = [
    "Busy",
    "EnvironmentTrouble",
    "GansweepError",
    "Options",
    "Plan",
    "Results",
    "SweepSpec",
    "UserError",
    "extend",
    "make_plan",
    "resume",
    "run",
]


def __getattr__(name: str) -> Any:
    # Loaded when first used: the command line answers `--help` without any of it.
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'sweeps' has no attribute {name!r}")
