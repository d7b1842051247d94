"""What there is to fetch and send of a sweep in a folder that all machines see: nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sweeps.bucket.pieces import Pieces


class Folder:
    """A sweep's folder that is no copy of anything: there is nothing to fetch or send."""

    look_seconds = 0.0
    """How long to wait between two looks, at least."""

    def pull(self, *, whole: bool = True) -> None:
        """Fetches what is new of what is small.

        Args:
            whole: All trials too; else only what each of them needs to begin.
        """

    def pull_journals(self, only: str | None = None) -> None:
        """Fetches what is new in the journals of trials, or of one trial."""

    def here(self, path: Path) -> Path:
        """The path of a file, which is here now if it is anywhere."""
        return path

    def fetch(self, folder: Path) -> Path:
        """The path of a folder, all files of which are here now."""
        return folder

    def take(self, folder: Path) -> Path:
        """As `fetch`, but for pictures, and with nothing else there: where a trial goes on."""
        return folder

    def push(self, *paths: Path) -> None:
        """Sends files, and folders of files, that have changed here."""

    def create(self, path: Path) -> bool:  # noqa: ARG002
        """Sends a file that nobody else may have sent; where somebody has, fetches his."""
        return True

    def publish(self, draft: Path) -> bool:  # noqa: ARG002
        """Sends a new sweep, which is one once all of it is there; whether there was none."""
        return True

    def mirror(self, folder: Path) -> None:
        """Makes the bucket have what is in a folder, and nothing else there."""

    def drop(self, folder: Path) -> None:
        """Deletes here what the bucket has."""

    def forget(self, folder: Path) -> None:
        """Deletes in the bucket what is gone here."""

    def pieces(self, writer: str) -> Pieces | None:  # noqa: ARG002
        """Where a writer's journal is sent; None where its file is enough."""
        return None

    def is_held(self) -> bool:
        """Whether some machine runs the sweep now."""
        return False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Runs the sweep from here: nobody else does, and what its trials write is fetched.

        Raises:
            Busy: Somebody else runs it.
        """
        yield
