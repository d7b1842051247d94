"""What a machine says of itself: plain facts, which the driver judges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal


@dataclass(frozen=True)
class Storage:
    """The storage as a machine sees it.

    Args:
        sees: It reads what the driver has written.
        refused: Why it cannot write there, or, of a bucket, not use it; empty where it can.
        lock: Whether it sees that the driver holds a lock there; or why it cannot look.
        free: Bytes that are free; None where it does not say.
    """

    sees: bool = False
    refused: str = ""
    lock: Literal["seen", "not seen"] | str = "seen"
    free: int | None = None


@dataclass(frozen=True)
class Material:
    """Pictures or weights on a machine.

    Args:
        name: Of the data set, or of the weights.
        missing: What is missing, or wrong with them; empty where nothing is.
        prepared: Whether the pictures are in the cache; None where nobody looked.
        fetched: Whether they would be downloaded.
    """

    name: str
    missing: str = ""
    prepared: bool | None = None
    fetched: bool = False


@dataclass(frozen=True)
class Torch:
    """What PyTorch makes of the GPUs.

    Args:
        gpus: How many it can use.
        build: Its version, such as `2.13.0+cpu`.
        refused: Why it cannot use any.
    """

    gpus: int = 0
    build: str = ""
    refused: str = ""


@dataclass(frozen=True)
class Facts:
    """What one machine says. Whatever is missing has the value that raises no alarm.

    Args:
        time: Seconds since 1970, by its clock.
        cache: Where prepared pictures are kept.
        cache_free, memory_free: Bytes free there, and in `/dev/shm`; None where it has none.
        open_files: How many a process may have open.
    """

    time: float
    versions: Mapping[str, str]
    storage: Storage
    cache: str = ""
    cache_free: int | None = None
    memory_free: int | None = None
    open_files: int | None = None
    pictures: tuple[Material, ...] = ()
    weights: tuple[Material, ...] = ()
    torch: Torch | None = None

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Facts:
        """What a node has said, which may be of another version.

        Raises:
            TypeError, KeyError, ValueError, AttributeError: It is too unlike.
        """
        known = {f.name: said[f.name] for f in fields(cls) if f.name in said}
        for name in ("pictures", "weights"):
            known[name] = tuple(Material(**one) for one in said.get(name, ()))
        torch = said.get("torch")
        known["torch"] = Torch(**torch) if torch else None
        return cls(**{**known, "storage": Storage(**said["storage"])})


@dataclass(frozen=True)
class Machine:
    """A machine and what is known of it.

    Args:
        name: `this machine`, or `node NAME`.
        facts: None where it did not answer.
        silence: Why it did not.
        gpus: As Ray counts them.
        late: Seconds by which its clock is surely ahead (or, below 0, behind).
        heard: Whether the driver reads what it wrote.
    """

    name: str
    facts: Facts | None = None
    silence: str = ""
    gpus: float = 0
    late: float = 0
    heard: bool = True


@dataclass(frozen=True)
class Evidence:
    """All that is known before anything is judged.

    Args:
        here: The machine of the driver.
        trains: Those that trials run on: nodes of a cluster, or this one.
        refused: Why the storage takes nothing from the driver; empty where it does.
        misfits: Why no machine could hold a trial.
        gpu: GPUs that a trial asks for.
    """

    storage: str
    here: Machine
    trains: tuple[Machine, ...]
    refused: str = ""
    misfits: tuple[str, ...] = ()
    gpu: float = 0
