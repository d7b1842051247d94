"""Tells when trials wait for a machine and none of their kind has one."""

from __future__ import annotations

import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

QUIET_SECONDS = 10.0
"""For how long nothing is said: Ray needs seconds to start a worker."""

_PAUSE_SECONDS = 1.0
"""Between two looks: a sweep may have a thousand trials."""

Bundle = Mapping[str, float]
Kind = tuple[tuple[str, float], ...]


class Room:
    """Says a line when trials of a kind have waited for long, and again only once one has run.

    Trials that wait while others of their kind run are nothing to tell of: there are more than fit.

    Args:
        nodes: What each node that is there has, as Ray names it.
        say: Tells the user.
    """

    def __init__(
        self,
        nodes: Callable[[], Iterable[Bundle]],
        say: Callable[[str], None] = lambda line: print(line, file=sys.stderr),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._nodes = nodes
        self._say = say
        self._clock = clock
        self._looked = -math.inf
        self._since: dict[Kind, float] = {}
        self._told: set[Kind] = set()

    def look(self, trials: Iterable[tuple[str, Bundle]]) -> None:
        """Looks at the trials, as often as one likes.

        Args:
            trials: Tune's word for how each is, and what it asks for; read only when it is time.
        """
        now = self._clock()
        if now - self._looked < _PAUSE_SECONDS:
            return
        self._looked = now
        kinds = [(status, tuple(sorted(bundle.items()))) for status, bundle in trials]
        running = {kind for status, kind in kinds if status == "RUNNING"}
        waiting = Counter(kind for status, kind in kinds if status == "PENDING")
        self._told -= running
        self._since = {k: self._since.get(k, now) for k in waiting if k not in running}
        for kind, since in self._since.items():
            if now - since > QUIET_SECONDS and kind not in self._told:
                self._told.add(kind)
                self._say(_line(dict(kind), waiting[kind], self._nodes()))


def _line(bundle: Bundle, count: int, nodes: Iterable[Bundle]) -> str:
    fits = any(all(node.get(name, 0) >= bundle[name] for name in bundle) for node in nodes)
    who = "1 trial asks" if count == 1 else f"{count} trials ask"
    each = "" if count == 1 else " each"
    why = "all that there is, is taken" if fits else "no node has that yet"
    return f"waiting for room: {who} for {' and '.join(_amounts(bundle))}{each}, and {why}"


def _amounts(bundle: Bundle) -> Iterator[str]:
    for name, amount in bundle.items():
        if amount:
            yield f"{amount / 1e9:g} GB" if name == "memory" else f"{amount:g} {name}"
