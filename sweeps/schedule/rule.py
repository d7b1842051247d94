"""What every rule can be asked, and what those answer in which no trial waits."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Protocol

from sweeps.schedule.decision import Decision

Promoted = tuple[str, int, str]
"""A trial, the epoch that it waits at, and why it goes on."""


class Rule(Protocol):
    """Judges trials at its rungs; see `Asha` and `Promotion`."""

    epochs: list[int]

    def judge(self, trial: str, group: str, epoch: int, score: float, stage: int = 0) -> Decision:
        """Takes a trial's report in and decides."""
        ...

    def promotable(self, busy: Mapping[str, str]) -> Promoted | None:  # noqa: ARG002
        """A waiting trial that may go on, given those that train now, each with its group."""
        return None

    def leave(self, trial: str) -> None:
        """A trial waits no longer: it goes on, or has ended."""

    def lose(self, trial: str) -> None:
        """A trial has ended before its time, by itself: it will never be trained whole."""

    def settle(self, waiting: Container[str]) -> None:
        """Makes just these trials wait that a journal says wait."""

    def waiting(self) -> Iterator[Promoted]:
        """The trials that wait, and why."""
        return iter(())
