"""What every machine is asked, as plain data that any version can read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeps.bucket import spoken
from sweeps.preflight import distinct

if TYPE_CHECKING:
    from sweeps.plan import Plan


@dataclass(frozen=True)
class Asked:
    """Where a sweep shall run, and which.

    Args:
        plan: None asks about no sweep in particular.
        storage, address, tracking_uri, insecure: As a sweep's options.
    """

    storage: Path
    plan: Plan | None = None
    address: str | None = None
    tracking_uri: str | None = None
    insecure: bool = False


@dataclass(frozen=True)
class Question:
    """What a machine is to look at.

    Args:
        meeting: The folder in the storage where driver and nodes leave word for each other, or its
            address in a bucket.
        data: The sections `data` of the sweep's trials, each once.
        evaluations: The same of `evaluation`.
        gpu: Asks PyTorch for its GPUs.
        thorough: Looks at what takes a moment: hashes, prepared pictures.
    """

    meeting: str
    data: tuple[Mapping[str, Any], ...] = ()
    evaluations: tuple[Mapping[str, Any], ...] = ()
    gpu: bool = False
    thorough: bool = True

    @property
    def without_material(self) -> Question:
        """The question to a driver that trains nothing itself."""
        return replace(self, data=(), evaluations=())

    def of(self, gpus: float) -> Question:
        """The question to a machine of so many GPUs."""
        return replace(self, gpu=self.thorough and gpus > 0)

    @classmethod
    def about(cls, plan: Plan | None, meeting: Path, *, thorough: bool) -> Question:
        """The question of a sweep."""
        if plan is None:
            return cls(spoken(meeting), thorough=thorough)
        data, evaluations = (tuple(distinct(plan, name)) for name in ("data", "evaluation"))
        return cls(spoken(meeting), data, evaluations, thorough=thorough)
