"""Asks every node of a Ray cluster at once, a task each, and tells how far its clock is off."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from sweeps import nodes
from sweeps.doctor.facts import Facts, Machine
from sweeps.doctor.look import look, on_node
from sweeps.doctor.meeting import heard
from sweeps.doctor.question import Question
from sweeps.errors import EnvironmentTrouble

HERE = "this machine"
UNSAID = "its gansweep cannot say anything"


def ask_here(question: Question, gpus: float) -> Machine:
    """This machine's own look at itself."""
    return Machine(HERE, look(question.of(gpus), "here"), gpus=gpus)


@contextmanager
def _lost() -> Iterator[None]:
    """Tells what Ray raises where the cluster is lost meanwhile.

    Raises:
        EnvironmentTrouble: In one line.
    """
    from ray.exceptions import RayError

    try:
        yield
    except (RayError, ConnectionError, RuntimeError) as error:
        text = str(error).strip().split("\n")[0]
        raise EnvironmentTrouble(
            f"the cluster does not answer ({text}): `ray status` on its head tells more"
        ) from None


class Round:
    """A question that is on its way to each node on which trials may run: those that have a CPU.

    Raises:
        EnvironmentTrouble: The cluster is lost; of `answers`, too.
    """

    @_lost()
    def __init__(self, question: Question) -> None:
        self._meeting = question.meeting
        self._nodes = nodes.training()
        self._began = time.time()
        self._asked = nodes.ask(
            self._nodes, on_node, lambda n: (asdict(question.of(_gpus(n))), n["NodeID"])
        )

    @_lost()
    def answers(self, seconds: float) -> tuple[Machine, ...]:
        """What each node says.

        Args:
            seconds: How long they have; a node that is silent for longer has no facts.
        """
        import ray

        named = nodes.names(self._nodes)
        answers: dict[str, Machine] = {}
        waiting, until = list(self._asked), time.monotonic() + seconds
        while waiting and (left := until - time.monotonic()) > 0:
            ready, waiting = ray.wait(waiting, timeout=left)
            for reference in ready:
                node = self._asked[reference]
                name = named[node["NodeID"]]
                answers[name] = _answer(reference, name, node, self._began, self._meeting)
        for reference in waiting:
            ray.cancel(reference, force=True)
        silence = f"it did not answer in {seconds:g} s"
        return tuple(answers.get(n, Machine(n, silence=silence)) for n in named.values())


def _answer(
    reference: Any, name: str, node: Mapping[str, Any], began: float, meeting: str
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
    return Machine(name, facts, gpus=_gpus(node), late=late, heard=heard(meeting, node["NodeID"]))


def _gpus(node: Mapping[str, Any]) -> float:
    return float(node["Resources"].get("GPU", 0))


def _last_line(error: Exception) -> str:
    return str(error).strip().split("\n")[-1]
