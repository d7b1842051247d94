"""The nodes of a Ray cluster on which trials may run: their names, and a task on each of them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def training() -> list[Mapping[str, Any]]:
    """The nodes that are there and have a CPU, as Ray describes them."""
    import ray

    return [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]


def names(nodes: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """How nodes are spoken of, by their ids: by their host's name, and where several share one, by
    Ray's too.
    """
    hosts = [node["NodeManagerHostname"] for node in nodes]
    own = socket.gethostname()
    return {
        node["NodeID"]: f"node {host}"
        + (
            f" ({node['NodeID'][:6]})"
            if hosts.count(host) > 1
            else " (this machine)" * (host == own)
        )
        for node, host in zip(nodes, hosts, strict=True)
    }


def ask(
    nodes: Sequence[Mapping[str, Any]],
    function: Callable[..., Any],
    given: Callable[[Mapping[str, Any]], tuple[Any, ...]],
) -> dict[Any, Mapping[str, Any]]:
    """Starts a task on each node, beside whatever runs there.

    Args:
        given: What the function is given on a node.

    Returns:
        The node by the reference to its answer.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task = ray.remote(num_cpus=0, max_retries=0)(function)
    asked = {}
    for node in nodes:
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        asked[task.options(scheduling_strategy=there).remote(*given(node))] = node
    return asked
