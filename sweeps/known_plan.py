"""The plan of a sweep for who asks again and again: read once, and then what is new of it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from gancore.files import looks
from sweeps import journal, planfile
from sweeps.plan import Plan


class KnownPlan:
    """See the module.

    Args:
        folder: The sweep's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._looks: tuple[int, int, int] | None = None
        self._mark = journal.Mark()
        self._plan: Plan | None = None

    def now(self) -> Plan:
        """As `Plan.read`.

        Raises:
            DamagedSweep: It is no plan, or not as it was written.
        """
        file = journal.journal_folder(self._folder) / f"{journal.DRIVER}.jsonl"
        now = None
        with suppress(OSError):
            now = looks(self._folder / planfile.FILE)
        if self._plan is None or now is None or now != self._looks:
            self._plan, self._mark = Plan.written(self._folder), journal.Mark()
            self._looks = now
        found = journal.read_from(file, self._mark)
        self._plan = self._plan.told(self._folder, found.records)
        self._mark = found.mark
        return self._plan
