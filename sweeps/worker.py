"""What runs on a Ray worker: a trial, each epoch of which is reported to Tune."""

from __future__ import annotations

import math
import os
from functools import cache
from pathlib import Path
from typing import Any

from gancore import determinism
from sweeps import bucket, handshake, plugins
from sweeps.errors import EnvironmentTrouble
from sweeps.known_plan import KnownPlan
from sweeps.shares.fence import fence


def train_on_worker(config: dict[str, Any], *, sweep: str, versions: dict[str, str]) -> None:
    """Trains a trial.

    Args:
        config: As Tune hands it on: the trial's uid, and the bundle that it was given.
        sweep: The sweep's folder, or its address in a bucket.
        versions: Of the driver (see `sweeps.handshake`).
    """
    import ray
    from ray import tune

    from sweeps.trial import Progress, run_trial

    try:
        place = bucket.arrived(sweep)
        why = handshake.refusal(place, versions)
    except EnvironmentTrouble as trouble:
        why = f"node {os.uname().nodename}: {trouble}"
    if why:
        tune.report(vars(Progress(config["uid"], 0, math.inf, ended=True, unable=why)))
        return
    plan = _known(place).now()
    plugins.run(plan.plugins, place / "plugins")
    if plan.repeats:  # Whatever this worker trains first.
        determinism.prepare()
    # `cuda.is_available` would also answer for a GPU that belongs to another trial.
    device = "cuda" if ray.get_gpu_ids() else "cpu"
    if device == "cuda":
        fence(config["bundle"]["GPU"])
    node = ray.get_runtime_context().get_node_id()
    for progress in run_trial(place, plan, config["uid"], device=device, ray_node=node):
        tune.report(vars(progress))


@cache
def _known(place: Path) -> KnownPlan:
    """The plan as this worker knows it from the trial before."""
    return KnownPlan(place)
