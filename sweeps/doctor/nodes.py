"""Asks every node of a Ray cluster at once, a task each, and tells how far its clock is off."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sweeps.doctor.facts import Facts, Machine
from sweeps.doctor.look import look, on_node
from sweeps.doctor.meeting import heard
from sweeps.doctor.question import Question

HERE = "this machine"
UNSAID = "its gansweep cannot say anything"


def ask_here(question: Question, gpus: float) -> Machine:
    """This machine's own look at itself."""
    return Machine(HERE, look(question, "here"), gpus=gpus)


def ask_nodes(question: Question, seconds: float) -> tuple[Machine, ...]:
    """What each node says on which trials may run: those that have a CPU.

    Args:
        seconds: How long they have; a node that is silent for longer has no facts.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = [n for n in ray.nodes() if n["Alive"] and n["Resources"].get("CPU")]
    task = ray.remote(num_cpus=0, max_retries=0)(on_node)
    began = time.time()
    asked = {
        task.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(asdict(question), node["NodeID"]): node
        for node in nodes
    }
    named = _names(nodes)
    answers: dict[str, Machine] = {}
    waiting, until = list(asked), time.monotonic() + seconds
    while waiting and (left := until - time.monotonic()) > 0:
        ready, waiting = ray.wait(waiting, timeout=left)
        for reference in ready:
            node = asked[reference]
            answers[node["NodeID"]] = _answer(
                reference, named[node["NodeID"]], node, began, Path(question.meeting)
            )
    for reference in waiting:
        ray.cancel(reference, force=True)
    silence = f"it did not answer in {seconds:g} s"
    return tuple(
        answers.get(node["NodeID"], Machine(named[node["NodeID"]], silence=silence))
        for node in nodes
    )


def _answer(
    reference: Any, name: str, node: Mapping[str, Any], began: float, meeting: Path
) -> Machine:
    """What came of a task; the clock of its node is off only as far as no delay explains it."""
    import ray
    from ray.exceptions import RayError, RayTaskError

    ended = time.time()
    try:
        facts = Facts.of(ray.get(reference))
    except RayTaskError as error:
        return Machine(name, silence=f"{UNSAID} ({_last_line(error)})")
    except RayError as error:
        return Machine(name, silence=str(error).strip().split("\n")[0])
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        return Machine(name, silence=f"{UNSAID} of use ({error})")
    late = facts.time - min(max(facts.time, began), ended)
    gpus = float(node["Resources"].get("GPU", 0))
    return Machine(name, facts, gpus=gpus, late=late, heard=heard(meeting, node["NodeID"]))


def _names(nodes: list[Mapping[str, Any]]) -> dict[str, str]:
    """How nodes are spoken of: by their host's name, and where several share one, by Ray's too."""
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


def _last_line(error: Exception) -> str:
    return str(error).strip().split("\n")[-1]
