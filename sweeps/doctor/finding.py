"""What a look at one thing has found, and what to do where that is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "wrong"]
OK: Level = "ok"
WARNING: Level = "warning"
WRONG: Level = "wrong"

_NAMED = 3
"""Machines that a line names; the others are counted."""


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's.

    Args:
        check: What was looked at.
        level: `wrong` would stop a sweep, or make its results worth nothing; `warning` would not.
        found: In a few words.
        remedy: What to do, in one line; empty where all is well.
    """

    check: str
    level: Level
    found: str
    remedy: str = ""

    @property
    def line(self) -> str:
        """As errors are told."""
        return f"{self.found}: {self.remedy}" if self.remedy else self.found

    @classmethod
    def of_message(cls, check: str, message: str, level: Level = WRONG) -> Finding:
        """An error of this package as a finding: its messages are `what is wrong: what to do`."""
        found, _, remedy = " ".join(message.split()).partition(": ")
        return cls(check, level, found, remedy)


def shared(
    check: str, level: Level, told: Iterable[tuple[str, str, str]], *, quoted: bool = False
) -> list[Finding]:
    """One finding for all machines of which the same is to be told.

    Args:
        told: Machine, what was found there, and the remedy.
        quoted: What was found is somebody's word, not the rest of a sentence on the machine.
    """
    by_words: dict[tuple[str, str], list[str]] = {}
    for machine, what, remedy in told:
        by_words.setdefault((what, remedy), []).append(machine)
    return [
        Finding(check, level, f"{names(machines)}{_joint(len(machines), quoted)}{what}", remedy)
        for (what, remedy), machines in by_words.items()
    ]


def _joint(machines: int, quoted: bool) -> str:
    return ": " if quoted else " " if machines == 1 else ": each "


def names(machines: Iterable[str]) -> str:
    """Machines in a sentence: `this machine`, `node b`, `nodes a, b, c and 5 more`."""
    known = list(machines)
    listed = ", ".join(known[:_NAMED])
    if len(known) > _NAMED:
        return f"{listed} and {len(known) - _NAMED} more"
    return listed
