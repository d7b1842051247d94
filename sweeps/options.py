"""Where and how a sweep runs; what it runs stands in its file alone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sweeps import bucket
from sweeps.results import Results

BEGUN = "all is checked, trials begin"
"""In the line that a sweep without a terminal prints then; `gansweep submit` waits for it."""


class Watch(Protocol):
    """Shows a sweep while it runs: a context that is entered with the results it follows."""

    def __call__(self, results: Results, /) -> AbstractContextManager[object]: ...


def _unsaid() -> None:
    """Tells nobody."""


@dataclass(frozen=True)
class Options:
    """Where and how to run a sweep; what to run stands in its file alone.

    Args:
        storage: Folder of all sweeps, on a cluster one that every node sees; or `s3://bucket/path`.
        address: Of a running Ray cluster; None starts Ray on this machine.
        tracking_uri: Of an MLflow server; None takes the store beside the sweeps.
        verbose: Lets Ray and Tune speak.
        insecure: Joins a cluster that asks nobody for a token.
        accept_data_change: Goes on though the pictures are not those that the sweep began with.
        watch: Shows progress; None shows nothing.
        began: Called once nothing that is looked at beforehand stands in the way of the trials.
    """

    storage: Path | str = Path("runs")
    address: str | None = None
    tracking_uri: str | None = None
    verbose: bool = False
    insecure: bool = False
    accept_data_change: bool = False
    watch: Watch | None = None
    began: Callable[[], None] = _unsaid

    @property
    def folder(self) -> Path:
        """The folder of all sweeps; of a bucket, the one of this machine that stands for it.

        Raises:
            UserError: It is no address of a bucket.
        """
        text = str(self.storage)
        return bucket.folder_of(text) if bucket.is_address(text) else Path(text).resolve()
