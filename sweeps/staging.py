"""Prepares a sweep's pictures and weights on every node at once, before trials hold its GPUs."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gancore.catalogue import Catalogue
from sweeps import bucket, nodes, plugins
from sweeps.doctor.finding import names
from sweeps.preflight import distinct
from sweeps.signals import Signals

if TYPE_CHECKING:
    from sweeps.plan import Plan

TOLD_SECONDS = 2.0
"""For how long nothing is said of nodes that prepare."""


@dataclass(frozen=True)
class Wanted:
    """What a node is to have: plain, so that it can be sent.

    Args:
        sweep: The sweep's folder, or its address in a bucket.
        data: The sections `data` of the sweep's trials, each once.
        plugins: The user's modules, if a data set is of one of them.
        weights: Trials would download Inception's weights.
    """

    sweep: str
    data: tuple[Mapping[str, Any], ...] = ()
    plugins: tuple[str, ...] = ()
    weights: bool = False

    @classmethod
    def of(cls, plan: Plan, place: Path) -> Wanted:
        """What the trials of a sweep need."""
        data = tuple(distinct(plan, "data"))
        own = Catalogue.read()["datasets"]
        named = {name for section in data for name in (section["name"], section.get("of"))}
        downloads = any(
            evaluation.get("features") == "inception" and not evaluation.get("inception_weights")
            for evaluation in distinct(plan, "evaluation")
        )
        theirs = () if named - {None} <= set(own) else plan.plugins
        return cls(bucket.spoken(place), data, theirs, downloads)


def on_node(asked: Mapping[str, Any]) -> list[str]:
    """Prepares what is wanted on this machine; what could not be, in a line each.

    A process that prepares the same at the same time, such as a trial, is waited for.
    """
    return list(_troubles(Wanted(**asked)))


def _troubles(wanted: Wanted) -> Iterator[str]:
    # Whatever it is, a trial will meet it too, and can say more of it.
    try:
        place = bucket.arrived(wanted.sweep) if wanted.plugins or wanted.weights else Path()
        plugins.run(wanted.plugins, place / "plugins")
    except Exception as error:
        yield _line("anything", error)
        return
    for section in wanted.data:
        try:
            _prepare(section)
        except Exception as error:
            yield _line(str(section["name"]), error)
    if wanted.weights:
        try:
            _fetch_weights(place / "evaluation")
        except Exception as error:
            yield _line("inception", error)


def _prepare(section: Mapping[str, Any]) -> None:
    from gancore.config import Data
    from gancore.data import load

    options = {key: value for key, value in section.items() if key not in ("name", "resolution")}
    data = Data(name=section["name"], resolution=section.get("resolution"), options=options)
    load(data, "train")
    load(data, "test")


def _fetch_weights(folder: Path) -> None:
    from gancore.pictures import WEIGHTS_FILE

    if not (folder / WEIGHTS_FILE).is_file():
        from gancore.metrics.evaluation import fetch_inception  # It takes PyTorch to do that.

        fetch_inception(folder)


def _line(what: str, error: Exception) -> str:
    said = str(error).strip().split("\n")[0] or type(error).__name__
    return f"{what} ({said})"


class Staging:
    """The preparation of a sweep, a task on each node of the cluster that has been joined.

    Nodes that join later prepare in their first trial.

    Args:
        remote: Trials run on a cluster; else there is nothing to be done.
    """

    def __init__(self, plan: Plan, place: Path, *, remote: bool) -> None:
        self._began = time.monotonic()
        self._nodes = nodes.training() if remote else []
        self._tasks: dict[Any, Mapping[str, Any]] = {}
        if self._nodes:
            plain = asdict(Wanted.of(plan, place))
            self._tasks = nodes.ask(self._nodes, on_node, lambda _node: (plain,))

    def wait(self, signals: Signals) -> None:
        """Until a node has everything, and then as long again for the others.

        Nodes that are ready do not wait long for one that is slow; a trial that is given to that
        one waits for its task. What could not be prepared is told, and left to the trials.

        Raises:
            KeyboardInterrupt: A signal breaks it off.
        """
        if not self._tasks:
            return
        troubles: dict[str, list[str]] = {}
        with signals.breaking():
            for node, found in self._answers():
                for trouble in found:
                    troubles.setdefault(trouble, []).append(node)
        for trouble, where in troubles.items():
            line = f"{names(where)} could not prepare {trouble}; a trial there tries again"
            print(f"warning: {line}", file=sys.stderr)

    def _answers(self) -> Iterator[tuple[str, list[str]]]:
        """Nodes that have answered in time, and what each could not prepare."""
        import ray

        named = nodes.names(self._nodes)
        waiting, until, told = list(self._tasks), math.inf, False
        while waiting and (left := until - time.monotonic()) > 0:
            ready, waiting = ray.wait(waiting, timeout=min(left, TOLD_SECONDS))
            for reference in ready:
                found = _answer(reference)
                if not found:
                    until = min(until, 2 * time.monotonic() - self._began)
                yield named[self._tasks[reference]["NodeID"]], found
            if waiting and not told and time.monotonic() - self._began >= TOLD_SECONDS:
                told = True
                where = "1 node" if len(waiting) == 1 else f"{len(waiting)} nodes"
                print(f"preparing pictures on {where}", file=sys.stderr)


def _answer(reference: Any) -> list[str]:
    """What a node could not prepare."""
    import ray
    from ray.exceptions import RayError, RayTaskError

    try:
        said: list[str] = ray.get(reference)
    except RayTaskError as error:  # Its last line is what was raised there.
        return [f"pictures ({str(error).strip().splitlines()[-1]})"]
    except RayError as error:
        return [f"pictures ({str(error).strip().splitlines()[0]})"]
    return said
