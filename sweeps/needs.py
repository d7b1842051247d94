"""What a trial is given of a machine, and for which trials that is something else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gancore.schema import NonNegative, Positive


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What one trial is given.

    Args:
        gpu: May be a share of one, such as 0.25.
        memory_gb: Main memory that is set aside; None sets nothing aside.
    """

    cpu: Positive = 1
    gpu: NonNegative = 0
    memory_gb: Positive | None = None

    def __str__(self) -> str:
        given = ((key, getattr(self, key)) for key in KEYS)
        return ", ".join(f"{key} {value:g}" for key, value in given if value)


KEYS = tuple(Needs.__dataclass_fields__)
"""What an exception may say."""

_NAMED = 3
"""Arms that are named; of the others it is said how many."""


@dataclass(frozen=True)
class Case:
    """An exception: what those trials are given for which its conditions hold.

    Args:
        when: Each of these paths has one of these values, as of a dimension of the search space.
        gives: What it says of `KEYS`; all else stays as the section says.
        fixed: Of the paths of `when`, the values where they do not vary.
    """

    when: Mapping[str, tuple[Any, ...]]
    gives: Mapping[str, Any]
    fixed: Mapping[str, Any]

    def __post_init__(self) -> None:
        # JSON knows no tuples, and a plan may come from a stranger.
        object.__setattr__(self, "when", {path: tuple(v) for path, v in self.when.items()})
        if unknown := self.gives.keys() - set(KEYS):
            raise ValueError(f"{min(unknown)!r} is no resource of a trial")

    def holds(self, varied: Mapping[str, Any]) -> bool:
        """Whether it is for a trial with these values by dotted path."""
        return all(
            (varied[path] if path in varied else self.fixed.get(path)) in values
            for path, values in self.when.items()
        )

    def needs(self, usual: Needs) -> Needs:
        """What its trials are given.

        Args:
            usual: What others are given.
        """
        return Needs(**{key: self.gives.get(key, getattr(usual, key)) for key in KEYS})

    def as_written(self) -> dict[str, Any]:
        """As a sweep file has it."""
        return {"when": {path: list(v) for path, v in sorted(self.when.items())}, **self.gives}


def unshared(gpu: float) -> str:
    """Why a trial cannot have so many GPUs; empty where it can."""
    if gpu > 1 and gpu % 1:
        return f"more than one GPU must be a whole number of them, got {gpu:g}"
    return ""


def told(kinds: Mapping[Needs, tuple[str, ...]]) -> str:
    """What trials are given, in words, where not all are given the same with the arms.

    Args:
        kinds: With the labels of the arms that have each; none where a search may yet choose one.
    """
    words = []
    for needs, arms in kinds.items():
        more = [f"{len(arms) - _NAMED} more"] if len(arms) > _NAMED else []
        whose = "; ".join([*arms[:_NAMED], *more]) or "trials yet to be chosen"
        words.append(f"{needs} ({whose})" if len(kinds) > 1 else str(needs))
    return ", or ".join(words)
