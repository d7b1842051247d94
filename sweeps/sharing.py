"""Decides which share of a GPU the trials of each arm have, before any of them starts."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from sweeps import cluster
from sweeps.errors import UserError
from sweeps.options import Options
from sweeps.plan import Plan
from sweeps.shares import measure


def decided(plan: Plan, modules: Path, options: Options) -> Plan:
    """The plan with every share that `gpu: auto` asks for: those that it lacks are measured now.

    On this machine's GPU, or on one of the cluster's, by a task that asks Ray for it.

    Args:
        modules: The folder of the user's modules; with a cluster, one that its nodes see.

    Raises:
        UserError: There is no GPU, or a trial cannot be trained on it.
        EnvironmentTrouble: The cluster cannot be reached.
    """
    wanted = measure.asked(plan, modules)
    if not wanted:
        return plan
    arms = "1 arm" if len(wanted) == 1 else f"{len(wanted)} arms"
    print(f"measuring how many trials share a GPU ({arms})", file=sys.stderr)
    if options.address is None:
        found = measure.shares(wanted, measure.cpus_here())
    else:
        with cluster.connected(options.address, verbose=options.verbose, insecure=options.insecure):
            cluster.check_resources(plan, local=False)
            told = cluster.on_a_gpu(_on_its_node, wanted)
        if isinstance(told, str):
            raise UserError(told)
        found = told
    return replace(plan, shares={**plan.shares, **found})


def _on_its_node(wanted: dict[str, measure.Asked]) -> dict[str, float] | str:
    """The shares, or what is wrong: Ray would hand an error on with all of its traceback.

    The nodes are looked at here: before this one came, there may have been none with a GPU.
    """
    try:
        return measure.shares(wanted, cluster.cpus_of_a_gpu())
    except UserError as error:
        return str(error)
