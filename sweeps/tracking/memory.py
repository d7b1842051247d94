"""What a sweep's folder remembers of what MLflow has; MLflow itself is asked where it is silent."""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gancore.files import write_json

SAVE_SECONDS = 1.0


@dataclass
class Sent:
    """How much of a trial, or of the sweep as a whole, MLflow has.

    Args:
        run: MLflow's id of its run.
        epoch: The last epoch whose numbers and grid have arrived.
        state: Of the trial, as last told.
        attempts: Its attempts, as last told.
        voids: How often epochs of it came out otherwise when they were done again.
        evaluations: Digest by file name of the evaluations of its checkpoints.
    """

    run: str
    epoch: int = 0
    state: str = ""
    attempts: int = 0
    voids: int = 0
    evaluations: dict[str, str] = field(default_factory=dict)


class Memory:
    """`tracking.json`: what each tracking store has of a sweep, by the name of trial or driver.

    Losing it costs time, not truth: runs are found again by their tags, and what is sent twice
    replaces itself.

    Args:
        store: Address of the store, without secrets.
    """

    def __init__(self, sweep: Path, store: str) -> None:
        self.path = sweep / "tracking.json"
        self.store = store
        self.runs: dict[str, Sent] = {}
        self._saved = -SAVE_SECONDS
        self.load()

    def load(self) -> None:
        """Takes in what is on disk, perhaps from another uploader."""
        self.runs = {}
        with suppress(TypeError, AttributeError):  # Of another shape: as good as lost.
            rows = self._read().get(self.store, {})
            self.runs = {name: Sent(**row) for name, row in rows.items()}

    def save_now_and_then(self) -> None:
        """As `save`, unless that was a moment ago: all of it is written, so that a save for every
        trial of thousands would cost more than what is sent.
        """
        if time.monotonic() - self._saved >= SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Makes what is known durable; call it only while holding `locked`."""
        stores = self._read()
        stores[self.store] = {name: asdict(sent) for name, sent in self.runs.items()}
        write_json(self.path, stores)
        self._saved = time.monotonic()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other uploaders of this folder out, and starts from what they have left."""
        with self.path.with_suffix(".lock").open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            self.load()
            yield

    def _read(self) -> dict[str, dict[str, dict[str, Any]]]:
        # Written atomically, so what cannot be read was damaged from outside; it is no loss.
        with suppress(OSError, ValueError, TypeError):
            return dict(json.loads(self.path.read_text(encoding="utf-8")))
        return {}
